import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, type Call, callsAgainstOpa, term } from './against-opa.ts';

const document = { a: 1, b: { c: [1, [2, 3], { d: null }], '': 0 }, 'x/y': 1, 'x~z': 2, e: [], 0: 'zero' };
const paths = [
  '',
  '/',
  '/a',
  'a',
  '/b',
  '/b/c',
  '/b/c/0',
  '/b/c/1/1',
  '/b/c/2/d',
  '/b/c/-',
  '/b/c/3',
  '/b/c/4',
  '/b/c/01',
  '/b/c/00',
  '/b/c/-1',
  '/b/c/x',
  '/b/c/1.0',
  '/x~1y',
  '/x~0z',
  '/e/0',
  '/e/-',
  '/none',
  '/none/x',
  '/a/x',
  '//a',
  '/b/',
  ['b', 'c', 0],
  ['b', 'c', 1, '1'],
  [0],
  ['b', ['c']],
  7,
  null,
];
const values = [0, 1, [2, 3], { d: null }, null];

describe('json.patch', () => {
  it(
    'applies one operation after the other as OPA does',
    async () => {
      const operations = paths.flatMap((path) => [
        ...values.flatMap((value) => ['add', 'replace', 'test'].map((op) => ({ op, path, value }))),
        ...paths.slice(0, 24).flatMap((from) => ['move', 'copy'].map((op) => ({ op, path, from }))),
        // OPA itself ends in a panic where nothing is left.
        ...(path === '' ? [] : [{ op: 'remove', path }]),
      ]);
      const odd = [
        { op: 'add', path: '/a' },
        { path: '/a', value: 1 },
        { op: 'add', value: 1 },
        { op: 'move', path: '/a' },
        { op: 'test', path: '/a' },
        { op: 'x', path: '/a', value: 1 },
        { op: 1, path: '/a', value: 1 },
        'add',
        null,
        [],
      ];
      const likely = operations.filter(({ path }) => typeof path === 'string' && /^\/(?:a|b|e|none|x~1y)$/.test(path));
      const several = fc.sample(fc.array(fc.constantFrom(...likely), { minLength: 2, maxLength: 5 }), {
        seed: 1,
        numRuns: 3_000,
      });
      const calls = [
        ...[...operations, ...odd].map((operation): Call => ['json.patch', document, [operation]]),
        ...several.map((some): Call => ['json.patch', document, some]),
        ...[1, 'x', null, [], [1, 2]].flatMap((target) =>
          operations.slice(0, 200).map((operation): Call => ['json.patch', target, [operation]]),
        ),
        ['json.patch', document, []],
        ['json.patch', document, { op: 'remove', path: '/a' }],
      ] as const;
      const { differences, defined, ...rest } = await callsAgainstOpa(calls);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(500);
      expect(rest.undefined).toBeGreaterThan(1_000);
    },
    opaMs,
  );

  it(
    'changes sets, whose members are their own path, as OPA does',
    async () => {
      const targets = [
        new Set([1, 'a', [2]]),
        { s: new Set([1, 'a', { k: [1] }, new Set([2])]), t: [new Set(['a'])] },
        [new Set([[1, [2]]]), 'a'],
      ];
      const steps: readonly unknown[] = [
        0,
        1,
        'a',
        's',
        't',
        'k',
        [2],
        [1, [2]],
        { k: [1] },
        new Set([2]),
        new Set(),
        '-',
      ];
      const operation = fc
        .tuple(
          fc.constantFrom('add', 'remove', 'replace', 'test', 'move', 'copy'),
          fc.array(fc.constantFrom(...steps), { maxLength: 3 }),
          fc.array(fc.constantFrom(...steps), { maxLength: 3 }),
          fc.constantFrom(...steps),
          fc.boolean(),
        )
        .filter(([op, path]) => op !== 'remove' || path.length > 0)
        // What is added to a set is its own name there.
        .map(([op, path, from, value, named]) => ({ op, path, from, value: named ? (path.at(-1) ?? value) : value }));
      const lists = fc.sample(fc.array(operation, { minLength: 1, maxLength: 1 }), { seed: 2, numRuns: 3_000 });
      const counted = [];
      for (const target of targets) {
        for (let at = 0; at < lists.length; at += 50) {
          const patches = `[${lists
            .slice(at, at + 50)
            .map(term)
            .join(', ')}]`;
          counted.push(`{index: x | some index, patches in ${patches}; x := json.patch(${term(target)}, patches)}`);
        }
      }
      const { differences, defined } = await againstOpa(counted);
      expect(differences).toEqual([]);
      expect(defined).toBe(counted.length);
    },
    opaMs,
  );
});
