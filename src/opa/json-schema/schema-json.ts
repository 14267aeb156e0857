// Tested by test/opa/builtins/json-schema.long.test.ts.
import { decimalOf } from '../../text/decimal.ts';
import { goJson, membersOf } from '../go/go-json.ts';
import { BuiltinError } from '../values/builtin.ts';
import { RegoNumber, RegoObject, RegoSet, type Value } from '../values/value.ts';

/** A document as Go's JSON decoder makes it, its members in the order of their names. */
export type Json = null | boolean | string | RegoNumber | Json[] | JsonObject;
export type JsonObject = Map<string, Json>;

export function jsonOf(value: Value): Json {
  if (value instanceof RegoObject) return new Map(membersOf(value).map(([name, member]) => [name, jsonOf(member)]));
  if (value instanceof RegoSet) return value.sorted().map(jsonOf);
  if (Array.isArray(value)) return value.map(jsonOf);
  return value as Json;
}

/** The text by which documents are compared: their numbers as float64 has them, so that `1.0` is `1`. */
export function comparableText(json: Json): string {
  return goJson(comparable(json));
}

function comparable(json: Json): Value {
  if (json instanceof RegoNumber) return new RegoNumber(doubleText(json.text));
  if (Array.isArray(json)) return json.map(comparable);
  if (json instanceof Map) return new RegoObject(Array.from(json, ([name, member]) => [name, comparable(member)]));
  return json;
}

/** As Go writes a float64 in JSON. */
function doubleText(text: string): string {
  const double = Number(text);
  if (!Number.isFinite(double))
    throw new BuiltinError(`json: cannot unmarshal number ${text} into Go value of type float64`);
  return Object.is(double, -0) ? '-0' : double.toString();
}

/** A whole number, however it is written. */
export function isInteger({ text }: RegoNumber): boolean {
  const { digits, exponent } = decimalOf(text);
  return exponent >= digits.length;
}

/** As Go prints a `big.Float` for `%v`: the shortest digits, with an exponent from a million on. */
export function wideFloatText({ text }: RegoNumber): string {
  const { negative, digits, exponent } = decimalOf(text);
  const sign = negative ? '-' : '';
  if (digits === '') return '0';
  const power = exponent - 1;
  if (power < -4 || power >= 6) {
    const fraction = digits.length > 1 ? `.${digits.slice(1)}` : '';
    return `${sign}${digits.charAt(0)}${fraction}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`;
  }
  if (exponent <= 0) return `${sign}0.${'0'.repeat(-exponent)}${digits}`;
  const whole = digits.slice(0, exponent).padEnd(exponent, '0');
  const fraction = digits.slice(exponent);
  return sign + (fraction === '' ? whole : `${whole}.${fraction}`);
}

/** Whether `dividend / divisor` is whole, for numbers of any size and without computing the quotient. */
export function isMultiple(dividend: RegoNumber, divisor: RegoNumber): boolean {
  const a = decimalOf(dividend.text);
  const b = decimalOf(divisor.text);
  if (a.digits === '') return true;
  // As digits × 10^shift over the divisor's digits.
  const shift = a.exponent - a.digits.length - (b.exponent - b.digits.length);
  // The digits end with no zero: no ten divides them.
  if (shift < 0) return false;
  const denominator = BigInt(b.digits);
  return (BigInt(a.digits) * powerOfTen(shift, denominator)) % denominator === 0n;
}

/** 10^exponent modulo the modulus. */
function powerOfTen(exponent: number, modulus: bigint): bigint {
  let result = 1n % modulus;
  let base = 10n % modulus;
  for (let rest = exponent; rest > 0; rest = Math.floor(rest / 2)) {
    if (rest % 2 === 1) result = (result * base) % modulus;
    base = (base * base) % modulus;
  }
  return result;
}
