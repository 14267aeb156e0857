import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RequestRefused } from '../../src/domain/errors.ts';
import { type Scan, scanJson } from '../../src/text/scan-json.ts';

const limits = { depthMax: 64 };

/** The code that a text is refused with, or `ok`. */
function verdict(text: string, depthMax = 64): string {
  try {
    scanJson(text, { depthMax });
    return 'ok';
  } catch (cause) {
    if (cause instanceof RequestRefused) return cause.code;
    throw cause;
  }
}

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

/** What a scan noted, as values by path: `a`, `a.b`, … */
function noted(scan: Scan): Record<string, unknown> {
  const paths = new Map<number, string>([[scan.root, '']]);
  const found: Record<string, unknown> = {};
  scan.names.forEach((name, index) => {
    const parent = paths.get(scan.parents[index] ?? -1);
    if (parent === undefined) return; // below an array
    const path = `${parent}/${name}`;
    paths.set(scan.starts[index] ?? -1, path);
    found[path] = JSON.parse(scan.text.slice(scan.starts[index], scan.ends[index]));
  });
  return found;
}

describe('scanJson', () => {
  it('takes every text that JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 8 }), fc.constantFrom(undefined, 1, '\t'), (value, space) => {
        expect(verdict(JSON.stringify(value, null, space))).toBe('ok');
      }),
      { numRuns: 1_000 },
    );
  });

  it('calls no text JSON that JSON.parse refuses, and none malformed that it takes', () => {
    const text = fc
      .tuple(
        fc.jsonValue({ maxDepth: 3 }),
        fc.nat(),
        fc.nat(2),
        fc.constantFrom(...'{}[],:"\\ \n\u0000\u00a0-+.0123456789eEtrufalsn/*\'u'),
      )
      .map(([value, at, cut, put]) => {
        const whole = JSON.stringify(value);
        const place = at % (whole.length + 1);
        return whole.slice(0, place) + put + whole.slice(place + cut);
      });
    const seen = { ok: 0, malformed: 0 };
    fc.assert(
      fc.property(text, (mutant) => {
        const code = verdict(mutant);
        if (code === 'ok') {
          seen.ok += 1;
          expect({ mutant, parses: parses(mutant) }).toEqual({ mutant, parses: true });
        } else if (code === 'body_not_json') {
          seen.malformed += 1;
          expect({ mutant, parses: parses(mutant) }).toEqual({ mutant, parses: false });
        }
      }),
      { numRuns: 10_000 },
    );
    expect(Math.min(seen.ok, seen.malformed)).toBeGreaterThan(500);
  });

  it('notes where the members of the first four levels stand, however they are escaped or spaced', () => {
    const scan = scanJson(
      ' { "a" : { "b\\u002fc":[ {"x":1} ], "d" : null } ,\n "e":{"f":{"g":{"h":{"i":1}}}}, "":-1.50 } ',
      limits,
    );
    expect(noted(scan)).toEqual({
      '/a': { 'b/c': [{ x: 1 }], d: null },
      '/a/b/c': [{ x: 1 }],
      '/a/d': null,
      '/e': { f: { g: { h: { i: 1 } } } },
      '/e/f': { g: { h: { i: 1 } } },
      '/e/f/g': { h: { i: 1 } },
      '/e/f/g/h': { i: 1 },
      '/': -1.5,
    });
    expect(scan.hasLineBreaks).toBe(true);
    expect(scanJson('{"a": "\\n"}', limits).hasLineBreaks).toBe(false);
  });

  it('says where a text goes wrong and never what stands there', () => {
    const at = (text: string): string | undefined => {
      try {
        scanJson(text, limits);
        return undefined;
      } catch (cause) {
        return (cause as RequestRefused).at;
      }
    };
    expect(at('{"CANARY":tru}')).toBe('character 11');
    expect(at('{"a":1,"a":2}')).toBe('character 11');
    expect(at('{"a":1} x')).toBe('character 9');
    expect(at('')).toBe('character 1');
  });

  it('refuses a second member of a name, few or many, escaped or not', () => {
    expect(verdict('{"a":1,"a":1}')).toBe('member_repeated');
    expect(verdict('{"a":1,"\\u0061":1}')).toBe('member_repeated');
    expect(verdict('{"":1,"":1}')).toBe('member_repeated');
    expect(verdict('[[{"x":{"__proto__":1,"__proto__":1}}]]')).toBe('member_repeated');
    expect(verdict('{"a":{"b":1},"b":{"a":1}}')).toBe('ok');
    for (const count of [11, 12, 13, 14, 1_000]) {
      const members = Array.from({ length: count }, (_, index) => `"${index}":0`).join();
      for (const again of ['0', String(count - 1)]) {
        expect(verdict(`{${members},"${again}":0}`)).toBe('member_repeated');
      }
      expect(verdict(`{${members},"x":0}`)).toBe('ok');
    }
  });

  it('finds any repeated member, wherever it is put', () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.string(), { minLength: 1, maxLength: 30 }),
        fc.nat(),
        fc.nat(),
        (names, from, to) => {
          const members = names.map((name) => `${JSON.stringify(name)}:0`);
          const again = members[from % members.length] ?? '';
          const twice = members.toSpliced(to % (members.length + 1), 0, again);
          expect(verdict(`{${members.join()}}`)).toBe('ok');
          expect(verdict(`{${twice.join()}}`)).toBe('member_repeated');
        },
      ),
    );
  });

  it('takes nesting up to the limit and not one level more, whatever nests', () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
      ['[{"a":', '}]'],
    ] as const) {
      const step = open.length > 5 ? 2 : 1;
      const nested = (levels: number): string => `${open.repeat(levels / step)}1${close.repeat(levels / step)}`;
      expect(verdict(nested(64))).toBe('ok');
      expect(verdict(nested(64 + step))).toBe('body_too_deep');
    }
    expect(verdict('[]', 1)).toBe('ok');
    expect(verdict('[[]]', 1)).toBe('body_too_deep');
  });

  it.each([
    '1e400',
    '-1e400',
    '1e309',
    '1e-400',
    `1${'0'.repeat(400)}`,
    `0.${'0'.repeat(400)}1`,
    '1E99999999999999999999',
  ])('refuses the number %s, which leaves a double’s range', (number) => {
    expect(verdict(`[${number}]`)).toBe('number_out_of_range');
  });

  it.each([
    '0',
    '-0',
    '0.0',
    '1e308',
    '5e-324',
    '0e999',
    '0.000e-999',
    '9007199254740993',
    `1${'0'.repeat(299)}`,
    '1.0E+2',
  ])('takes the number %s', (number) => {
    expect(verdict(`[${number}]`)).toBe('ok');
  });

  it.each(['01', '+1', '.5', '1.', '1e', '1e+', '-', '0x1', '1_0', '--1', '1.e1', '00'])(
    'refuses the number %s',
    (number) => {
      expect(verdict(`[${number}]`)).toBe('body_not_json');
    },
  );

  it('refuses half a surrogate pair in any place and any order', () => {
    for (const half of [
      '\\ud800',
      '\\udc00',
      '\\udbff\\u0041',
      '\\ud800\\ud800',
      '\\udc00\\ud800',
      '\\ud83d',
      '\\uD83Dx',
    ]) {
      expect(verdict(`["${half}"]`)).toBe('text_not_unicode');
      expect(verdict(`{"${half}":1}`)).toBe('text_not_unicode');
    }
    expect(verdict('["\\ud83d\\ude00"]')).toBe('ok');
    expect(verdict('["\ud83d\ude00"]')).toBe('ok');
  });

  it('refuses escapes that JSON does not have', () => {
    for (const wrong of ['\\x41', '\\u12', '\\u12g4', '\\', '\\ ', '\\U0041', '\\u 041', '\\u+041']) {
      expect(verdict(`["${wrong}"]`)).toBe('body_not_json');
    }
  });
});
