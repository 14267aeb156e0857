import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { JsonValue } from '../../src/domain/json-value.ts';
import { opaMs, realOpa } from '../support/opa.ts';
import { starterPolicy } from '../support/starter-policy.ts';
import { repository } from './policy-files.ts';
import { changed, pathsIn, requests } from './requests.ts';

const run = promisify(execFile);
let opa: string;
beforeAll(async () => {
  opa = (await realOpa()).path;
}, opaMs);

const oddities: readonly (JsonValue | undefined)[] = [undefined, null, false, true, -1, 0, 1e300, '', 'ä𝄞', [], {}];

/** The five cases, whole and with up to three members odd, by a fixed seed. */
function samples(): readonly JsonValue[] {
  const whole = Object.values(requests);
  const odd = fc.constantFrom(...whole).chain((base) =>
    fc
      .array(fc.tuple(fc.constantFrom(...pathsIn(base)), fc.constantFrom(...oddities)), {
        minLength: 1,
        maxLength: 3,
      })
      .map((changes) => changes.reduce<JsonValue>((value, [path, to]) => changed(value, path, to), base)),
  );
  return [...whole, {}, ...fc.sample(odd, { numRuns: 400, seed: 20_261_102 })];
}

describe('the compiled policies and OPA itself', () => {
  it.each(['authz/decision', 'policies/entitlement_review/report'])(
    'answer alike at %s',
    async (entrypoint) => {
      const inputs = samples();
      const policy = await starterPolicy();
      const compiled = inputs.map((input) => {
        const text = policy.evaluate(entrypoint, JSON.stringify(input));
        return text === undefined ? [] : [JSON.parse(text)];
      });
      const directory = await mkdtemp(join(tmpdir(), 'postern-samples-'));
      try {
        await writeFile(join(directory, 'samples.json'), JSON.stringify({ samples: inputs }));
        const query = `[answers | some asked in data.samples; answers := [a | a := data.${entrypoint.replaceAll('/', '.')} with input as asked]]`;
        const args = ['eval', '--format', 'raw', '--data', 'rego', '--data', join(directory, 'samples.json'), query];
        const { stdout } = await run(opa, args, { cwd: repository, maxBuffer: 1 << 28 });
        expect(compiled).toEqual(JSON.parse(stdout));
      } finally {
        await rm(directory, { recursive: true });
      }
    },
    60_000,
  );
});
