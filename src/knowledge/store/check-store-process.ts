// Tested by test/knowledge/store/open-stores.long.test.ts.
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { NewerSchema, StoreFile } from './store-file.ts';

// A program of its own, hence its own `process`. LMDB on a damaged file ends its process by a signal, so a child opens
// it first and reads every record; asked to renew it, it puts a copy in its place, of which every page is new. How the
// child ends is the answer; check-store.ts reads it.
const [directory, how] = process.argv.slice(2);
if (directory === undefined) throw new Error('usage: check-store-process <directory> [renew]');
const copied = join(directory, 'copy');

async function renew(file: StoreFile, place: string): Promise<void> {
  rmSync(copied, { recursive: true, force: true });
  mkdirSync(copied, { mode: 0o700 });
  const copy = await StoreFile.open(copied);
  file.copyInto(copy);
  await copy.close();
  // The lock file holds readers of the old one; a new one is made with the next opening.
  rmSync(join(place, 'lock.mdb'), { force: true });
  renameSync(join(copied, 'data.mdb'), join(place, 'data.mdb'));
  const handle = openSync(place, 'r');
  fsyncSync(handle);
  closeSync(handle);
}

let sound: StoreFile | undefined;
try {
  const file = await StoreFile.open(directory);
  file.readAll();
  sound = file;
} catch (cause) {
  process.exitCode = cause instanceof NewerSchema ? 4 : 3;
}
if (sound !== undefined && how === 'renew') {
  try {
    await renew(sound, directory);
  } catch {
    process.exitCode = 5;
  }
  rmSync(copied, { recursive: true, force: true });
}
await sound?.close();
