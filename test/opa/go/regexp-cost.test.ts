import { describe, expect, it } from '@jest/globals';
import { compileUs } from '../../../src/opa/go/regexp-cost.ts';

describe('what a pattern will take to compile', () => {
  it.each([
    '',
    '^[a-z0-9-]{1,63}$',
    '(?i)^bearer [a-z0-9._~+/-]+=*$',
    '^(?P<year>\\d{4})-(?P<month>\\d{2})$',
    '\\p{L}[\\p{L}\\p{N} ]*',
    '((',
    '{9}',
    'a{,5}',
    '[',
    '\\',
  ])('%j takes less than a millisecond', (pattern) => {
    expect(compileUs(pattern)).toBeLessThan(1_000);
  });

  // Microseconds that each was seen to take at the least, by the time of a thread that did nothing else.
  it.each([
    ['a long text', 'a'.repeat(2_000), 1_400],
    ['a short text repeated', 'a{1000}'.repeat(300), 200_000],
    ['repetitions of repetitions', '((a{10}){10}){10}'.repeat(5), 14_000],
    ['a choice repeated', '(ab|c{9}){100}', 1_500],
    ['classes of Unicode', '\\pL'.repeat(100), 4_000],
    ['such without regard to case', '(?i)\\pL{1}'.repeat(50), 14_000],
    ['wide ranges without regard to case', '(?i)[k-\\x{10fff}]'.repeat(20), 48_000],
    ['a group that is left open', '(a{1000}', 2_000],
  ])('%s is foreseen to take as long as it does', (_what, pattern, us) => {
    expect(compileUs(pattern)).toBeGreaterThan(us);
  });
});
