import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../src/bundle/reading/read-bundle.ts';
import { build } from '../../src/cli/build.ts';
import { policyDirectory, soundData, soundPolicy, soundTest } from '../author/policy-files.ts';
import { opaMs, realOpa } from '../support/opa.ts';
import { fakeEffects } from './fake-effects.ts';

let opa: string;
beforeAll(async () => {
  opa = (await realOpa()).path;
}, opaMs);

let output: string;
const made: string[] = [];
beforeEach(() => {
  output = mkdtempSync(join(tmpdir(), 'postern-built-'));
  made.push(output);
});
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true });
});

/** What the library is tested by stands beside it, so that the whole of it is reached. */
const libraryTests = Object.fromEntries(
  readdirSync(new URL('../../rego/postern', import.meta.url))
    .filter((name) => name.endsWith('_test.rego'))
    .map((name) => [`postern/${name}`, readFileSync(new URL(`../../rego/postern/${name}`, import.meta.url), 'utf8')]),
);
const testing = ['request_test.rego', 'grant_patterns/data.json'].map((name) => [
  `testing/${name}`,
  readFileSync(new URL(`../../rego/testing/${name}`, import.meta.url), 'utf8'),
]);
const sound = {
  ...libraryTests,
  ...Object.fromEntries(testing),
  'policies/printing/policy.rego': soundPolicy,
  'policies/printing/policy_test.rego': soundTest,
  'policies/printing/data.json': soundData,
};

async function run(files: Readonly<Record<string, string>>, more: readonly string[] = []) {
  const directory = policyDirectory(files);
  made.push(directory);
  const { effects, said } = fakeEffects({}, { env: { ...process.env, OPA: opa }, directory: output });
  const code = await build([directory, '--output', 'bundles/mine.tar.gz', ...more], effects);
  return { code, ...said };
}

describe('postern build', () => {
  it('writes a bundle that the sidecar reads, and says what is in it', async () => {
    const { code, out, err } = await run(sound);
    expect({ code, err }).toEqual({ code: 0, err: '' });
    const bundle = await readBundle(readFileSync(join(output, 'bundles/mine.tar.gz')), {
      inflatedBytes: 10_000_000,
      members: 100,
    });
    expect(bundle.revision).toMatch(/^mine-[0-9a-f]{12}$/);
    expect(out).toContain(`revision ${bundle.revision}`);
    expect(out).toContain('printing: 2 requirements');
    expect(out).toMatch(/tests {6}passed, (9[5-9]|100)\.\d % of the lines reached/);
    expect(readdirSync(join(output, 'bundles'))).toEqual(['mine.tar.gz']);
  }, 60_000);

  it('writes nothing over a bundle that serves if there is any fault, and names the fault', async () => {
    const target = join(output, 'mine.tar.gz');
    writeFileSync(target, 'the one before');
    const broken = soundPolicy.replace('met contains "owner"', 'met contains "ownr"');
    const directory = policyDirectory({ ...sound, 'policies/printing/policy.rego': broken });
    made.push(directory);
    const { effects, said } = fakeEffects({}, { env: { ...process.env, OPA: opa }, directory: output });
    expect(await build([directory, '--output', target], effects)).toBe(1);
    expect(said.err).toMatch(
      /policy\.rego:8:2: requirement_unmeetable: .*\n.*met_unnamed: .*\n.*nothing was written\n$/,
    );
    expect(said.out).toBe('');
    expect(readFileSync(target, 'utf8')).toBe('the one before');
  });

  it.each(['allow', 'constrain'])(
    'refuses a policy that gives %s to an input that holds nothing',
    async (effect) => {
      const open = `package policies.open

applies if input.resource.type == "open"

# METADATA
# entrypoint: true
decision := {"effect": "${effect}", "constraints": {"read_only": true}}
`;
      const { code, err } = await run({ ...sound, 'policies/open/policy.rego': open });
      expect(code).toBe(1);
      expect(err).toContain(`policies/open/decision answers ${effect} to an empty input`);
      expect(existsSync(join(output, 'bundles/mine.tar.gz'))).toBe(false);
    },
    60_000,
  );

  it('asks the samples of the bundle, and writes none that answers otherwise', async () => {
    const sample = { name: 'nobody', entrypoint: 'policies/printing/decision', input: {}, expect: { effect: 'deny' } };
    const right = await run({ ...sound, 'samples.json': JSON.stringify([sample]) });
    expect([right.code, right.err]).toEqual([0, '']);
    rmSync(join(output, 'bundles'), { recursive: true });
    const wrong = { ...sample, expect: { effect: 'allow' } };
    const manifest = JSON.stringify({ metadata: { postern: { samples: [wrong] } } });
    for (const files of [{ 'samples.json': JSON.stringify([sample, wrong]) }, { '.manifest': manifest }]) {
      const { code, err } = await run({ ...sound, ...files });
      expect(code).toBe(1);
      expect(err).toMatch(/would be refused: the sample "nobody" is answered .* and \{"effect":"allow"\} is expected/);
      expect(existsSync(join(output, 'bundles'))).toBe(false);
    }
  }, 120_000);

  it('says which file is half written, and writes nothing', async () => {
    const { code, err, out } = await run({ ...sound, '.manifest': '{"metadata": ' });
    expect([code, out]).toEqual([1, '']);
    expect(err).toMatch(/\/\.manifest: the file is not one JSON document: .*\npostern build: nothing was written\n$/);
  });

  it('refuses a builtin that the sidecar would refuse', async () => {
    const asking = soundPolicy.replace(
      'met contains "owner" if input',
      'met contains "owner" if http.send({"method": "get", "url": input.context.url}).status_code == 200\n\nmet contains "owner" if input',
    );
    const { code, err } = await run({ ...sound, 'policies/printing/policy.rego': asking });
    expect(code).toBe(1);
    expect(err).toContain('the bundle would be refused: the policy calls http.send in data.policies.printing.met: ');
    const allowed = await run({ ...sound, 'policies/printing/policy.rego': asking }, ['--allow', 'http.send']);
    expect([allowed.code, allowed.err]).toEqual([0, '']);
  }, 60_000);

  it('says when it cannot write', async () => {
    writeFileSync(join(output, 'bundles'), 'a file where a directory has to be');
    await expect(run(sound)).rejects.toThrow(/mine\.tar\.gz: cannot be written \((EEXIST|ENOTDIR)/);
  }, 60_000);

  it.each([
    [[], 'name the policy directory'],
    [['rego'], '--output FILE'],
    [['rego', 'more', '--output', 'x'], 'unexpected argument'],
    [['rego', '--ouput', 'x'], 'unknown option "--ouput"; did you mean --output?'],
    [['rego', '--output', 'x', '--allow', 'opa.runtime'], '--allow takes http.send or net.lookup_ip_addr'],
  ])('is told how it is called with %j', async (args, message) => {
    await expect(build(args, fakeEffects().effects)).rejects.toThrow(message);
  });
});
