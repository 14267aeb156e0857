import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { packBundle } from '../../src/author/pack.ts';
import { readArchive } from '../../src/bundle/reading/read-archive.ts';

const limits = { inflatedBytes: 100_000_000, members: 1000 };

describe('a packed bundle', () => {
  it('reads back as what went in, in our reader and in any gunzip', async () => {
    const file = fc.uint8Array({ maxLength: 70_000 });
    const names = fc.uniqueArray(fc.stringMatching(/^[a-z]{1,12}(\/[a-z]{1,12}){0,3}\.json$/), { maxLength: 5 });
    await fc.assert(
      fc.asyncProperty(names, fc.array(file, { minLength: 5, maxLength: 5 }), async (paths, contents) => {
        const files = new Map(paths.map((path, index) => [path, contents[index] ?? new Uint8Array()]));
        const packed = await packBundle(files);
        const read = await readArchive(packed, limits);
        expect([...read].map(([name, bytes]) => [name, [...bytes]])).toEqual(
          [...files].map(([name, bytes]) => [name, [...bytes]]),
        );
        expect(gunzipSync(packed).length % 512).toBe(0);
      }),
      { numRuns: 30 },
    );
  });

  // A stored block of deflate holds 65,535 bytes at most; tar adds a header and rounds up to 512.
  it.each([0, 1, 511, 512, 513, 64_511, 64_512, 65_023, 65_535, 65_536, 130_559, 131_070, 200_000])(
    'holds %d bytes',
    async (size) => {
      const bytes = new Uint8Array(size).map((_, index) => index % 251);
      const read = await readArchive(await packBundle(new Map([['a', bytes]])), limits);
      expect(read.get('a')?.equals(Buffer.from(bytes))).toBe(true);
    },
  );

  it('is the same bytes each time, with no time and no owner in it', async () => {
    const files = new Map([['policy.wasm', Uint8Array.of(1, 2, 3)]]);
    const first = Buffer.from(await packBundle(files));
    expect(first.equals(Buffer.from(await packBundle(files)))).toBe(true);
    expect(first.subarray(0, 10)).toEqual(Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff]));
    const header = gunzipSync(first).subarray(0, 512).toString('latin1');
    expect(header.slice(108, 148).replaceAll('\0', ' ')).toMatch(/^0+ +0+ +0+3 +0+ *$/);
  });
});
