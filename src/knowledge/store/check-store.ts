// Tested by test/knowledge/store/open-stores.long.test.ts.
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { siblingModule } from '../../system/sibling-module.ts';

/** `not renewed`: it reads well, and no copy could be made. */
export type StoreCheck = 'sound' | 'damaged' | 'newer' | 'not renewed';

const outcomes: Readonly<Record<number, StoreCheck>> = { 0: 'sound', 4: 'newer', 5: 'not renewed' };

/** The largest store that the caps allow reads in a few seconds; a tree with a circle in it never ends. */
const patienceMs = 60_000;

/** Opens a store in a child process, reads all of it there and, if it is to be renewed, puts a copy in its place. */
export function checkStore(directory: string, how: readonly 'renew'[]): Promise<StoreCheck> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(siblingModule(import.meta.url, './check-store-process.ts')), [directory, ...how], {
      stdio: 'ignore',
      execArgv: [],
      env: {},
      timeout: patienceMs,
      killSignal: 'SIGKILL',
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(outcomes[code ?? Number.NaN] ?? 'damaged'));
  });
}
