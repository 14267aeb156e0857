import { constants, createHash, type KeyObject, verify } from 'node:crypto';
import { BundleRefused } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import { type EpochMs, epochMs } from '../../domain/time.ts';
import { canonicalText } from '../../text/json-text.ts';
import type { Archive } from './read-archive.ts';
import { jsonTextOf, jsonValueOf } from './read-json-text.ts';
import { isYaml, jsonTextOfYaml } from './read-yaml-text.ts';

/** Asymmetric ones only: a sidecar that could check a shared secret could sign with it. */
export const signatureAlgorithms = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;
export type SignatureAlgorithm = (typeof signatureAlgorithms)[number];

export interface VerificationKey {
  /** As a token's `kid` header, or its `keyid` claim, names it. */
  readonly id: string;
  readonly algorithm: SignatureAlgorithm;
  readonly key: KeyObject;
}

/** What a bundle has to prove. The requirement hangs on `required` alone, never on what the bundle says of itself. */
export interface SigningRule {
  readonly required: boolean;
  readonly keys: readonly VerificationKey[];
  /** The `scope` claim has to say the same, and to be absent where none is configured. */
  readonly scope: string | undefined;
}

export interface Signed {
  /** The token's `exp`: past it the bundle is too old, even if a server still delivers it. */
  readonly expiresAt: EpochMs | undefined;
}

export const signaturesFile = '.signatures.json';
const rsaBitsMin = 2_048;

/** MD5 and SHA-1, which OPA still takes, can be made to collide. */
const hashes: ReadonlyMap<string, string> = new Map([
  ['SHA-224', 'sha224'],
  ['SHA-256', 'sha256'],
  ['SHA-384', 'sha384'],
  ['SHA-512', 'sha512'],
  ['SHA-512-224', 'sha512-224'],
  ['SHA-512-256', 'sha512-256'],
]);

/**
 * Checks OPA's `.signatures.json`: one token, signed by a key that is configured, whose list of files and hashes covers
 * the archive exactly, both ways.
 *
 * @returns undefined for an unsigned bundle where none has to be signed
 * @throws BundleRefused
 * @see OPA documentation, "Bundles", signing; RFC 7515 section 5.2
 */
export function verifySignature(archive: Archive, rule: SigningRule): Signed | undefined {
  const file = archive.get(signaturesFile);
  if (file === undefined) {
    if (rule.required) throw new BundleRefused('the bundle is not signed, and it has to be');
    return undefined;
  }
  if (rule.keys.length === 0) throw new BundleRefused('the bundle is signed, and no verification key is configured');
  const claims = verifiedClaims(onlyToken(file), rule.keys);
  if (claim(claims, 'scope') !== rule.scope) {
    throw new BundleRefused(
      rule.scope === undefined
        ? 'the signature is for a scope, and none is configured'
        : `the signature is not for the scope ${rule.scope}`,
    );
  }
  requireCoverage(archive, readFiles(claims));
  return { expiresAt: expiry(claims) };
}

/** Whether a key can make signatures of that algorithm at all: RFC 7518 section 3, RFC 8037. */
export function fits(algorithm: SignatureAlgorithm, key: KeyObject): boolean {
  if (key.type !== 'public') return false;
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  switch (algorithm) {
    case 'ES256':
      return namedCurve === 'prime256v1';
    case 'ES384':
      return namedCurve === 'secp384r1';
    case 'ES512':
      return namedCurve === 'secp521r1';
    case 'EdDSA':
      return key.asymmetricKeyType === 'ed25519';
    default:
      return key.asymmetricKeyType === 'rsa' && (modulusLength ?? 0) >= rsaBitsMin;
  }
}

function onlyToken(file: Uint8Array): string {
  const { value: document } = jsonValueOf(file, signaturesFile);
  if (!isJsonObject(document)) throw new BundleRefused(`${signaturesFile} is no object`);
  const plugin = member(document, 'plugin');
  if (plugin !== undefined && plugin !== '' && plugin !== '_default')
    throw new BundleRefused(`${signaturesFile} asks for a plugin, and there is none`);
  const tokens = member(document, 'signatures');
  if (!Array.isArray(tokens) || tokens.length !== 1 || typeof tokens[0] !== 'string') {
    throw new BundleRefused(`${signaturesFile} has to hold exactly one signature`);
  }
  return tokens[0];
}

function verifiedClaims(token: string, keys: readonly VerificationKey[]): JsonObject {
  const parts = token.split('.');
  const [head = '', body = '', mark = ''] = parts;
  if (parts.length !== 3) throw new BundleRefused('the signature is no compact JWS');
  const header = objectIn(head, 'header');
  const claims = objectIn(body, 'payload');
  // Both would change what is signed or how it is read (RFC 7515 section 4.1.11, RFC 7797).
  if (member(header, 'crit') !== undefined || member(header, 'b64') !== undefined)
    throw new BundleRefused('the signature needs extensions that are not known here');
  const algorithm = member(header, 'alg');
  const candidates = named(keys, claim(header, 'kid') ?? claim(claims, 'keyid'));
  const fitting = candidates.filter((key) => key.algorithm === algorithm);
  if (fitting.length === 0) {
    throw new BundleRefused(
      `the signature's algorithm ${JSON.stringify(algorithm ?? null).slice(0, 40)} is not the configured ${candidates.map((key) => key.algorithm).join(' or ')}`,
    );
  }
  const signature = decoded(mark, 'signature');
  const signed = Buffer.from(`${head}.${body}`, 'ascii');
  if (!fitting.some((key) => isSignedBy(key, signed, signature))) {
    throw new BundleRefused(`the signature does not verify with ${fitting.map(({ id }) => `key ${id}`).join(' or ')}`);
  }
  return claims;
}

/** The key that the token names; every configured one, each as good as the next, where it names none. */
function named(keys: readonly VerificationKey[], id: string | undefined): readonly VerificationKey[] {
  if (id === undefined) return keys;
  const matching = keys.filter((key) => key.id === id);
  if (matching.length === 0)
    throw new BundleRefused(`the signature is by the key ${JSON.stringify(id.slice(0, 100))}, which is not configured`);
  return matching;
}

function isSignedBy({ algorithm, key }: VerificationKey, signed: Buffer, signature: Buffer): boolean {
  if (algorithm === 'EdDSA') return verify(null, signed, key, signature);
  const digest = `sha${algorithm.slice(2)}`;
  switch (algorithm.slice(0, 2)) {
    case 'ES':
      return verify(digest, signed, { key, dsaEncoding: 'ieee-p1363' }, signature);
    case 'PS': {
      const { RSA_PKCS1_PSS_PADDING: padding, RSA_PSS_SALTLEN_DIGEST: saltLength } = constants;
      return verify(digest, signed, { key, padding, saltLength }, signature);
    }
    default:
      return verify(digest, signed, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
  }
}

function objectIn(part: string, what: string): JsonObject {
  const { value } = jsonValueOf(decoded(part, what), `the signature's ${what}`);
  if (!isJsonObject(value)) throw new BundleRefused(`the signature's ${what} is no object`);
  return value;
}

/** base64url without padding, in its one canonical spelling; Buffer.from takes many more. */
function decoded(part: string, what: string): Buffer {
  const bytes = Buffer.from(part, 'base64url');
  if (bytes.toString('base64url') !== part) throw new BundleRefused(`the signature's ${what} is no base64url`);
  return bytes;
}

/** A claim that is text; an empty one counts as absent, as OPA has it. */
function claim(claims: JsonObject, name: string): string | undefined {
  const value = member(claims, name) ?? '';
  if (typeof value !== 'string') throw new BundleRefused(`the signature's ${name} is no text`);
  return value === '' ? undefined : value;
}

function expiry(claims: JsonObject): EpochMs | undefined {
  const seconds = member(claims, 'exp');
  if (seconds === undefined) return undefined;
  if (typeof seconds !== 'number') throw new BundleRefused("the signature's exp is no number");
  return epochMs(Math.floor(seconds * 1_000));
}

interface Hashed {
  readonly hash: string;
  readonly algorithm: string;
}

function readFiles(claims: JsonObject): ReadonlyMap<string, Hashed> {
  const list = member(claims, 'files');
  if (!Array.isArray(list)) throw new BundleRefused('the signature lists no files');
  const files = new Map<string, Hashed>();
  for (const entry of list as readonly JsonValue[]) {
    const [name, hash, algorithm] = ['name', 'hash', 'algorithm'].map((key) =>
      isJsonObject(entry) ? member(entry, key) : undefined,
    );
    if (typeof name !== 'string' || typeof hash !== 'string' || typeof algorithm !== 'string')
      throw new BundleRefused('the signature lists a file without its name, hash or algorithm');
    const digest = hashes.get(algorithm);
    if (digest === undefined)
      throw new BundleRefused(
        `the signature hashes with ${JSON.stringify(algorithm.slice(0, 20))}, which is not taken`,
      );
    const normal = name.replace(/^\/+/, '');
    if (files.has(normal)) throw new BundleRefused(`the signature lists ${shown(normal)} twice`);
    files.set(normal, { hash, algorithm: digest });
  }
  return files;
}

function requireCoverage(archive: Archive, files: ReadonlyMap<string, Hashed>): void {
  for (const name of files.keys()) {
    if (!archive.has(name)) throw new BundleRefused(`the signature lists ${shown(name)}, which is not in the bundle`);
  }
  for (const [name, bytes] of archive) {
    if (name === signaturesFile) continue;
    const listed = files.get(name);
    if (listed === undefined) throw new BundleRefused(`${shown(name)} is not covered by the signature`);
    const digest = createHash(listed.algorithm).update(hashedForm(name, bytes)).digest('hex');
    if (digest !== listed.hash.toLowerCase()) throw new BundleRefused(`${shown(name)} is not the file that was signed`);
  }
}

/** Documents are hashed by what they say, whatever their blanks and order; any other file by its bytes. */
function hashedForm(name: string, bytes: Uint8Array): string | Uint8Array {
  const base = name.slice(name.lastIndexOf('/') + 1);
  if (base === 'data.json' || base === '.manifest') return canonicalText(jsonTextOf(bytes, name));
  return isYaml(base) ? canonicalText(jsonTextOfYaml(bytes, name)) : bytes;
}

function shown(name: string): string {
  return JSON.stringify(name.slice(0, 100));
}
