// Tested by test/opa/builtins/identifiers.test.ts.
// Go's `net` on addresses and networks: an address is 4 or 16 bytes, and an IPv4 one may come as either.

export type Ip = Uint8Array;

export interface Network {
  readonly ip: Ip;
  readonly mask: Uint8Array;
}

const v4Prefix = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);

/** `netip.ParseAddr`, whose zone no caller here takes: 4 bytes or 16. */
function parseAddress(text: string): Ip | undefined {
  const first = /[.:%]/.exec(text)?.[0];
  if (first === '.') return parseV4(text);
  return first === ':' ? parseV6(text) : undefined;
}

function parseV4(text: string): Ip | undefined {
  const fields = text.split('.');
  if (fields.length !== 4) return undefined;
  const bytes = new Uint8Array(4);
  for (const [index, field] of fields.entries()) {
    // A leading zero would be octal to some and decimal to others.
    if (!/^(?:0|[1-9]\d{0,2})$/.test(field) || Number(field) > 255) return undefined;
    bytes[index] = Number(field);
  }
  return bytes;
}

function parseV6(text: string): Ip | undefined {
  const halves = text.split('::');
  if (halves.length > 2) return undefined;
  const [head = '', tail] = halves;
  const before = head === '' ? [] : groupsOf(head, tail === undefined);
  const after = tail === undefined || tail === '' ? [] : groupsOf(tail, true);
  if (before === undefined || after === undefined) return undefined;
  const missing = 16 - before.length - after.length;
  if (tail === undefined ? missing !== 0 || head === '' : missing < 2) return undefined;
  return Uint8Array.from([...before, ...new Array<number>(missing).fill(0), ...after]);
}

function groupsOf(text: string, last: boolean): readonly number[] | undefined {
  const groups = text.split(':');
  const bytes: number[] = [];
  for (const [index, group] of groups.entries()) {
    if (/^[0-9a-fA-F]{1,4}$/.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else {
      const v4 = last && index === groups.length - 1 ? parseV4(group) : undefined;
      if (v4 === undefined) return undefined;
      bytes.push(...v4);
    }
  }
  return bytes;
}

/** `net.ParseIP`: always 16 bytes. */
export function parseIp(text: string): Ip | undefined {
  const address = parseAddress(text);
  return address?.length === 4 ? join(v4Prefix, address) : address;
}

/** `net.ParseCIDR`: the address as written, and its network. */
export function parseCidr(text: string): { readonly ip: Ip; readonly network: Network } | undefined {
  const slash = text.indexOf('/');
  if (slash < 0) return undefined;
  const address = parseAddress(text.slice(0, slash));
  const size = text.slice(slash + 1);
  if (address === undefined || !/^\d{1,8}$/.test(size) || Number(size) > address.length * 8) return undefined;
  const mask = maskOf(Number(size), address.length * 8);
  const ip = address.length === 4 ? join(v4Prefix, address) : address;
  const masked = maskIp(ip, mask);
  return masked === undefined ? undefined : { ip, network: { ip: masked, mask } };
}

export function maskOf(ones: number, bits: number): Uint8Array {
  return Uint8Array.from({ length: bits / 8 }, (_unused, index) => {
    const left = Math.min(Math.max(ones - index * 8, 0), 8);
    return (0xff << (8 - left)) & 0xff;
  });
}

/** @returns how many ones the mask begins with, or undefined if others follow a zero */
export function maskSize(mask: Uint8Array): number | undefined {
  const bits = Array.from(mask, (byte) => byte.toString(2).padStart(8, '0')).join('');
  return /^1*0*$/.test(bits) ? bits.lastIndexOf('1') + 1 : undefined;
}

function isV4Mapped(ip: Ip): boolean {
  return ip.length === 16 && v4Prefix.every((byte, index) => ip[index] === byte);
}

/** `IP.To4` */
export function to4(ip: Ip): Ip | undefined {
  if (ip.length === 4) return ip;
  return isV4Mapped(ip) ? ip.subarray(12) : undefined;
}

/** `IP.Mask`; undefined is Go's nil. */
export function maskIp(ip: Ip, mask: Uint8Array): Ip | undefined {
  const bits =
    mask.length === 16 && ip.length === 4 && mask.subarray(0, 12).every((byte) => byte === 0xff)
      ? mask.subarray(12)
      : mask;
  const address = bits.length === 4 && isV4Mapped(ip) ? ip.subarray(12) : ip;
  return address.length === bits.length ? address.map((byte, index) => byte & (bits[index] ?? 0)) : undefined;
}

function numberAndMask({ ip, mask }: Network): Network | undefined {
  const number = to4(ip) ?? ip;
  if (number.length !== 4 && number.length !== 16) return undefined;
  if (mask.length === 4) return number.length === 4 ? { ip: number, mask } : undefined;
  if (mask.length !== 16) return undefined;
  return { ip: number, mask: number.length === 4 ? mask.subarray(12) : mask };
}

/** `IPNet.Contains` */
export function contains(network: Network, ip: Ip): boolean {
  const own = numberAndMask(network);
  const address = to4(ip) ?? ip;
  return (
    own !== undefined &&
    own.ip.length === address.length &&
    own.ip.every((byte, index) => ((byte ^ (address[index] ?? 0)) & (own.mask[index] ?? 0)) === 0)
  );
}

/** `IP.Equal` */
export function equalIps(a: Ip, b: Ip): boolean {
  const x = to4(a) ?? a;
  const y = to4(b) ?? b;
  return x.length === y.length && x.every((byte, index) => byte === y[index]);
}

/** `IP.String` */
export function ipText(ip: Ip): string {
  if (ip.length === 0) return '<nil>';
  const v4 = to4(ip);
  if (v4 !== undefined) return v4.join('.');
  if (ip.length !== 16) return `?${Buffer.from(ip).toString('hex')}`;
  const groups = Array.from({ length: 8 }, (_unused, index) => ((ip[index * 2] ?? 0) << 8) | (ip[index * 2 + 1] ?? 0));
  let best = { start: 8, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const text = (list: readonly number[]): string => list.map((group) => group.toString(16)).join(':');
  if (best.start === 8) return text(groups);
  return `${text(groups.slice(0, best.start))}::${text(groups.slice(best.start + best.length))}`;
}

/** `IPNet.String` */
export function networkText(network: Network): string {
  const own = numberAndMask(network);
  if (own === undefined) return '<nil>';
  const size = maskSize(own.mask);
  return `${ipText(own.ip)}/${size ?? Buffer.from(own.mask).toString('hex')}`;
}

export function join(...parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(Buffer.concat(parts));
}
