import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseExact } from '../../src/text/parse-exact.ts';

describe('parseExact', () => {
  it('reads what JSON.parse reads, where nothing is lost', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        expect(parseExact(text)).toEqual(JSON.parse(text));
      }),
    );
  });

  it.each(['9007199254740993', '1e400', '-1e400', '1e-400', '0.10000000000000000555', '123456789012345678901'])(
    'refuses %s, which a double changes',
    (digits) => {
      expect(() => parseExact(`{"a":[${digits}]}`)).toThrow(RangeError);
    },
  );

  it.each(['1E2', '1.0', '100e-2', '-0.0', '0e10', '9007199254740991', '1e22', '0.000001', '5e-324'])(
    'takes %s, which a double holds',
    (digits) => {
      expect(parseExact(digits)).toEqual(Number(digits));
    },
  );

  it('takes strings that look like such numbers', () => {
    expect(parseExact('{"id":"9007199254740993","e":"1e400"}')).toEqual({ id: '9007199254740993', e: '1e400' });
  });

  it('keeps any integer or decimal of up to fifteen digits', () => {
    fc.assert(
      fc.property(fc.integer({ min: -999_999_999, max: 999_999_999 }), fc.nat(6), (whole, places) => {
        const text = (whole / 10 ** places).toFixed(places);
        expect(parseExact(text)).toBeCloseTo(whole / 10 ** places, 9);
      }),
    );
  });

  it('refuses what is no JSON', () => {
    expect(() => parseExact('{')).toThrow(SyntaxError);
  });
});
