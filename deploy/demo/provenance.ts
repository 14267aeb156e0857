import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

/** What stands in the policies' data as a trusted builder, and what it builds: `rego/policies/deploy/data.json`. */
export const builder = {
  id: 'https://github.com/acme/builders/.github/workflows/release.yml@refs/heads/main',
  buildType: 'https://actions.github.io/buildtypes/workflow/v1',
} as const;

const payloadType = 'application/vnd.in-toto+json';

export interface Artifact {
  readonly name: string;
  /** SHA-256, in hex. */
  readonly sha256: string;
  readonly repository: string;
  readonly finishedOn: string;
}

/** @returns the public half as PEM, and the private half to sign with */
export function builderKey(): { readonly publicPem: string; readonly privateKey: KeyObject } {
  const { publicKey, privateKey } = generateKeyPairSync('ed25519');
  return { publicPem: publicKey.export({ type: 'spki', format: 'pem' }).toString(), privateKey };
}

/**
 * What a builder hands out with an artifact: an in-toto Statement v1 with SLSA provenance v1 in a signed DSSE envelope.
 *
 * @see https://github.com/secure-systems-lab/dsse/blob/master/protocol.md for the bytes that are signed
 */
export function provenance(artifact: Artifact, privateKey: KeyObject): object {
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: artifact.name, digest: { sha256: artifact.sha256 } }],
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: builder.buildType,
        externalParameters: {
          workflow: { ref: 'refs/heads/main', repository: artifact.repository, path: '.github/workflows/release.yml' },
        },
      },
      runDetails: { builder: { id: builder.id }, metadata: { finishedOn: artifact.finishedOn } },
    },
  };
  const body = Buffer.from(JSON.stringify(statement));
  const signed = Buffer.concat([
    Buffer.from(`DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${body.length} `),
    body,
  ]);
  return {
    payloadType,
    payload: body.toString('base64'),
    signatures: [{ sig: sign(null, signed, privateKey).toString('base64') }],
  };
}
