// Tested by test/cli/build.long.test.ts.
import { randomUUID } from 'node:crypto';
import { mkdir, rename, unlink, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { CommandFailed } from './arguments.ts';
import { reasonOf } from './read-file.ts';

/** Whole or not at all: a sidecar that watches the file sees the old bundle or the new one. */
export async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const written = `${path}.${randomUUID()}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(written, bytes);
    await rename(written, path);
  } catch (cause) {
    throw new CommandFailed(`${path}: cannot be written (${reasonOf(cause)})`, { cause });
  } finally {
    // Gone already where it took the other's place; and what could not be made cannot be removed either.
    await unlink(written).catch(() => undefined);
  }
}
