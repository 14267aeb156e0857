// Tested by test/opa/builtins/identifiers.test.ts.
import { compareStrings } from '../../text/utf8-order.ts';
import { membersOf } from '../go/go-json.ts';
import { queryEscape, queryUnescape } from '../go/url.ts';
import { BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { isArray, objectOperand, stringOperand } from '../values/operands.ts';
import { bytesOf, textOf } from '../values/text.ts';
import { RegoObject, RegoSet, type Value } from '../values/value.ts';

/** Go's own bound on the parameters of one query. */
const parametersMax = 10_000;

export const builtins: BuiltinFamily = {
  'base64url.encode_no_pad': (_context, text) => bytesOf(stringOperand(text, 1)).toString('base64url'),

  'hex.encode': (_context, text) => bytesOf(stringOperand(text, 1)).toString('hex'),

  'hex.decode': (_context, text) => {
    const digits = stringOperand(text, 1);
    if (!/^(?:[0-9a-fA-F]{2})*$/.test(digits)) throw new BuiltinError('invalid hexadecimal');
    return textOf(Buffer.from(digits, 'hex'));
  },

  'urlquery.encode': (_context, text) => queryEscape(stringOperand(text, 1)),

  'urlquery.decode': (_context, text) => unescaped(stringOperand(text, 1)),

  'urlquery.encode_object': (_context, object) =>
    membersOf(objectOperand(object, 1))
      .flatMap(([key, value]) => valuesOf(value).map((one) => `${queryEscape(key)}=${queryEscape(one)}`))
      .join('&'),

  'urlquery.decode_object': (_context, text) => {
    const parts = stringOperand(text, 1).split('&');
    if (parts.length > parametersMax) throw new BuiltinError('number of URL query parameters exceeded limit');
    const object = new Map<string, string[]>();
    for (const part of parts) {
      if (part.includes(';')) throw new BuiltinError('invalid semicolon separator in query');
      if (part === '') continue;
      const equals = part.indexOf('=');
      const key = unescaped(equals < 0 ? part : part.slice(0, equals));
      const value = equals < 0 ? '' : unescaped(part.slice(equals + 1));
      const values = object.get(key);
      if (values === undefined) object.set(key, [value]);
      else values.push(value);
    }
    return new RegoObject(object);
  },
};

function unescaped(text: string): string {
  const plain = queryUnescape(text);
  if (plain === undefined) throw new BuiltinError('invalid URL escape');
  return plain;
}

function valuesOf(value: Value): readonly string[] {
  if (typeof value === 'string') return [value];
  const list = value instanceof RegoSet ? value.sorted() : value;
  if (!isArray(list) || !list.every((item) => typeof item === 'string')) {
    throw new BuiltinError('values must be string, array[string], or set[string]');
  }
  return value instanceof RegoSet ? list.toSorted(compareStrings) : list;
}
