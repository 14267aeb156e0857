// Tested by test/opa/builtins/template.long.test.ts.
import { compareStrings } from '../../text/utf8-order.ts';
import { sprint, sprintf, sprintln } from '../go/printf.ts';
import { isPrint } from '../go/quote.ts';
import { queryEscape } from '../go/url.ts';
import { GoInt, GoSlice, type GoValue } from '../go/values.ts';
import { BuiltinError } from '../values/builtin.ts';
import type { Charge } from '../values/charge.ts';
import { byteLength, bytesOf, textOf } from '../values/text.ts';
import { RegoNumber } from '../values/value.ts';

/** undefined is what there is none of: no value at all, which is not even nil. */
export type Given = GoValue | undefined;
export const functionNames = [
  'and',
  'call',
  'eq',
  'ge',
  'gt',
  'html',
  'index',
  'js',
  'le',
  'len',
  'lt',
  'ne',
  'not',
  'or',
  'print',
  'printf',
  'println',
  'slice',
  'urlquery',
] as const;
export type FunctionName = (typeof functionNames)[number];

/** How many arguments each takes at least, and at most. */
export const arities: Readonly<Record<FunctionName, readonly [number, number]>> = {
  and: [1, Infinity],
  call: [1, Infinity],
  eq: [1, Infinity],
  ge: [2, 2],
  gt: [2, 2],
  html: [0, Infinity],
  index: [1, Infinity],
  js: [0, Infinity],
  le: [2, 2],
  len: [1, 1],
  lt: [2, 2],
  ne: [2, 2],
  not: [1, 1],
  or: [1, Infinity],
  print: [0, Infinity],
  printf: [1, Infinity],
  println: [0, Infinity],
  slice: [1, Infinity],
  urlquery: [0, Infinity],
};

/** All but `and` and `or`, which do not evaluate what they need not. */
export function callFunction(name: Exclude<FunctionName, 'and' | 'or'>, args: readonly Given[], charge: Charge): Given {
  const [first, second] = args;
  switch (name) {
    case 'call':
      throw new BuiltinError('non-function');
    case 'eq':
      return equal(first, args.slice(1));
    case 'ne':
      return !equal(first, [second]);
    case 'lt':
      return less(first, second);
    case 'le':
      return less(first, second) || equal(first, [second]);
    case 'gt':
      return !(less(first, second) || equal(first, [second]));
    case 'ge':
      return !less(first, second);
    case 'html':
      return htmlEscape(textOfAll(args, charge));
    case 'js':
      return jsEscape(textOfAll(args, charge));
    case 'urlquery':
      return queryEscape(textOfAll(args, charge));
    case 'index':
      return args.slice(1).reduce<Given>(indexed, indexable(first));
    case 'len':
      return new GoInt(lengthOf(first));
    case 'not':
      return !isTrue(first);
    case 'print':
      return sprint(args.map(orNil), charge);
    case 'println':
      return sprintln(args.map(orNil), charge);
    case 'printf':
      if (typeof first !== 'string') throw new BuiltinError('wrong type for value; expected string');
      return sprintf(first, args.slice(1).map(orNil), charge);
    case 'slice':
      return sliced(first, args.slice(1));
  }
}

function orNil(value: Given): GoValue {
  return value ?? null;
}

/** A `json.Number` is a text: not even `0` is false. */
export function isTrue(value: Given): boolean {
  if (value === undefined || value === null) return false;
  if (typeof value === 'string') return value !== '';
  if (typeof value !== 'object') return Boolean(value);
  if (value instanceof RegoNumber) return true;
  if (value instanceof GoInt) return value.value !== 0n;
  return value instanceof GoSlice ? value.length > 0 : value.size > 0;
}

type Basic =
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'int' | 'uint'; readonly value: bigint }
  | { readonly kind: 'float'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string };

function basicOf(value: Given): Basic | undefined {
  switch (typeof value) {
    case 'boolean':
      return { kind: 'bool', value };
    case 'number':
      return { kind: 'float', value };
    case 'string':
      return { kind: 'string', value };
    default:
      if (value instanceof RegoNumber) return { kind: 'string', value: value.text };
      if (value instanceof GoInt) return { kind: value.type === 'int' ? 'int' : 'uint', value: value.value };
      return undefined;
  }
}

function equal(first: Given, others: readonly Given[]): boolean {
  if (others.length === 0) throw new BuiltinError('missing argument for comparison');
  return others.some((other) => equals(first, other));
}

function equals(a: Given, b: Given): boolean {
  const nilA = a === undefined || a === null;
  const nilB = b === undefined || b === null;
  if (nilA || nilB) return nilA && nilB;
  const left = basicOf(a);
  const right = basicOf(b);
  if (left === undefined && right === undefined) throw new BuiltinError('non-comparable types');
  if (left === undefined || right === undefined || !comparable(left, right)) throw incompatible();
  return left.value === right.value;
}

function comparable(a: Basic, b: Basic): boolean {
  return a.kind === b.kind || (typeof a.value === 'bigint' && typeof b.value === 'bigint');
}

function less(a: Given, b: Given): boolean {
  const left = basicOf(a);
  const right = basicOf(b);
  if (left === undefined || right === undefined) throw new BuiltinError('invalid type for comparison');
  if (!comparable(left, right)) throw incompatible();
  if (left.kind === 'bool') throw new BuiltinError('invalid type for comparison');
  if (left.kind === 'string' && right.kind === 'string') return compareStrings(left.value, right.value) < 0;
  return left.value < right.value;
}

function incompatible(): BuiltinError {
  return new BuiltinError('incompatible types for comparison');
}

function indexable(item: Given): Given {
  if (item === undefined || item === null) throw new BuiltinError('index of untyped nil');
  return item;
}

function indexed(item: Given, index: Given): GoValue {
  if (item === null || item === undefined) throw new BuiltinError('index of nil pointer');
  if (item instanceof GoSlice) {
    const at = placeOf(index, item.length);
    if (at === item.length) throw outOfRange();
    return item.at(at);
  }
  if (typeof item === 'string' || item instanceof RegoNumber) {
    const bytes = bytesOf(typeof item === 'string' ? item : item.text);
    const byte = bytes[placeOf(index, bytes.length)];
    if (byte === undefined) throw outOfRange();
    return new GoInt(byte, 'uint8');
  }
  if (!(item instanceof Map)) throw new BuiltinError('cannot index item of this type');
  if (typeof index !== 'string') throw new BuiltinError('value should be string');
  return item.get(index) ?? null;
}

function placeOf(index: Given, limit: number): number {
  if (!(index instanceof GoInt)) throw new BuiltinError('cannot index slice/array with this type');
  if (index.value < 0n || index.value > BigInt(limit)) throw outOfRange();
  return Number(index.value);
}

function outOfRange(): BuiltinError {
  return new BuiltinError('index out of range');
}

function sliced(item: Given, indexes: readonly Given[]): GoValue {
  if (item === undefined || item === null) throw new BuiltinError('slice of untyped nil');
  if (indexes.length > 3) throw new BuiltinError('too many slice indexes');
  if (item instanceof GoSlice) {
    const [from = 0, to = item.length, capacity] = indexes.map((index) => placeOf(index, item.capacity));
    if (from > to || (capacity !== undefined && to > capacity)) throw new BuiltinError('invalid slice index');
    return item.slice(from, to, capacity);
  }
  if (typeof item !== 'string' && !(item instanceof RegoNumber))
    throw new BuiltinError('cannot slice item of this type');
  if (indexes.length === 3) throw new BuiltinError('cannot 3-index slice a string');
  const bytes = bytesOf(typeof item === 'string' ? item : item.text);
  const [from = 0, to = bytes.length] = indexes.map((index) => placeOf(index, bytes.length));
  if (from > to) throw new BuiltinError('invalid slice index');
  const text = textOf(bytes.subarray(from, to));
  return typeof item === 'string' ? text : new RegoNumber(text);
}

function lengthOf(item: Given): number {
  if (typeof item === 'string') return byteLength(item);
  if (item instanceof RegoNumber) return item.text.length;
  if (item instanceof GoSlice) return item.length;
  if (item instanceof Map) return item.size;
  throw new BuiltinError('len of this type');
}

function textOfAll(args: readonly Given[], charge: Charge): string {
  return sprint(
    args.map((arg) => arg ?? '<no value>'),
    charge,
  );
}

const htmlEscapes: Readonly<Record<string, string>> = {
  '\0': '\ufffd',
  '"': '&#34;',
  "'": '&#39;',
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
};

function htmlEscape(text: string): string {
  return Array.from(text, (character) => htmlEscapes[character] ?? character).join('');
}

function jsEscape(text: string): string {
  return Array.from(text, (character) => {
    const code = character.codePointAt(0) ?? 0;
    if (/['"\\]/.test(character)) return `\\${character}`;
    if (/[<>&=]/.test(character) || code < 0x20) return `\\u${hexadecimal(code)}`;
    // A byte that is not UTF-8 is left as it is.
    if (code < 0x80 || (code >= 0xdc80 && code <= 0xdcff) || isPrint(character)) return character;
    return `\\u${hexadecimal(code)}`;
  }).join('');
}

function hexadecimal(code: number): string {
  return code.toString(16).toUpperCase().padStart(4, '0');
}
