// Tested by test/bundle/reading/read-archive.long.test.ts.
import { BundleRefused } from '../../domain/errors.ts';

export interface TarEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory';
  /** A part of the archive's own bytes, not a copy. */
  readonly content: Buffer;
}

const blockBytes = 512;
const magicAt = 257;
/** A header, its extension and the name in it; no plain name needs more. */
const extensionBytesMax = 65_536;

/** What a type flag is called, for those that may not stand in a bundle. */
const refusedTypes: Readonly<Record<string, string>> = {
  '1': 'hard link',
  '2': 'symbolic link',
  '3': 'character device',
  '4': 'block device',
  '6': 'fifo',
};

/**
 * The entries of a tar archive that is in memory already. There is one reading of it: what is no plain file or
 * directory is refused, as is a checksum that is wrong, a size that an extension overrides, and whatever stands behind
 * the end. A stated size is compared with what is there, never allocated.
 *
 * @throws BundleRefused
 * @see POSIX.1-2017, pax, "ustar Interchange Format" and "pax Interchange Format"; GNU tar manual, "Basic Tar Format"
 */
export function* readTar(tar: Buffer): Generator<TarEntry> {
  let at = 0;
  let extendedName: string | undefined;
  for (;;) {
    const header = tar.subarray(at, at + blockBytes);
    if (header.length < blockBytes) throw new BundleRefused('the archive is no whole tar file: its end is missing');
    if (isZero(header)) break;
    requireChecksum(header);
    const size = octal(header.subarray(124, 136), 'size');
    const start = at + blockBytes;
    const content = tar.subarray(start, start + size);
    if (content.length < size) throw new BundleRefused('the archive is no whole tar file: an entry is cut short');
    at = start + Math.ceil(size / blockBytes) * blockBytes;
    const type = String.fromCharCode(header[156] ?? 0);
    switch (type) {
      case 'x':
        extendedName = paxName(content) ?? extendedName;
        continue;
      case 'g':
        // Holds for every entry behind it; git writes one with a comment in it.
        if (paxName(content) !== undefined) throw new BundleRefused('the archive gives all of its entries one name');
        continue;
      case 'L':
        extendedName = text(short(content).subarray(0, -1));
        continue;
      case '0':
      case '\0':
      case '7':
        yield { name: extendedName ?? ustarName(header), kind: 'file', content };
        break;
      case '5':
        if (size > 0) throw new BundleRefused('a directory in the archive has content');
        yield { name: extendedName ?? ustarName(header), kind: 'directory', content };
        break;
      default:
        throw new BundleRefused(
          `${JSON.stringify((extendedName ?? ustarName(header)).slice(0, 100))} is a ${refusedTypes[type] ?? `member of type ${JSON.stringify(type)}`}; only files may stand in a bundle`,
        );
    }
    extendedName = undefined;
  }
  // Two blocks of zeros end an archive, and padding may follow; another reader might go on to anything else.
  if (tar.length - at < 2 * blockBytes) throw new BundleRefused('the archive is no whole tar file: its end is missing');
  if (!isZero(tar.subarray(at))) throw new BundleRefused('bytes stand behind the end of the archive');
}

function isZero(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 0) return false;
  return true;
}

/** The sum of the header's bytes, its own field taken as blanks. */
function requireChecksum(header: Buffer): void {
  let sum = 8 * 0x20;
  for (const [index, byte] of header.entries()) if (index < 148 || index >= 156) sum += byte;
  if (sum !== octal(header.subarray(148, 156), 'checksum'))
    throw new BundleRefused('the archive is no whole tar file: the checksum of a header is wrong');
}

function octal(field: Buffer, what: string): number {
  // Blanks or NULs may stand before and behind; the form for sizes past 8 GiB is not taken.
  const match = /^[ \0]*([0-7]+)[ \0]*$/.exec(field.toString('latin1'));
  if (match === null) throw new BundleRefused(`the archive is no whole tar file: a header has no ${what}`);
  return Number.parseInt(match[1] ?? '', 8);
}

function ustarName(header: Buffer): string {
  const name = text(untilNul(header.subarray(0, 100)));
  // GNU's own headers have other fields where POSIX has the prefix.
  const isUstar = header.toString('latin1', magicAt, magicAt + 6) === 'ustar\0';
  const prefix = isUstar ? text(untilNul(header.subarray(345, 500))) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

function untilNul(field: Buffer): Buffer {
  const end = field.indexOf(0);
  return end < 0 ? field : field.subarray(0, end);
}

/** Records are `<length> <key>=<value>\n`, the length counting itself. */
function paxName(extension: Buffer): string | undefined {
  let name: string | undefined;
  for (let at = 0; at < short(extension).length; ) {
    const blank = extension.indexOf(0x20, at);
    const digits = extension.toString('latin1', at, Math.max(at, blank));
    const end = at + Number(digits);
    const equals = extension.indexOf(0x3d, blank);
    if (!/^[1-9]\d{0,5}$/.test(digits) || extension[end - 1] !== 0x0a || equals < 0 || equals >= end)
      throw new BundleRefused('the archive is no whole tar file: a pax record is malformed');
    const key = extension.toString('latin1', blank + 1, equals);
    if (key === 'size' || key.startsWith('GNU.sparse.'))
      throw new BundleRefused('the archive overrides the size of a file');
    if (key === 'path') name = text(extension.subarray(equals + 1, end - 1));
    at = end;
  }
  return name;
}

function short(extension: Buffer): Buffer {
  if (extension.length > extensionBytesMax) throw new BundleRefused('an extended header in the archive is too long');
  return extension;
}

function text(bytes: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BundleRefused('a name in the archive is no UTF-8', { cause });
  }
}
