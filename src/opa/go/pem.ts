// Tested by test/opa/builtins/identifiers.test.ts.
import { decodeBase64 } from './base64.ts';

export interface PemBlock {
  readonly type: string;
  readonly bytes: Buffer;
  /** The text after the block. */
  readonly rest: string;
}

const begin = '-----BEGIN ';
const dashes = '-----';

/**
 * The first block of a PEM text, wherever it begins.
 *
 * @returns undefined where the text holds none
 * @see Go's encoding/pem, Decode
 */
export function decodePem(text: string): PemBlock | undefined {
  let rest = text;
  for (;;) {
    // The first END line, and the last BEGIN line before it: lines that begin a block which does not end are passed over.
    const endAt = rest.indexOf(`\n${dashes}END `);
    if (endAt < 0) return undefined;
    const beginAt = rest.slice(0, endAt).lastIndexOf(begin);
    const next = rest.slice(endAt + dashes.length + 5);
    if (beginAt >= 0 && (beginAt === 0 || rest[beginAt - 1] === '\n')) {
      const block = blockOf(rest.slice(beginAt + begin.length, endAt + 1), next);
      if (block !== undefined) return block;
    }
    rest = next;
  }
}

function blockOf(inner: string, trailer: string): PemBlock | undefined {
  const typeLine = lineOf(inner);
  if (!typeLine.text.endsWith(dashes)) return undefined;
  const type = typeLine.text.slice(0, -dashes.length);
  let body = typeLine.rest;
  for (let line = lineOf(body); body !== '' && line.text.includes(':'); line = lineOf(body)) body = line.rest;
  const end = lineOf(trailer);
  if (end.text !== `${type}${dashes}`) return undefined;
  const bytes = decodeBase64(body.replace(/[ \t]/g, ''), 'std');
  return bytes === undefined ? undefined : { type, bytes, rest: end.rest };
}

function lineOf(text: string): { readonly text: string; readonly rest: string } {
  const newline = text.indexOf('\n');
  const line = (newline < 0 ? text : text.slice(0, newline)).replace(/\r$/, '').replace(/[ \t]+$/, '');
  return { text: line, rest: newline < 0 ? '' : text.slice(newline + 1) };
}

export function encodePem(type: string, bytes: Uint8Array): string {
  const lines = Buffer.from(bytes)
    .toString('base64')
    .replace(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN ${type}-----\n${lines}\n-----END ${type}-----\n`;
}
