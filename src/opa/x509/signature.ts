// Tested by test/opa/builtins/x509-certificates.test.ts.
import { constants, createPublicKey, verify } from 'node:crypto';
import { constructed, Der, tags } from './der.ts';
import type { AlgorithmIdentifier, PublicKeyInfo } from './public-key.ts';
import { readAlgorithm } from './public-key.ts';

export interface SignatureAlgorithm {
  /** Go's `SignatureAlgorithm`. */
  readonly number: number;
  readonly key?: 'rsa' | 'ecdsa' | 'ed25519';
  /** Absent where Go refuses to verify by it. */
  readonly hash?: 'sha256' | 'sha384' | 'sha512' | 'none';
  readonly pss?: boolean;
}

const unknown: SignatureAlgorithm = { number: 0 };
const sha1WithRsa: SignatureAlgorithm = { number: 3, key: 'rsa' };

const byOid: Readonly<Record<string, SignatureAlgorithm>> = {
  '1.2.840.113549.1.1.4': { number: 2, key: 'rsa' },
  '1.2.840.113549.1.1.5': sha1WithRsa,
  '1.3.14.3.2.29': sha1WithRsa,
  '1.2.840.113549.1.1.11': { number: 4, key: 'rsa', hash: 'sha256' },
  '1.2.840.113549.1.1.12': { number: 5, key: 'rsa', hash: 'sha384' },
  '1.2.840.113549.1.1.13': { number: 6, key: 'rsa', hash: 'sha512' },
  '1.2.840.10040.4.3': { number: 7 },
  '2.16.840.1.101.3.4.3.2': { number: 8 },
  '1.2.840.10045.4.1': { number: 9, key: 'ecdsa' },
  '1.2.840.10045.4.3.2': { number: 10, key: 'ecdsa', hash: 'sha256' },
  '1.2.840.10045.4.3.3': { number: 11, key: 'ecdsa', hash: 'sha384' },
  '1.2.840.10045.4.3.4': { number: 12, key: 'ecdsa', hash: 'sha512' },
  '1.3.101.112': { number: 16, key: 'ed25519', hash: 'none' },
};

const pssOid = '1.2.840.113549.1.1.10';
const mgf1Oid = '1.2.840.113549.1.1.8';
/** By the hash, with the only salt length that is taken. */
const pssByHash: Readonly<Record<string, SignatureAlgorithm & { readonly salt: number }>> = {
  '2.16.840.1.101.3.4.2.1': { number: 13, key: 'rsa', hash: 'sha256', pss: true, salt: 32 },
  '2.16.840.1.101.3.4.2.2': { number: 14, key: 'rsa', hash: 'sha384', pss: true, salt: 48 },
  '2.16.840.1.101.3.4.2.3': { number: 15, key: 'rsa', hash: 'sha512', pss: true, salt: 64 },
};

export function signatureAlgorithmOf(identifier: AlgorithmIdentifier): SignatureAlgorithm {
  if (identifier.oid === pssOid) return pssAlgorithmOf(identifier);
  const algorithm = byOid[identifier.oid] ?? unknown;
  return algorithm.hash === 'none' && identifier.parameters !== undefined ? unknown : algorithm;
}

function pssAlgorithmOf({ parameters }: AlgorithmIdentifier): SignatureAlgorithm {
  try {
    const der = new Der(parameters?.whole ?? Buffer.alloc(0)).enter(tags.sequence);
    const hash = readAlgorithm(der.enter(constructed(0)).enter(tags.sequence));
    const mask = readAlgorithm(der.enter(constructed(1)).enter(tags.sequence));
    const maskHash = readAlgorithm(new Der(mask.parameters?.whole ?? Buffer.alloc(0)).enter(tags.sequence));
    const salt = der.enter(constructed(2)).int();
    // RFC 3447 has 1 where none is written.
    const trailer = der.peek(constructed(3)) ? der.enter(constructed(3)).int() : 1;
    const found = pssByHash[hash.oid];
    const fits =
      isNullOrAbsent(hash) &&
      mask.oid === mgf1Oid &&
      maskHash.oid === hash.oid &&
      isNullOrAbsent(maskHash) &&
      trailer === 1 &&
      salt === found?.salt;
    return fits && found !== undefined ? found : unknown;
  } catch {
    return unknown;
  }
}

function isNullOrAbsent({ parameters }: AlgorithmIdentifier): boolean {
  return parameters === undefined || parameters.whole.toString('hex') === '0500';
}

/** Whether the key made the signature, by an algorithm that Go still trusts. */
export function isSignedBy(
  { key, hash, pss }: SignatureAlgorithm,
  signed: Buffer,
  signature: Buffer,
  publicKey: PublicKeyInfo,
): boolean {
  if (hash === undefined || publicKey.key === undefined || publicKey.key.kind !== key) return false;
  if (publicKey.key.kind === 'rsa') {
    const { n, e } = publicKey.key;
    if (n < 2n ** 1023n || n % 2n === 0n || e < 2n || e % 2n === 0n || e >= 2n ** 31n) return false;
  }
  try {
    const options = createPublicKey({ key: publicKey.raw, format: 'der', type: 'spki' });
    const padded = pss
      ? { key: options, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: constants.RSA_PSS_SALTLEN_DIGEST }
      : options;
    return verify(hash === 'none' ? null : hash, signed, padded, signature);
  } catch {
    // OpenSSL has no such key or signature.
    return false;
  }
}
