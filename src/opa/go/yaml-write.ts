// Tested by test/opa/go/yaml-as-opa.test.ts.
import { integerOf } from '../../text/decimal.ts';
import type { Charge } from '../values/charge.ts';
import { RegoNumber, RegoObject, RegoSet, type Value } from '../values/value.ts';
import { formatFloat } from './float.ts';
import { membersOf } from './go-json.ts';
import { refuseControls, resolveScalar, YamlError } from './yaml-scalar.ts';

/**
 * A value as go-yaml writes it with an indentation of two: block style, keys in its natural order, strings quoted where
 * they would be read as something else.
 *
 * @throws YamlError for characters that YAML has no place for
 * @see go.yaml.in/yaml/v3, encode.go, sorter.go and emitterc.go
 */
export function writeYaml(value: Value, charge: Charge): string {
  return `${node(value, 0, charge, true)}\n`.replaceAll(`${lineEnded}\n`, '');
}

/** Behind a node that has ended its last line itself. No character of a text: YAML writes it escaped. */
const lineEnded = '\0';

/** @param indent of the lines that the node may put below its first */
function node(value: Value, indent: number, charge: Charge, root = false): string {
  charge(2);
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (value instanceof RegoNumber) return numberText(value.text);
  if (typeof value === 'string') return scalar(readBack(value), root ? 2 : indent, false);
  if (value instanceof RegoObject) return mapping(value, indent, charge);
  const items = value instanceof RegoSet ? value.sorted() : value;
  if (items.length === 0) return '[]';
  return items.map((item) => `- ${node(item, indent + 2, charge)}`).join(`\n${' '.repeat(indent)}`);
}

/**
 * OPA passes the value through JSON text that it reads as YAML: JSON leaves some characters as they are which YAML
 * refuses, or folds as line breaks inside quotes.
 */
function readBack(text: string): string {
  refuseControls(text.replace(/\p{Cc}/gu, (character) => (character < ' ' ? '' : character)));
  return text.replace(/ *\u0085[ \u0085]*/g, (breaks) => '\n'.repeat(breaks.replaceAll(' ', '').length - 1) || ' ');
}

function keyReadBack(key: string): string {
  if (key.includes('\u0085')) throw new YamlError('a simple key ends with its line');
  return readBack(key);
}

function mapping(object: RegoObject, indent: number, charge: Charge): string {
  charge(object.size * 8);
  const members = membersOf(object)
    .map(([key, member]) => [keyReadBack(key), member] as const)
    .toSorted(([a], [b]) => (keyLess(a, b) ? -1 : keyLess(b, a) ? 1 : 0));
  if (members.length === 0) return '{}';
  const newline = `\n${' '.repeat(indent)}`;
  return members
    .map(([key, member]) => {
      const simple = isSimpleKey(key);
      const head = simple ? `${scalar(key, indent + 2, true)}:` : `? ${scalar(key, indent + 2, false)}${newline}:`;
      return head + valueAfter(member, indent + 2, charge, !simple);
    })
    .join(newline);
}

function valueAfter(value: Value, indent: number, charge: Charge, inline: boolean): string {
  const empty =
    value instanceof RegoObject || value instanceof RegoSet
      ? value.size === 0
      : Array.isArray(value) && value.length === 0;
  const block = (value instanceof RegoObject || value instanceof RegoSet || Array.isArray(value)) && !empty;
  return block && !inline ? `\n${' '.repeat(indent)}${node(value, indent, charge)}` : ` ${node(value, indent, charge)}`;
}

function numberText(text: string): string {
  const resolved = resolveScalar(text);
  if (resolved.tag === 'int') return (integerOf(resolved.value.toString()) ?? resolved.value).toString();
  return resolved.tag === 'float' ? formatFloat(resolved.value, 'g', -1) : text;
}

function isSimpleKey(key: string): boolean {
  return !/[\r\n\u0085\u2028\u2029]/.test(key) && Buffer.byteLength(key.toWellFormed()) <= 128;
}

const notPrintable = /[^\n\t\x20-\x7e\u00a0-\ud7ff\ue000-\ufefe\uff00-\ufffd]/;
const lineBreak = /[\r\n\u0085\u2028\u2029]/;

/** The text of a string, in a style that its characters allow. */
function scalar(text: string, indent: number, simpleKey: boolean): string {
  const breaks = lineBreak.test(text);
  const special = notPrintable.test(text);
  const spaceBreak = / [\r\n\u0085\u2028\u2029]/.test(text);
  const breakSpace = /[\r\n\u0085\u2028\u2029] /.test(text);
  const singleQuotes = !breakSpace && !spaceBreak && !special && !text.includes('\t');
  if (text.includes('\n')) {
    const literal = text !== '' && !simpleKey && !text.endsWith(' ') && !spaceBreak && !special;
    return literal ? literalBlock(text, indent) : doubleQuoted(text);
  }
  const reads = resolveScalar(text).tag;
  if (reads !== 'str' || isOldWord(text) || (breaks && simpleKey)) return doubleQuoted(text);
  const plain = singleQuotes && !breaks && !/^ | $/.test(text) && !hasIndicators(text) && text !== '';
  if (plain) return text;
  // A break inside the quotes is followed by the indentation of the line that it starts.
  return singleQuotes
    ? `'${text.replaceAll("'", "''").replace(/[\u2028\u2029](?![\u2028\u2029]|$)/g, `$&${' '.repeat(indent)}`)}'`
    : doubleQuoted(text);
}

/** YAML 1.1's booleans and base 60 numbers, which other readers still take for such. */
function isOldWord(text: string): boolean {
  return (
    /^(?:[yYnN]|yes|Yes|YES|on|On|ON|no|No|NO|off|Off|OFF)$/.test(text) ||
    /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/.test(text)
  );
}

function hasIndicators(text: string): boolean {
  return /^(?:---|\.\.\.)|^[#,[\]{}&*!|>'"%@`]|^[?:-](?:[ \t]|$)|:(?:[ \t]|$)|[ \t\r\n\u0085\u2028\u2029]#/.test(text);
}

function literalBlock(text: string, indent: number): string {
  const hint = /^[ \r\n\u0085\u2028\u2029]/.test(text) ? '2' : '';
  const chomp = !/[\r\n\u0085\u2028\u2029]$/.test(text)
    ? '-'
    : /^.$|[\r\n\u0085\u2028\u2029]{2}$/su.test(text)
      ? '+'
      : '';
  const lines = text.replace(/(^|[\n\u2028\u2029])(?=[^\n\u2028\u2029])/g, `$1${' '.repeat(indent)}`);
  return `|${hint}${chomp}\n${lines}${chomp === '-' ? '' : lineEnded}`;
}

const escapes: Readonly<Record<string, string>> = {
  '\0': '0',
  '\x07': 'a',
  '\b': 'b',
  '\t': 't',
  '\n': 'n',
  '\v': 'v',
  '\f': 'f',
  '\r': 'r',
  '\x1b': 'e',
  '"': '"',
  '\\': '\\',
  '\u0085': 'N',
  '\u00a0': '_',
  '\u2028': 'L',
  '\u2029': 'P',
};

function doubleQuoted(text: string): string {
  let written = '"';
  // go-yaml looks for the byte order mark at the beginning, whatever character it is about.
  const marked = text.startsWith('\ufeff');
  for (const character of text.toWellFormed()) {
    if (!marked && !notPrintable.test(character) && !/["\\\n\t\u2028\u2029]/.test(character)) {
      written += character;
      continue;
    }
    const name = escapes[character];
    const code = character.codePointAt(0) ?? 0;
    const digits = code <= 0xff ? 2 : code <= 0xffff ? 4 : 8;
    const kind = digits === 2 ? 'x' : digits === 4 ? 'u' : 'U';
    written += `\\${name ?? kind + code.toString(16).toUpperCase().padStart(digits, '0')}`;
  }
  return `${written}"`;
}

/** go-yaml's order of keys: letters last, digits by the number they make. */
function keyLess(a: string, b: string): boolean {
  const x = [...a];
  const y = [...b];
  let digits = false;
  for (let at = 0; at < x.length && at < y.length; at++) {
    const left = x[at] ?? '';
    const right = y[at] ?? '';
    if (left === right) {
      digits = isDigit(left);
      continue;
    }
    const letterLeft = /^\p{L}$/u.test(left);
    const letterRight = /^\p{L}$/u.test(right);
    if (letterLeft && letterRight) return codeOf(left) < codeOf(right);
    if (letterLeft || letterRight) return digits ? letterLeft : letterRight;
    return numberedLess(x, y, at);
  }
  return x.length < y.length;
}

function numberedLess(x: readonly string[], y: readonly string[], at: number): boolean {
  let start = 0n;
  if (x[at] === '0' || y[at] === '0') {
    for (let before = at - 1; before >= 0 && isDigit(x[before] ?? ''); before--) {
      if (x[before] !== '0') {
        start = 1n;
        break;
      }
    }
  }
  const left = numberAt(x, at, start);
  const right = numberAt(y, at, start);
  if (left.value !== right.value) return left.value < right.value;
  if (left.end !== right.end) return left.end < right.end;
  return codeOf(x[at] ?? '') < codeOf(y[at] ?? '');
}

function numberAt(
  text: readonly string[],
  at: number,
  start: bigint,
): { readonly value: bigint; readonly end: number } {
  let value = start;
  let end = at;
  for (; isDigit(text[end] ?? ''); end++)
    value = BigInt.asIntN(64, value * 10n + BigInt(codeOf(text[end] ?? '0') - 0x30));
  return { value, end };
}

function isDigit(character: string): boolean {
  return /^\p{Nd}$/u.test(character);
}

function codeOf(character: string): number {
  return character.codePointAt(0) ?? 0;
}
