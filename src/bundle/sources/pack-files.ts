// Tested by test/bundle/sources/folder-source.test.ts.
import { crc32 } from 'node:zlib';

const blockBytes = 512;
const storedBytesMax = 65_535;
const nameBytesMax = 100;

/**
 * Files as a bundle's archive, piece by piece: plain tar in gzip that stores and does not compress, since it goes no
 * further than this machine's memory and disk.
 *
 * @see POSIX.1-2017, pax, "ustar Interchange Format"; RFC 1951 section 3.2.4, RFC 1952 section 2.3
 */
export function* packed(files: ReadonlyMap<string, Uint8Array>): Generator<Uint8Array> {
  let checksum = 0;
  let length = 0;
  yield Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff);
  for (const piece of tar(files)) {
    for (let at = 0; at < piece.length; at += storedBytesMax) {
      const block = piece.subarray(at, at + storedBytesMax);
      yield storedHeader(block.length, false);
      yield block;
      checksum = crc32(block, checksum);
      length += block.length;
    }
  }
  yield storedHeader(0, true);
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(checksum, 0);
  trailer.writeUInt32LE(length % 2 ** 32, 4);
  yield trailer;
}

function storedHeader(length: number, last: boolean): Uint8Array {
  const header = Buffer.alloc(5);
  header[0] = last ? 1 : 0;
  header.writeUInt16LE(length, 1);
  header.writeUInt16LE(~length & 0xffff, 3);
  return header;
}

function* tar(files: ReadonlyMap<string, Uint8Array>): Generator<Uint8Array> {
  for (const [name, content] of files) {
    const nameBytes = Buffer.from(name, 'utf8');
    if (nameBytes.length > nameBytesMax) {
      // GNU's way: a member whose content is the next one's name.
      const longName = Buffer.concat([nameBytes, Buffer.alloc(1)]);
      yield tarHeader(Buffer.from('././@LongLink'), longName.length, 'L');
      yield longName;
      yield padding(longName.length);
    }
    yield tarHeader(nameBytes.subarray(0, nameBytesMax), content.length, '0');
    yield content;
    yield padding(content.length);
  }
  yield Buffer.alloc(2 * blockBytes);
}

function padding(length: number): Uint8Array {
  return Buffer.alloc((blockBytes - (length % blockBytes)) % blockBytes);
}

function tarHeader(name: Uint8Array, size: number, type: string): Uint8Array {
  const header = Buffer.alloc(blockBytes);
  header.set(name, 0);
  header.write('0000644\u00000000000\u00000000000\u0000', 100);
  header.write(`${size.toString(8).padStart(11, '0')}\u000000000000000\u0000        ${type}`, 124);
  header.write('ustar\u000000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\u0000 `, 148);
  return header;
}
