import { beforeAll, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../src/bundle/read-bundle.ts';
import { BundleRefused } from '../../src/domain/errors.ts';
import { fuelExport, metered } from '../../src/evaluate/meter.ts';
import { compilePolicy } from '../support/compile-policy.ts';
import { changed, leb, moduleOf, sectionIds, sectionsOf, withElement } from '../support/wasm.ts';

let wasm: Uint8Array;

beforeAll(async () => {
  const file = await compilePolicy('allow', ['authz/decision']);
  wasm = (await readBundle(file, { inflatedBytes: 2 ** 26, members: 100 })).wasm;
}, 60_000);

/** The policy's module with one more function, of the first type there is, that has this body. */
function withFunction(...instructions: readonly number[]): Uint8Array {
  const body = [0, ...instructions, 0x0b];
  const sections = changed(sectionsOf(wasm), sectionIds.function, (bytes) => withElement(bytes, leb(0)).bytes);
  return moduleOf(
    changed(sections, sectionIds.code, (bytes) => withElement(bytes, [...leb(body.length), ...body]).bytes),
  );
}

describe('a policy module that is given a meter', () => {
  it('is a sound module still, imports what it did, and exports its meter beside what it did', async () => {
    const before = await WebAssembly.compile(new Uint8Array(wasm));
    const after = await WebAssembly.compile(metered(wasm));
    expect(WebAssembly.Module.imports(after)).toEqual(WebAssembly.Module.imports(before));
    expect(WebAssembly.Module.exports(after)).toEqual([
      ...WebAssembly.Module.exports(before),
      { name: fuelExport, kind: 'global' },
    ]);
  });

  it('is the same bytes for the same module', () => {
    expect(Buffer.from(metered(wasm)).equals(metered(wasm))).toBe(true);
  });

  it('grows by a tenth or so, not by multiples', () => {
    expect(metered(wasm).length).toBeLessThan(wasm.length * 1.3);
  });
});

describe('a module that cannot be metered', () => {
  it.each([
    ['a vector instruction', [0xfd, 0x0c, ...Array.from({ length: 16 }, () => 0), 0x1a]],
    ['an atomic instruction', [0xfe, 0x03, 0x00]],
    ['a tail call', [0x12, 0x00]],
    ['an exception', [0x08, 0x00]],
    ['a table that grows', [0xfc, 0x0f, 0x00]],
  ])('is refused: %s', (_what, instructions) => {
    expect(() => metered(withFunction(...instructions))).toThrow(BundleRefused);
  });

  it('is refused where it does not import the way to the host', () => {
    const importless = changed(sectionsOf(wasm), sectionIds.import, (bytes) => {
      const text = Buffer.from(bytes).toString('latin1').replace('opa_builtin0', 'opa_builtinX');
      return [...Buffer.from(text, 'latin1')];
    });
    expect(() => metered(moduleOf(importless))).toThrow('does not import env.opa_builtin0');
  });

  it('is refused where it has no code, and where it is no module', () => {
    expect(() => metered(moduleOf(changed(sectionsOf(wasm), sectionIds.code, () => undefined)))).toThrow('no code');
    expect(() => metered(Buffer.from('not a module'))).toThrow('no WebAssembly 1 module');
    expect(() => metered(new Uint8Array())).toThrow(BundleRefused);
  });

  it('is refused wherever it is cut, or compiles to nothing', async () => {
    for (let length = 8; length < wasm.length; length += Math.ceil(wasm.length / 300)) {
      let cut: Uint8Array<ArrayBuffer>;
      try {
        cut = metered(wasm.subarray(0, length));
      } catch (cause) {
        expect(cause).toBeInstanceOf(BundleRefused);
        continue;
      }
      await expect(WebAssembly.compile(cut)).rejects.toThrow();
    }
  });
});
