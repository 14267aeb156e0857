import { beforeAll, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../../src/bundle/reading/read-bundle.ts';
import { BundleRefused } from '../../../src/domain/errors.ts';
import { fuelSpentId, metered } from '../../../src/request/evaluate/meter.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { changed, leb, moduleOf, sectionIds, sectionsOf, withElement } from '../../support/wasm.ts';

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
  it('is a sound module still, and imports and exports what it did', async () => {
    const before = await WebAssembly.compile(new Uint8Array(wasm));
    const after = await WebAssembly.compile(metered(wasm));
    expect(WebAssembly.Module.imports(after)).toEqual(WebAssembly.Module.imports(before));
    expect(WebAssembly.Module.exports(after)).toEqual(WebAssembly.Module.exports(before));
  });

  it('is the same bytes for the same module', () => {
    expect(Buffer.from(metered(wasm)).equals(metered(wasm))).toBe(true);
  });

  it('grows by a few hundredths', () => {
    expect(metered(wasm).length).toBeLessThan(wasm.length * 1.1);
  });
});

/** A module of functions from an i32 to an i32, with two more i32 for themselves; the last one is `run`. */
function moduleOfFunctions(...bodies: readonly (readonly number[])[]): Uint8Array<ArrayBuffer> {
  const name = (text: string): readonly number[] => [text.length, ...Buffer.from(text)];
  const section = (id: number, ...content: readonly number[]): number[] => [id, ...leb(content.length)].concat(content);
  const code = bodies.flatMap((instructions) => {
    const body = [1, 2, 0x7f].concat(instructions, 0x0b);
    return [...leb(body.length)].concat(body);
  });
  return Uint8Array.from(
    [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00].concat(
      section(1, 2, 0x60, 2, 0x7f, 0x7f, 1, 0x7f, 0x60, 1, 0x7f, 1, 0x7f),
      section(2, 2, ...name('env'), ...name('opa_builtin0'), 0, 0, ...name('env'), ...name('memory'), 2, 0, 1),
      section(3, bodies.length, ...bodies.map(() => 1)),
      section(7, 1, ...name('run'), 0, bodies.length),
      10,
      leb(code.length + 1),
      bodies.length,
      code,
    ),
  );
}

/** A module of `run` alone. */
function moduleWith(...instructions: readonly number[]): Uint8Array<ArrayBuffer> {
  return moduleOfFunctions(instructions);
}

function many(count: number, ...instructions: readonly number[]): number[] {
  return Array.from({ length: count }, () => instructions).flat();
}

/** @param refuelsMax how often the module is let go on */
async function running(module: Uint8Array<ArrayBuffer>, refuelsMax: number) {
  let refuels = 0;
  const opa_builtin0 = (id: number): number => {
    expect(id).toBe(fuelSpentId);
    refuels += 1;
    if (refuels > refuelsMax) throw new Error('spent');
    return 2;
  };
  const instance = new WebAssembly.Instance(await WebAssembly.compile(module), {
    env: { opa_builtin0, memory: new WebAssembly.Memory({ initial: 300 }) },
  });
  const exports = instance.exports as unknown as { run: (n: number) => number };
  return { run: (n: number) => exports.run(n), refuels: () => refuels };
}

/** Adds up what is below its operand, and leaves at 5,000 by another way. */
const summing: readonly number[] = [
  ...[0x02, 0x40, 0x02, 0x40, 0x03, 0x40], // block $out, block $far, loop
  ...[0x20, 1, 0x20, 0, 0x4f, 0x0d, 2], // i >= n: leave $out
  ...[0x20, 2, 0x20, 1, 0x6a, 0x21, 2], // sum += i
  ...[0x20, 1, 0x41, 1, 0x6a, 0x21, 1], // i += 1
  ...[0x20, 1, 0x41, ...leb(5_000), 0x46, 0x0e, 1, 0, 1], // i == 5000: leave $far, or go on
  ...[0x0b, 0x0b, 0x20, 2, 0x41, ...leb(1_000), 0x6a, 0x0f], // end, end $far: return sum + 1000
  ...[0x0b, 0x20, 2], // end $out: sum
];

describe('a loop that calls nothing', () => {
  it('is left for the host and entered again, and comes to the same', async () => {
    const plain = await running(moduleWith(...summing), 0);
    const withMeter = await running(metered(moduleWith(...summing)), Number.POSITIVE_INFINITY);
    for (const n of [0, 1, 63, 64, 65, 127, 128, 550, 1_088, 4_999, 5_000, 5_001, 1_000_000]) {
      expect([n, withMeter.run(n)]).toEqual([n, plain.run(n)]);
    }
    expect(withMeter.refuels()).toBeGreaterThan(5);
  });

  it('comes to the same in a loop of its own kind, a hundred times over', async () => {
    // The operand counts down to nought outside; inside, nine turns of adding to the sum.
    const nested = [
      ...[0x03, 0x40, 0x41, 0, 0x21, 1, 0x03, 0x40],
      ...[0x20, 2, 0x20, 1, 0x6a, 0x21, 2, 0x20, 1, 0x41, 1, 0x6a, 0x22, 1, 0x41, 9, 0x49, 0x0d, 0, 0x0b],
      ...[0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, 0x20, 2],
    ];
    const withMeter = await running(metered(moduleWith(...nested)), Number.POSITIVE_INFINITY);
    expect(withMeter.run(1)).toBe(36);
    expect(withMeter.run(10_000)).toBe(360_000);
    expect(withMeter.refuels()).toBeGreaterThan(20);
  });

  it('comes to the same where its code is longer than may run unticked', async () => {
    const add = [0x20, 2, 0x20, 0, 0x6a, 0x21, 2, 0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0];
    const long = moduleWith(0x03, 0x40, ...Array.from({ length: 20_000 }, () => 0x01), ...add, 0x0b, 0x20, 2);
    const withMeter = await running(metered(long), Number.POSITIVE_INFINITY);
    expect(withMeter.run(100)).toBe(5_050);
    expect(withMeter.refuels()).toBeGreaterThan(40);
  });

  it('ends where the host says so, though it would not by itself', async () => {
    const endless = await running(metered(moduleWith(0x03, 0x40, 0x0c, 0, 0x0b, 0x41, 0)), 3);
    expect(() => endless.run(1)).toThrow('spent');
  });
});

describe('a module that cannot be metered', () => {
  it.each([
    ['a vector instruction', [0xfd, 0x0c, ...Array.from({ length: 16 }, () => 0), 0x1a]],
    ['an atomic instruction', [0xfe, 0x03, 0x00]],
    ['a tail call', [0x12, 0x00]],
    ['an exception', [0x08, 0x00]],
    ['a table that grows', [0xfc, 0x0f, 0x00]],
    // Read as what they are not, they would hide a loop behind them.
    ['a load from another memory', [0x41, 0, 0x28, 0x42, 0, 0x41, 0x1a]],
    ['a block that leaves a reference', [0x02, 0x70, 0x00, 0x0b, 0x1a]],
    ['a block that leaves a reference with a type', [0x02, 0x63, 0x70, 0x00, 0x0b, 0x1a]],
  ])('is refused: %s', (_what, instructions) => {
    expect(() => metered(withFunction(...instructions))).toThrow(BundleRefused);
  });

  it.each([
    ['a reference among the locals', [1, 1, 0x63, 0x70, 0x0b]],
    [
      'more locals and branches than are compiled in time',
      [1, ...leb(9_000), 0x7f, ...many(9_000, 0x02, 0x40, 0x0b), 0x0b],
    ],
  ])('is refused: %s', (_what, body) => {
    const sections = changed(sectionsOf(wasm), sectionIds.function, (bytes) => withElement(bytes, leb(0)).bytes);
    const code = [...leb(body.length)].concat(body);
    const made = moduleOf(changed(sections, sectionIds.code, (bytes) => withElement(bytes, code).bytes));
    expect(() => metered(made)).toThrow(BundleRefused);
  });

  it('is refused where it has a memory of its own, or a table that is large', () => {
    const others = sectionsOf(wasm).filter(({ id }) => id !== sectionIds.table);
    const having = (id: number, ...bytes: readonly number[]) => moduleOf([...others, { id, bytes }]);
    expect(() => metered(having(sectionIds.memory, 1, 0, 1))).toThrow('a second memory');
    expect(() => metered(having(sectionIds.table, 1, 0x70, 0, ...leb(100_001)))).toThrow('a table of 100001 elements');
    expect(() => metered(having(sectionIds.table, 2, 0x70, 0, 1, 0x70, 0, 1))).toThrow('2 tables');
    expect(() => metered(having(sectionIds.table, 1, 0x6f, 0, 1))).toThrow('a table that is not known');
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
    expect(() => metered(Buffer.from('not a module'))).toThrow('not a WebAssembly 1 module');
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

describe('a function that calls itself', () => {
  // run(n): n < 2 ? n : run(n - 1) + run(n - 2)
  const fibonacci = moduleWith(
    ...[0x20, 0, 0x41, 2, 0x49, 0x04, 0x7f, 0x20, 0, 0x05],
    ...[0x20, 0, 0x41, 1, 0x6b, 0x10, 1, 0x20, 0, 0x41, 2, 0x6b, 0x10, 1, 0x6a, 0x0b],
  );

  it('comes to the same, and asks the host as it goes', async () => {
    const withMeter = await running(metered(fibonacci), Number.POSITIVE_INFINITY);
    expect(withMeter.run(20)).toBe(6_765);
    // 21,890 calls of itself; the host lets each time three ticks go by.
    expect(withMeter.refuels()).toBe(Math.ceil(21_890 / 3));
  });

  it('ends where the host says so', async () => {
    const deep = await running(metered(fibonacci), 3);
    expect(() => deep.run(40)).toThrow('spent');
  });
});

describe('a function that calls much code', () => {
  // Some 60 kB of code, run through once.
  const heavy = [...many(20_000, 0x20, 0, 0x1a), 0x20, 0];

  it('asks the host as it goes, a thousand calls in a row', async () => {
    const fan = await running(
      metered(moduleOfFunctions(heavy, [...many(1_000, 0x20, 0, 0x10, 1, 0x1a), 0x20, 0])),
      Number.POSITIVE_INFINITY,
    );
    expect(fan.run(7)).toBe(7);
    expect(fan.refuels()).toBeGreaterThan(900);
  });

  it('asks the host as it goes, in a loop', async () => {
    const turn = [0x20, 0, 0x10, 1, 0x1a, 0x20, 1, 0x41, 1, 0x6a, 0x22, 1, 0x20, 0, 0x49, 0x0d, 0];
    const looping = await running(
      metered(moduleOfFunctions(heavy, [0x03, 0x40, ...turn, 0x0b, 0x20, 1])),
      Number.POSITIVE_INFINITY,
    );
    expect(looping.run(1_000)).toBe(1_000);
    expect(looping.refuels()).toBeGreaterThan(450);
  });
});

describe('an instruction that moves memory', () => {
  const filling = moduleWith(0x41, 0, 0x41, 0, 0x20, 0, 0xfc, 0x0b, 0, 0x41, 7);

  it('asks the host by what it moves', async () => {
    const fill = await running(metered(filling), Number.POSITIVE_INFINITY);
    expect(fill.run(1_000)).toBe(7);
    const before = fill.refuels();
    expect(fill.run(16 * 1024 * 1024)).toBe(7);
    expect(fill.refuels()).toBe(before + 1);
  });

  it('traps where it is more than one instruction may take', async () => {
    const fill = await running(metered(filling), Number.POSITIVE_INFINITY);
    expect(() => fill.run(16 * 1024 * 1024 + 1)).toThrow('unreachable');
  });
});
