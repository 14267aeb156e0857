import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { JsonValue } from '../../src/domain/json-value.ts';
import { type AttributeReport, compareStrictness, supersedes } from '../../src/domain/signal.ts';
import { epochMs } from '../../src/domain/time.ts';

function held(change: Partial<AttributeReport> = {}): AttributeReport {
  return {
    attribute: 'compliant',
    value: true,
    source: 'mdm',
    observedAt: epochMs(1_000),
    expiresAt: undefined,
    sequence: 0,
    ...change,
  };
}

describe('which of two values closes further', () => {
  it.each<readonly [string, JsonValue, JsonValue]>([
    ['compliant', false, true],
    ['compliant', 'true', true],
    ['secure_boot', null, true],
    ['revoked', true, false],
    ['revoked', 'false', false],
    ['jailbroken', 0, false],
    ['risk_level', 'high', 'medium'],
    ['risk_level', 'medium', 'low'],
    ['risk_level', 'Low', 'low'],
    ['risk_level', null, 'medium'],
    ['risk_score', 13, 12],
    ['risk_score', '1', 99],
    ['pending_security_updates', 1, 0],
  ])('%s: %j before %j', (attribute, closed, open) => {
    expect(compareStrictness(attribute, closed, open)).toBeGreaterThan(0);
    expect(compareStrictness(attribute, open, closed)).toBeLessThan(0);
    expect(compareStrictness(attribute, closed, closed)).toBe(0);
  });

  it('is not known of attributes without an order', () => {
    expect(compareStrictness('os_version', '1', '2')).toBe(0);
    expect(compareStrictness('toString', true, false)).toBe(0);
  });
});

describe('a report', () => {
  const now = epochMs(2_000);

  it('replaces an older one, by the millisecond, and never a newer one', () => {
    const before = held({ value: false });
    expect(supersedes(held({ observedAt: epochMs(1_001) }), before, now)).toBe(true);
    expect(supersedes(held({ observedAt: epochMs(999) }), before, now)).toBe(false);
  });

  it('of the same moment goes by its sequence', () => {
    expect(supersedes(held({ sequence: 2 }), held({ sequence: 1, value: false }), now)).toBe(true);
    expect(supersedes(held({ sequence: 1, value: false }), held({ sequence: 2 }), now)).toBe(false);
  });

  it('S02 of the same moment and sequence gives way to the more closed value', () => {
    expect(supersedes(held({ value: false }), held(), now)).toBe(true);
    expect(supersedes(held(), held({ value: false }), now)).toBe(false);
  });

  it('S02 ends in one state, in whatever order reports arrive', () => {
    const report = fc
      .record({
        attribute: fc.constant('risk_level'),
        value: fc.constantFrom<JsonValue>('low', 'medium', 'high', 'odd', null, 1),
        observedAt: fc.integer({ min: 1, max: 3 }).map(epochMs),
        sequence: fc.integer({ min: 0, max: 2 }),
        expiresAt: fc.constantFrom(undefined, epochMs(10), epochMs(20)),
        source: fc.constant('mdm'),
      })
      .map((one) => one as AttributeReport);
    const last = (reports: readonly AttributeReport[]): AttributeReport =>
      reports.reduce((before, next) => (supersedes(next, before, now) ? next : before));
    fc.assert(
      fc.property(
        fc
          .array(report, { minLength: 1, maxLength: 8 })
          .chain((list) => fc.tuple(fc.constant(list), fc.shuffledSubarray(list, { minLength: list.length }))),
        ([list, shuffled]) => {
          expect(last(shuffled)).toEqual(last(list));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  it('S02 from the future does not keep out a word of now that closes as far or further', () => {
    const ahead = held({ observedAt: epochMs(2_001) });
    const closed = held({ observedAt: now, value: false });
    expect(supersedes(closed, ahead, now)).toBe(true);
    expect(supersedes(held({ observedAt: now }), ahead, now)).toBe(true);
    expect(supersedes(closed, { ...ahead, observedAt: now, sequence: 1 }, now)).toBe(false);
    // A more open one waits: which of the two is the last word cannot be told.
    expect(supersedes(held({ observedAt: now }), { ...ahead, value: false }, now)).toBe(false);
    // Where no order is known the time that can be believed counts.
    const version = { attribute: 'os_version', value: '1' };
    expect(supersedes(held({ ...version, observedAt: now }), { ...ahead, ...version, value: '2' }, now)).toBe(true);
  });

  it('from the future goes by its time beside another from there', () => {
    const [sooner, later] = [held({ observedAt: epochMs(2_001), value: false }), held({ observedAt: epochMs(2_002) })];
    expect(supersedes(later, sooner, now)).toBe(true);
    expect(supersedes(sooner, later, now)).toBe(false);
  });

  it('is not replaced by itself', () => {
    expect(supersedes(held(), held(), now)).toBe(false);
  });
});
