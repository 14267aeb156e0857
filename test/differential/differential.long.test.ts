import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readBundle } from '../../src/bundle/reading/read-bundle.ts';
import type { JsonValue } from '../../src/domain/json-value.ts';
import { epochMs } from '../../src/domain/time.ts';
import { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { repository } from '../author/policy-files.ts';
import { requests } from '../author/requests.ts';
import { opaMs, realOpa } from '../support/opa.ts';
import { patientLimits } from '../support/patient-limits.ts';
import { starterPolicy } from '../support/starter-policy.ts';
import { inputsAround } from './inputs.ts';
import { OpaServer } from './opa-server.ts';

/**
 * Policies as they are found in the field, and our own, asked of the compiled module and of OPA itself. What either
 * answers to an input is compared as JSON, sets as OPA prints them. DIFFERENTIAL_SEED asks
 * for other inputs than the usual ones, DIFFERENTIAL_INPUTS for more or fewer.
 *
 * What the policies guard against, or do not call, is where compiled policies are known to answer otherwise than OPA's
 * interpreter: docs/policy-author.md lists it.
 */
const rego = join(import.meta.dirname, 'rego');
const inputsWanted = Number(process.env['DIFFERENTIAL_INPUTS'] ?? 20_000);
const seed = Number(process.env['DIFFERENTIAL_SEED'] ?? 20_261_123);
const connections = 16;
const shownMax = 10;

interface Subject {
  readonly name: string;
  readonly entrypoints: readonly string[];
  readonly examples: readonly JsonValue[];
}

const field: readonly Subject[] = readdirSync(join(rego, 'differential')).map((name) => ({
  name,
  entrypoints: [`differential/${name}`],
  examples: JSON.parse(readFileSync(join(import.meta.dirname, 'examples', `${name}.json`), 'utf8')),
}));
const starter: Subject = {
  name: 'starter',
  entrypoints: ['authz/decision', 'policies/entitlement_review/report'],
  examples: Object.values(requests),
};
const subjects = [starter, ...field];
const inputsEach = Math.ceil(inputsWanted / subjects.length);

let server: OpaServer;
let compiled: PolicyModule;
let served: PolicyModule;
let work: string;

beforeAll(async () => {
  const { path: opa } = await realOpa();
  work = mkdtempSync(join(tmpdir(), 'postern-differential-'));
  const output = join(work, 'bundle.tar.gz');
  const entrypoints = field.flatMap((subject) => subject.entrypoints.flatMap((entrypoint) => ['-e', entrypoint]));
  const args = ['build', '-t', 'wasm', '-b', ...entrypoints, '-o', output, rego];
  await promisify(execFile)(opa, args);
  const bundle = await readBundle(readFileSync(output), { inflatedBytes: 100_000_000, members: 1_000 });
  compiled = await PolicyModule.load(bundle, { ...patientLimits, memoryPages: 4_096, resultBytes: 16_777_216 });
  served = await starterPolicy();
  server = await OpaServer.start(opa, [rego, join(repository, 'rego')], connections);
}, opaMs);

afterAll(async () => {
  await server?.stop();
  if (work !== undefined) rmSync(work, { recursive: true, force: true });
});

const failed = 'fails';
const undefinedValue = 'is undefined';
const draws = { now: epochMs(1_793_613_600_000), seed: 'differential' };

/** Numbers to fourteen digits: the module computes with some digits less than OPA, and has no negative zero. */
function comparable(text: string): unknown {
  return JSON.parse(text, (_name, value: unknown) =>
    typeof value === 'number' ? Number(value.toPrecision(14)) + 0 : value,
  );
}

function ours(policy: PolicyModule, entrypoint: string, input: string): unknown {
  try {
    const text = policy.evaluate(entrypoint, input, draws);
    return text === undefined ? undefinedValue : comparable(text);
  } catch {
    return failed;
  }
}

async function theirs(entrypoint: string, input: string): Promise<unknown> {
  const { status, body } = await server.document(entrypoint, input);
  if (status !== 200) return failed;
  const { result } = comparable(body) as { readonly result?: unknown };
  return result === undefined ? undefinedValue : result;
}

interface Difference {
  readonly entrypoint: string;
  readonly input: string;
  readonly ours: unknown;
  readonly theirs: unknown;
}

let asked = 0;
let differing = 0;
const tally = { defined: 0, undefined: 0, failed: 0 };

async function differences(subject: Subject, policy: PolicyModule): Promise<readonly Difference[]> {
  const inputs = fc.sample(inputsAround(subject.examples), { numRuns: inputsEach, seed });
  const texts = [...subject.examples, ...inputs].slice(0, inputsEach).map((input) => JSON.stringify(input));
  const found: Difference[] = [];
  const waiting = texts.values();
  const askNext = async (): Promise<void> => {
    for (const input of waiting) {
      asked++;
      for (const entrypoint of subject.entrypoints) {
        const [our, their] = [ours(policy, entrypoint, input), await theirs(entrypoint, input)];
        tally[our === failed ? 'failed' : our === undefinedValue ? 'undefined' : 'defined']++;
        if (!isSame(our, their)) found.push({ entrypoint, input, ...narrowed(our, their) });
      }
    }
  };
  await Promise.all(Array.from({ length: connections }, askNext));
  return found;
}

/** Of two objects, the members that differ. */
function narrowed(our: unknown, their: unknown): { readonly ours: unknown; readonly theirs: unknown } {
  if (!isObject(our) || !isObject(their)) return { ours: our, theirs: their };
  const names = [...new Set([...Object.keys(our), ...Object.keys(their)])].filter(
    (name) => !isSame(our[name], their[name]),
  );
  const only = (whole: Readonly<Record<string, unknown>>) =>
    Object.fromEntries(names.flatMap((name) => (name in whole ? [[name, whole[name]]] : [])));
  return { ours: only(our), theirs: only(their) };
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSame(one: unknown, other: unknown): boolean {
  try {
    expect(one).toEqual(other);
    return true;
  } catch {
    return false;
  }
}

describe('the compiled module and OPA itself', () => {
  it.each(subjects.map((subject) => [subject.name, subject] as const))(
    'answer alike: %s',
    async (_name, subject) => {
      const found = await differences(subject, subject === starter ? served : compiled);
      differing += found.length;
      expect({ seed, differences: found.length, shown: found.slice(0, shownMax) }).toEqual({
        seed,
        differences: 0,
        shown: [],
      });
    },
    600_000,
  );

  it('were asked, and had something to say', () => {
    expect(asked).toBeGreaterThanOrEqual(inputsWanted);
    expect(tally.defined).toBeGreaterThan(asked / 2);
    console.log(
      `answers: ${JSON.stringify(tally)}; seed ${seed}\n` +
        `differential: ${asked} inputs, ${subjects.length} policies, ${differing} differences`,
    );
  });
});
