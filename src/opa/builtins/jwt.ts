// Tested by test/opa/builtins/tokens.long.test.ts.
import { createSecretKey } from 'node:crypto';
import { compareDecimals } from '../../text/decimal.ts';
import { decodeBase64Url } from '../go/base64.ts';
import { formatFloat } from '../go/float.ts';
import { goJson } from '../go/go-json.ts';
import { type Builtin, type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { isArray, objectOperand, stringOperand } from '../values/operands.ts';
import { readJson } from '../values/read-json.ts';
import { bytesOf } from '../values/text.ts';
import { RegoNumber, RegoObject, type Value } from '../values/value.ts';
import { algorithms, isMac, type JwsKey, makeSignature, parseKeys, parseSigningKey, verifySignature } from './jws.ts';

/** A verified token may hold another one: so many deep, no caller has a reason to. */
const nestingMax = 16;

export const builtins: BuiltinFamily = {
  'io.jwt.decode': (_context, token) => decode(stringOperand(token, 1), 0),
  'io.jwt.decode_verify': decodeVerify,
  'io.jwt.encode_sign': (_context, header, payload, key) => encodeSign(goJson(header), goJson(payload), goJson(key)),
  'io.jwt.encode_sign_raw': (_context, header, payload, key) =>
    encodeSign(stringOperand(header, 1), stringOperand(payload, 2), stringOperand(key, 3)),
  'io.jwt.verify_eddsa': verifier('EdDSA'),
  'io.jwt.verify_es256': verifier('ES256'),
  'io.jwt.verify_es384': verifier('ES384'),
  'io.jwt.verify_es512': verifier('ES512'),
  'io.jwt.verify_hs256': macVerifier('sha256'),
  'io.jwt.verify_hs384': macVerifier('sha384'),
  'io.jwt.verify_hs512': macVerifier('sha512'),
  'io.jwt.verify_ps256': verifier('PS256'),
  'io.jwt.verify_ps384': verifier('PS384'),
  'io.jwt.verify_ps512': verifier('PS512'),
  'io.jwt.verify_rs256': verifier('RS256'),
  'io.jwt.verify_rs384': verifier('RS384'),
  'io.jwt.verify_rs512': verifier('RS512'),
};

/** A compact JWS in its three parts, still encoded. */
interface Parts {
  readonly header: string;
  readonly payload: string;
  readonly signature: string;
}

function partsOf(token: string): Parts {
  const parts = token.split('.');
  const [header, payload, signature] = parts;
  if (parts.length !== 3 || header === undefined || payload === undefined || signature === undefined) {
    throw new BuiltinError('encoded JWT must have 3 sections');
  }
  return { header, payload, signature };
}

function decoded(part: string): Buffer {
  const bytes = decodeBase64Url(part);
  if (bytes === undefined) throw new BuiltinError('the JWT has an invalid encoding');
  return bytes;
}

function jsonObject(text: string): RegoObject {
  let value: Value;
  try {
    value = readJson(text);
  } catch (cause) {
    throw new BuiltinError('invalid JSON', { cause });
  }
  if (!(value instanceof RegoObject)) throw new BuiltinError('decoded JSON type was not an object');
  return value;
}

function headerOf({ header }: Parts): RegoObject {
  const object = jsonObject(decoded(header).toString('utf8'));
  if (object.has('enc')) throw new BuiltinError('JWT is a JWE object, which is not supported');
  return object;
}

function decode(token: string, depth: number): Value {
  if (depth > nestingMax) throw new BuiltinError('tokens are nested too deeply');
  const parts = partsOf(token);
  const header = headerOf(parts);
  const payload = decoded(parts.payload).toString('utf8');
  const cty = header.get('cty');
  if (cty !== undefined && stringOperand(cty, 1) === 'JWT')
    return decode(payload.replace(/^["']+|["']+$/g, ''), depth + 1);
  return [header, jsonObject(payload), decoded(parts.signature).toString('hex')];
}

/** The members of a header that have a meaning here. */
interface Header {
  readonly alg: string;
  readonly kid: string;
  readonly cty: string;
  /** Whether it demands nothing that is not understood here. */
  readonly understood: boolean;
}

const understoodMembers: ReadonlySet<string> = new Set(['alg', 'kid', 'typ', 'cty', 'crit']);

function readHeader(header: RegoObject): Header {
  const text = (name: string): string => {
    const value = header.has(name) ? header.get(name) : '';
    if (typeof value !== 'string') throw new BuiltinError(`${name}: must be a string`);
    return value;
  };
  text('typ');
  const critical = criticalMembers(header.get('crit'));
  const names = Array.from(header.entries(), ([name]) => name);
  const understood = !names.some((name) => critical.includes(name) && !understoodMembers.has(name as string));
  return { alg: text('alg'), kid: text('kid'), cty: text('cty'), understood };
}

function criticalMembers(crit: Value | undefined): readonly Value[] {
  if (crit === undefined) return [];
  if (!isArray(crit)) throw new BuiltinError('crit: must be a list');
  const end = crit.findIndex((name) => typeof name !== 'string');
  const names = end < 0 ? crit : crit.slice(0, end);
  if (names.length === 0) throw new BuiltinError('crit: must be a nonempty list');
  return names;
}

function keysOf(context: BuiltinContext, text: string): readonly JwsKey[] {
  context.charge(text.length / 100);
  return context.kept('jwt keys', text, () => parseKeys(text));
}

function verifier(alg: string): Builtin {
  return (context, token, keys) => {
    const parts = partsOf(stringOperand(token, 1));
    const known = keysOf(context, stringOperand(keys, 2));
    const signature = decoded(parts.signature);
    const header = readHeader(headerOf(parts));
    return isSigned(alg, header, known, parts, signature, { anyLength: true, privateKeys: false }, context);
  };
}

/** The key that the header names; if there is none, any of those that are not for another algorithm. */
function isSigned(
  alg: string,
  header: Header,
  keys: readonly JwsKey[],
  parts: Parts,
  signature: Buffer,
  leniency: Parameters<typeof verifySignature>[4],
  context: BuiltinContext,
): boolean {
  const data = `${parts.header}.${parts.payload}`;
  const named = header.kid === '' ? undefined : keys.find(({ kid }) => kid === header.kid);
  const candidates = named === undefined ? keys.filter((key) => key.alg === '' || key.alg === header.alg) : [named];
  return candidates.some(({ key }) => {
    context.charge(signatureUnits);
    return verifySignature(alg, key, data, signature, leniency);
  });
}

/** An asymmetric operation takes about as long as this much other work. */
const signatureUnits = 200;

function macVerifier(hash: string): Builtin {
  return (_context, token, secret) => {
    const jwt = stringOperand(token, 1);
    const key = bytesOf(stringOperand(secret, 2));
    const parts = partsOf(jwt);
    return isMac(hash, key, `${parts.header}.${parts.payload}`, decoded(parts.signature));
  };
}

interface Constraints {
  readonly keys: readonly JwsKey[];
  readonly alg: string;
  readonly iss: string;
  readonly aud: string;
  /** Seconds since 1970, as Go writes a float. */
  readonly now: string;
}

function readConstraints(context: BuiltinContext, object: RegoObject): Constraints {
  const texts = new Map<string, string>();
  let ns: number | undefined;
  for (const [name, value] of object.entries()) {
    switch (name) {
      case 'cert':
      case 'secret':
      case 'alg':
      case 'iss':
      case 'aud':
        if (typeof value !== 'string') throw new BuiltinError(`${name} constraint: must be a string`);
        texts.set(name, value);
        break;
      case 'time':
        if (!(value instanceof RegoNumber)) throw new BuiltinError('token time constraint: must be a number');
        ns = Number(value.text);
        if (!Number.isFinite(ns) || ns < 0) throw new BuiltinError('token time constraint: out of range');
        break;
      default:
        throw new BuiltinError('unknown token validation constraint');
    }
  }
  const cert = texts.get('cert');
  const secret = texts.get('secret') ?? '';
  if (cert !== undefined && secret !== '') throw new BuiltinError('duplicate key constraints');
  if (cert === undefined && secret === '') throw new BuiltinError('no key constraint');
  const keys =
    cert === undefined ? [{ alg: '', kid: '', key: createSecretKey(bytesOf(secret)) }] : keysOf(context, cert);
  return {
    keys,
    alg: texts.get('alg') ?? '',
    iss: texts.get('iss') ?? '',
    aud: texts.get('aud') ?? '',
    now: formatFloat((ns ?? Number(context.nowNs)) / 1_000_000_000, 'g', -1),
  };
}

function decodeVerify(context: BuiltinContext, token: Value, constraintsObject: Value): Value {
  const unverified: Value = [false, new RegoObject(), new RegoObject()];
  const constraints = readConstraints(context, objectOperand(constraintsObject, 2));
  let jwt = stringOperand(token, 1);
  for (let depth = 0; depth <= nestingMax; depth++) {
    const parts = partsOf(jwt);
    const headerObject = headerOf(parts);
    const header = readHeader(headerObject);
    if (header.alg === '' || !header.understood) return unverified;
    if (constraints.alg !== '' && constraints.alg !== header.alg) return unverified;
    const signature = decoded(parts.signature);
    const leniency = { anyLength: false, privateKeys: true };
    if (!isSigned(header.alg, header, constraints.keys, parts, signature, leniency, context)) return unverified;
    const text = decoded(parts.payload).toString('utf8');
    if (header.cty.toUpperCase() !== 'JWT') {
      const payload = jsonObject(text);
      return isAcceptable(payload, constraints) ? [true, headerObject, payload] : unverified;
    }
    jwt = text;
  }
  throw new BuiltinError('tokens are nested too deeply');
}

function isAcceptable(payload: RegoObject, { iss, aud, now }: Constraints): boolean {
  if (iss !== '') {
    const issuer = payload.get('iss');
    if (issuer === undefined) return false;
    if (typeof issuer !== 'string') throw new BuiltinError('iss value must be a string');
    if (issuer !== iss) return false;
  }
  const audience = payload.get('aud');
  if (audience === undefined ? aud !== '' : !(isArray(audience) ? audience.includes(aud) : audience === aud))
    return false;
  const expires = payload.get('exp');
  if (expires !== undefined) {
    if (!(expires instanceof RegoNumber)) throw new BuiltinError('exp value must be a number');
    if (compareDecimals(now, expires.text) >= 0) return false;
  }
  const notBefore = payload.get('nbf');
  if (notBefore !== undefined) {
    if (!(notBefore instanceof RegoNumber)) throw new BuiltinError('nbf value must be a number');
    if (compareDecimals(now, notBefore.text) < 0) return false;
  }
  return true;
}

/** The texts are signed as they are, to the byte. */
function encodeSign(header: string, payload: string, jwk: string): string {
  const key = parseSigningKey(jwk);
  const members = jsonObject(header);
  const alg = members.get('alg');
  if (typeof alg !== 'string' || !algorithms.has(alg)) throw new BuiltinError("missing or invalid 'alg' header");
  const typ = members.get('typ');
  if ((typeof typ !== 'string' || typ === 'JWT') && !isJson(payload)) {
    throw new BuiltinError('type is JWT but payload is not JSON');
  }
  const encode = (text: string): string => bytesOf(text).toString('base64url');
  const data = `${encode(header)}.${encode(payload)}`;
  return `${data}.${makeSignature(alg, key, data).toString('base64url')}`;
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
