import { isUtf8 } from 'node:buffer';
import type { Charge } from './charge.ts';

/** Where the surrogates begin of which one and a byte make an escaped byte. */
const escapes = 0xdc00;

/** Longer texts are looked at before they are read: Node's decoder is slow where it cannot read on. */
const shortBytes = 1_024;

/**
 * Go's strings are bytes, and policies use that: `hex.encode(base64.decode(digest))`. A byte that is part of no UTF-8
 * is held here as the lone surrogate U+DC00 + byte, which no well-formed text contains.
 *
 * @param charge takes one unit for 256 bytes of UTF-8, and one for 64 of what is none
 * @see Python PEP 383, whose way this is
 */
export function textOf(bytes: Buffer, charge?: Charge): string {
  if (bytes.length <= shortBytes) {
    const text = bytes.toString('utf8');
    // The decoder puts U+FFFD where it cannot read on; only then is there anything to look for.
    return !text.includes('\ufffd') || isUtf8(bytes) ? text : escapedTextOf(bytes);
  }
  const whole = isUtf8(bytes);
  // To read them and to look through them once more: a nanosecond or two for each byte, and some ten.
  charge?.(bytes.length / (whole ? 256 : 64), bytes.length / (whole ? 500 : 80));
  return whole ? bytes.toString('utf8') : escapedTextOf(bytes);
}

/** Decoded here and in one go: a text may be a million such bytes, and a string or a look by Node for each takes a microsecond. */
function escapedTextOf(bytes: Buffer): string {
  // A byte becomes at most one unit of UTF-16.
  const units = new Uint16Array(bytes.length);
  let end = 0;
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at] ?? 0;
    const length = sequenceLength(bytes, at, lead);
    at += 1;
    if (length <= 1) {
      units[end++] = length === 0 ? escapes + lead : lead;
      continue;
    }
    let point = lead & (0xff >> (length + 1));
    for (const next = at + length - 1; at < next; at += 1) point = (point << 6) | ((bytes[at] ?? 0) & 0x3f);
    if (point >= 0x10000) {
      units[end++] = 0xd7c0 + (point >> 10);
      point = 0xdc00 + (point & 0x3ff);
    }
    units[end++] = point;
  }
  return Buffer.from(units.buffer).toString('utf16le', 0, end * 2);
}

/**
 * @returns 0 where no well-formed UTF-8 sequence starts
 * @see Unicode 17.0, table 3-7
 */
function sequenceLength(bytes: Buffer, at: number, lead: number): number {
  const length = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
  if (length <= 1) return length;
  if (at + length > bytes.length) return 0;
  const second = bytes[at + 1] ?? 0;
  // Nothing written longer than it need be, no surrogate, nothing past U+10FFFF.
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (second < least || second > most) return 0;
  for (let next = at + 2; next < at + length; next += 1) if (((bytes[next] ?? 0) & 0xc0) !== 0x80) return 0;
  return length;
}

/** The bytes that a text represents. */
export function bytesOf(text: string): Buffer {
  if (text.isWellFormed()) return Buffer.from(text, 'utf8');
  // Three bytes a UTF-16 unit is the most that UTF-8 takes.
  const bytes = Buffer.allocUnsafe(text.length * 3);
  let end = 0;
  let at = 0;
  while (at < text.length) {
    let point = text.codePointAt(at) ?? 0;
    at += point < 0x10000 ? 1 : 2;
    if (point < 0x80) {
      bytes[end++] = point;
      continue;
    }
    if (point >= escapes + 0x80 && point <= escapes + 0xff) {
      bytes[end++] = point - escapes;
      continue;
    }
    // Half a pair that is not an escape becomes U+FFFD, as everywhere in Node.
    if (point >= 0xd800 && point <= 0xdfff) point = 0xfffd;
    if (point < 0x800) {
      bytes[end++] = 0xc0 | (point >> 6);
    } else {
      if (point < 0x10000) {
        bytes[end++] = 0xe0 | (point >> 12);
      } else {
        bytes[end++] = 0xf0 | (point >> 18);
        bytes[end++] = 0x80 | ((point >> 12) & 0x3f);
      }
      bytes[end++] = 0x80 | ((point >> 6) & 0x3f);
    }
    bytes[end++] = 0x80 | (point & 0x3f);
  }
  return bytes.subarray(0, end);
}

/** How many bytes Go's `len` counts. */
export function byteLength(text: string): number {
  return text.isWellFormed() ? Buffer.byteLength(text, 'utf8') : bytesOf(text).length;
}
