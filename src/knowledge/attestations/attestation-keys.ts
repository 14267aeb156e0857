import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { ConfigRefused } from '../../domain/errors.ts';
import { osErrorCode } from '../../system/os-error.ts';
import { type AttestationKey, attestationKeyFault } from './verify-attestation.ts';

/** A key as configuration names it. */
export interface AttestationKeyFile extends Omit<AttestationKey, 'publicKey'> {
  /** PEM. */
  readonly file: string;
}

/**
 * Reads the public keys whose attestations are believed, once, as asymmetric keys: no text of theirs is ever a secret.
 *
 * @throws ConfigRefused with every key that cannot be used
 */
export async function readAttestationKeys(files: readonly AttestationKeyFile[]): Promise<readonly AttestationKey[]> {
  const faults: string[] = [];
  const keys: AttestationKey[] = [];
  for (const { file, ...key } of files) {
    const publicKey = await readKey(file);
    const fault = typeof publicKey === 'string' ? publicKey : attestationKeyFault(publicKey);
    if (fault !== undefined) faults.push(`attestations.keys: the key ${key.id} ${fault}`);
    else if (typeof publicKey !== 'string') keys.push({ ...key, publicKey });
  }
  if (faults.length > 0) throw new ConfigRefused(faults);
  return keys;
}

async function readKey(file: string): Promise<KeyObject | string> {
  try {
    return createPublicKey(await readFile(file));
  } catch (cause) {
    return osErrorCode(cause) === 'ENOENT' ? 'has no file' : 'cannot be read as a PEM public key';
  }
}
