import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** A certificate with its key, PEM, made on the spot: nothing of it is good for more than a test. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
  readonly subject: Buffer;
  readonly privateKey: KeyObject;
}

export interface CertificateOptions {
  readonly name: string;
  /** Left out: it signs itself, and others. */
  readonly issuer?: Certificate;
  readonly hosts?: readonly string[];
  readonly expired?: boolean;
}

/**
 * X.509 v3 with a P-256 key.
 *
 * @see RFC 5280 section 4.1, ITU-T X.690 (DER)
 */
export function makeCertificate({ name, issuer, hosts = [], expired = false }: CertificateOptions): Certificate {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const subject = sequence(set(sequence(oid('2.5.4.3'), utf8(name))));
  const year = new Date().getUTCFullYear();
  const validity = sequence(time(year - 2), time(expired ? year - 1 : year + 2));
  const extensions = [
    ...(issuer === undefined ? [extension('2.5.29.19', sequence(boolean(true)))] : []),
    ...(hosts.length > 0 ? [extension('2.5.29.17', sequence(...hosts.map(subjectName)))] : []),
  ];
  const algorithm = sequence(oid('1.2.840.10045.4.3.2'));
  const body = sequence(
    tagged(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.from(`${Math.floor(Math.random() * 1e9) + 1}`.padStart(10, '1').slice(0, 10))),
    algorithm,
    issuer?.subject ?? subject,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey);
  const certificate = sequence(body, algorithm, tagged(0x03, Buffer.concat([Buffer.of(0), signature])));
  return {
    certificate: pem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    subject,
    privateKey,
  };
}

function pem(label: string, der: Buffer): string {
  const lines = der.toString('base64').replace(/.{64}/g, '$&\n').trim();
  return `-----BEGIN ${label}-----\n${lines}\n-----END ${label}-----\n`;
}

function tagged(tag: number, content: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = content.length; rest > 0; rest >>= 8) length.unshift(rest & 0xff);
  const header = content.length < 128 ? [content.length] : [0x80 | length.length, ...length];
  return Buffer.concat([Buffer.from([tag, ...header]), content]);
}

function sequence(...parts: readonly Buffer[]): Buffer {
  return tagged(0x30, Buffer.concat(parts));
}

function set(...parts: readonly Buffer[]): Buffer {
  return tagged(0x31, Buffer.concat(parts));
}

function integer(bytes: Buffer): Buffer {
  return tagged(0x02, bytes);
}

function boolean(value: boolean): Buffer {
  return tagged(0x01, Buffer.of(value ? 0xff : 0));
}

function utf8(text: string): Buffer {
  return tagged(0x0c, Buffer.from(text));
}

function time(year: number): Buffer {
  return tagged(0x18, Buffer.from(`${year}0101000000Z`));
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const number of rest) {
    const digits = [number & 0x7f];
    for (let left = number >>> 7; left > 0; left >>>= 7) digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return tagged(0x06, Buffer.from(bytes));
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), tagged(0x04, value));
}

function subjectName(host: string): Buffer {
  const address = host.split('.').map(Number);
  const isAddress = address.length === 4 && address.every((one) => Number.isInteger(one));
  return isAddress ? tagged(0x87, Buffer.from(address)) : tagged(0x82, Buffer.from(host));
}
