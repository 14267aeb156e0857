// Tested by test/opa/builtins/printf.long.test.ts.
import { textOf } from '../values/text.ts';

const escapes: Readonly<Record<string, number>> = { a: 7, b: 8, f: 12, n: 10, r: 13, t: 9, v: 11, '\\': 92 };
const escapeSequence = /\\(?:([abfnrtv\\'"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3}))/y;

/** Go's `strconv.Unquote`; undefined for text that is not a literal. */
export function unquote(literal: string): string | undefined {
  const mark = literal.charAt(0);
  if (literal.length < 2 || !literal.endsWith(mark)) return undefined;
  const content = literal.slice(1, -1);
  if (mark === '`') return content.includes('`') ? undefined : content.replaceAll('\r', '');
  const pieces: Buffer[] = [];
  for (let at = 0; at < content.length; ) {
    const piece = pieceAt(content, at, mark);
    if (piece === undefined) return undefined;
    pieces.push(piece.byte ? Buffer.of(piece.code) : Buffer.from(String.fromCodePoint(piece.code)));
    at += piece.length;
  }
  return textOf(Buffer.concat(pieces));
}

/** The code point of a literal such as `'a'`; undefined for what is none. */
export function unquoteRune(literal: string): number | undefined {
  const content = literal.slice(1, -1);
  const piece = content === '' ? undefined : pieceAt(content, 0, "'");
  return piece?.length === content.length ? piece.code : undefined;
}

function pieceAt(
  content: string,
  at: number,
  mark: string,
): { readonly code: number; readonly byte: boolean; readonly length: number } | undefined {
  const code = content.codePointAt(at) ?? 0;
  const character = String.fromCodePoint(code);
  if (character === '\n' || character === mark) return undefined;
  if (character !== '\\') {
    // A byte that is not UTF-8 is not kept.
    const stray = code >= 0xd800 && code <= 0xdfff;
    return { code: stray ? 0xfffd : code, byte: false, length: character.length };
  }
  escapeSequence.lastIndex = at;
  const match = escapeSequence.exec(content);
  if (match === null) return undefined;
  const [{ length }, named, byte, short, long, octal] = match;
  if (named === '"' || named === "'") {
    return named === mark ? { code: named.charCodeAt(0), byte: false, length } : undefined;
  }
  if (named !== undefined) return { code: escapes[named] ?? 0, byte: false, length };
  if (byte !== undefined) return { code: Number.parseInt(byte, 16), byte: true, length };
  if (octal !== undefined) {
    const value = Number.parseInt(octal, 8);
    return value > 255 ? undefined : { code: value, byte: true, length };
  }
  const value = Number.parseInt(short ?? long ?? '', 16);
  return value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff) ? undefined : { code: value, byte: false, length };
}
