// Tested by test/opa/builtins/budget.long.test.ts.
import {
  constants,
  createHmac,
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  type JsonWebKeyInput,
  type KeyObject,
  sign,
  timingSafeEqual,
  verify,
  X509Certificate,
} from 'node:crypto';
import { decodePem } from '../go/pem.ts';
import { BuiltinError } from '../values/builtin.ts';

type JsonWebKey = JsonWebKeyInput['key'];

/** A key that a token may be verified or signed with. */
export interface JwsKey {
  /** Empty where the key does not say. */
  readonly alg: string;
  readonly kid: string;
  readonly key: KeyObject;
}

type Family = 'hmac' | 'pkcs1' | 'pss' | 'ecdsa' | 'eddsa';

interface Algorithm {
  readonly family: Family;
  readonly hash: string;
}

export const algorithms: ReadonlyMap<string, Algorithm> = new Map([
  ['HS256', { family: 'hmac', hash: 'sha256' }],
  ['HS384', { family: 'hmac', hash: 'sha384' }],
  ['HS512', { family: 'hmac', hash: 'sha512' }],
  ['RS256', { family: 'pkcs1', hash: 'sha256' }],
  ['RS384', { family: 'pkcs1', hash: 'sha384' }],
  ['RS512', { family: 'pkcs1', hash: 'sha512' }],
  ['PS256', { family: 'pss', hash: 'sha256' }],
  ['PS384', { family: 'pss', hash: 'sha384' }],
  ['PS512', { family: 'pss', hash: 'sha512' }],
  ['ES256', { family: 'ecdsa', hash: 'sha256' }],
  ['ES384', { family: 'ecdsa', hash: 'sha384' }],
  ['ES512', { family: 'ecdsa', hash: 'sha512' }],
  ['EdDSA', { family: 'eddsa', hash: '' }],
]);

/** Go refuses to work with shorter ones. */
const modulusBitsMin = 1_024;

/**
 * A certificate, a public key, a JWK or a set of them.
 *
 * @throws BuiltinError
 */
export function parseKeys(text: string): readonly JwsKey[] {
  const block = decodePem(text);
  if (block === undefined) return jwkSet(text);
  if (block.rest !== '') throw new BuiltinError('extra data after a PEM certificate block');
  switch (block.type) {
    case 'CERTIFICATE':
      return [{ alg: '', kid: '', key: usable(parsed(() => new X509Certificate(block.bytes).publicKey)) }];
    case 'PUBLIC KEY':
      return [{ alg: '', kid: '', key: usable(parsed(() => publicKeyOf(block.bytes))) }];
    default:
      throw new BuiltinError('failed to extract a key from the PEM certificate');
  }
}

function publicKeyOf(spki: Buffer): KeyObject {
  return createPublicKey({ key: spki, format: 'der', type: 'spki' });
}

/** Go knows fewer kinds of keys than OpenSSL; one that it does not know makes the whole text malformed. */
function usable(key: KeyObject): KeyObject {
  const kind = key.asymmetricKeyType ?? '';
  const curve = key.asymmetricKeyDetails?.namedCurve ?? '';
  const known = kind === 'ec' ? goCurves.has(curve) : goKinds.has(kind);
  if (!known || key.asymmetricKeyDetails?.modulusLength === 0)
    throw new BuiltinError('unknown public key algorithm or curve');
  return key;
}

const goKinds: ReadonlySet<string> = new Set(['rsa', 'dsa', 'ed25519', 'x25519']);
const goCurves: ReadonlySet<string> = new Set(['secp224r1', 'prime256v1', 'secp384r1', 'secp521r1']);

function jwkSet(text: string): readonly JwsKey[] {
  return jwksOf(text)
    .map((jwk) => ({ alg: algOf(jwk), kid: member(jwk, 'kid'), key: keyOfJwk(jwk) }))
    .filter(({ alg }) => alg === '' || algorithms.has(alg));
}

/**
 * The first key of a JWK or set, to sign with.
 *
 * @throws BuiltinError
 */
export function parseSigningKey(text: string): KeyObject {
  const [first] = jwksOf(text).map((jwk) => ({ alg: algOf(jwk), key: keyOfJwk(jwk) }));
  if (first === undefined) throw new BuiltinError('no keys found in JWK set');
  return first.key;
}

type Members = Readonly<Record<string, unknown>>;

function jwksOf(text: string): readonly Members[] {
  const document: unknown = parsed(() => JSON.parse(text));
  if (!isObject(document)) throw new BuiltinError('no JWK');
  const keys = Object.hasOwn(document, 'keys') ? document['keys'] : [document];
  if (!Array.isArray(keys) || !keys.every(isObject)) throw new BuiltinError('no JWK set');
  return keys;
}

function isObject(value: unknown): value is Members {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function member(jwk: Members, name: string): string {
  const value = jwk[name] ?? '';
  if (typeof value !== 'string') throw new BuiltinError(`${name}: must be a string`);
  return value;
}

/** RFC 7518's algorithms for keys, beside those that sign. */
const keyAlgorithms =
  /^(?:none|RSA1_5|RSA-OAEP(?:-(?:256|384|512))?|dir|A(?:128|192|256)(?:GCM)?KW|ECDH-ES(?:\+A(?:128|192|256)KW)?|PBES2-HS(?:256\+A128|384\+A192|512\+A256)KW|ES256K)$/;

function algOf(jwk: Members): string {
  const alg = member(jwk, 'alg');
  // One that is left out may be any, one that is left empty is none.
  const known = alg === '' ? !Object.hasOwn(jwk, 'alg') : algorithms.has(alg) || keyAlgorithms.test(alg);
  if (!known) throw new BuiltinError('invalid key algorithm');
  return alg;
}

function keyOfJwk(jwk: Members): KeyObject {
  return parsed(() => {
    const { kty, k, d } = jwk;
    if (kty === 'oct') {
      if (typeof k !== 'string' || !/^[A-Za-z0-9\-_]+=*$/.test(k)) throw new BuiltinError('no octets');
      return createSecretKey(k, 'base64url');
    }
    const key = jwk as JsonWebKey;
    return usable(d === undefined ? createPublicKey({ key, format: 'jwk' }) : createPrivateKey({ key, format: 'jwk' }));
  });
}

function parsed<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new BuiltinError('malformed key', { cause });
  }
}

/** How a signature's parts may be laid out. */
export interface Leniency {
  /** The two numbers of an ECDSA signature may be padded to any length, and the salt of PSS may have any. */
  readonly anyLength: boolean;
  /** A private key is accepted in place of its public half. */
  readonly privateKeys: boolean;
}

/** @returns false for a key of another kind, too */
export function verifySignature(
  alg: string,
  key: KeyObject,
  data: string,
  signature: Buffer,
  leniency: Leniency,
): boolean {
  const algorithm = algorithms.get(alg);
  if (algorithm === undefined) return false;
  const { family, hash } = algorithm;
  if (family === 'hmac') return key.type === 'secret' && isMac(hash, key, data, signature);
  if (key.type === 'secret' || (key.type === 'private' && !leniency.privateKeys)) return false;
  const publicKey = key.type === 'private' ? createPublicKey(key) : key;
  const bytes = Buffer.from(data, 'utf8');
  switch (family) {
    case 'pkcs1':
      return (
        isRsa(publicKey) && verify(hash, bytes, { key: publicKey, padding: constants.RSA_PKCS1_PADDING }, signature)
      );
    case 'pss': {
      const saltLength = leniency.anyLength ? constants.RSA_PSS_SALTLEN_AUTO : constants.RSA_PSS_SALTLEN_DIGEST;
      const options = { key: publicKey, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength };
      return isRsa(publicKey) && verify(hash, bytes, options, signature);
    }
    case 'ecdsa': {
      const fitted = fittedSignature(publicKey, signature, leniency.anyLength);
      const options = { key: publicKey, dsaEncoding: 'ieee-p1363' } as const;
      return fitted !== undefined && verify(hash, bytes, options, fitted);
    }
    case 'eddsa':
      return publicKey.asymmetricKeyType === 'ed25519' && verify(null, bytes, publicKey, signature);
    default:
      return family satisfies never;
  }
}

export function isMac(hash: string, key: KeyObject | Buffer, data: string, signature: Buffer): boolean {
  const mac = createHmac(hash, key).update(data, 'utf8').digest();
  return mac.length === signature.length && timingSafeEqual(mac, signature);
}

function isRsa(key: KeyObject): boolean {
  return key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= modulusBitsMin;
}

const curveBytes: Readonly<Record<string, number>> = {
  prime256v1: 32,
  secp384r1: 48,
  secp521r1: 66,
};

/** The signature's two numbers in as many bytes as the curve has; undefined where they do not fit or no curve is. */
function fittedSignature(key: KeyObject, signature: Buffer, anyLength: boolean): Buffer | undefined {
  const size = key.asymmetricKeyType === 'ec' ? curveBytes[key.asymmetricKeyDetails?.namedCurve ?? ''] : undefined;
  if (size === undefined) return undefined;
  if (signature.length === size * 2) return signature;
  if (!anyLength) return undefined;
  const half = Math.floor(signature.length / 2);
  const parts = [signature.subarray(0, half), signature.subarray(half)].map((part) => fitted(part, size));
  return parts.every((part) => part !== undefined) ? Buffer.concat(parts) : undefined;
}

function fitted(bytes: Buffer, size: number): Buffer | undefined {
  const start = bytes.findIndex((byte) => byte !== 0);
  const significant = start < 0 ? Buffer.alloc(0) : bytes.subarray(start);
  return significant.length > size ? undefined : Buffer.concat([Buffer.alloc(size - significant.length), significant]);
}

/** @throws BuiltinError where the key does not fit the algorithm */
export function makeSignature(alg: string, key: KeyObject, data: string): Buffer {
  const algorithm = algorithms.get(alg);
  if (algorithm === undefined) throw new BuiltinError('unknown JWS algorithm');
  const { family, hash } = algorithm;
  const bytes = Buffer.from(data, 'utf8');
  const fits = {
    hmac: key.type === 'secret',
    pkcs1: key.type === 'private' && isRsa(key),
    pss: key.type === 'private' && isRsa(key),
    ecdsa: key.type === 'private' && key.asymmetricKeyType === 'ec',
    eddsa: key.type === 'private' && key.asymmetricKeyType === 'ed25519',
  }[family];
  if (!fits) throw new BuiltinError('the key does not fit the algorithm');
  switch (family) {
    case 'hmac':
      return createHmac(hash, key).update(bytes).digest();
    case 'pkcs1':
      return sign(hash, bytes, { key, padding: constants.RSA_PKCS1_PADDING });
    case 'pss':
      return sign(hash, bytes, {
        key,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
      });
    case 'ecdsa':
      return sign(hash, bytes, { key, dsaEncoding: 'ieee-p1363' });
    case 'eddsa':
      return sign(null, bytes, key);
    default:
      return family satisfies never;
  }
}
