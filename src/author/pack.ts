import { buffer } from 'node:stream/consumers';
import { crc32 } from 'node:zlib';
import { pack } from 'tar-stream';

/**
 * A gzip'd tar file that is the same bytes for the same files, on every machine: no times, no owners, members in the
 * order given.
 *
 * Stored, not deflated: what a deflate makes of the same bytes depends on the zlib and on the processor, and then the
 * bundle in the repository could not be told from one that was changed. A bundle is a few hundred kilobytes, and
 * servers compress it on the way.
 *
 * @see RFC 1951 section 3.2.4, RFC 1952 section 2.3
 */
export async function packBundle(files: ReadonlyMap<string, Uint8Array>): Promise<Uint8Array> {
  const tar = pack();
  for (const [name, bytes] of files) {
    tar.entry({ name, size: bytes.length, mode: 0o644, mtime: new Date(0), uid: 0, gid: 0 }, Buffer.from(bytes));
  }
  tar.finalize();
  return gzipStored(await buffer(tar));
}

const storedBytesMax = 65_535;

function gzipStored(bytes: Uint8Array): Uint8Array {
  // Deflate method, no flags, no time, no extra flags, unknown system.
  const parts: Uint8Array[] = [Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff)];
  for (let at = 0; at === 0 || at < bytes.length; at += storedBytesMax) {
    const block = bytes.subarray(at, at + storedBytesMax);
    const header = new DataView(new ArrayBuffer(5));
    header.setUint8(0, at + storedBytesMax >= bytes.length ? 1 : 0);
    header.setUint16(1, block.length, true);
    header.setUint16(3, ~block.length & 0xffff, true);
    parts.push(new Uint8Array(header.buffer), block);
  }
  const trailer = new DataView(new ArrayBuffer(8));
  trailer.setUint32(0, crc32(bytes), true);
  trailer.setUint32(4, bytes.length % 2 ** 32, true);
  return Buffer.concat([...parts, new Uint8Array(trailer.buffer)]);
}
