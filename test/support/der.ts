// ITU-T X.690 (DER), as much of it as certificates and keys are made of. Nothing here looks whether it makes sense.

export function tagged(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const content = Buffer.concat(parts);
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest >>= 8) length.unshift(rest & 0xff);
  const header = content.length < 128 ? [content.length] : [0x80 | length.length, ...length];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}

export function sequence(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x30, ...parts);
}

export function set(...parts: readonly Uint8Array[]): Buffer {
  return tagged(0x31, ...parts);
}

export function integer(value: bigint | number): Buffer {
  let number = BigInt(value);
  const bytes: number[] = [];
  do {
    bytes.unshift(Number(number & 0xffn));
    number >>= 8n;
  } while ((number !== 0n && number !== -1n) || (number === -1n) !== (bytes[0] ?? 0) >= 0x80);
  return tagged(0x02, Buffer.from(bytes));
}

export function boolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.of(value ? 0xff : 0));
}

export function bitString(content: Uint8Array, padding = 0): Buffer {
  return tagged(0x03, Buffer.of(padding), content);
}

export function octets(...content: readonly Uint8Array[]): Buffer {
  return tagged(0x04, ...content);
}

export const nothing = tagged(0x05);

export function utf8(text: string): Buffer {
  return tagged(0x0c, Buffer.from(text));
}

export function generalizedTime(text: string): Buffer {
  return tagged(0x18, Buffer.from(text, 'latin1'));
}

export function oid(text: string): Buffer {
  const [first = 0n, second = 0n, ...rest] = text.split('.').map(BigInt);
  const bytes: number[] = [];
  for (const number of [first * 40n + second, ...rest]) {
    const digits = [Number(number & 0x7fn)];
    for (let left = number >> 7n; left > 0n; left >>= 7n) digits.unshift(Number(left & 0x7fn) | 0x80);
    bytes.push(...digits);
  }
  return tagged(0x06, Buffer.from(bytes));
}

export function pem(label: string, der: Uint8Array): string {
  const lines = Buffer.from(der).toString('base64').replace(/.{64}/g, '$&\n').trim();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}
