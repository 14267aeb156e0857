// Tested by test/opa/builtins/x509-keys.long.test.ts.
import { createECDH, createPrivateKey, createPublicKey } from 'node:crypto';
import { BuiltinError } from '../values/builtin.ts';
import type { Charge } from '../values/charge.ts';
import { integer } from '../values/operands.ts';
import { RegoObject, type Value } from '../values/value.ts';
import { type Curve, curveOf } from './curves.ts';
import { bytesOfInteger, Der, tags } from './der.ts';
import { type PublicKey, publicKeyValue, readAlgorithm } from './public-key.ts';
import { base64 } from './x509-json.ts';

interface CrtValue {
  readonly exponent: bigint;
  readonly coefficient: bigint;
  readonly product: bigint;
}

export type PrivateKey =
  | {
      readonly kind: 'rsa';
      readonly n: bigint;
      readonly e: bigint;
      readonly d: bigint;
      readonly primes: readonly bigint[];
      readonly dp: bigint;
      readonly dq: bigint;
      readonly qInverse: bigint;
      readonly others: readonly CrtValue[];
    }
  | { readonly kind: 'ecdsa'; readonly curve: Curve; readonly x: bigint; readonly y: bigint; readonly d: bigint }
  | { readonly kind: 'ed25519' | 'x25519'; readonly seed: Buffer; readonly publicKey: Buffer };

/** Arithmetic on keys of usual sizes costs no more than a few units. */
const bitsSquaredPerUnit = 2 ** 18;

/** PKCS #1 (RFC 8017, appendix A.1.2) */
export function parsePkcs1(bytes: Buffer, charge: Charge): PrivateKey {
  const input = new Der(bytes, 'asn1');
  const der = input.enter(tags.sequence);
  if (!input.empty) throw new BuiltinError('trailing data');
  if (der.int() > 1) throw new BuiltinError('unsupported private key version');
  const n = der.integer();
  const e = BigInt(der.int());
  const [d, p, q] = [der.integer(), der.integer(), der.integer()];
  const [dp, dq, qInverse] = [optionalInteger(der), optionalInteger(der), optionalInteger(der)];
  const others: bigint[] = [];
  if (der.peek(tags.sequence)) {
    const list = der.enter(tags.sequence);
    while (!list.empty) {
      const prime = list.enter(tags.sequence);
      others.push(prime.integer());
      prime.integer();
      prime.integer();
    }
  }
  if ([n, d, p, q, dp ?? 1n, dq ?? 1n, qInverse ?? 1n, ...others].some((value) => value <= 0n)) {
    throw new BuiltinError('private key contains zero or negative value');
  }
  charge((bytes.length * 8) ** 2 / bitsSquaredPerUnit);
  if (n % 2n === 0n || e < 2n || e % 2n === 0n || e >= 2n ** 31n || d >= n) throw inconsistent();
  return others.length > 0
    ? withMorePrimes(n, e, d, [p, q, ...others])
    : withTwoPrimes(
        n,
        e,
        d,
        p,
        q,
        dp === undefined || dq === undefined || qInverse === undefined ? undefined : { dp, dq, qInverse },
      );
}

function optionalInteger(der: Der): bigint | undefined {
  return der.peek(tags.integer) ? der.integer() : undefined;
}

function inconsistent(): BuiltinError {
  return new BuiltinError('private key is not consistent');
}

function withTwoPrimes(
  n: bigint,
  e: bigint,
  d: bigint,
  p: bigint,
  q: bigint,
  given: { readonly dp: bigint; readonly dq: bigint; readonly qInverse: bigint } | undefined,
): PrivateKey {
  if (p < 2n || q < 2n || p * q !== n) throw inconsistent();
  const { dp, dq, qInverse } = given ?? { dp: d % (p - 1n), dq: d % (q - 1n), qInverse: inverse(q, p) };
  const consistent =
    dp < p - 1n &&
    dq < q - 1n &&
    (e * dp) % (p - 1n) === 1n &&
    (e * dq) % (q - 1n) === 1n &&
    qInverse < p &&
    (qInverse * q) % p === 1n &&
    d % (p - 1n) === dp &&
    d % (q - 1n) === dq;
  // Primes near one another, and a small exponent, give the key away.
  const apart = p > q ? p - q : q - p;
  const strong = bits(apart) > Math.floor(bits(n) / 2) - 100 && p !== q && bits(d) > Math.floor(bits(n) / 2);
  if (!consistent || !strong) throw inconsistent();
  return { kind: 'rsa', n, e, d, primes: [p, q], dp, dq, qInverse, others: [] };
}

function withMorePrimes(n: bigint, e: bigint, d: bigint, primes: readonly bigint[]): PrivateKey {
  const [p = 0n, q = 0n, ...rest] = primes;
  if (primes.some((prime) => prime <= 1n)) throw inconsistent();
  let product = p * q;
  const others = rest.map((prime) => {
    const value = { exponent: d % (prime - 1n), coefficient: inverse(product, prime), product };
    product *= prime;
    return value;
  });
  return { kind: 'rsa', n, e, d, primes, dp: d % (p - 1n), dq: d % (q - 1n), qInverse: inverse(q, p), others };
}

function bits(value: bigint): number {
  return value === 0n ? 0 : value.toString(2).length;
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b] = [value % modulus, modulus];
  let [x, y] = [1n, 0n];
  while (a !== 0n) {
    const quotient = b / a;
    [a, b] = [b % a, a];
    [x, y] = [y - quotient * x, x];
  }
  if (b !== 1n) throw inconsistent();
  return ((y % modulus) + modulus) % modulus;
}

/** PKCS #8 (RFC 5208) */
export function parsePkcs8(bytes: Buffer, charge: Charge): PrivateKey {
  const der = new Der(bytes, 'asn1').enter(tags.sequence);
  der.int();
  const { oid, parameters } = readAlgorithm(der.enter(tags.sequence));
  const content = der.read(tags.octetString);
  switch (oid) {
    case '1.2.840.113549.1.1.1':
      return parsePkcs1(content, charge);
    case '1.2.840.10045.2.1':
      return parseEc(content, namedCurve(parameters?.whole));
    case '1.3.101.112':
    case '1.3.101.110': {
      const seed = new Der(content).read(tags.octetString);
      if (parameters !== undefined || seed.length !== 32) throw new BuiltinError('invalid private key');
      return montgomeryOrEdwards(oid === '1.3.101.112' ? 'ed25519' : 'x25519', seed);
    }
    default:
      throw new BuiltinError('PKCS#8 wrapping contained private key with unknown algorithm');
  }
}

function montgomeryOrEdwards(kind: 'ed25519' | 'x25519', seed: Buffer): PrivateKey {
  const prefix = Buffer.from(`302e020100300506032b65${kind === 'ed25519' ? '70' : '6e'}04220420`, 'hex');
  const key = createPrivateKey({ key: Buffer.concat([prefix, seed]), format: 'der', type: 'pkcs8' });
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' });
  return { kind, seed, publicKey: spki.subarray(-32) };
}

/** @returns undefined for a value that is not an identifier: the key itself may name the curve */
function namedCurve(parameters: Buffer | undefined): string | undefined {
  try {
    return parameters === undefined ? undefined : new Der(parameters).oid().join('.');
  } catch (cause) {
    if (cause instanceof BuiltinError) return undefined;
    throw cause;
  }
}

/** SEC 1 (RFC 5915) */
export function parseEc(bytes: Buffer, curveOid?: string): PrivateKey {
  const der = new Der(bytes, 'asn1').enter(tags.sequence);
  if (der.int() !== 1) throw new BuiltinError('unknown EC private key version');
  const content = der.read(tags.octetString);
  const named = der.explicit(0, tags.oid)?.oid().join('.');
  der.explicit(1, tags.bitString)?.bitString();
  const curve = curveOf(curveOid ?? named ?? '');
  if (curve === undefined) throw new BuiltinError('unknown elliptic curve');
  const d = BigInt(`0x0${content.toString('hex')}`);
  if (d === 0n || d >= curve.n) throw new BuiltinError('invalid private key');
  const point = publicPoint(curve, d);
  const coordinate = (at: number): bigint => BigInt(`0x${point.toString('hex', at, at + curve.size)}`);
  return { kind: 'ecdsa', curve, d, x: coordinate(1), y: coordinate(1 + curve.size) };
}

function publicPoint(curve: Curve, d: bigint): Buffer {
  const ecdh = createECDH(curve.name);
  ecdh.setPrivateKey(padded(d, curve.size));
  return ecdh.getPublicKey();
}

function padded(value: bigint, size: number): Buffer {
  return Buffer.from(value.toString(16).padStart(size * 2, '0'), 'hex');
}

/** As Go's encoding/json writes the key. */
export function privateKeyValue(key: PrivateKey): Value {
  switch (key.kind) {
    case 'rsa':
      return RegoObject.of({
        N: integer(key.n),
        E: integer(key.e),
        D: integer(key.d),
        Primes: key.primes.map(integer),
        Precomputed: RegoObject.of({
          Dp: integer(key.dp),
          Dq: integer(key.dq),
          Qinv: integer(key.qInverse),
          CRTValues: key.others.map(({ exponent, coefficient, product }) =>
            RegoObject.of({ Exp: integer(exponent), Coeff: integer(coefficient), R: integer(product) }),
          ),
        }),
      });
    case 'ecdsa': {
      const value = publicKeyValue(key) as RegoObject;
      value.set('D', integer(key.d));
      return value;
    }
    case 'ed25519':
      return base64(Buffer.concat([key.seed, key.publicKey]));
    case 'x25519':
      return new RegoObject();
  }
}

/** RFC 7517 and 8037 */
export function jwkOf(key: PrivateKey): Value {
  const number = (value: bigint): string => bytesOfInteger(value).toString('base64url');
  switch (key.kind) {
    case 'rsa':
      if (key.others.length > 0) throw new BuiltinError('JWKs have no more than two primes');
      return RegoObject.of({
        kty: 'RSA',
        n: number(key.n),
        e: number(key.e),
        d: number(key.d),
        p: number(key.primes[0] ?? 0n),
        q: number(key.primes[1] ?? 0n),
        dp: number(key.dp),
        dq: number(key.dq),
        qi: number(key.qInverse),
      });
    case 'ecdsa': {
      const { curve, x, y, d } = key;
      if (curve.jwk === undefined) throw new BuiltinError('JWKs do not have the curve');
      const [xText, yText, dText] = [x, y, d].map((value) => padded(value, curve.size).toString('base64url'));
      return RegoObject.of({ kty: 'EC', crv: curve.jwk, x: xText ?? '', y: yText ?? '', d: dText ?? '' });
    }
    default:
      return RegoObject.of({
        kty: 'OKP',
        crv: key.kind === 'ed25519' ? 'Ed25519' : 'X25519',
        x: key.publicKey.toString('base64url'),
        d: key.seed.toString('base64url'),
      });
  }
}

/** Whether the two belong together. */
export function isPair(publicKey: PublicKey | undefined, key: PrivateKey): boolean {
  switch (publicKey?.kind) {
    case 'rsa':
      return key.kind === 'rsa' && key.n === publicKey.n && key.e === publicKey.e;
    case 'ecdsa':
      return key.kind === 'ecdsa' && key.curve === publicKey.curve && key.x === publicKey.x && key.y === publicKey.y;
    case 'ed25519':
      return key.kind === 'ed25519' && key.publicKey.equals(publicKey.bytes);
    default:
      return false;
  }
}
