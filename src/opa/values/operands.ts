// Tested by test/opa/values/value.test.ts.
import { integerOf } from '../../text/decimal.ts';
import { BuiltinError } from './builtin.ts';
import { nameOf, RegoNumber, RegoObject, RegoSet, type Value } from './value.ts';

// Operand types that OPA's builtins accept, in the words of its errors. Positions count from 1.

export function stringOperand(value: Value, position: number): string {
  return typeof value === 'string' ? value : mustBe(position, value, 'string');
}

export function numberOperand(value: Value, position: number): RegoNumber {
  return value instanceof RegoNumber ? value : mustBe(position, value, 'number');
}

export function booleanOperand(value: Value, position: number): boolean {
  return typeof value === 'boolean' ? value : mustBe(position, value, 'boolean');
}

export function arrayOperand(value: Value, position: number): readonly Value[] {
  return isArray(value) ? value : mustBe(position, value, 'array');
}

export function objectOperand(value: Value, position: number): RegoObject {
  return value instanceof RegoObject ? value : mustBe(position, value, 'object');
}

/** `Array.isArray` does not narrow a readonly array. */
export function isArray(value: Value): value is readonly Value[] {
  return Array.isArray(value);
}

export function mustBe(position: number, value: Value, ...expected: readonly string[]): never {
  throw new BuiltinError(
    expected.length === 1
      ? `operand ${position} must be ${expected[0]} but got ${nameOf(value)}`
      : `operand ${position} must be one of {${expected.join(', ')}} but got ${nameOf(value)}`,
  );
}

/**
 * What Go's `util.Atoi64` makes of a number's text: an int64, also where only zeros follow the point. An exponent is
 * not read, nor are more than 19 characters.
 */
export function int64Of({ text }: RegoNumber): bigint | undefined {
  const match = /^([+-]?)(?=[\d.]{1,19}$)(\d*)(?:\.0*)?$/.exec(text);
  if (match === null) return undefined;
  const value = BigInt(match[2] || '0');
  if (value > 9_223_372_036_854_775_807n) return undefined;
  return match[1] === '-' ? -value : value;
}

/** Go's int, which is 64 bits wide; it is cut to what a JavaScript number holds exactly. */
export function intOperand(value: Value, position: number): number {
  const integer = int64Of(numberOperand(value, position));
  if (integer === undefined) {
    throw new BuiltinError(`operand ${position} must be integer number but got floating-point number`);
  }
  return Number(integer);
}

export function bigIntOperand(value: Value, position: number): bigint {
  const integer = integerOf(numberOperand(value, position).text);
  if (integer === undefined) {
    throw new BuiltinError(`operand ${position} must be integer number but got floating-point number`);
  }
  return integer;
}

/** The strings of an array or set, a set's in OPA's order. */
export function stringsOperand(value: Value, position: number): readonly string[] {
  const members = value instanceof RegoSet ? value.sorted() : isArray(value) ? value : undefined;
  if (members === undefined) return mustBe(position, value, 'array', 'set');
  for (const member of members) {
    if (typeof member !== 'string') {
      const kind = nameOf(value);
      throw new BuiltinError(
        `operand ${position} must be ${kind} of strings but got ${kind} containing ${nameOf(member)}`,
      );
    }
  }
  return members as readonly string[];
}

export function integer(value: number | bigint): RegoNumber {
  return new RegoNumber(value.toString());
}
