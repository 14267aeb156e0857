// Tested by test/opa/builtins/x509-certificates.test.ts.
/** One of NIST's curves: y² = x³ - 3x + b modulo p. */
export interface Curve {
  /** OpenSSL's name of it. */
  readonly name: string;
  /** Its name in a JWK; undefined if JWKs do not have it. */
  readonly jwk: string | undefined;
  /** Of a coordinate, in bytes. */
  readonly size: number;
  readonly p: bigint;
  readonly b: bigint;
  /** How many points it has. */
  readonly n: bigint;
}

const p224 = {
  name: 'secp224r1',
  jwk: undefined,
  size: 28,
  p: 2n ** 224n - 2n ** 96n + 1n,
  b: 0xb4050a850c04b3abf54132565044b0b7d7bfd8ba270b39432355ffb4n,
  n: 0xffffffffffffffffffffffffffff16a2e0b8f03e13dd29455c5c2a3dn,
};
const p256 = {
  name: 'prime256v1',
  jwk: 'P-256',
  size: 32,
  p: 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n,
  b: 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn,
  n: 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n,
};
const p384 = {
  name: 'secp384r1',
  jwk: 'P-384',
  size: 48,
  p: 2n ** 384n - 2n ** 128n - 2n ** 96n + 2n ** 32n - 1n,
  b: 0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aefn,
  n: 0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973n,
};
const p521 = {
  name: 'secp521r1',
  jwk: 'P-521',
  size: 66,
  p: 2n ** 521n - 1n,
  b: 0x0051953eb9618e1c9a1f929a21a0b68540eea2da725b99b315f3b8b489918ef109e156193951ec7e937b1652c0bd3bb1bf073573df883d2c34f1ef451fd46b503f00n,
  n: 0x1fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409n,
};

const byOid: Readonly<Record<string, Curve>> = {
  '1.3.132.0.33': p224,
  '1.2.840.10045.3.1.7': p256,
  '1.3.132.0.34': p384,
  '1.3.132.0.35': p521,
};

export function curveOf(oid: string): Curve | undefined {
  return byOid[oid];
}

export function isOnCurve({ p, b }: Curve, x: bigint, y: bigint): boolean {
  return x < p && y < p && (y * y - (x * x * x - 3n * x + b)) % p === 0n;
}
