import { isUtf8 } from 'node:buffer';

/**
 * Go's strings are bytes, and policies use that: `hex.encode(base64.decode(digest))`. A byte that is part of no UTF-8
 * is held here as the lone surrogate U+DC00 + byte, which no well-formed text contains.
 *
 * @see Python PEP 383, whose way this is
 */
export function textOf(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  // The decoder puts U+FFFD where it cannot read on; only then is there anything to look for.
  return !text.includes('\ufffd') || isUtf8(bytes) ? text : escapedTextOf(bytes);
}

function escapedTextOf(bytes: Buffer): string {
  let text = '';
  let at = 0;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length === 0) {
      text += String.fromCharCode(0xdc00 + (bytes[at] ?? 0));
      at += 1;
    } else {
      let end = at + length;
      for (let next = length; next > 0 && end < bytes.length; end += next) next = sequenceLength(bytes, end);
      // The last step may have been of no length; what lies between is whole sequences.
      text += bytes.toString('utf8', at, end);
      at = end;
    }
  }
  return text;
}

/** @returns 0 where no well-formed UTF-8 sequence starts */
function sequenceLength(bytes: Buffer, at: number): number {
  const lead = bytes[at] ?? 0;
  const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  return length > 0 && at + length <= bytes.length && isUtf8(bytes.subarray(at, at + length)) ? length : 0;
}

const escapedByte = /[\udc80-\udcff]/;

/** The bytes that a text stands for. */
export function bytesOf(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  let plain = '';
  // Iterating by code point leaves a surrogate alone only where it has no partner.
  for (const character of text) {
    if (character.length === 1 && escapedByte.test(character)) {
      parts.push(Buffer.from(plain, 'utf8'), Buffer.of(character.charCodeAt(0) - 0xdc00));
      plain = '';
    } else {
      plain += character;
    }
  }
  parts.push(Buffer.from(plain, 'utf8'));
  return Buffer.concat(parts);
}

/** How many bytes Go's `len` counts. */
export function byteLength(text: string): number {
  return text.isWellFormed() ? Buffer.byteLength(text, 'utf8') : bytesOf(text).length;
}
