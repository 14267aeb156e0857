import { bytesOf, textOf } from '../values/text.ts';

/** Go's `url.QueryEscape`. */
export function queryEscape(text: string): string {
  return escapeBytes(text, /[A-Za-z0-9\-_.~]/).replaceAll('%20', '+');
}

/** Percent-encodes every byte but those of the characters that `unreserved` takes. */
export function escapeBytes(text: string, unreserved: RegExp): string {
  let escaped = '';
  for (const byte of bytesOf(text)) {
    const character = String.fromCharCode(byte);
    escaped +=
      byte < 0x80 && unreserved.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return escaped;
}

/** Go's `url.QueryUnescape`; undefined for a malformed escape. */
export function queryUnescape(text: string): string | undefined {
  return unescapePercent(text.replaceAll('+', ' '));
}

/** Go's `url.PathUnescape`; undefined for a malformed escape. */
export function unescapePercent(text: string): string | undefined {
  if (!text.includes('%')) return text;
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return undefined;
  const bytes = bytesOf(text);
  const plain: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === 0x25) {
      plain.push(Number.parseInt(bytes.toString('latin1', at + 1, at + 3), 16));
      at += 2;
    } else {
      plain.push(bytes[at] ?? 0);
    }
  }
  return textOf(Buffer.from(plain));
}
