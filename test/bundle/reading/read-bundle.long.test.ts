import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import { readArchive } from '../../../src/bundle/reading/read-archive.ts';
import { type Bundle, readBundle, readContents } from '../../../src/bundle/reading/read-bundle.ts';
import { BundleRefused } from '../../../src/domain/errors.ts';
import { bundleOf, type Member } from '../../support/archive.ts';
import { compilePolicy } from '../../support/compile-policy.ts';

const limits = { inflatedBytes: 64 * 1024 * 1024, members: 1_000 };
const wasm: Member = { name: '/policy.wasm', content: 'not looked at here' };
const entry = { entrypoint: 'authz/decision', module: '/policy.wasm' };

function manifest(content: unknown): Member {
  return { name: '/.manifest', content: typeof content === 'string' ? content : JSON.stringify(content) };
}

function data(content: string, name = '/data.json'): Member {
  return { name, content };
}

function read(...members: readonly Member[]): Promise<Bundle> {
  return readBundle(bundleOf(members), limits);
}

async function refusal(...members: readonly Member[]): Promise<string> {
  const outcome = await read(...members).catch((cause: unknown) => cause);
  if (outcome instanceof BundleRefused) return outcome.message;
  throw new Error('it was taken', { cause: outcome });
}

describe('a bundle', () => {
  it('is read as the compiler writes it', async () => {
    const bundle = await readBundle(await compilePolicy('echo', ['authz/decision', 'echo/shown']), limits);
    expect(bundle.revision).toBe('test-echo');
    expect(bundle.entrypoints?.toSorted()).toEqual(['authz/decision', 'echo/shown']);
    expect(JSON.parse(bundle.dataText)).toEqual({ limits: { max_rows: 100 } });
    expect(Buffer.from(bundle.wasm).subarray(0, 4)).toEqual(Buffer.from([0, 0x61, 0x73, 0x6d]));
    expect(bundle.catalogue.policies.size).toBe(0);
  });

  it('has the manifest’s defaults where it has none', async () => {
    expect(await read(wasm)).toMatchObject({ revision: '', dataText: '{}', entrypoints: undefined });
    expect(await read(manifest({ roots: null }), wasm)).toMatchObject({ revision: '' });
  });

  it('names its policies and what they require, for labels', async () => {
    const bundle = await read(
      manifest({ metadata: { postern: { policies: { a: ['x', 'y'], constructor: [] } } } }),
      wasm,
    );
    expect([...bundle.catalogue.policies]).toEqual([
      ['a', ['x', 'y']],
      ['constructor', []],
    ]);
    expect((await read(manifest({ metadata: { other: 1 } }), wasm)).catalogue.policies.size).toBe(0);
  });

  it('has data at the path of each file’s directory, joined, digits and all', async () => {
    const { dataText } = await read(
      wasm,
      data('{"a":{"x":1}}'),
      data('{"y":9007199254740993}', 'a/data.json'),
      data('[1.50]', 'a/list/data.json'),
      data('z: 1\n', 'b/c/data.yaml'),
    );
    expect(JSON.parse(dataText)).toEqual({ a: { x: 1, y: 9007199254740992, list: [1.5] }, b: { c: { z: 1 } } });
    expect(dataText).toContain('9007199254740993');
    expect(dataText).toContain('1.50');
  });

  it('has one data file as it is written', async () => {
    const text = '{ "a": 2.50, "b": 123456789012345678901234567890 }';
    expect((await read(wasm, data(text))).dataText).toBe(text);
  });

  it('has names that objects inherit as plain data', async () => {
    const { dataText } = await read(
      wasm,
      data('{"__proto__":{"a":1},"constructor":2}'),
      data('{"b":3}', '__proto__/data.json'),
    );
    const parsed = JSON.parse(dataText) as object;
    expect(Object.getOwnPropertyDescriptor(parsed, '__proto__')?.value).toEqual({ a: 1, b: 3 });
    expect(({} as { a?: unknown }).a).toBeUndefined();
  });
});

describe('B05 a bundle that is not whole in itself', () => {
  it.each([
    ['names a module that is missing', [manifest({ wasm: [{ ...entry, module: '/other.wasm' }] }), wasm]],
    ['names several modules', [manifest({ wasm: [entry, { ...entry, module: '/b.wasm' }] }), wasm, { name: 'b.wasm' }]],
    ['holds a module that it does not name', [manifest({ wasm: [entry] }), wasm, { name: 'extra.wasm' }]],
    ['holds a second module and no manifest', [wasm, { name: 'a/policy.wasm' }]],
    ['has no module', [data('{}'), { name: 'a.rego', content: 'package a' }]],
    ['has nothing', [{ name: 'a/', type: '5' }]],
    ['has a module list that is none', [manifest({ wasm: {} }), wasm]],
    ['has a module without an entrypoint', [manifest({ wasm: [{ module: '/policy.wasm' }] }), wasm]],
    ['has an entrypoint outside of its roots', [manifest({ roots: ['policies'], wasm: [entry] }), wasm]],
    ['has roots that overlap', [manifest({ roots: ['a', 'a/b'] }), wasm]],
    ['has the same root twice', [manifest({ roots: ['a', '/a/'] }), wasm]],
    ['has roots that are no list', [manifest({ roots: 'a' }), wasm]],
    ['has a root that is no text', [manifest({ roots: [1] }), wasm]],
    ['has data outside of its roots', [manifest({ roots: ['a'] }), wasm, data('{"a":{},"b":{}}')]],
    ['has data beside a root', [manifest({ roots: ['a/b'] }), wasm, data('{"a":{"c":1}}')]],
    ['has a value where a root begins', [manifest({ roots: ['a/b'] }), wasm, data('{"a":1}')]],
    ['has two values for one name', [wasm, data('{"a":{"x":1}}'), data('{"x":2}', 'a/data.json')]],
    ['has data below a value', [wasm, data('{"a":1}'), data('{"x":2}', 'a/data.json')]],
    ['has data at the root that is no object', [wasm, data('[1]')]],
    ['has a revision that is no text', [manifest({ revision: 1 }), wasm]],
    ['has a revision of a page', [manifest({ revision: 'r'.repeat(257) }), wasm]],
    ['has a manifest that is no object', [manifest('[]'), wasm]],
    ['has a manifest that is no JSON', [manifest('{'), wasm]],
    ['lists requirements that are none', [manifest({ metadata: { postern: { policies: { a: [1] } } } }), wasm]],
    ['is a delta', [{ name: 'patch.json', content: '{"data":[{"op":"upsert","path":"/a","value":1}]}' }]],
    ['is signed, and nobody can verify it', [wasm, { name: '.signatures.json', content: '{"signatures":["a.b.c"]}' }]],
  ] as const)('B05 is refused, and the cause named: it %s', async (_what, members) => {
    expect(await refusal(...members)).toMatch(/\w{3}/);
  });

  it('B05 is taken with data at its roots and on the way to them', async () => {
    const bundle = await read(
      manifest({ roots: ['a/b', 'c', 'authz'], wasm: [entry] }),
      wasm,
      data('{"a":{"b":1},"c":[2],"authz":{}}'),
    );
    expect(JSON.parse(bundle.dataText)).toEqual({ a: { b: 1 }, c: [2], authz: {} });
  });
});

describe('B12 data that has two readings, or none', () => {
  it.each([
    ['a member twice', '{"a":{"b":1,"b":2}}'],
    ['a member twice, once escaped', '{"a":1,"\\u0061":2}'],
    ['1e400', '{"a":1e400}'],
    ['nesting of ten thousand levels', `{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`],
    ['half a surrogate pair', '{"a":"\\ud800"}'],
    ['a trailing comma', '{"a":1,}'],
    ['a comment', '{"a":1} // x'],
    ['a byte order mark', '\ufeff{}'],
    ['nothing', ''],
    ['two documents', '{}{}'],
    ['NaN', '{"a":NaN}'],
  ])('B12 is refused, and the file named: %s', async (_what, content) => {
    expect(await refusal(wasm, data(content))).toMatch(/^data\.json/);
    expect(await refusal(wasm, data(content, 'a/b/data.json'))).toMatch(/^a\/b\/data\.json/);
    expect(await refusal(wasm, manifest(content))).toMatch(/^\.manifest/);
  });

  it('B12 is refused in bytes that are no UTF-8, JSON and YAML alike', async () => {
    const latin = Buffer.concat([Buffer.from('{"a":"'), Buffer.from([0xe9]), Buffer.from('"}')]);
    expect(await refusal(wasm, { name: 'data.json', content: latin })).toBe('data.json is no UTF-8');
    expect(await refusal(wasm, { name: 'data.yaml', content: latin })).toBe('data.yaml is no UTF-8');
  });

  it.each([
    ['a key twice', 'a: 1\na: 2\n'],
    ['an alias', 'a: &x [1]\nb: *x\n'],
    ['infinity', 'a: .inf\n'],
    ['a word that is true to some', 'a: yes\n'],
    ['a number that is octal to some', 'a: 010\n'],
    ['a date', 'a: 2026-11-02\n'],
    ['a tag', 'a: !!binary aGVsbG8=\n'],
    ['two documents', 'a: 1\n---\nb: 2\n'],
    ['a tab', 'a:\n\tb: 1\n'],
  ])('B12 is refused in YAML: %s', async (_what, content) => {
    expect(await refusal(wasm, data(content, 'data.yaml'))).toMatch(/^data\.yaml/);
  });

  it('B12 is taken in YAML where it has one meaning, digits and all', async () => {
    const { dataText } = await read(wasm, data('a: 9007199254740993\nb: "yes"\nc: [true, null, 1.5]\n', 'data.yml'));
    expect(dataText).toBe('{"a":9007199254740993,"b":"yes","c":[true,null,1.5]}');
  });

  it('B12 of a million members is read', async () => {
    const members = Array.from({ length: 1_000_000 }, (_, index) => `"k${index}":${index}`).join();
    const { dataText } = await read(wasm, data(`{"many":{${members}}}`));
    expect(dataText.length).toBe(members.length + 11);
  }, 60_000);
});

describe('B12 a document that is longer than any needs to be', () => {
  const limit = 4_194_304;

  it.each([
    ['.manifest', (content: string) => [wasm, manifest(content)], '{}'],
    ['samples.json', (content: string) => [wasm, { name: 'samples.json', content }], '[]'],
  ])('B12 is refused before it is parsed, and read at the limit: %s', async (name, members, least) => {
    expect((await read(...members(least.padEnd(limit)))).revision).toBe('');
    expect(await refusal(...members(least.padEnd(limit + 1)))).toBe(
      `${name} has ${limit + 1} bytes; at most ${limit} are read`,
    );
  });

  it('B12 is refused where it is the signature, before anybody has signed it', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    const signing = {
      required: true,
      keys: [{ id: 'k', algorithm: 'ES256', key: publicKey }],
      scope: undefined,
    } as const;
    const file = bundleOf([wasm, { name: '.signatures.json', content: '{}'.padEnd(limit + 1) }]);
    await expect(readContents(file, limits, signing)).rejects.toThrow(
      `.signatures.json has ${limit + 1} bytes; at most ${limit} are read`,
    );
  });

  it('B12 is refused as data of more values than a module’s memory holds', async () => {
    const few = '[0,0],'.repeat(7_999_999);
    expect((await read(wasm, data(`{"a":[${few}0]}`))).dataText.length).toBe(few.length + 9);
    const many = '[0,0],'.repeat(8_000_000);
    expect(await refusal(wasm, data(`{"a":[${many}0]}`))).toContain('data.json has more than 16000000 values');
  }, 60_000);
});

describe('V17 an archive made to write outside of its folder', () => {
  it('V17 has nowhere to write: what is not a plain file under a plain name is refused, and the rest stays in memory', async () => {
    for (const member of [
      { name: 'link', type: '2' },
      { name: 'link', type: '1' },
      { name: 'a/../../etc/passwd', content: 'x' },
      { name: 'C:..\\x', content: 'x' },
      { name: '/../x', content: 'x' },
    ]) {
      expect(await refusal(wasm, member)).toMatch(/only files may stand|no plain file name/);
    }
    const archive = await readArchive(bundleOf([wasm, { name: '/etc/passwd', content: 'x' }]), limits);
    expect([...archive.keys()]).toEqual(['policy.wasm', 'etc/passwd']);
  });
});
