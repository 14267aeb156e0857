import { execFile } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';
import { readArchive } from '../../src/bundle/read-archive.ts';
import { opaCommand } from '../support/compile-policy.ts';

const run = promisify(execFile);

export type Files = Readonly<Record<string, string | Uint8Array>>;
export const limits = { inflatedBytes: 64 * 1024 * 1024, members: 1_000 };

/** A bundle file of these members, in this order. */
export async function archiveOf(files: Files): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name, mtime: new Date(0) }, Buffer.from(content));
  tar.finalize();
  return gzipSync(await buffer(tar));
}

/** The members of a bundle file, to be changed and packed again. */
export async function filesOf(archive: Uint8Array): Promise<Record<string, Buffer>> {
  return Object.fromEntries(await readArchive(archive, limits));
}

export interface SigningPair {
  readonly algorithm: 'ES256' | 'ES384' | 'ES512' | 'RS256' | 'RS512' | 'PS256';
  readonly privatePem: string;
  readonly publicKey: KeyObject;
}

export function signingPair(algorithm: SigningPair['algorithm'] = 'ES256'): SigningPair {
  const { publicKey, privateKey } = algorithm.startsWith('ES')
    ? generateKeyPairSync('ec', { namedCurve: { ES256: 'P-256', ES384: 'P-384' }[algorithm as string] ?? 'P-521' })
    : generateKeyPairSync('rsa', { modulusLength: 2048 });
  const form = algorithm.startsWith('ES') ? 'sec1' : 'pkcs1';
  return { algorithm, publicKey, privatePem: privateKey.export({ type: form, format: 'pem' }) as string };
}

/** These files with the `.signatures.json` that `opa sign` makes for them. */
export async function signed(
  files: Files,
  pair: SigningPair,
  claims: Readonly<Record<string, unknown>> = {},
): Promise<Record<string, string | Uint8Array>> {
  const folder = await mkdtemp(join(tmpdir(), 'opa-sign-'));
  try {
    await writeFile(join(folder, 'key.pem'), pair.privatePem);
    await writeFile(join(folder, 'claims.json'), JSON.stringify(claims));
    for (const [name, content] of Object.entries(files)) {
      await mkdir(dirname(join(folder, 'bundle', name)), { recursive: true });
      await writeFile(join(folder, 'bundle', name), content);
    }
    const args = [
      'sign',
      '--signing-key',
      '../key.pem',
      '--signing-alg',
      pair.algorithm,
      '--claims-file',
      '../claims.json',
    ];
    // From inside, so that the names in the signature begin where the bundle's own do.
    await run(opaCommand(), [...args, '--bundle', '.'], { cwd: join(folder, 'bundle') });
    return { ...files, '.signatures.json': await readFile(join(folder, 'bundle/.signatures.json')) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
