import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readValue } from '../../../src/opa/values/read-value.ts';
import { compareValues, RegoNumber, RegoObject, RegoSet, type Value } from '../../../src/opa/values/value.ts';
import { writeJson } from '../../../src/opa/values/write-value.ts';
import { jsonOfResult, NotOneResult } from '../../../src/request/evaluate/result-set.ts';

// Few and alike, so that equal ones are common; one so long that what it is part of stands by its digest.
const leaf: fc.Arbitrary<Value> = fc.oneof(
  fc.constantFrom<Value>(null, true, false, '', 'a', '1', "'1:a", '\udc80', '\udc81', 'a'.repeat(300)),
  fc.constantFrom('0', '-0', '1', '1.0', '10e-1', '-1').map((text) => new RegoNumber(text)),
  fc.constantFrom('\udc80', '\udc81').map((end) => 'a'.repeat(300) + end),
);
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { depthSize: 'small' },
    leaf,
    fc.array(tie('value'), { maxLength: 2 }),
    fc.array(tie('value'), { maxLength: 2 }).map((members) => new RegoSet(members)),
    fc.array(fc.tuple(tie('value'), tie('value')), { maxLength: 2 }).map((members) => new RegoObject(members)),
  ),
}));

function free(): void {
  // Nothing here is bounded.
}

describe('a collection', () => {
  it('holds what is equal once, whatever it is and however long', () => {
    fc.assert(
      fc.property(value, value, (a, b) => {
        const equal = compareValues(a, b) === 0;
        expect(new RegoSet([[a], [b]]).size).toBe(equal ? 1 : 2);
        expect(new RegoSet([a]).has(b)).toBe(equal);
        expect(new RegoObject([[new RegoSet([a, true]), null]]).has(new RegoSet([true, b]))).toBe(equal);
      }),
      { seed: 1, numRuns: 3_000 },
    );
  });

  it('is put in order, and named, anew after it was added to', () => {
    const set = new RegoSet(['b']);
    expect([set.sorted(), set.key()]).toEqual([['b'], new RegoSet(['b']).key()]);
    set.add('a');
    expect([set.sorted(), set.key()]).toEqual([['a', 'b'], new RegoSet(['a', 'b']).key()]);
    const object = RegoObject.of({ b: true });
    expect([object.sorted(), object.key()]).toEqual([[['b', true]], RegoObject.of({ b: true }).key()]);
    object.set('a', null);
    object.set('b', null);
    expect(writeJson(object.sorted().map(([key]) => key))).toBe('["a","b"]');
    expect(object.key()).toBe(RegoObject.of({ a: null, b: null }).key());
    object.delete('a');
    expect([object.sorted(), object.key()]).toEqual([[['b', null]], RegoObject.of({ b: null }).key()]);
    object.clear();
    expect([object.sorted(), object.key()]).toEqual([[], new RegoObject().key()]);
  });
});

describe('P07 a result on its way out', () => {
  const result = (inner: string): string => `{{"result": ${inner}}}`;

  it('P07 is read in units of work that grow with its length, however deep its sets are', () => {
    const units = (text: string): number => {
      let spent = 0;
      jsonOfResult(result(text), (more) => {
        spent += more;
      });
      return spent;
    };
    let pairs = '1';
    for (let depth = 0; depth < 10; depth += 1) pairs = `{[${pairs}, 0], [${pairs}, 1]}`;
    expect(units(pairs)).toBeLessThan(20 * pairs.length);
    const nested = `${'{'.repeat(900)}"${'a'.repeat(500_000)}"${'}'.repeat(900)}`;
    expect(units(nested)).toBeLessThan(nested.length);
  });

  it('P07 is not worked at without being charged: names of objects in names of objects double at each depth', () => {
    let keys = '1';
    for (let depth = 0; depth < 60; depth += 1) keys = `{${keys}: 1}`;
    let spent = 0;
    expect(() =>
      jsonOfResult(result(keys), (more) => {
        spent += more;
        if (spent > 100_000) throw new RangeError('spent');
      }),
    ).toThrow('spent');
  });

  it('P07 is no result where it is deeper than any document', () => {
    const nested = (depth: number): string => `${'{'.repeat(depth)}1${'}'.repeat(depth)}`;
    expect(jsonOfResult(result(nested(1_000)), free)).toBe(`${'['.repeat(1_000)}1${']'.repeat(1_000)}`);
    expect(() => jsonOfResult(result(nested(1_001)), free)).toThrow(SyntaxError);
    expect(() => readValue('['.repeat(1_000_000))).toThrow(SyntaxError);
    expect(() => jsonOfResult('{{"result": 1}, {"result": 2}', free)).toThrow(NotOneResult);
  });
});
