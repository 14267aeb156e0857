// Tested by test/knowledge/attestations/attestation-table.test.ts.
import { constants, type KeyObject, verify } from 'node:crypto';
import type { Attestation } from '../../domain/attestation.ts';
import { ControlRefused } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import { type EpochMs, parseRfc3339 } from '../../domain/time.ts';

/** Whose word is taken, and for what: SLSA maps a signing identity and a builder together. */
export interface AttestationKey {
  readonly id: string;
  /** A public key: Ed25519, ECDSA on P-256, P-384 or P-521, or RSA from 2048 bits. */
  readonly publicKey: KeyObject;
  /** `builder.id`s that this key may speak for. */
  readonly builders: readonly string[];
  readonly buildTypes: readonly string[];
  /** Members of `externalParameters` that are expected; with any other it does not verify. */
  readonly parameters: readonly string[];
  /** How ECDSA signatures are written; the other algorithms have one way. */
  readonly signature: 'der' | 'ieee-p1363';
}

export interface VerifyOptions {
  readonly keys: readonly AttestationKey[];
  /** The same strict reading that bodies get: the payload is a second document inside the first. */
  parseJson(text: Uint8Array): JsonValue;
}

const payloadBytesMax = 256 * 1024;
const signaturesMax = 16;
const subjectsMax = 100;
const textMax = 2048;
const payloadType = 'application/vnd.in-toto+json';
const statementType = 'https://in-toto.io/Statement/v1';
const provenanceType = 'https://slsa.dev/provenance/v1';

/** SHA-2 by the curve's size, as the DSSE reference implementation has it; Ed25519 brings its own. */
const hashOfCurve: ReadonlyMap<string, string> = new Map([
  ['prime256v1', 'sha256'],
  ['secp384r1', 'sha384'],
  ['secp521r1', 'sha512'],
]);

/**
 * The fault of a key, in words for an operator.
 *
 * @returns undefined if it can verify attestations
 */
export function attestationKeyFault(key: KeyObject): string | undefined {
  // A secret key would mean an HMAC, which every holder of the key could forge.
  if (key.type !== 'public') return 'is not a public key';
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key;
  if (type === 'ed25519') return undefined;
  if (type === 'ec') {
    return hashOfCurve.has(details?.namedCurve ?? '') ? undefined : 'is on a curve other than P-256, P-384 or P-521';
  }
  if (type === 'rsa') {
    if ((details?.modulusLength ?? 0) < 2048) return 'has fewer than 2048 bits';
    return (details?.publicExponent ?? 0n) > 2n ? undefined : 'has an unsafe public exponent';
  }
  return 'is of a kind that does not sign attestations';
}

/**
 * Verifies a DSSE envelope with an in-toto Statement v1 of SLSA provenance v1, in the order that SLSA gives: signature,
 * subjects, predicate type, builder, build type, parameters. Its signer must be allowed to state all of it.
 *
 * @returns one attestation for each SHA-256 digest that the statement is about
 * @throws ControlRefused `attestation_invalid`
 */
export function verifyAttestation(envelope: JsonValue, now: EpochMs, options: VerifyOptions): readonly Attestation[] {
  const { payload, signatures } = readEnvelope(envelope);
  // Distinct keys may have signed; the first one that may also say what it says is enough.
  const signers = options.keys.filter((key) => signatures.some((signature) => isSignedBy(key, payload, signature)));
  if (signers.length === 0) throw refused('no configured key made any of its signatures');
  let statement: JsonValue;
  try {
    statement = options.parseJson(payload);
  } catch {
    throw refused('its payload is not one JSON document');
  }
  let refusal: unknown;
  for (const key of signers) {
    try {
      return readStatement(statement, key, now);
    } catch (cause) {
      refusal ??= cause;
    }
  }
  throw refusal;
}

/** DSSE protocol: the type is signed along with the body, each with its length, so that neither can pass for the other. */
export function preAuthenticationEncoding(type: string, body: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`DSSEv1 ${Buffer.byteLength(type)} ${type} ${body.length} `), body]);
}

function readEnvelope(envelope: JsonValue): { readonly payload: Buffer; readonly signatures: readonly Buffer[] } {
  if (!isJsonObject(envelope)) throw refused('it is not a DSSE envelope');
  if (member(envelope, 'payloadType') !== payloadType) throw refused(`its payloadType is not ${payloadType}`);
  const payload = base64(member(envelope, 'payload'));
  if (payload === undefined) throw refused('its payload is not base64');
  if (payload.length > payloadBytesMax) throw refused(`its payload is larger than ${payloadBytesMax} bytes`);
  const list = member(envelope, 'signatures');
  if (!Array.isArray(list) || list.length === 0 || list.length > signaturesMax) {
    throw refused(`it does not have 1 to ${signaturesMax} signatures`);
  }
  const signatures = list.map((one) => (isJsonObject(one) ? base64(member(one, 'sig')) : undefined));
  if (!signatures.every((one) => one !== undefined)) throw refused('a signature is not base64');
  return { payload, signatures };
}

// `keyid` is not looked at: DSSE calls it a hint, it is not signed, and trying a few keys costs little.
function isSignedBy({ publicKey, signature }: AttestationKey, payload: Buffer, bytes: Buffer): boolean {
  const signed = preAuthenticationEncoding(payloadType, payload);
  switch (publicKey.asymmetricKeyType) {
    case 'ed25519':
      return verify(null, signed, publicKey, bytes);
    case 'ec': {
      const hash = hashOfCurve.get(publicKey.asymmetricKeyDetails?.namedCurve ?? '');
      return hash !== undefined && verify(hash, signed, { key: publicKey, dsaEncoding: signature }, bytes);
    }
    case 'rsa': {
      // The DSSE reference implementation signs with PSS, cosign with PKCS #1 v1.5.
      const pss = {
        key: publicKey,
        padding: constants.RSA_PKCS1_PSS_PADDING,
        saltLength: constants.RSA_PSS_SALTLEN_AUTO,
      };
      return verify('sha256', signed, pss, bytes) || verify('sha256', signed, publicKey, bytes);
    }
    default:
      return false;
  }
}

function readStatement(statement: JsonValue, key: AttestationKey, now: EpochMs): readonly Attestation[] {
  if (!isJsonObject(statement) || member(statement, '_type') !== statementType) {
    throw refused('its payload is not an in-toto Statement v1');
  }
  const digests = digestsOf(member(statement, 'subject'));
  if (member(statement, 'predicateType') !== provenanceType) throw refused(`it is not of type ${provenanceType}`);
  const predicate = object(member(statement, 'predicate'), 'predicate');
  const definition = object(member(predicate, 'buildDefinition'), 'predicate.buildDefinition');
  const details = object(member(predicate, 'runDetails'), 'predicate.runDetails');
  const builder = text(member(object(member(details, 'builder'), 'runDetails.builder'), 'id'), 'runDetails.builder.id');
  if (!key.builders.includes(builder)) throw refused('its key may not speak for its builder');
  const buildType = text(member(definition, 'buildType'), 'buildDefinition.buildType');
  if (!key.buildTypes.includes(buildType)) throw refused('its build type is not an expected one');
  const parameters = object(member(definition, 'externalParameters'), 'buildDefinition.externalParameters');
  for (const name of Object.keys(parameters)) {
    if (!isUnset(parameters[name]) && !key.parameters.includes(name)) {
      throw refused(`its externalParameters have an unexpected member ${JSON.stringify(name.slice(0, 64))}`);
    }
  }
  const sourceRepository = repositoryOf(parameters);
  const finishedAt = finishedAtOf(details);
  return digests.map((digest) => ({
    ...{ type: provenanceType, builder, buildType, digest, keyId: key.id, receivedAt: now },
    ...(sourceRepository !== undefined && { sourceRepository }),
    ...(finishedAt !== undefined && { finishedAt }),
  }));
}

/** Artifacts are matched by digest alone; names are labels. */
function digestsOf(subjects: JsonValue | undefined): readonly string[] {
  if (!Array.isArray(subjects) || subjects.length === 0) throw refused('it has no subject');
  if (subjects.length > subjectsMax) throw refused(`it has more than ${subjectsMax} subjects`);
  const digests = new Set<string>();
  for (const subject of subjects) {
    const digest = isJsonObject(subject) ? member(subject, 'digest') : undefined;
    const sha256 = isJsonObject(digest) ? member(digest, 'sha256') : undefined;
    if (sha256 === undefined) continue;
    if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) throw refused('a subject has a malformed digest');
    digests.add(`sha256:${sha256}`);
  }
  if (digests.size === 0) throw refused('no subject has a SHA-256 digest');
  return [...digests];
}

/** GitHub's build type names the workflow's repository, others a `source`: text, or a resource descriptor's `uri`. */
function repositoryOf(parameters: JsonObject): string | undefined {
  const workflow = member(parameters, 'workflow');
  const source = member(parameters, 'source');
  const named = isJsonObject(workflow) ? member(workflow, 'repository') : undefined;
  const repository = named ?? (isJsonObject(source) ? member(source, 'uri') : source);
  return isUnset(repository) ? undefined : text(repository, 'the source repository');
}

function finishedAtOf(details: JsonObject): EpochMs | undefined {
  const metadata = member(details, 'metadata');
  const finishedOn = isJsonObject(metadata) ? member(metadata, 'finishedOn') : undefined;
  if (isUnset(finishedOn)) return undefined;
  const finishedAt = parseRfc3339(text(finishedOn, 'runDetails.metadata.finishedOn'));
  if (finishedAt === undefined) throw refused('runDetails.metadata.finishedOn is not a time');
  return finishedAt;
}

function object(value: JsonValue | undefined, name: string): JsonObject {
  if (!isJsonObject(value)) throw refused(`${name} is not an object`);
  return value;
}

function text(value: JsonValue | undefined, name: string): string {
  if (typeof value !== 'string' || value === '' || value.length > textMax || !value.isWellFormed()) {
    throw refused(`${name} is not text of 1 to ${textMax} characters`);
  }
  return value;
}

/** SLSA: unset, null and empty are equal. */
function isUnset(value: JsonValue | undefined): boolean {
  if (value === undefined || value === null || value === '') return true;
  if (Array.isArray(value)) return value.length === 0;
  return isJsonObject(value) && Object.keys(value).length === 0;
}

/** Standard or URL-safe, padded or not (DSSE: both are taken). Node's decoder skips what it does not know; this does not. */
function base64(value: JsonValue | undefined): Buffer | undefined {
  if (typeof value !== 'string' || !/^(?:[A-Za-z0-9+/]+|[A-Za-z0-9_-]+)={0,2}$/.test(value)) return undefined;
  return Buffer.from(value, 'base64');
}

function refused(detail: string): ControlRefused {
  return new ControlRefused('attestation_invalid', 422, detail);
}
