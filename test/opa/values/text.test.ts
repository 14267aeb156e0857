import { isUtf8 } from 'node:buffer';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bytesOf, textOf } from '../../../src/opa/values/text.ts';

/** Byte by byte, as the standard says it: what starts no sequence is one escape. */
function spelledOut(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = [1, 2, 3, 4].find((some) => at + some <= bytes.length && isUtf8(bytes.subarray(at, at + some)));
    text +=
      length === undefined
        ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0))
        : bytes.subarray(at, at + length).toString('utf8');
    at += length ?? 1;
  }
  return text;
}

// The edges of Unicode's table 3-7, so that many sequences are nearly right.
const edges = fc.constantFrom(
  ...[0x00, 0x61, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xed, 0xef],
  ...[0xf0, 0xf1, 0xf4, 0xf5, 0xff],
);

describe('bytes as text', () => {
  it('hold every byte that is part of no UTF-8 by itself, and come out as they went in', () => {
    fc.assert(
      fc.property(fc.array(edges, { maxLength: 9 }), fc.constantFrom(0, 1_024), (drawn, before) => {
        const bytes = Buffer.concat([Buffer.alloc(before, 'a'), Buffer.from(drawn)]);
        const text = textOf(bytes);
        expect(text).toBe(spelledOut(bytes));
        expect(bytesOf(text).equals(bytes)).toBe(true);
      }),
      { seed: 1, numRuns: 5_000 },
    );
  });

  it('are U+FFFD where half a pair stands for no byte', () => {
    for (const half of ['\ud800', '\udbff', '\udc00', '\udc7f', '\udd00', '\udfff'])
      expect(bytesOf(`${half}a\udcff`)).toEqual(Buffer.from([0xef, 0xbf, 0xbd, 0x61, 0xff]));
    expect(bytesOf('\u{10000}\u{10ffff}é€\udc80')).toEqual(
      Buffer.concat([Buffer.from('\u{10000}\u{10ffff}é€'), Buffer.of(0x80)]),
    );
  });
});
