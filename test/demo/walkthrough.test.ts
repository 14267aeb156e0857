import { createHash, createPublicKey } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { builder, builderKey, provenance } from '../../deploy/demo/provenance.ts';
import type { JsonValue } from '../../src/domain/json-value.ts';
import { epochMs } from '../../src/domain/time.ts';
import { verifyAttestation } from '../../src/knowledge/attestations/verify-attestation.ts';

const at = (name: string) => new URL(`../../deploy/walkthrough/${name}`, import.meta.url);
const text = (name: string) => readFileSync(at(name), 'utf8');

function verifiedBy(publicPem: string, envelope: JsonValue) {
  return verifyAttestation(envelope, epochMs(0), {
    keys: [
      {
        id: 'walkthrough',
        publicKey: createPublicKey(publicPem),
        builders: [builder.id],
        buildTypes: [builder.buildType],
        parameters: ['workflow'],
        signature: 'der',
      },
    ],
    parseJson: (bytes) => JSON.parse(new TextDecoder().decode(bytes)) as JsonValue,
  });
}

describe("the walk-through's provenance", () => {
  const envelope = JSON.parse(text('payments-1.4.2.provenance.json')) as JsonValue;

  it('verifies under the key of the starter configuration, for the very file that lies beside it', () => {
    const digest = createHash('sha256')
      .update(readFileSync(at('payments-1.4.2.txt')))
      .digest('hex');
    expect(verifiedBy(text('builder.pub'), envelope)).toEqual([
      expect.objectContaining({
        digest: `sha256:${digest}`,
        builder: builder.id,
        sourceRepository: 'https://github.com/acme/payments',
      }),
    ]);
  });

  it('does not verify under any other key', () => {
    expect(() => verifiedBy(builderKey().publicPem, envelope)).toThrow('no configured key');
  });

  it('comes without the key that made it', () => {
    expect(readdirSync(at('.')).sort()).toEqual([
      'builder.pub',
      'payments-1.4.2.provenance.json',
      'payments-1.4.2.txt',
      'sign.ts',
    ]);
    for (const name of readdirSync(at('.'))) expect(text(name)).not.toContain('PRIVATE KEY');
  });
});

describe("the demo's provenance", () => {
  it('verifies under the key it was signed with, and says what it was made to say', () => {
    const key = builderKey();
    const sha256 = 'a'.repeat(64);
    const made = provenance(
      { name: 'payments', sha256, repository: 'https://github.com/acme/payments', finishedOn: '2026-11-02T09:12:44Z' },
      key.privateKey,
    );
    expect(verifiedBy(key.publicPem, made as JsonValue)[0]).toMatchObject({
      digest: `sha256:${sha256}`,
      finishedAt: Date.parse('2026-11-02T09:12:44Z'),
    });
  });
});
