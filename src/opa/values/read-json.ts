// Tested by test/opa/values/value.test.ts.
import { isNumberToOpa } from '../../text/decimal.ts';
import { RegoNumber, RegoObject, type Value } from './value.ts';

/**
 * JSON as OPA unmarshals it: numbers as they are written, the last of several members of one name, half a surrogate
 * pair as U+FFFD.
 *
 * @throws SyntaxError
 */
export function readJson(text: string): Value {
  return JSON.parse(text, revive as (key: string, value: unknown) => unknown) as Value;
}

function revive(_key: string, value: unknown, context: { readonly source?: string }): Value {
  switch (typeof value) {
    case 'string':
      return value.toWellFormed();
    case 'number':
      return new RegoNumber(checkedNumber(context.source ?? value.toString()));
    case 'object':
      if (value === null || Array.isArray(value)) return value as Value;
      return new RegoObject(
        Object.entries(value as Readonly<Record<string, Value>>).map(([name, member]) => [name.toWellFormed(), member]),
      );
    default:
      return value as boolean;
  }
}

function checkedNumber(text: string): string {
  if (/[eE]/.test(text) && !isNumberToOpa(text)) throw new SyntaxError('number too big');
  return text;
}
