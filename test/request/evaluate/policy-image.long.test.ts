import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readBundle } from '../../../src/bundle/reading/read-bundle.ts';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import { epochMs } from '../../../src/domain/time.ts';
import {
  buildImage,
  canStartAgain,
  type DataPatch,
  type PolicyImage,
  patchImage,
} from '../../../src/request/evaluate/policy-image.ts';
import { PolicyModule } from '../../../src/request/evaluate/policy-module.ts';
import { withSharedMemory } from '../../../src/request/evaluate/shared-memory.ts';
import { againstOpa } from '../../opa/builtins/against-opa.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { opaMs } from '../../support/opa.ts';
import { archiveLimits, policyLimits } from '../../support/testbed.ts';
import { sectionsOf } from '../../support/wasm.ts';

const draws = { now: epochMs(0), seed: 'test' };
let wasm: Uint8Array;

beforeAll(async () => {
  ({ wasm } = await readBundle(await compilePolicy('mirror', ['authz/decision']), archiveLimits));
}, 60_000);

function imageOf(data: unknown): Promise<PolicyImage> {
  return buildImage(wasm, new TextEncoder().encode(JSON.stringify({ mirror: data })), policyLimits.memoryPages);
}

function policyOf(image: PolicyImage): Promise<PolicyModule> {
  // The document itself is the answer here, and may be large.
  return PolicyModule.of(image, bundleRevision('r'), { ...policyLimits, resultBytes: 16_777_216 });
}

/** The data that a policy on this image sees. */
async function seen(image: PolicyImage): Promise<unknown> {
  const policy = await policyOf(image);
  const text = policy.evaluate('authz/decision', '{}', draws);
  policy.close();
  return text === undefined ? undefined : (JSON.parse(text) as { data: unknown }).data;
}

type Tree = Readonly<Record<string, unknown>>;

/** What a patch does, on plain objects. @returns undefined where it has nothing to change */
function patched(data: Tree, { op, path: [name = '', ...rest], valueText }: DataPatch): Tree | undefined {
  const isThere = Object.hasOwn(data, name);
  if (rest.length === 0) {
    if (op !== 'upsert' && !isThere) return undefined;
    const { [name]: _old, ...others } = data;
    return op === 'remove' ? others : { ...data, [name]: JSON.parse(valueText) as unknown };
  }
  const inner = isThere ? data[name] : op === 'upsert' ? {} : undefined;
  if (typeof inner !== 'object' || inner === null || Array.isArray(inner)) return undefined;
  const after = patched(inner as Tree, { op, path: rest, valueText });
  return after === undefined ? undefined : { ...data, [name]: after };
}

describe('a policy of more text than the usual memory holds', () => {
  it(
    'is loaded, and says what it says in OPA',
    async () => {
      const texts = Array.from({ length: 3_000 }, (_, index) => `count([${index}, "${`${index}`.repeat(300)}"])`);
      expect(await againstOpa(texts)).toMatchObject({ defined: 3_000, differences: [] });
    },
    opaMs,
  );
});

describe('an image of a policy’s data', () => {
  it('holds what it was built from, digits and all', async () => {
    const image = await buildImage(wasm, new TextEncoder().encode('{"mirror":[1.50,12345678901234567890]}'), 1_024);
    const policy = await policyOf(image);
    expect(policy.evaluate('authz/decision', '{}', draws)).toContain('[1.50, 12345678901234567890]');
  });

  it('is what a whole document would be, after any patches, and the one before stays as it was', async () => {
    const key = fc.constantFrom('a', 'b', 'c', 'é', '__proto__', 'a/b', '');
    const value = fc.jsonValue({ maxDepth: 2 }).map((one) => JSON.parse(JSON.stringify(one)) as unknown);
    const patch = fc.record({
      op: fc.constantFrom('upsert', 'replace', 'remove') as fc.Arbitrary<DataPatch['op']>,
      path: fc.array(key, { minLength: 1, maxLength: 3 }),
      valueText: value.map((one) => JSON.stringify(one)),
    });
    const document = fc.dictionary(key, fc.oneof(value, fc.dictionary(key, value)), {
      maxKeys: 4,
      noNullPrototype: true,
    });
    const refusals = { taken: 0, refused: 0 };
    await fc.assert(
      fc.asyncProperty(document, fc.array(patch, { minLength: 1, maxLength: 6 }), async (data, patches) => {
        const before = await imageOf(data);
        let expected: Tree | undefined = { mirror: data };
        let image: PolicyImage = before;
        for (const one of patches) {
          const below = { ...one, path: ['mirror', ...one.path] };
          const next: Tree | undefined = expected === undefined ? undefined : patched(expected, below);
          if (next === undefined) {
            expect(() => patchImage(image, [below])).toThrow(/there is no|leads through/);
            refusals.refused += 1;
          } else {
            image = patchImage(image, [below]);
            expected = next;
            refusals.taken += 1;
          }
        }
        expect(JSON.stringify(sorted(await seen(image)))).toBe(JSON.stringify(sorted((expected as Tree)['mirror'])));
        expect(JSON.stringify(sorted(await seen(before)))).toBe(JSON.stringify(sorted(data)));
      }),
      { numRuns: 60 },
    );
    expect(Math.min(refusals.taken, refusals.refused)).toBeGreaterThan(20);
  }, 60_000);

  it('does not grow with changes that take as much as they free', async () => {
    let image = await imageOf({ a: { text: 'x'.repeat(1_000) } });
    for (let index = 0; index < 200; index += 1) {
      const valueText = JSON.stringify(String(index % 10).repeat(900 + (index % 10) * 10));
      image = patchImage(image, [{ op: 'upsert', path: ['mirror', 'a', 'text'], valueText }]);
    }
    expect(image.heapStart - image.firstHeapStart).toBeLessThan(16_384);
    expect(await seen(image)).toEqual({ a: { text: '9'.repeat(990) } });
  }, 30_000);

  it.each([
    ['small numbers, the worst there is', Array.from({ length: 300_000 }, (_, index) => index % 10)],
    ['empty objects', Array.from({ length: 200_000 }, () => ({}))],
    ['long strings', Array.from({ length: 5_000 }, () => 'x'.repeat(1_000))],
  ])(
    'takes a list of %s',
    async (_what, list) => {
      const image = await imageOf(list);
      expect(((await seen(image)) as unknown[]).length).toBe(list.length);
      const policy = await policyOf(image);
      // What evaluations may have beyond the data is still there, all of it.
      expect(policy.evaluate('authz/decision', '{"hoard": 100000}', draws)).toContain('100000');
    },
    30_000,
  );

  it('has no room past two gibibytes', async () => {
    const image = await imageOf({});
    expect(() => patchImage({ ...image, pages: 40_000 }, [])).toThrow('more than two gibibytes');
  });
});

describe('an instance on a memory that was used before', () => {
  const large = Object.fromEntries(Array.from({ length: 20_000 }, (_, index) => [`k${index}`, { value: `v${index}` }]));

  it('answers as the first did, after a thousand faults', async () => {
    const policy = await policyOf(await imageOf(large));
    const before = process.threadCpuUsage();
    for (let round = 0; round < 1_000; round += 1) {
      expect(() => policy.evaluate('authz/decision', '{"fail": 1}', draws)).toThrow();
      // The one that was made beforehand, and from the second fault of a turn on one made on the spot.
      if (round % 3 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    const { user, system } = process.threadCpuUsage(before);
    const eachMs = (user + system) / 1_000 / 1_000;
    expect(JSON.parse(policy.evaluate('authz/decision', '{}', draws) ?? '')).toEqual({ data: large });
    // Loading this data takes some fifty times as long.
    expect(eachMs).toBeLessThan(10);
  }, 60_000);

  it('may grow as much as the first, however often', async () => {
    const policy = await policyOf(await imageOf({}));
    const memory = '{"hoard": 300000}';
    for (let round = 0; round < 20; round += 1) {
      expect(policy.evaluate('authz/decision', memory, draws)).toContain('300000');
      expect(() => policy.evaluate('authz/decision', '{"fail": 1}', draws)).toThrow();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }, 60_000);

  it('is not to be had once the image was given away', async () => {
    const policy = await policyOf(await imageOf({}));
    policy.close();
    expect(() => policy.evaluate('authz/decision', '{}', draws)).toThrow('the policy was already released');
    await new Promise((resolve) => setImmediate(resolve));
    expect(() => policy.evaluate('authz/decision', '{}', draws)).toThrow('the policy was already released');
  });

  it('knows where the module keeps account of its memory', async () => {
    expect(canStartAgain(await imageOf({}))).toBe(true);
  });
});

describe('a module that is draws shared memory', () => {
  it('is otherwise what it was', async () => {
    const { wasm: shared, pages } = withSharedMemory(wasm);
    expect(pages).toBe(2);
    expect(shared.length - wasm.length).toBeLessThan(16);
    const module = await WebAssembly.compile(new Uint8Array(shared));
    expect(WebAssembly.Module.exports(module)).toEqual(
      WebAssembly.Module.exports(await WebAssembly.compile(new Uint8Array(wasm))),
    );
  });

  it('is refused when it is cut, wherever, or imports what no policy does', () => {
    // What stands behind the imports is the compiler's business.
    const end = 8 + [1, 2].reduce((bytes, id) => bytes + sectionBytes(id), 0);
    for (let length = 8; length < end; length += 1) {
      expect(() => withSharedMemory(wasm.subarray(0, length))).toThrow(/policy\.wasm/);
    }
    expect(withSharedMemory(wasm.subarray(0, end)).wasm.length).toBeGreaterThan(end);
    const table = Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 2, 6, 1, 1, 0x61, 1, 0x62, 1);
    expect(() => withSharedMemory(table)).toThrow('imports what no OPA policy does');
    expect(() => withSharedMemory(wasm.subarray(0, 8))).toThrow('imports nothing');
  });
});

/** A section of the module with its header. */
function sectionBytes(id: number): number {
  const section = sectionsOf(wasm).find((one) => one.id === id);
  const length = section?.bytes.length ?? 0;
  return length + (length < 128 ? 2 : 3);
}

/** Members in one order; OPA's objects have their own. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.entries(value)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, inner]) => [name, sorted(inner)]);
}
