// Tested by test/opa/builtins/printf.long.test.ts.
import { RegoNumber, RegoObject, RegoSet, type Value } from '../values/value.ts';

/** Printable characters by Go's `strconv.IsPrint`: letters, marks, numbers, punctuation, symbols and the ASCII space. */
const printable = /^[\p{L}\p{M}\p{N}\p{P}\p{S} ]$/u;

const named: Readonly<Record<string, string>> = {
  '\x07': '\\a',
  '\b': '\\b',
  '\f': '\\f',
  '\n': '\\n',
  '\r': '\\r',
  '\t': '\\t',
  '\v': '\\v',
};

export function isPrint(character: string): boolean {
  return printable.test(character);
}

/** Go's `strconv.Quote`, or `QuoteToASCII`. */
export function quote(text: string, ascii = false): string {
  let quoted = '"';
  for (const character of text) quoted += escaped(character, '"', ascii);
  return `${quoted}"`;
}

/** Go's `strconv.QuoteRune`. */
export function quoteRune(codePoint: number, ascii = false): string {
  const valid = codePoint >= 0 && codePoint <= 0x10ffff && !(codePoint >= 0xd800 && codePoint <= 0xdfff);
  return `'${escaped(valid ? String.fromCodePoint(codePoint) : '\ufffd', "'", ascii)}'`;
}

function escaped(character: string, mark: string, ascii: boolean): string {
  if (character === mark || character === '\\') return `\\${character}`;
  const code = character.codePointAt(0) ?? 0;
  if (ascii ? code >= 0x20 && code < 0x7f : printable.test(character)) return character;
  const name = named[character];
  if (name !== undefined) return name;
  // A lone surrogate represents a byte that is not UTF-8: see text.ts.
  if (code >= 0xdc80 && code <= 0xdcff) return `\\x${hex(code - 0xdc00, 2)}`;
  if (code < 0x20 || code === 0x7f) return `\\x${hex(code, 2)}`;
  return code < 0x10000 ? `\\u${hex(code, 4)}` : `\\U${hex(code, 8)}`;
}

function hex(value: number, digits: number): string {
  return value.toString(16).padStart(digits, '0');
}

/** Go's `strconv.CanBackquote`. */
export function canBackquote(text: string): boolean {
  return text.isWellFormed() && !/[^\t\x20-\x7e\x80-\u{10ffff}]|[`\x7f\ufeff]/u.test(text);
}

/** A value as OPA prints it: Rego's own notation, keys and members in order. */
export function valueText(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'string') return quote(value);
  if (value instanceof RegoNumber) return value.text;
  if (value instanceof RegoSet) return value.size === 0 ? 'set()' : `{${value.sorted().map(valueText).join(', ')}}`;
  if (value instanceof RegoObject) {
    return `{${value
      .sorted()
      .map(([key, member]) => `${valueText(key)}: ${valueText(member)}`)
      .join(', ')}}`;
  }
  return `[${value.map(valueText).join(', ')}]`;
}
