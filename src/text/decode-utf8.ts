// Tested by test/request/receive/receive.test.ts.
import { isAscii, isUtf8 } from 'node:buffer';
import { RequestRefused } from '../domain/errors.ts';

/**
 * Bytes to text, or not at all: a decoder that replaces what it cannot read would make two subjects one.
 *
 * @throws RequestRefused 400 `body_not_utf8`, also for a byte order mark (RFC 8259 section 8.1)
 */
export function decodeUtf8(body: Uint8Array): string {
  const bytes = Buffer.from(body.buffer, body.byteOffset, body.byteLength);
  // Latin-1 keeps ASCII at one byte a character and copies without decoding.
  if (isAscii(bytes)) return bytes.toString('latin1');
  if (!isUtf8(bytes) || (bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf)) {
    throw new RequestRefused('body_not_utf8', 400);
  }
  return bytes.toString('utf8');
}
