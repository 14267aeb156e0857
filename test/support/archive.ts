import { crc32, deflateRawSync } from 'node:zlib';

export interface Member {
  readonly name: string | Buffer;
  readonly content?: string | Uint8Array;
  /** Of the header's type flag; left out: a plain file. */
  readonly type?: string;
  /** Stated in the header in place of the true one, as it is written there. */
  readonly size?: string;
  readonly checksum?: string;
  readonly magic?: string;
  readonly prefix?: string;
}

/** A tar archive by hand, so that it can be wrong in every way. */
export function tarOf(members: readonly Member[], end: Uint8Array = Buffer.alloc(1_024)): Buffer {
  return Buffer.concat([...members.flatMap(memberBytes), end]);
}

function memberBytes(member: Member): readonly Buffer[] {
  const content = Buffer.from(member.content ?? '');
  const header = Buffer.alloc(512);
  const put = (text: string | Buffer, at: number): void => {
    Buffer.from(text as string).copy(header, at);
  };
  put(member.name as string, 0);
  put('0000644\0', 100);
  put('0000000\0', 108);
  put('0000000\0', 116);
  put(member.size ?? `${content.length.toString(8).padStart(11, '0')}\0`, 124);
  put('00000000000\0', 136);
  put(member.type ?? '0', 156);
  put(member.magic ?? 'ustar\u000000', 257);
  put(member.prefix ?? '', 345);
  header.fill(0x20, 148, 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(member.checksum ?? `${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return [header, content, Buffer.alloc((512 - (content.length % 512)) % 512)];
}

/** A pax extended header for the member behind it. */
export function pax(records: Readonly<Record<string, string>>, type = 'x'): Member {
  const content = Object.entries(records).map(([key, value]) => {
    const bare = Buffer.byteLength(` ${key}=${value}\n`);
    let length = bare + 1;
    while (String(length).length + bare !== length) length = String(length).length + bare;
    return `${length} ${key}=${value}\n`;
  });
  return { name: 'PaxHeaders/x', type, content: content.join('') };
}

export interface GzipOptions {
  readonly flags?: number;
  /** What stands between the fixed header and the data, as the flags announce it. */
  readonly extra?: Uint8Array;
  readonly checksum?: number;
  readonly size?: number;
}

/** One gzip member by hand. */
export function gzipOf(content: Uint8Array, options: GzipOptions = {}): Buffer {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(options.checksum ?? crc32(content), 0);
  trailer.writeUInt32LE((options.size ?? content.length) % 2 ** 32, 4);
  const header = Buffer.from([0x1f, 0x8b, 8, options.flags ?? 0, 0, 0, 0, 0, 0, 0xff]);
  return Buffer.concat([header, options.extra ?? Buffer.alloc(0), deflateRawSync(content), trailer]);
}

export function bundleOf(members: readonly Member[]): Buffer {
  return gzipOf(tarOf(members));
}
