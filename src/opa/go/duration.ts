// Tested by test/opa/builtins/time.test.ts.
const unitNs: Readonly<Record<string, bigint>> = {
  ns: 1n,
  us: 1_000n,
  '\u00b5s': 1_000n,
  '\u03bcs': 1_000n,
  ms: 1_000_000n,
  s: 1_000_000_000n,
  m: 60_000_000_000n,
  h: 3_600_000_000_000n,
};
const durationMax = 1n << 63n;

/** Go's `time.ParseDuration`, in nanoseconds; undefined for what is none, or does not fit 64 bits. */
export function parseDuration(text: string): bigint | undefined {
  const negative = text.startsWith('-');
  let rest = /^[+-]/.test(text) ? text.slice(1) : text;
  if (rest === '0') return 0n;
  if (rest === '') return undefined;
  let total = 0n;
  while (rest !== '') {
    const match = /^(\d*)(?:\.(\d*))?([^.\d]+)/.exec(rest);
    if (match === null) return undefined;
    const [all, whole = '', fraction = '', unitName = ''] = match;
    const unit = Object.hasOwn(unitNs, unitName) ? unitNs[unitName] : undefined;
    if ((whole === '' && fraction === '') || unit === undefined) return undefined;
    let value = BigInt(whole === '' ? '0' : whole);
    if (value > durationMax / unit) return undefined;
    value *= unit;
    const part = leadingFraction(fraction);
    // Go computes the fraction in floating point, and so does this.
    if (part.value > 0n) value += BigInt(Math.trunc(Number(part.value) * (Number(unit) / part.scale)));
    total += value;
    if (value > durationMax || total > durationMax) return undefined;
    rest = rest.slice(all.length);
  }
  if (negative) return -total;
  return total === durationMax ? undefined : total;
}

function leadingFraction(digits: string): { readonly value: bigint; readonly scale: number } {
  let value = 0n;
  let scale = 1;
  for (const digit of digits) {
    if (value > (durationMax - 1n) / 10n) break;
    const next = value * 10n + BigInt(digit);
    if (next > durationMax) break;
    value = next;
    scale *= 10;
  }
  return { value, scale };
}
