import { truncated, wideProduct, wideQuotient } from '../go/wide-float.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { integer, stringOperand } from '../values/operands.ts';
import { RegoNumber } from '../values/value.ts';

const decimalPowers = ['', 'k', 'm', 'g', 't', 'p', 'e'];
/** 0.001 as a double has it, over 2^60: OPA multiplies with that, not with a thousandth. */
const milli = 1_152_921_504_606_847n;
const milliScale = 1n << 60n;

export const builtins: BuiltinFamily = {
  'units.parse': (context, value) => {
    const { amount, unit } = split(stringOperand(value, 1).replaceAll('"', ''));
    const { numerator, denominator } = rational(context, amount);
    // Only the first letter's case counts: m is milli and M is mega.
    const name = unit.slice(0, 1) + unit.slice(1).toLowerCase();
    if (name === 'm') return fraction(numerator * milli, denominator * milliScale);
    return fraction(numerator * (name === 'M' ? 1_000_000n : factorOf(name.toLowerCase())), denominator);
  },

  'units.parse_bytes': (context, value) => {
    const { amount, unit } = split(stringOperand(value, 1).toLowerCase().replaceAll('"', ''));
    const { numerator, denominator } = rational(context, amount);
    const negative = numerator < 0n;
    const factor = factorOf(unit.length > 1 ? unit.replace(/b$/, '') : unit);
    const wide = wideProduct(wideQuotient(negative ? -numerator : numerator, denominator), factor);
    const bytes = truncated(wide);
    return integer(negative ? -bytes : bytes);
  },
};

/** @param name in lower case: a letter alone counts in thousands, with an `i` in 1024s */
function factorOf(name: string): bigint {
  const binary = name.length === 2 && name.endsWith('i');
  const power = decimalPowers.indexOf(binary ? name.charAt(0) : name);
  if (power < 0 || (binary && power === 0)) throw new BuiltinError('unit not recognized');
  return (binary ? 1_024n : 1_000n) ** BigInt(power);
}

/** Splits a text where its number ends; an `e` belongs to it only with a digit or a sign behind. */
function split(text: string): { readonly amount: string; readonly unit: string } {
  if (text.includes(' ')) throw new BuiltinError('spaces not allowed in resource strings');
  let end = 0;
  for (; end < text.length; end++) {
    const character = text.charAt(end);
    if (/[eE]/.test(character)) {
      if (!/[\d+-]/.test(text.charAt(end + 1))) break;
      if (/[+-]/.test(text.charAt(end + 1))) end++;
      if (/^\d{7}/.test(text.slice(end + 1, end + 8))) throw new BuiltinError('exponent too large');
    } else if (!/[\d.+-]/.test(character)) {
      break;
    }
  }
  return { amount: text.slice(0, end), unit: text.slice(end) };
}

function rational(
  context: BuiltinContext,
  amount: string,
): { readonly numerator: bigint; readonly denominator: bigint } {
  const match = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d+))?$/.exec(amount);
  const [, sign, whole = '', part = '', exponentText = '0'] = match ?? [];
  if (match === null || whole + part === '') throw new BuiltinError('could not parse amount to a number');
  const exponent = Number(exponentText) - part.length;
  context.charge(Math.abs(exponent) + whole.length);
  const digits = BigInt(whole + part);
  const signed = sign === '-' ? -digits : digits;
  return exponent >= 0
    ? { numerator: signed * 10n ** BigInt(exponent), denominator: 1n }
    : { numerator: signed, denominator: 10n ** BigInt(-exponent) };
}

/** An integer, or ten places behind the point, rounded half away from zero. */
function fraction(numerator: bigint, denominator: bigint): RegoNumber {
  if (numerator % denominator === 0n) return integer(numerator / denominator);
  const negative = numerator < 0n;
  const scaled = (negative ? -numerator : numerator) * 10n ** 10n;
  const digits = ((scaled * 2n + denominator) / (denominator * 2n)).toString().padStart(11, '0');
  return new RegoNumber(`${negative ? '-' : ''}${digits.slice(0, -10)}.${digits.slice(-10)}`);
}
