// Tested by test/opa/builtins/printf.long.test.ts.
/**
 * Go's `big.Float` with its usual 64 bits of mantissa: a positive value of mantissa × 2^exponent. Only what unit
 * arithmetic needs of it.
 */
export interface WideFloat {
  readonly mantissa: bigint;
  readonly exponent: number;
}

const mantissaBits = 64;

/** The nearest to `numerator / denominator`, both positive; half goes to even. */
export function wideQuotient(numerator: bigint, denominator: bigint): WideFloat {
  if (numerator === 0n) return { mantissa: 0n, exponent: 0 };
  // Two bits more than the mantissa, and what the division leaves as a third that sticks.
  const shift = Math.max(mantissaBits + 2 + bitLength(denominator) - bitLength(numerator), 0);
  const scaled = numerator << BigInt(shift);
  const quotient = scaled / denominator;
  const sticky = scaled % denominator === 0n ? 0n : 1n;
  return rounded((quotient << 1n) | sticky, -shift - 1);
}

export function wideProduct(a: WideFloat, factor: bigint): WideFloat {
  return rounded(a.mantissa * factor, a.exponent);
}

/** Towards zero. */
export function truncated({ mantissa, exponent }: WideFloat): bigint {
  return exponent >= 0 ? mantissa << BigInt(exponent) : mantissa >> BigInt(-exponent);
}

function rounded(mantissa: bigint, exponent: number): WideFloat {
  const extra = bitLength(mantissa) - mantissaBits;
  if (extra <= 0) return { mantissa, exponent };
  const unit = 1n << BigInt(extra);
  const half = unit >> 1n;
  const rest = mantissa & (unit - 1n);
  const kept = mantissa >> BigInt(extra);
  const up = rest > half || (rest === half && (kept & 1n) === 1n);
  return { mantissa: up ? kept + 1n : kept, exponent: exponent + extra };
}

function bitLength(value: bigint): number {
  const hex = value.toString(16);
  return value === 0n ? 0 : (hex.length - 1) * 4 + Number.parseInt(hex.charAt(0), 16).toString(2).length;
}
