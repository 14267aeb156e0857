import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beside } from './beside.ts';

export type ProbeOutcome = 'sound' | 'damaged' | 'newer';

/** The largest store that the caps allow reads in a few seconds; a tree with a circle in it never ends. */
const patienceMs = 60_000;

/** Opens a store in a child process and reads all of it there. */
export function probe(directory: string): Promise<ProbeOutcome> {
  return new Promise((resolve, reject) => {
    const child = fork(fileURLToPath(beside(import.meta.url, './store-probe.ts')), [directory], {
      stdio: 'ignore',
      execArgv: [],
      env: {},
      timeout: patienceMs,
      killSignal: 'SIGKILL',
    });
    child.once('error', reject);
    child.once('exit', (code) => resolve(code === 0 ? 'sound' : code === 4 ? 'newer' : 'damaged'));
  });
}
