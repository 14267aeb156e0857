// Tested by test/opa/builtins/template.long.test.ts.
import { GoInt } from '../go/values.ts';
import { BuiltinError } from '../values/builtin.ts';

const int64Max = 2n ** 63n - 1n;
const uint64Max = 2n ** 64n - 1n;

/**
 * The value of a number in a template: an int or a float64, by how it is written.
 *
 * @returns undefined for an integer that no int holds, which is an error only where it is used
 */
export function numberOf(text: string): GoInt | number | undefined {
  if (text.endsWith('i')) throw new BuiltinError('complex numbers are not supported');
  const integer = integerOf(text);
  const float = integer === undefined ? floatOf(text) : Number(integer);
  if (float === undefined) throw new BuiltinError(`illegal number syntax: "${text}"`);
  if (integer === undefined && !/[.eEpP]/.test(text)) throw new BuiltinError(`integer overflow: "${text}"`);
  const hexadecimal = /^0[xX][^pP]+$/.test(text);
  if (/[.eEpP]/.test(text) && !hexadecimal) return float;
  return integer !== undefined && integer <= int64Max ? new GoInt(integer) : undefined;
}

/** Go's `strconv.ParseInt` and `ParseUint` with the base that the text names. */
function integerOf(text: string): bigint | undefined {
  const match = /^([+-]?)(?:0([xX])([0-9a-fA-F_]+)|0([bB])([01_]+)|0[oO]([0-7_]+)|0([0-7_]*)|([1-9][0-9_]*))$/.exec(
    text,
  );
  if (match === null || !separates(text)) return undefined;
  const [, sign, x, hexadecimal, b, binary, octal, old, decimal] = match;
  const digits = (hexadecimal ?? binary ?? octal ?? old ?? decimal ?? '').replaceAll('_', '') || '0';
  const prefix = x !== undefined ? '0x' : b !== undefined ? '0b' : decimal === undefined ? '0o' : '';
  const magnitude = BigInt(prefix + digits);
  if (sign === '-') return magnitude > int64Max + 1n ? undefined : -magnitude;
  // Only an unsigned number goes past an int's reach, and that has no sign.
  return magnitude > (sign === '' ? uint64Max : int64Max) ? undefined : magnitude;
}

function floatOf(text: string): number | undefined {
  if (!separates(text)) return undefined;
  const plain = text.replaceAll('_', '');
  const hexadecimal = /^([+-]?)0[xX]([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?[pP]([+-]?\d+)$/.exec(plain);
  let value: number;
  if (hexadecimal !== null) {
    const [, sign, whole = '', fraction = '', exponent] = hexadecimal;
    if (whole + fraction === '') return undefined;
    value = doubleOf(BigInt(`0x${whole}${fraction}`), Number(exponent) - 4 * fraction.length);
    if (sign === '-') value = -value;
  } else {
    if (!/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(plain)) return undefined;
    value = Number(plain);
  }
  return Number.isFinite(value) ? value : undefined;
}

/** The nearest double to mantissa × 2^exponent, rounded once; half goes to even. */
function doubleOf(mantissa: bigint, exponent: number): number {
  const top = mantissa.toString(2).length + exponent;
  if (mantissa === 0n || top < -1_074) return 0;
  if (top > 1_024) return Infinity;
  const unit = Math.max(top - 53, -1_074);
  if (unit <= exponent) return Number(mantissa << BigInt(exponent - unit)) * 2 ** unit;
  const dropped = BigInt(unit - exponent);
  const kept = mantissa >> dropped;
  const rest = mantissa - (kept << dropped);
  const half = 1n << (dropped - 1n);
  const up = rest > half || (rest === half && (kept & 1n) === 1n);
  return Number(up ? kept + 1n : kept) * 2 ** unit;
}

/** Underscores are allowed between digits, or behind the prefix of the base. */
function separates(text: string): boolean {
  if (!text.includes('_')) return true;
  const hexadecimal = /^[+-]?0[xX]/.test(text);
  const digit = hexadecimal ? '[0-9a-fA-F]' : '[0-9]';
  return new RegExp(`^[+-]?(?:0[bBoOxX])?(?:_?${digit}|[^_](?!_))*$`).test(text);
}
