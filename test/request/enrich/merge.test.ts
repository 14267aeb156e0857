import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { JsonValue } from '../../../src/domain/json-value.ts';
import { type AttributeReport, compareStrictness } from '../../../src/domain/signal.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { merge } from '../../../src/request/enrich/merge.ts';

const now = epochMs(1_000_000);

function held(
  attribute: string,
  value: JsonValue,
  observedAt: number,
  source = 'mdm',
  expiresAt?: number,
): AttributeReport {
  return {
    attribute,
    value,
    source,
    observedAt: epochMs(observedAt),
    expiresAt: expiresAt === undefined ? undefined : epochMs(expiresAt),
    sequence: 0,
  };
}

/** What counts of one attribute, and when it was observed. */
function counting(attribute: string, ...reports: readonly AttributeReport[]): readonly [JsonValue, number] | undefined {
  const found = merge(reports, now)?.attributes.get(attribute);
  return found === undefined ? undefined : [found.value, found.observedAt];
}

describe('what several sources say of one attribute', () => {
  it('S06 counts as the more closed of them, whatever its age', () => {
    for (const [attribute, open, closed] of [
      ['compliant', true, false],
      ['revoked', false, true],
      ['risk_level', 'low', 'high'],
      ['risk_level', 'medium', 'a word that nobody knows'],
      ['risk_score', 1, 99],
      ['secure_boot', true, null],
    ] as const) {
      for (const [older, newer] of [
        [open, closed],
        [closed, open],
      ] as const) {
        expect(counting(attribute, held(attribute, older, 1), held(attribute, newer, 2, 'edr'))?.[0]).toBe(closed);
        expect(counting(attribute, held(attribute, newer, 2), held(attribute, older, 1, 'edr'))?.[0]).toBe(closed);
      }
    }
  });

  it('is as old as its oldest half where they agree', () => {
    expect(counting('compliant', held('compliant', true, 5), held('compliant', true, 3, 'edr'))).toEqual([true, 3]);
    expect(counting('compliant', held('compliant', true, 3), held('compliant', true, 5, 'edr'))).toEqual([true, 3]);
  });

  it('is the newest where no order is known of its values', () => {
    expect(counting('os', held('os', 'a', 5), held('os', 'b', 3, 'edr'))).toEqual(['a', 5]);
    expect(counting('os', held('os', { v: [1] }, 5), held('os', { v: [1] }, 3, 'edr'))).toEqual([{ v: [1] }, 3]);
  });

  it('leaves out what is over, from the moment on that it is', () => {
    expect(counting('compliant', held('compliant', false, 5, 'edr', now), held('compliant', true, 3))).toEqual([
      true,
      3,
    ]);
    expect(counting('compliant', held('compliant', false, 5, 'edr', now + 1), held('compliant', true, 3))).toEqual([
      false,
      5,
    ]);
    expect(merge([held('compliant', true, 5, 'edr', now)], now)).toBeUndefined();
    expect(merge([], now)).toBeUndefined();
  });

  it('is valid until the first report in it is over', () => {
    expect(merge([held('a', 1, 1)], now)?.validUntil).toBeUndefined();
    expect(
      merge([held('a', 1, 1, 'x', now + 9), held('b', 1, 1, 'x', now + 5), held('c', 1, 1)], now)?.validUntil,
    ).toBe(now + 5);
  });

  it('is kept by source too', () => {
    const merged = merge([held('a', 1, 1), held('b', 2, 2, 'edr'), held('c', 3, 3)], now);
    expect(
      [...(merged?.bySource ?? [])].map(([source, list]) => [source, list.map(({ attribute }) => attribute)]),
    ).toEqual([
      ['edr', ['b']],
      ['mdm', ['a', 'c']],
    ]);
    expect(merged?.newest.attribute).toBe('c');
  });

  it('is the newest of those that are equally closed, and as old as its oldest word', () => {
    const reports = [held('os', 'a', 1, 'x'), held('os', 'b', 2, 'y'), held('os', 'a', 3, 'z')];
    expect(counting('os', ...reports)).toEqual(['a', 1]);
    expect(counting('os', ...reports.toReversed())).toEqual(['a', 1]);
  });

  it('S02 ends in one state, in whatever order the reports are held', () => {
    const report = fc
      .record({
        attribute: fc.constantFrom('compliant', 'risk_level', 'os', 'risk_score'),
        source: fc.constantFrom('a', 'b', 'c'),
        observedAt: fc.integer({ min: 1, max: 3 }),
        value: fc.constantFrom<JsonValue>(true, false, null, 'low', 'high', 1, 50),
      })
      .map(({ attribute, source, observedAt, value }) => held(attribute, value, observedAt, source));
    const reports = fc.uniqueArray(report, { maxLength: 8, selector: (one) => `${one.source} ${one.attribute}` });
    fc.assert(
      fc.property(
        reports.chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          const text = (one: ReturnType<typeof merge>): string =>
            JSON.stringify(one && [[...one.attributes], [...one.bySource], one.newest, one.validUntil]);
          expect(text(merge(shuffled, now))).toBe(text(merge(list, now)));
        },
      ),
      { numRuns: 1_000 },
    );
  });

  it('S06 is never more open than any one source’s own word', () => {
    const value = fc.constantFrom<JsonValue>(true, false, null, 'low', 'medium', 'high', 0, 50, 100);
    const attribute = fc.constantFrom(
      'compliant',
      'risk_level',
      'revoked',
      'risk_score',
      'disk_encrypted',
      'jailbroken',
    );
    fc.assert(
      fc.property(attribute, fc.array(value, { minLength: 1, maxLength: 5 }), (name, values) => {
        const reports = values.map((one, index) => held(name, one, index + 1, `source-${index}`));
        const merged = merge(reports, now)?.attributes.get(name)?.value ?? null;
        for (const one of values) expect(compareStrictness(name, merged, one)).toBeGreaterThanOrEqual(0);
      }),
    );
  });
});
