import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readAttestationKeys } from '../../../src/knowledge/attestations/attestation-keys.ts';

let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-keys-'));
});

afterAll(() => rmSync(directory, { recursive: true, force: true }));

function key(id: string, content?: string) {
  const file = join(directory, `${id}.pem`);
  if (content !== undefined) writeFileSync(file, content);
  return { id, file, builders: ['b'], buildTypes: ['t'], parameters: [], signature: 'der' as const };
}

const pem = (curve: string): string =>
  generateKeyPairSync('ec', { namedCurve: curve }).publicKey.export({ type: 'spki', format: 'pem' }).toString();

describe('the keys of attestations', () => {
  it('are read as they are named', async () => {
    const [read] = await readAttestationKeys([key('good', pem('P-256'))]);
    expect(read).toMatchObject({ id: 'good', builders: ['b'], publicKey: { type: 'public', asymmetricKeyType: 'ec' } });
  });

  it('that cannot be used are all named, without their paths', async () => {
    const keys = [key('missing'), key('text', 'CANARY'), key('curve', pem('secp256k1')), key('good', pem('P-384'))];
    const refused = readAttestationKeys(keys);
    await expect(refused).rejects.toMatchObject({
      code: 'config_invalid',
      faults: [
        'attestations.keys: the key missing has no file',
        'attestations.keys: the key text cannot be read as a PEM public key',
        'attestations.keys: the key curve is on a curve other than P-256, P-384 or P-521',
      ],
    });
    await expect(refused).rejects.not.toThrow(/CANARY|postern-keys-/);
  });
});
