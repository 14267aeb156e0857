import { execFile } from 'node:child_process';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { readArchive } from '../../src/bundle/reading/read-archive.ts';
import { bundleOf } from '../support/archive.ts';
import { compilePolicy, opaCommand } from '../support/compile-policy.ts';

const run = promisify(execFile);

export type Files = Readonly<Record<string, string | Uint8Array>>;
export const limits = { inflatedBytes: 64 * 1024 * 1024, members: 1_000 };

/** A bundle file of these members, in this order. */
export function archiveOf(files: Files): Buffer {
  return bundleOf(Object.entries(files).map(([name, content]) => ({ name, content })));
}

/** The members of a bundle file, to be changed and packed again. */
export async function filesOf(archive: Uint8Array): Promise<Record<string, Buffer>> {
  return Object.fromEntries(await readArchive(archive, limits));
}

export interface ListedOptions {
  readonly revision?: string;
  readonly roots?: readonly string[];
  /** Agents by id; left out: the bundle holds no data. */
  readonly agents?: Readonly<Record<string, { readonly tier: string }>>;
  readonly postern?: Readonly<Record<string, unknown>>;
  readonly samples?: readonly unknown[];
  readonly more?: Files;
}

/** The members of a bundle with the policy `listed`, as `opa build` made it but for what is told here. */
export async function listedFiles(options: ListedOptions = {}): Promise<Record<string, string | Uint8Array>> {
  const { revision = 'r1', roots = ['authz', 'listed'], agents, postern, samples, more } = options;
  const compiled = await filesOf(await compilePolicy('listed', ['authz/decision']));
  const manifest = JSON.parse(String(compiled['.manifest'])) as object;
  return {
    '/policy.wasm': compiled['policy.wasm'] ?? '',
    '/.manifest': JSON.stringify({ ...manifest, revision, roots, ...(postern && { metadata: { postern } }) }),
    '/data.json': agents === undefined ? '{}' : JSON.stringify({ listed: { agents } }),
    ...(samples && { '/samples.json': JSON.stringify(samples) }),
    ...more,
  };
}

export async function listed(options: ListedOptions = {}): Promise<Buffer> {
  return archiveOf(await listedFiles(options));
}

/** A bundle of data alone. */
export function dataBundle(data: unknown, manifest: Readonly<Record<string, unknown>>): Buffer {
  return archiveOf({ '.manifest': JSON.stringify(manifest), 'data.json': JSON.stringify(data) });
}

export function deltaBundle(patches: readonly unknown[], manifest: Readonly<Record<string, unknown>>): Buffer {
  return archiveOf({ '.manifest': JSON.stringify(manifest), 'patch.json': JSON.stringify({ data: patches }) });
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
    await run(await opaCommand(), [...args, '--bundle', '.'], { cwd: join(folder, 'bundle') });
    return { ...files, '.signatures.json': await readFile(join(folder, 'bundle/.signatures.json')) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
