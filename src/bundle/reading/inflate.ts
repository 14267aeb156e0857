// Tested by test/bundle/reading/read-archive.long.test.ts.
import { crc32, inflateRaw } from 'node:zlib';
import { BundleRefused } from '../../domain/errors.ts';
import { osErrorCode } from '../../system/os-error.ts';

const flags = { headerCrc: 2, extra: 4, name: 8, comment: 16, reserved: 0xe0 };
const trailerBytes = 8;

/**
 * One gzip member, and nothing behind it. Node's own gunzip joins members and passes over what follows the last, so
 * that two readers could take two different bundles out of one file.
 *
 * @param bytesMax of what comes out; the size that the trailer states is compared, never allocated
 * @throws BundleRefused
 * @see RFC 1952 section 2.3
 */
export async function inflate(file: Uint8Array, bytesMax: number): Promise<Buffer> {
  const start = headerEnd(file);
  const { buffer, engine } = await inflateFrom(file.subarray(start), bytesMax);
  const end = start + engine.bytesWritten;
  if (file.length - end !== trailerBytes) {
    throw new BundleRefused(
      file.length - end < trailerBytes ? 'the archive is cut short' : 'bytes stand behind the archive',
    );
  }
  const trailer = new DataView(file.buffer, file.byteOffset + end, trailerBytes);
  if (trailer.getUint32(0, true) !== crc32(buffer))
    throw new BundleRefused('the archive is damaged: its checksum is wrong');
  if (trailer.getUint32(4, true) !== buffer.length % 2 ** 32)
    throw new BundleRefused('the archive is damaged: its size is wrong');
  return buffer;
}

interface Inflated {
  readonly buffer: Buffer;
  readonly engine: { readonly bytesWritten: number };
}

function inflateFrom(deflated: Uint8Array, bytesMax: number): Promise<Inflated> {
  return new Promise((resolve, reject) => {
    inflateRaw(deflated, { maxOutputLength: bytesMax, info: true }, (cause, result) => {
      // With `info` the result is the buffer and its engine; the types know only the buffer.
      if (cause === null) resolve(result as unknown as Inflated);
      else if (osErrorCode(cause) === 'ERR_BUFFER_TOO_LARGE') {
        reject(new BundleRefused(`the archive holds more than ${bytesMax} bytes`));
      } else reject(new BundleRefused(`the archive is no whole gzip file: ${cause.message}`, { cause }));
    });
  });
}

function headerEnd(file: Uint8Array): number {
  if (file.length < 18 || file[0] !== 0x1f || file[1] !== 0x8b || file[2] !== 8) {
    throw new BundleRefused('the file is no gzip archive');
  }
  const set = file[3] ?? 0;
  if ((set & flags.reserved) !== 0) throw new BundleRefused('the gzip header has reserved flags');
  let at = 10;
  if ((set & flags.extra) !== 0) at += 2 + (file[at] ?? 0) + (file[at + 1] ?? 0) * 256;
  for (const flag of [flags.name, flags.comment]) {
    if ((set & flag) === 0) continue;
    const end = file.indexOf(0, at);
    if (end < 0) throw new BundleRefused('the gzip header is cut short');
    at = end + 1;
  }
  if ((set & flags.headerCrc) !== 0) at += 2;
  if (at >= file.length) throw new BundleRefused('the gzip header is cut short');
  return at;
}
