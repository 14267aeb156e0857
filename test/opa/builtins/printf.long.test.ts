import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, callsAgainstOpa } from './against-opa.ts';

/** Every verb that Go has but %p, which prints where a value lies in memory, and some that it has not. */
const verbs = [...'vdtbcoOqxXUeEfFgGsTwyZ%é'];
const flags = ['', '#', '0', '+', '-', ' ', '+#', '# ', '-0', '+0', ' 0', '+-', ' +#0-'];
const sizes = ['', '1', '9', '30', '.', '.0', '.3', '9.2', '30.10', '.20'];

/** Of each kind that `sprintf` tells apart, as terms of Rego. */
const values = [
  '"héllo\\n\\t\\"`"',
  '""',
  '0',
  '-7',
  '65',
  '128512',
  '55296',
  '1.5',
  '-0.0000125',
  '1e21',
  '9223372036854775807',
  '-9223372036854775809',
  '123456789012345678901234567890',
  'true',
  '[null, "a", [2.5, {"x", {"k": 1}}]]',
];

/** One expression for many formats: a member for each, of what it makes of each list of operands. */
function printed(formats: readonly string[], operands: readonly string[]): string {
  const made = `[sprintf(format, operands) | some operands in [${operands.join(', ')}]]`;
  return `{format: ${made} | some format in ${JSON.stringify(formats)}}`;
}

const single = values.map((value) => `[${value}]`);

describe('sprintf', () => {
  it(
    'writes every kind of value by every verb, under every flag and size, as OPA does',
    async () => {
      const expressions = verbs.flatMap((verb) =>
        flags.map((flag) => {
          const formats = sizes.map((size) => `<%${flag}${size}${verb}>`);
          return printed(formats, single);
        }),
      );
      const { differences, defined } = await againstOpa(expressions);
      expect(differences).toEqual([]);
      expect(defined).toBe(expressions.length);
    },
    opaMs,
  );

  it(
    'takes operands by their places, and sizes from operands, as OPA does',
    async () => {
      const pieces = [
        '[1]',
        '[2]',
        '[3]',
        '[0]',
        '[9]',
        '[x]',
        '[',
        ']',
        '[]',
        '*',
        '.',
        '1',
        '0',
        '3 ',
        '-',
        '+',
        '#',
        ' ',
      ];
      const longer = ['99999999', '[99999999999999999999]', '%', 'v', 'd', 's', 'q', 'x', 'é'];
      const formats = fc.sample(
        fc.array(fc.constantFrom(...pieces, ...longer), { maxLength: 7 }).map((some) => `<%${some.join('')}`),
        { seed: 1, numRuns: 4_000 },
      );
      const operands = [[], [3], [5, -12, 'x'], [12, 'héllo', 2.5], ['a', 1.5, 7, 4], [1_000_001, -1_000_001, 3]];
      const { differences, defined } = await callsAgainstOpa(
        [...new Set(formats)].flatMap((format) => operands.map((given) => ['sprintf', format, given] as const)),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(15_000);
    },
    opaMs,
  );

  it(
    'writes numbers of every size by the verbs of floating point as OPA does',
    async () => {
      const numbers = fc.sample(fc.double({ noDefaultInfinity: true, noNaN: true }), { seed: 2, numRuns: 300 });
      const halves = [
        0.5, 1.5, 2.5, 0.125, 0.375, 99.5, 999_999.5, 5e-324, 1.797e308, 0.00001, 0.0001, 1e20, 123_456.7,
      ];
      const formats = [
        '%e',
        '%.0f',
        '%.1f',
        '%.2e',
        '%g',
        '%.1g',
        '%.3G',
        '%#g',
        '%#.0f',
        '%x',
        '%.0x',
        '%.2X',
        '%b',
        '%v',
      ];
      const written = [...numbers, ...halves].filter((number) => /[.e]/.test(JSON.stringify(number)));
      const { differences, defined } = await callsAgainstOpa(
        formats.flatMap((format) => written.map((number) => ['sprintf', format, [number]] as const)),
      );
      expect(differences).toEqual([]);
      expect(defined).toBe(formats.length * written.length);
    },
    opaMs,
  );
});
