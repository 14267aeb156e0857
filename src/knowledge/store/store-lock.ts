// Tested by test/knowledge/store/open-stores.long.test.ts.
import { DatabaseSync } from 'node:sqlite';
import { types } from 'node:util';
import { StoreRefused } from './store-refused.ts';

/**
 * Takes the directory for this sidecar alone, until it is released or the process ends, however it ends.
 *
 * LMDB lets several processes write, Node has no file locks, and a file with a process id in it lies after a kill and
 * between containers. SQLite, which is part of Node, holds an operating-system lock on a file: the kernel frees it with
 * the process, and it is seen across containers that share the volume, and by a second sidecar in the same process.
 *
 * @param file kept empty; only its lock counts
 * @throws StoreRefused if another sidecar holds it
 */
export function lockStore(file: string): { release(): void } {
  let database: DatabaseSync | undefined;
  try {
    database = new DatabaseSync(file);
    database.exec('BEGIN EXCLUSIVE');
  } catch (cause) {
    database?.close();
    const busy = types.isNativeError(cause) && 'errcode' in cause && cause.errcode === 5;
    throw new StoreRefused(
      busy
        ? `another sidecar is using the store (lock ${file}); one sidecar, one directory`
        : `the store's lock ${file} cannot be taken`,
      { cause },
    );
  }
  const held = database;
  return { release: () => held.close() };
}
