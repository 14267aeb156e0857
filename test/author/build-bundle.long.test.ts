import { mkdtempSync, readFileSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { AuthorFault } from '../../src/author/author-fault.ts';
import { type BuiltBundle, buildBundle } from '../../src/author/build-bundle.ts';
import { readArchive } from '../../src/bundle/reading/read-archive.ts';
import { readBundle, readContents } from '../../src/bundle/reading/read-bundle.ts';
import type { JsonObject } from '../../src/domain/json-value.ts';
import { opaMs, realOpa } from '../support/opa.ts';
import { policyDirectory, repository, soundData, soundPolicy, soundTest } from './policy-files.ts';

const limits = { inflatedBytes: 1_000_000_000, members: 1000 };
let opa: string;
beforeAll(async () => {
  opa = (await realOpa()).path;
}, opaMs);

const made: string[] = [];
afterEach(() => {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true });
});

const sound = {
  'policies/printing/policy.rego': soundPolicy,
  'policies/printing/policy_test.rego': soundTest,
  'policies/printing/data.json': soundData,
};

function directoryOf(files: Readonly<Record<string, string>>): string {
  const directory = policyDirectory(files);
  made.push(directory);
  return directory;
}

function buildAt(directory: string, coverageFloor = 10): Promise<BuiltBundle> {
  return buildBundle(
    { directory, name: 'trial', coverageFloor },
    { env: { ...process.env, OPA: opa }, toolsDirectory: '/nonexistent', temporaryDirectory: tmpdir(), say: () => {} },
  );
}

const build = (files: Readonly<Record<string, string>>, coverageFloor?: number) =>
  buildAt(directoryOf(files), coverageFloor);

async function faultsOf(building: Promise<unknown>): Promise<readonly string[]> {
  const cause = await building.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (cause instanceof AuthorFault) return cause.faults;
  throw new Error('it was built', { cause });
}

describe('the committed bundle', () => {
  it('is what rego/ builds to, byte for byte', async () => {
    const { bytes, revision } = await buildBundle(
      { directory: join(repository, 'rego'), name: 'starter', coverageFloor: 95 },
      {
        env: { ...process.env, OPA: opa },
        toolsDirectory: '/nonexistent',
        temporaryDirectory: tmpdir(),
        say: () => {},
      },
    );
    expect(revision).toMatch(/^starter-[0-9a-f]{12}$/);
    expect(Buffer.from(bytes).equals(readFileSync(join(repository, 'bundles/starter.tar.gz')))).toBe(true);
  }, 120_000);
});

describe('a build', () => {
  it('is read back by the sidecar’s own reader, with revision, entrypoints and what its policies require', async () => {
    const built = await build(sound);
    const bundle = await readBundle(built.bytes, limits);
    expect(bundle).toMatchObject({
      revision: built.revision,
      entrypoints: ['policies/printing/decision'],
      catalogue: { policies: new Map([['printing', ['device_fresh', 'owner']]]) },
    });
    expect(JSON.parse(bundle.dataText)).toEqual({ policies: { printing: { owner: 'ann' } } });
    expect(built.coverage).toBeGreaterThan(10);
    expect(built.coverage).toBeLessThan(100);
  });

  it('is the same bytes wherever and whenever the same sources stand', async () => {
    const first = directoryOf(sound);
    const second = directoryOf(Object.fromEntries(Object.entries(sound).reverse()));
    for (const name of Object.keys(sound)) utimesSync(join(second, name), 1, 1);
    expect(Buffer.from((await buildAt(first)).bytes).equals((await buildAt(second)).bytes)).toBe(true);
  });

  it('keeps its revision where only tests change, and takes another where anything served does', async () => {
    const { revision } = await build(sound);
    const tested = soundTest.replace('test_owner_prints', 'test_the_owner_prints');
    const retold = soundPolicy.replace('print on your own printer', 'print elsewhere');
    const path = 'policies/printing/policy.rego';
    expect((await build({ ...sound, 'policies/printing/policy_test.rego': tested })).revision).toBe(revision);
    expect((await build({ ...sound, [path]: retold })).revision).not.toBe(revision);
    const owner = {
      ...sound,
      'policies/printing/data.json': '{"owner": "bob"}\n',
      'policies/printing/policy_test.rego': soundTest.replaceAll('"ann"', '"bob"'),
    };
    expect((await build(owner)).revision).not.toBe(revision);
  });

  it('owns the directories it has, unless its own manifest says otherwise', async () => {
    const manifests = [];
    const own = '{"roots": ["policies", "postern", "shared"], "metadata": {"team": "print"}}';
    for (const files of [sound, { ...sound, '.manifest': own }]) {
      const bytes = Buffer.from((await build(files)).bytes).toString('latin1');
      const manifest = /\{"metadata".*?\n/.exec(bytes)?.[0] ?? '';
      manifests.push(JSON.parse(Buffer.from(manifest, 'latin1').toString('utf8')));
    }
    expect(manifests[0]).toMatchObject({ roots: ['policies', 'postern'], metadata: { postern: {} } });
    expect(manifests[1]).toMatchObject({
      roots: ['policies', 'postern', 'shared'],
      metadata: { team: 'print', postern: { policies: { printing: ['device_fresh', 'owner'] } } },
    });
  });

  it('keeps what its author says of it in metadata.postern, but for the policies, which are what they are', async () => {
    const own = {
      sequence: 7,
      retired: ['policies/old/decision'],
      samples: [{ name: 'a' }],
      policies: { mine: ['x'] },
    };
    const { bytes } = await build({ ...sound, '.manifest': JSON.stringify({ metadata: { postern: own } }) });
    const manifest = JSON.parse(String((await readArchive(bytes, limits)).get('.manifest'))) as JsonObject;
    expect(manifest['metadata']).toEqual({
      postern: { ...own, policies: { printing: ['device_fresh', 'owner'] } },
    });
    const read = await readContents(bytes, limits, { required: false, keys: [], scope: undefined });
    expect(read).toMatchObject({ sequence: 7, samples: [{ name: 'a' }], policy: { retired: own.retired } });
  });

  it('holds its samples as they are written, the same bytes each time, and is another revision with them', async () => {
    const samples = '[\n  { "name": "big", "input": { "n": 9007199254740993, "f": 1.50 }, "expect": {} }\n]\n';
    const built = await build({ ...sound, 'samples.json': samples });
    expect(String((await readArchive(built.bytes, limits)).get('samples.json'))).toBe(samples);
    const again = await build({ ...sound, 'samples.json': samples });
    expect(Buffer.from(again.bytes).equals(built.bytes)).toBe(true);
    expect(built.revision).not.toBe((await build(sound)).revision);
    expect(built.revision).not.toBe((await build({ ...sound, 'samples.json': '[]' })).revision);
  });

  it('leaves nothing behind', async () => {
    const temporaryDirectory = mkdtempSync(join(tmpdir(), 'postern-left-'));
    made.push(temporaryDirectory);
    const effects = {
      env: { ...process.env, OPA: opa },
      toolsDirectory: '/nonexistent',
      temporaryDirectory,
      say: () => {},
    };
    await buildBundle({ directory: directoryOf(sound), name: 'trial', coverageFloor: 10 }, effects);
    const { readdirSync } = await import('node:fs');
    expect(readdirSync(temporaryDirectory)).toEqual([]);
  });
});

describe('nothing is built', () => {
  const path = 'policies/printing/policy.rego';
  const testPath = 'policies/printing/policy_test.rego';

  it('from a policy that is not formatted, does not compile and has a lint finding: all three are said at once', async () => {
    const text = soundPolicy
      .replace('applies if input', 'applies if    input')
      .replace('met contains "owner" if', 'met contains "ownr" if')
      .replace('postern.fresh(input.device, 300)', 'postern.frsh(input.device, 300)');
    const faults = await faultsOf(build({ ...sound, [path]: text }));
    expect(faults.map((line) => line.replace(/^.*policy\.rego:?/, ''))).toEqual([
      ' not formatted; run opa fmt --write',
      expect.stringContaining('undefined function data.postern.frsh'),
      expect.stringContaining('requirement_unmeetable'),
      expect.stringContaining('met_unnamed'),
    ]);
  });

  it.each([
    [
      'fails',
      soundTest.replace('== "allow"', '== "deny"'),
      'policy_test.rego:5: data.policies.printing_test.test_owner_prints fails',
    ],
    ['is skipped', `${soundTest}\ntodo_test_later := true\n`, 'data.policies.printing_test.todo_test_later is skipped'],
    [
      'cannot be evaluated',
      `${soundTest}\ntest_two if two == 1\n\ntwo := 1\n\ntwo := 2 if printing\n`,
      'data.policies.printing_test.test_two cannot be evaluated',
    ],
  ])('where a test %s', async (_, text, message) => {
    const faults = await faultsOf(build({ ...sound, [testPath]: text }));
    expect(faults.join('\n')).toContain(message);
  });

  it('where the tests reach too little, or there are none', async () => {
    const files = { ...sound, [testPath]: 'package policies.printing_test\n\ntest_nothing := true\n' };
    expect(await faultsOf(build(files, 95))).toEqual([
      expect.stringMatching(/^the tests reach \d+\.\d % of the lines; 95 % are required$/),
    ]);
    expect(await faultsOf(build({ ...files, [testPath]: 'package policies.printing_test\n' }))).toEqual([
      expect.stringMatching(/^the tests reach|^opa test failed/),
    ]);
  });

  it('from a file that does not parse', async () => {
    expect(await faultsOf(build({ ...sound, [path]: 'package policies.printing\n\nx if {\n' }))).toEqual([
      expect.stringMatching(/policy\.rego:4: rego_parse_error: unexpected eof token$/),
    ]);
  });

  it('from data that tests would see and the bundle would not hold', async () => {
    expect(await faultsOf(build({ ...sound, 'policies/printing/owners.json': '{}' }))).toEqual([
      expect.stringMatching(/owners\.json: data of a bundle must be named data\.json or data\.yaml$/),
    ]);
  });

  it('from samples where no bundle has them, and tests would miss a file of theirs', async () => {
    for (const name of ['policies/samples.json', 'testing/samples.json'])
      expect(await faultsOf(build({ ...sound, [name]: '[]' }))).toEqual([
        expect.stringMatching(/samples\.json: samples\.json belongs at the top of the folder$/),
      ]);
  });

  it.each([
    ['.manifest', '{"metadata": ', 'is not one JSON document: character 14'],
    ['.manifest', '', 'is not one JSON document: character 1'],
    ['.manifest', '{"roots": [], "roots": []}', 'a member appears twice'],
    ['.manifest', '{"metadata": []}', '.manifest: metadata is not an object'],
    ['.manifest', '{"metadata": {"postern": 1}}', '.manifest: metadata.postern is not an object'],
    ['samples.json', '[{"name": "a"', 'is not one JSON document: character 14'],
  ])('from a file that is half written, or means nothing: %s %s', async (name, text, message) => {
    const directory = directoryOf({ ...sound, [name]: text });
    const [fault] = await faultsOf(buildAt(directory));
    expect(fault).toContain(join(directory, name));
    expect(fault).toContain(message);
  });

  it('from a link, which the compiler would follow out of what was checked', async () => {
    const directory = directoryOf(sound);
    symlinkSync('/etc/hostname', join(directory, 'policies/data.json'));
    expect(await faultsOf(buildAt(directory))).toEqual([expect.stringContaining('neither a file nor a directory')]);
  });

  it('without Rego, without an entrypoint, or with a manifest that is no object', async () => {
    const empty = mkdtempSync(join(tmpdir(), 'postern-empty-'));
    made.push(empty);
    writeFileSync(join(empty, 'data.json'), '{}');
    expect(await faultsOf(buildAt(empty))).toEqual([expect.stringContaining('contains no Rego')]);
    expect(await faultsOf(build({}, 0))).toEqual([expect.stringContaining('entrypoint: true')]);
    expect(await faultsOf(build({ ...sound, '.manifest': '[]' }))).toEqual([expect.stringMatching(/manifest/)]);
  });
});
