import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, isJsonObject, type JsonValue, member } from '../../src/domain/json-value.ts';

describe('member', () => {
  it('finds an object’s own members only', () => {
    const object = JSON.parse('{"a":1,"__proto__":2}') as Readonly<Record<string, JsonValue>>;
    expect(member(object, 'a')).toBe(1);
    expect(member(object, '__proto__')).toBe(2);
    expect(member(object, 'toString')).toBeUndefined();
  });
});

describe('isJsonObject', () => {
  it.each([[null], [[]], ['{}'], [1], [true], [undefined]])('is false for %p', (value) => {
    expect(isJsonObject(value)).toBe(false);
  });
});

describe('canonicalJson', () => {
  it('is one text for one value, whatever the order of its members', () => {
    expect(canonicalJson({ b: [1, { d: null, c: 'x' }], a: true })).toBe('{"a":true,"b":[1,{"c":"x","d":null}]}');
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (object) => {
        const turned = Object.fromEntries(Object.entries(object).reverse());
        expect(canonicalJson(turned as JsonValue)).toBe(canonicalJson(object as JsonValue));
        expect(JSON.parse(canonicalJson(object as JsonValue))).toEqual(JSON.parse(JSON.stringify(object)));
      }),
    );
  });
});
