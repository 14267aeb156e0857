import { constants, generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import {
  bitString,
  boolean,
  generalizedTime,
  integer,
  nothing,
  octets,
  oid,
  sequence,
  set,
  tagged,
  utf8,
} from '../../support/der.ts';

// Certificates made of parts, each of which can be another than it should.

export const keys = {
  p224: generateKeyPairSync('ec', { namedCurve: 'secp224r1' }),
  p256: generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  p384: generateKeyPairSync('ec', { namedCurve: 'P-384' }),
  p521: generateKeyPairSync('ec', { namedCurve: 'P-521' }),
  k256: generateKeyPairSync('ec', { namedCurve: 'secp256k1' }),
  rsa: generateKeyPairSync('rsa', { modulusLength: 2048 }),
  shortRsa: generateKeyPairSync('rsa', { modulusLength: 1024 }),
  tooShortRsa: generateKeyPairSync('rsa', { modulusLength: 1016 }),
  rsaOf3: generateKeyPairSync('rsa', { modulusLength: 1024, publicExponent: 3 }),
  pss: generateKeyPairSync('rsa-pss', { modulusLength: 1024 }),
  ed25519: generateKeyPairSync('ed25519'),
  ed448: generateKeyPairSync('ed448'),
  x25519: generateKeyPairSync('x25519'),
  dsa: generateKeyPairSync('dsa', { modulusLength: 1024, divisorLength: 160 }),
};

export type KeyName = keyof typeof keys;

export function spkiOf(name: KeyName): Buffer {
  return keys[name].publicKey.export({ type: 'spki', format: 'der' });
}

/** An attribute of a name, in a set of its own. */
export function attribute(type: string, value: Uint8Array): Buffer {
  return set(sequence(oid(type), value));
}

export function nameOf(commonName: string): Buffer {
  return sequence(attribute('2.5.4.3', utf8(commonName)));
}

export function extension(id: string, value: Uint8Array, critical?: boolean): Buffer {
  return sequence(oid(id), ...(critical === undefined ? [] : [boolean(critical)]), octets(value));
}

const hashes = {
  sha1: '2.16.840',
  sha256: '2.16.840.1.101.3.4.2.1',
  sha384: '2.16.840.1.101.3.4.2.2',
  sha512: '2.16.840.1.101.3.4.2.3',
};

export function pssParameters(hash: keyof typeof hashes, salt: number, ...more: readonly Buffer[]): Buffer {
  const algorithm = sequence(oid(hashes[hash]), nothing);
  return sequence(
    tagged(0xa0, algorithm),
    tagged(0xa1, sequence(oid('1.2.840.113549.1.1.8'), algorithm)),
    tagged(0xa2, integer(salt)),
    ...more,
  );
}

interface Signing {
  readonly identifier: Buffer;
  readonly sign: (body: Buffer, key: KeyObject) => Buffer;
}

function pss(hash: 'sha256' | 'sha384' | 'sha512', saltLength: number): Signing {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  return {
    identifier: sequence(oid('1.2.840.113549.1.1.10'), pssParameters(hash, saltLength)),
    sign: (body, key) => sign(hash, body, { key, padding, saltLength }),
  };
}

function plain(id: string, hash: string | null, ...parameters: readonly Buffer[]): Signing {
  return { identifier: sequence(oid(id), ...parameters), sign: (body, key) => sign(hash, body, key) };
}

export const signings = {
  md5Rsa: plain('1.2.840.113549.1.1.4', 'md5', nothing),
  sha1Rsa: plain('1.2.840.113549.1.1.5', 'sha1', nothing),
  oldSha1Rsa: plain('1.3.14.3.2.29', 'sha1', nothing),
  sha256Rsa: plain('1.2.840.113549.1.1.11', 'sha256', nothing),
  sha384Rsa: plain('1.2.840.113549.1.1.12', 'sha384', nothing),
  sha512Rsa: plain('1.2.840.113549.1.1.13', 'sha512', nothing),
  sha1Dsa: plain('1.2.840.10040.4.3', 'sha1'),
  sha256Dsa: plain('2.16.840.1.101.3.4.3.2', 'sha256'),
  sha1Ecdsa: plain('1.2.840.10045.4.1', 'sha1'),
  sha256Ecdsa: plain('1.2.840.10045.4.3.2', 'sha256'),
  sha384Ecdsa: plain('1.2.840.10045.4.3.3', 'sha384'),
  sha512Ecdsa: plain('1.2.840.10045.4.3.4', 'sha512'),
  ed25519: plain('1.3.101.112', null),
  ed25519WithNull: plain('1.3.101.112', null, nothing),
  pss256: pss('sha256', 32),
  pss384: pss('sha384', 48),
  pss512: pss('sha512', 64),
  pssOddSalt: pss('sha256', 20),
  unknown: plain('1.2.3.4', 'sha256'),
} satisfies Readonly<Record<string, Signing>>;

export type SigningName = keyof typeof signings;

/** What a certificate consists of, in its order. */
export interface Parts {
  readonly version: Buffer;
  readonly serial: Buffer;
  readonly algorithm: Buffer;
  readonly issuer: Buffer;
  readonly validity: Buffer;
  readonly subject: Buffer;
  readonly publicKey: Buffer;
  /** Unique identifiers and extensions. */
  readonly rest: readonly Buffer[];
  readonly outerAlgorithm: Buffer;
  readonly signature: Buffer;
  readonly behind: Buffer;
}

export const version3 = tagged(0xa0, integer(2));
export const always = sequence(generalizedTime('20000101000000Z'), generalizedTime('21000101000000Z'));

export function extensions(...list: readonly Buffer[]): Buffer {
  return tagged(0xa3, sequence(...list));
}

/** The part that is signed. */
function bodyOf(parts: Partial<Parts>): Buffer {
  return sequence(
    parts.version ?? version3,
    parts.serial ?? integer(7),
    parts.algorithm ?? signings.sha256Ecdsa.identifier,
    parts.issuer ?? nameOf('issuer'),
    parts.validity ?? always,
    parts.subject ?? nameOf('subject'),
    parts.publicKey ?? spkiOf('p256'),
    ...(parts.rest ?? []),
  );
}

function closed(body: Buffer, parts: Partial<Parts>, signature: Buffer): Buffer {
  const algorithm = parts.outerAlgorithm ?? parts.algorithm ?? signings.sha256Ecdsa.identifier;
  return sequence(body, algorithm, parts.signature ?? bitString(signature), parts.behind ?? Buffer.alloc(0));
}

/** One whose signature nobody looks at. */
export function unsigned(parts: Partial<Parts>): Buffer {
  return closed(bodyOf(parts), parts, Buffer.of(1, 2, 3));
}

export interface Authority {
  readonly der: Buffer;
  readonly subject: Buffer;
  readonly key: KeyName;
}

export interface Issue extends Partial<Parts> {
  readonly name: string;
  /** Left out: by itself. */
  readonly by?: Authority;
  readonly key?: KeyName;
  readonly signing?: SigningName;
  /** undefined for none, which is not the same as an empty list. */
  readonly with?: readonly Buffer[] | undefined;
}

export const usualSigning: Readonly<Record<string, SigningName>> = {
  rsa: 'sha256Rsa',
  shortRsa: 'sha256Rsa',
  tooShortRsa: 'sha256Rsa',
  rsaOf3: 'sha256Rsa',
  pss: 'pss256',
  ed25519: 'ed25519',
  dsa: 'sha256Dsa',
};

export function issue({ name, by, key = 'p256', signing, with: list, ...parts }: Issue): Authority {
  const signer = by?.key ?? key;
  const { identifier, sign: signWith } = signings[signing ?? usualSigning[signer] ?? 'sha256Ecdsa'];
  const subject = parts.subject ?? nameOf(name);
  const all: Partial<Parts> = {
    algorithm: identifier,
    issuer: by?.subject ?? subject,
    subject,
    publicKey: spkiOf(key),
    ...(list === undefined ? {} : { rest: [extensions(...list)] }),
    ...parts,
  };
  const body = bodyOf(all);
  return { der: closed(body, all, signWith(body, keys[signer].privateKey)), subject, key };
}

export const authority = extension('2.5.29.19', sequence(boolean(true)), true);
