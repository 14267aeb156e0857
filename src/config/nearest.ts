// Tested by test/config/configuration-doc.test.ts.
/**
 * How many single slips part two names: a letter too many, too few, wrong, or two changed over (optimal string
 * alignment distance).
 */
function slips(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1];
      let least = Math.min((last[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (last[j - 1] ?? 0) + (same ? 0 : 1));
      if (a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) least = Math.min(least, (beforeLast[j - 2] ?? 0) + 1);
      row.push(least);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length] ?? 0;
}

/** @returns the candidate that was most likely meant; undefined where none is near */
export function nearest(name: string, candidates: Iterable<string>): string | undefined {
  // A name of this length is not a typo: an attempt to make the comparison costly ends here.
  if (name.length > 128) return undefined;
  let best: string | undefined;
  let bestSlips = Math.max(2, Math.floor(name.length / 3)) + 1;
  for (const candidate of candidates) {
    const count = slips(name.toLowerCase(), candidate.toLowerCase());
    if (count < bestSlips) {
      best = candidate;
      bestSlips = count;
    }
  }
  return best;
}
