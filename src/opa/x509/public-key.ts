// Tested by test/opa/builtins/x509-keys.long.test.ts.
import { BuiltinError } from '../values/builtin.ts';
import { integer } from '../values/operands.ts';
import { RegoObject, type Value } from '../values/value.ts';
import { type Curve, curveOf, isOnCurve } from './curves.ts';
import { Der, type Element, rightAligned, tags } from './der.ts';
import { base64 } from './x509-json.ts';

export interface AlgorithmIdentifier {
  readonly oid: string;
  readonly parameters: Element | undefined;
}

export function readAlgorithm(der: Der): AlgorithmIdentifier {
  return { oid: der.oid().join('.'), parameters: der.empty ? undefined : der.any() };
}

export type PublicKey =
  | { readonly kind: 'rsa'; readonly n: bigint; readonly e: bigint }
  | { readonly kind: 'ecdsa'; readonly curve: Curve; readonly x: bigint; readonly y: bigint }
  | { readonly kind: 'ed25519'; readonly bytes: Buffer }
  | { readonly kind: 'dsa'; readonly p: bigint; readonly q: bigint; readonly g: bigint; readonly y: bigint };

export interface PublicKeyInfo {
  readonly raw: Buffer;
  /** Go's `PublicKeyAlgorithm`. */
  readonly algorithm: number;
  /** undefined for an algorithm that is not known */
  readonly key: PublicKey | undefined;
}

const algorithms: Readonly<Record<string, number>> = {
  '1.2.840.113549.1.1.1': 1,
  '1.2.840.10040.4.1': 2,
  '1.2.840.10045.2.1': 3,
  '1.3.101.112': 4,
};

export function readPublicKeyInfo({ whole, content }: Element): PublicKeyInfo {
  const der = new Der(content);
  const identifier = readAlgorithm(der.enter(tags.sequence));
  const bits = der.bitString();
  const algorithm = algorithms[identifier.oid] ?? 0;
  const key = algorithm === 0 ? undefined : readPublicKey(algorithm, identifier, rightAligned(bits));
  return { raw: whole, algorithm, key };
}

function readPublicKey(algorithm: number, { parameters }: AlgorithmIdentifier, data: Buffer): PublicKey {
  switch (algorithm) {
    case 1: {
      if (parameters?.whole.toString('hex') !== '0500') throw new BuiltinError('RSA key missing NULL parameters');
      const der = new Der(data).enter(tags.sequence);
      const n = der.integer();
      const e = BigInt(der.int());
      if (n <= 0n || e <= 0n) throw new BuiltinError('RSA key is not positive');
      return { kind: 'rsa', n, e };
    }
    case 2: {
      const y = new Der(data).integer();
      const der = new Der(parameters?.whole ?? Buffer.alloc(0)).enter(tags.sequence);
      const [p, q, g] = [der.integer(), der.integer(), der.integer()];
      if (y <= 0n || p <= 0n || q <= 0n || g <= 0n) throw new BuiltinError('zero or negative DSA parameter');
      return { kind: 'dsa', p, q, g, y };
    }
    case 3: {
      const curve = curveOf(new Der(parameters?.whole ?? Buffer.alloc(0)).oid().join('.'));
      if (curve === undefined) throw new BuiltinError('unsupported elliptic curve');
      return { kind: 'ecdsa', curve, ...pointOf(curve, data) };
    }
    default:
      if (parameters !== undefined) throw new BuiltinError('Ed25519 key encoded with illegal parameters');
      if (data.length !== 32) throw new BuiltinError('wrong Ed25519 public key size');
      return { kind: 'ed25519', bytes: data };
  }
}

function pointOf(curve: Curve, data: Buffer): { readonly x: bigint; readonly y: bigint } {
  const { size } = curve;
  if (data[0] !== 4 || data.length !== 1 + 2 * size) throw new BuiltinError('invalid uncompressed public key');
  const x = BigInt(`0x${data.toString('hex', 1, 1 + size)}`);
  const y = BigInt(`0x${data.toString('hex', 1 + size)}`);
  if (!isOnCurve(curve, x, y)) throw new BuiltinError('point is not on the curve');
  return { x, y };
}

export function publicKeyValue(key: PublicKey | undefined): Value {
  switch (key?.kind) {
    case undefined:
      return null;
    case 'rsa':
      return RegoObject.of({ N: integer(key.n), E: integer(key.e) });
    case 'ecdsa':
      return RegoObject.of({ Curve: new RegoObject(), X: integer(key.x), Y: integer(key.y) });
    case 'ed25519':
      return base64(key.bytes);
    case 'dsa':
      return RegoObject.of({ P: integer(key.p), Q: integer(key.q), G: integer(key.g), Y: integer(key.y) });
  }
}
