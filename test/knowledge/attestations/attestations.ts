import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { JsonObject, JsonValue } from '../../../src/domain/json-value.ts';
import {
  type AttestationKey,
  preAuthenticationEncoding,
} from '../../../src/knowledge/attestations/verify-attestation.ts';

export const digest = 'a'.repeat(64);
export const builder = 'https://github.com/actions/runner/github-hosted';
export const buildType = 'https://actions.github.io/buildtypes/workflow/v1';
const payloadType = 'application/vnd.in-toto+json';

export interface Signer {
  readonly privateKey: KeyObject;
  readonly key: AttestationKey;
}

export function signer(id: string, changes: Partial<AttestationKey> = {}, pair = p256()): Signer {
  const key: AttestationKey = {
    ...{ id, publicKey: pair.publicKey, builders: [builder], buildTypes: [buildType], parameters: ['workflow'] },
    signature: 'der',
    ...changes,
  };
  return { privateKey: pair.privateKey, key };
}

export function p256(): { readonly publicKey: KeyObject; readonly privateKey: KeyObject } {
  return generateKeyPairSync('ec', { namedCurve: 'P-256' });
}

export function statement(changes: JsonObject = {}): JsonObject {
  return {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 'payments', digest: { sha256: digest } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: predicate(),
    ...changes,
  };
}

export function predicate(
  changes: { readonly definition?: JsonObject; readonly details?: JsonObject } = {},
): JsonObject {
  return {
    buildDefinition: {
      buildType,
      externalParameters: { workflow: { ref: 'refs/heads/main', repository: 'https://github.com/acme/payments' } },
      ...changes.definition,
    },
    runDetails: {
      builder: { id: builder },
      metadata: { finishedOn: '2026-11-02T09:58:00Z' },
      ...changes.details,
    },
  };
}

export function envelope(body: JsonValue | string, ...signers: Signer[]): JsonObject {
  const payload = Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  return {
    payloadType,
    payload: payload.toString('base64'),
    signatures: signers.map((one) => ({ keyid: 'a hint', sig: signed(one, payload).toString('base64') })),
  };
}

export function signed({ privateKey, key }: Signer, payload: Buffer, type = payloadType): Buffer {
  const bytes = preAuthenticationEncoding(type, payload);
  switch (privateKey.asymmetricKeyType) {
    case 'ed25519':
      return sign(null, bytes, privateKey);
    case 'ec': {
      const curve = privateKey.asymmetricKeyDetails?.namedCurve;
      const hash = curve === 'secp521r1' ? 'sha512' : curve === 'secp384r1' ? 'sha384' : 'sha256';
      return sign(hash, bytes, { key: privateKey, dsaEncoding: key.signature });
    }
    default:
      return sign('sha256', bytes, privateKey);
  }
}
