import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findOpa } from '../../src/author/find-opa.ts';

const run = promisify(execFile);
const root = new URL('../..', import.meta.url).pathname;
const cache = join(root, 'node_modules/.cache/test-policies');

/**
 * One of the policies in test/policies/, compiled to a bundle by the real compiler. What was compiled before is taken
 * from a cache by the content of its sources.
 */
export async function compilePolicy(name: string, entrypoints: readonly string[]): Promise<Buffer> {
  const directory = join(root, 'test/policies', name);
  const hash = createHash('sha256').update(JSON.stringify(entrypoints));
  for (const file of (await readdir(directory)).sort()) {
    hash.update(`\0${file}\0`).update(await readFile(join(directory, file)));
  }
  const key = hash.digest('hex').slice(0, 24);
  const kept = join(cache, `${name}-${key}.tar.gz`);
  const before = await readFile(kept).catch(() => undefined);
  if (before !== undefined) return before;
  await mkdir(cache, { recursive: true });
  const work = await mkdtemp(join(tmpdir(), 'test-policy-'));
  try {
    const made = join(work, 'bundle.tar.gz');
    const flags = entrypoints.flatMap((entrypoint) => ['-e', entrypoint]);
    // The optimiser is off: what a test's policy means must not depend on it.
    await run(await opaCommand(), [
      'build',
      '-t',
      'wasm',
      '--revision',
      `test-${name}`,
      ...flags,
      '-o',
      made,
      directory,
    ]);
    const bytes = await readFile(made);
    // Another worker may be doing the same: whoever renames last has made the same file.
    const staged = join(cache, `${key}.${process.pid}`);
    await copyFile(made, staged);
    await rename(staged, kept);
    return bytes;
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The compiler, as a command: the one that `postern build` takes. */
export async function opaCommand(): Promise<string> {
  const { path } = await findOpa({ env: process.env, toolsDirectory: join(root, '.tools'), say: () => undefined });
  return path;
}
