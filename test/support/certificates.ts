import { generateKeyPairSync, type KeyObject, randomInt, sign } from 'node:crypto';
import { bitString, boolean, generalizedTime, integer, octets, oid, pem, sequence, set, tagged, utf8 } from './der.ts';

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
    tagged(0xa0, integer(2)),
    integer(randomInt(1, 2 ** 40)),
    algorithm,
    issuer?.subject ?? subject,
    validity,
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    tagged(0xa3, sequence(...extensions)),
  );
  const signature = sign('sha256', body, issuer?.privateKey ?? privateKey);
  const certificate = sequence(body, algorithm, bitString(signature));
  return {
    certificate: pem('CERTIFICATE', certificate),
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    subject,
    privateKey,
  };
}

function time(year: number): Buffer {
  return generalizedTime(`${year}0101000000Z`);
}

function extension(id: string, value: Buffer): Buffer {
  return sequence(oid(id), octets(value));
}

function subjectName(host: string): Buffer {
  const address = host.split('.').map(Number);
  const isAddress = address.length === 4 && address.every((one) => Number.isInteger(one));
  return isAddress ? tagged(0x87, Buffer.from(address)) : tagged(0x82, Buffer.from(host));
}
