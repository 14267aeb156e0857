import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readArchive } from '../../../src/bundle/reading/read-archive.ts';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import { BundleRefused } from '../../../src/domain/errors.ts';
import { PolicyModule } from '../../../src/request/evaluate/policy-module.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { archiveLimits, policyLimits } from '../../support/testbed.ts';
import {
  changed,
  importedFunctions,
  leb,
  moduleOf,
  type Section,
  sectionIds,
  sectionsOf,
  text,
  withElement,
} from '../../support/wasm.ts';

let wasm: Uint8Array;
let sections: readonly Section[];

beforeAll(async () => {
  const archive = await readArchive(await compilePolicy('deny', ['authz/decision']), archiveLimits);
  wasm = archive.get('policy.wasm') ?? Buffer.alloc(0);
  sections = sectionsOf(wasm);
}, 60_000);

function load(bytes: Uint8Array): Promise<PolicyModule> {
  return PolicyModule.load({ wasm: bytes, dataText: '{}', revision: bundleRevision('r1') }, policyLimits);
}

/** Why a module does not serve. */
async function refusal(bytes: Uint8Array): Promise<string> {
  const outcome = await load(bytes).catch((cause: unknown) => cause);
  if (outcome instanceof BundleRefused) return outcome.message;
  throw new Error('it serves', { cause: outcome });
}

/** The module with one more import; its own functions move one further, so only the import can be looked at. */
function importing(from: string, name: string): Uint8Array {
  return moduleOf(
    changed(sections, sectionIds.import, (bytes) => withElement(bytes, [...text(from), ...text(name), 0, 0]).bytes),
  );
}

/** The module with a start function of this body in place of its own. */
function starting(body: readonly number[]): Uint8Array {
  const imported = importedFunctions(sections.find(({ id }) => id === sectionIds.import)?.bytes ?? []);
  let type = 0;
  let index = 0;
  let made = changed(sections, sectionIds.type, (bytes) => {
    const appended = withElement(bytes, [0x60, 0, 0]);
    type = appended.index;
    return appended.bytes;
  });
  made = changed(made, sectionIds.function, (bytes) => {
    const appended = withElement(bytes, leb(type));
    index = appended.index;
    return appended.bytes;
  });
  made = changed(made, sectionIds.code, (bytes) => withElement(bytes, [...leb(body.length + 1), 0, ...body]).bytes);
  return moduleOf(changed(made, sectionIds.start, () => leb(imported + index)));
}

/** The module with a function of this body in place of one that it exports. @param type as the type section has it */
function exporting(
  module: readonly Section[],
  name: string,
  type: readonly number[],
  body: readonly number[],
): Uint8Array {
  const imported = importedFunctions(module.find(({ id }) => id === sectionIds.import)?.bytes ?? []);
  let index = 0;
  let made = changed(module, sectionIds.type, (bytes) => {
    const appended = withElement(bytes, type);
    ({ index } = appended);
    return appended.bytes;
  });
  made = changed(made, sectionIds.function, (bytes) => {
    const appended = withElement(bytes, leb(index));
    ({ index } = appended);
    return appended.bytes;
  });
  made = changed(made, sectionIds.code, (bytes) => withElement(bytes, [...leb(body.length + 1), 0, ...body]).bytes);
  return moduleOf(
    changed(made, sectionIds.export, (bytes) => {
      const renamed = Buffer.from(bytes);
      renamed[renamed.indexOf(Buffer.from(text(name))) + 1] = 0x58;
      return withElement([...renamed], [...text(name), 0, ...leb(imported + index)]).bytes;
    }),
  );
}

/** The module with what it dumps written by this body. */
function dumping(module: readonly Section[], body: readonly number[]): Uint8Array {
  return exporting(module, 'opa_json_dump', [0x60, 1, 0x7f, 1, 0x7f], body);
}

describe('B06 a module that is no policy', () => {
  it('B06 is taken as it was compiled, taken apart and put together again', async () => {
    expect(Buffer.from(moduleOf(sections)).equals(Buffer.from(wasm))).toBe(true);
    expect((await load(moduleOf(sections))).evaluate('authz/decision', '{}')).toContain('deny');
    // Without its own start function the module has not set itself up.
    expect(await refusal(starting([0x0b]))).toMatch(/^policy.wasm does not/);
  });

  it.each([
    ['env', 'evil'],
    ['env', 'opa_builtin5'],
    ['wasi_snapshot_preview1', 'fd_write'],
    ['wasi_snapshot_preview1', 'proc_exit'],
    ['', ''],
    ['node:fs', 'readFileSync'],
  ])('B06 is refused when it imports %s.%s', async (from, name) => {
    expect(await refusal(importing(from, name))).toMatch(/imports|does not compile/);
  });

  it.each(['opa_eval', 'opa_malloc', 'opa_json_parse', 'opa_heap_ptr_get', 'builtins', 'entrypoints'])(
    'B06 is refused when it does not export %s',
    async (name) => {
      const renamed = changed(sections, sectionIds.export, (bytes) => {
        const hay = Buffer.from(bytes);
        const at = hay.indexOf(Buffer.from([name.length, ...Buffer.from(name)]));
        hay[at + 1] = 0x58;
        return [...hay];
      });
      expect(await refusal(moduleOf(renamed))).toContain(name);
    },
  );

  it('B06 is refused when its start function never ends, and the process goes on', async () => {
    const start = process.cpuUsage();
    expect(await refusal(starting([0x03, 0x40, 0x0c, 0x00, 0x0b, 0x0b]))).toMatch(/^policy.wasm /);
    expect(process.cpuUsage(start).user / 1e6).toBeLessThan(30);
  }, 120_000);

  it('B06 is refused when it does not come to an end once it has its data, however long it takes between two looks', async () => {
    const usual = sections.find(({ id }) => id === sectionIds.start)?.bytes ?? [];
    // At its second start on one memory, where nothing else lies: a loop of 3,000 square roots.
    const roots = [0x41, 16, 0x41, 16, 0x2b, 3, 0, ...Array<number>(3_000).fill(0x9f), 0x39, 3, 0];
    const loop = [0x03, 0x40, ...roots, 0x0c, 0, 0x0b];
    const isSecond = [0x41, 8, 0x28, 2, 0];
    const body = [0x10, ...usual, ...isSecond, 0x04, 0x40, ...loop, 0x0b, 0x41, 8, 0x41, 1, 0x36, 2, 0, 0x0b];
    const start = process.cpuUsage();
    expect(await refusal(starting(body))).toBe('policy.wasm does not terminate');
    expect(process.cpuUsage(start).user / 1e6).toBeLessThan(5);
  }, 120_000);

  it('B06 is refused when it lists a megabyte of entrypoints, before they are parsed', async () => {
    // 48 pages of "0" in 63 new ones.
    const grown = [0x41, 63, 0x40, 0, 0x41, 16, 0x74, 0x21, 0];
    const filled = [0x20, 0, 0x41, 0x30, 0x41, ...leb(48 * 65_536), 0xfc, 11, 0];
    expect(await refusal(dumping(sections, [...grown, ...filled, 0x20, 0, 0x0b]))).toBe(
      'policy.wasm has a table of more than 1048576 bytes',
    );
  });

  it.each([10_000, 10_001])('B06 is refused when it lists more than 10,000 entrypoints: %d', async (count) => {
    const names = Object.fromEntries(Array.from({ length: count }, (_, index) => [`e${index}`, index]));
    const table = [...Buffer.from(`${JSON.stringify(names)}\0`)];
    const at = [0x41, ...leb(800_000)];
    const listed = changed(
      sections,
      sectionIds.data,
      (bytes) => withElement(bytes, [0, ...at, 0x0b, ...leb(table.length), ...table]).bytes,
    );
    const message = await refusal(dumping(listed, [...at, 0x0b]));
    // As many builtins, which are the same table here, there are not.
    if (count > 10_000) expect(message).toBe('policy.wasm lists more than 10000 entrypoints');
    else expect(message).toContain('builtin');
  });

  it('B06 is refused when it says that its variables take much more than it brings along', async () => {
    const said = [0x41, ...leb(16_777_216), 0x0b];
    expect(await refusal(exporting(sections, 'opa_heap_ptr_get', [0x60, 0, 1, 0x7f], said))).toBe(
      'policy.wasm says that its variables take 16777216 bytes',
    );
  });

  it('B06 is refused when it would have to be copied for each start, and holds much data', async () => {
    const usual = sections.find(({ id }) => id === sectionIds.start)?.bytes ?? [];
    // A second word that says how large the memory is.
    const twice = [0x10, ...usual, 0x41, 16, 0x3f, 0, 0x41, 16, 0x74, 0x36, 2, 0, 0x0b];
    const holding = (values: number): Promise<PolicyModule> =>
      PolicyModule.load(
        {
          wasm: starting(twice),
          dataText: JSON.stringify({ many: Array(values).fill(0) }),
          revision: bundleRevision('r1'),
        },
        policyLimits,
      );
    expect((await holding(30_000)).evaluate('authz/decision', '{}')).toContain('deny');
    await expect(holding(300_000)).rejects.toThrow('policy.wasm does not say how large its memory is');
  });

  it('B06 is refused when its start function traps', async () => {
    expect(await refusal(starting([0x00, 0x0b]))).toMatch(/^policy.wasm does not start/);
  });

  it('B06 is refused in few words when its start function aborts with many', async () => {
    const imports = WebAssembly.Module.imports(await WebAssembly.compile(Uint8Array.from(wasm)));
    const abort = imports.filter(({ kind }) => kind === 'function').findIndex(({ name }) => name === 'opa_abort');
    const filling = [0x41, 0, 0x41, 0x2d, 0x41, ...leb(100_000), 0xfc, 0x0b, 0];
    const message = await refusal(starting([...filling, 0x41, 0, 0x10, ...leb(abort), 0x0b]));
    expect(message).toContain('----');
    expect(message.length).toBeLessThan(2_000);
  });

  it('B06 is refused when it names what only the meter would bring: it could fill its own tank', async () => {
    const elements = (id: number): number =>
      withElement(sections.find((section) => section.id === id)?.bytes ?? [0], []).index;
    const imported = importedFunctions(sections.find(({ id }) => id === sectionIds.import)?.bytes ?? []);
    const endless = (...work: readonly number[]): number[] => [0x03, 0x40, ...work, 0x0c, 0x00, 0x0b, 0x0b];
    const bodies = {
      fuel: endless(0x41, ...leb(0x7fffffff), 0x24, ...leb(elements(sectionIds.global))),
      counter: endless(0x41, ...leb(1_000), 0x21, 0),
      // Behind the function that is put in here itself.
      tick: endless(0x10, ...leb(imported + elements(sectionIds.function) + 1)),
    };
    for (const body of Object.values(bodies)) {
      expect(await refusal(starting(body))).toMatch(/^policy.wasm does not compile: /);
    }
  });

  it('B06 is refused when it wants 4 GiB of memory from the start', async () => {
    // The import of the memory: module, name, kind 2, no maximum, 2 pages.
    const wanting = changed(sections, sectionIds.import, (bytes) => {
      const hay = Buffer.from(bytes);
      const at = hay.indexOf(Buffer.from([...text('env'), ...text('memory'), 2, 0]));
      const limits = at + 'env'.length + 'memory'.length + 4;
      let end = limits;
      while ((hay[end] ?? 0) >= 0x80) end += 1;
      return [...hay.subarray(0, limits), ...leb(65_536), ...hay.subarray(end + 1)];
    });
    const before = process.memoryUsage().rss;
    expect(await refusal(moduleOf(wanting))).toMatch(/^policy.wasm /);
    expect(process.memoryUsage().rss - before).toBeLessThan(100_000_000);
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['text', Buffer.from('package authz')],
    ['the magic number alone', Buffer.from([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0])],
    ['another version', Buffer.from([0, 0x61, 0x73, 0x6d, 2, 0, 0, 0])],
  ])('B06 is refused when it is %s', async (_what, bytes) => {
    expect(await refusal(bytes)).toMatch(/^policy.wasm /);
  });

  it('B06 is refused when it is of another ABI', async () => {
    // `opa_wasm_abi_minor_version` is an exported constant 3: i32.const 3.
    const made = await Promise.all(
      [0, 1].map(async (minor) => {
        const older = changed(sections, 6, (bytes) => {
          const hay = Buffer.from(bytes);
          const at = hay.lastIndexOf(Buffer.from([0x7f, 0, 0x41, 3, 0x0b]));
          hay[at + 3] = minor;
          return [...hay];
        });
        return load(moduleOf(older)).then(
          () => 'serves',
          (cause: Error) => cause.message,
        );
      }),
    );
    expect(made).toEqual([expect.stringContaining('ABI'), expect.stringContaining('ABI')]);
  });
});

describe('B07 a byte that was flipped', () => {
  it('B07 in the module is refused, or leaves it a policy that still denies what it denied', async () => {
    const seen = { refused: 0, failing: 0, same: 0, other: 0 };
    await fc.assert(
      fc.asyncProperty(fc.nat(wasm.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const flipped = Uint8Array.from(wasm);
        flipped[at] = (flipped[at] ?? 0) ^ change;
        const policy = await load(flipped).catch((cause: unknown) => cause);
        if (policy instanceof BundleRefused) {
          seen.refused += 1;
          return;
        }
        expect(policy).toBeInstanceOf(PolicyModule);
        try {
          const result = (policy as PolicyModule).evaluate('authz/decision', '{}') ?? '';
          seen[result.includes('"deny"') ? 'same' : 'other'] += 1;
          expect(result).not.toContain('"allow"');
        } catch (cause) {
          seen.failing += 1;
          expect(cause).toHaveProperty('code');
        }
      }),
      { numRuns: 1_000 },
    );
    expect(seen.refused).toBeGreaterThan(100);
  }, 120_000);
});
