// Tested by test/knowledge/store/open-stores.long.test.ts.
import { mkdir, mkdtemp, open, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import type { Log } from '../../domain/ports.ts';
import { type Clock, rfc3339Of } from '../../domain/time.ts';
import { osErrorCode } from '../../system/os-error.ts';
import { siblingModule } from '../../system/sibling-module.ts';
import type { Backing, Change, Loaded } from './backing.ts';
import { checkStore } from './check-store.ts';
import type { StoreCall, StoreReply } from './serve-store.ts';
import { StoreRefused } from './store-refused.ts';

const dataFile = 'data.mdb';
const damagedPrefix = 'damaged-';
/** Damaged stores that are kept for analysis; a disk that damages each new one must not fill up. */
const damagedKept = 3;

export interface LmdbOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Log;
}

/**
 * Opens the environment in a directory that is already locked: tries it in a child process, puts a damaged one away and
 * starts empty, then reads everything.
 *
 * @param when at the start the file is renewed as well; afterwards there may be no room for that, and less need
 * @throws StoreRefused if the directory cannot hold a store, or a later version wrote it
 */
export async function openLmdb(options: LmdbOptions, when: 'at the start' | 'again'): Promise<Backing> {
  await requireWritable(options.directory);
  const movedTo = await requireSound(options, when === 'at the start');
  const thread = new Worker(siblingModule(import.meta.url, './store-thread.ts'), {
    workerData: options.directory,
    name: 'store',
    execArgv: [],
  });
  const calls = new Calls(thread);
  const first = await calls.next();
  if (first.reply !== 'loaded') {
    await thread.terminate();
    throw new StoreRefused(`the store cannot be read: ${first.reply === 'failed' ? first.reason : 'no answer'}`);
  }
  const loaded: Loaded = {
    records: first.records,
    unreadable: first.unreadable,
    ...(movedTo !== undefined && { movedTo }),
  };
  return {
    loaded,
    commit: (changes: readonly Change[]) => calls.make({ call: 'commit', changes }),
    async close() {
      try {
        await calls.make({ call: 'close' });
      } finally {
        await thread.terminate();
      }
    },
  };
}

/** The directory, for its owner alone: it says who may do what. */
export async function makeStoreDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw new StoreRefused(`the store's directory ${directory} cannot be created: ${codeOf(cause)}`, { cause });
  }
}

/** Says what is wrong while it can still be said: on a full disk LMDB's lock file ends the process by SIGBUS. */
async function requireWritable(directory: string): Promise<void> {
  const file = join(directory, 'writable');
  try {
    const handle = await open(file, 'w', 0o600);
    try {
      await handle.writeFile(Buffer.alloc(64 * 1024, 1));
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rm(file);
  } catch (cause) {
    await rm(file, { force: true }).catch(() => undefined); // what is reported is why it could not be written
    throw new StoreRefused(`the store's directory ${directory} cannot be written: ${codeOf(cause)}`, { cause });
  }
}

/** @returns where a damaged store was put, if there was one */
async function requireSound(options: LmdbOptions, renew: boolean): Promise<string | undefined> {
  const { directory, log } = options;
  if (!(await readdir(directory)).includes(dataFile)) return undefined;
  const outcome = await checkStore(directory, renew ? ['renew'] : []);
  if (outcome === 'not renewed') log.warn('not enough disk space to compact the store; the store is used as it is');
  if (outcome === 'sound' || outcome === 'not renewed') return undefined;
  if (outcome === 'newer') {
    throw new StoreRefused(`the store in ${directory} was written by a later version, which this one cannot read`);
  }
  // If a new store dies here as well, it is not the file that is damaged, and nothing is put away for it.
  const control = await mkdtemp(join(directory, 'probe-'));
  try {
    if ((await checkStore(control, [])) !== 'sound') {
      throw new StoreRefused(`no store can be opened in ${directory}, not even a new one`);
    }
  } finally {
    await rm(control, { recursive: true, force: true });
  }
  return putAway(options);
}

async function putAway({ directory, clock, log }: LmdbOptions): Promise<string> {
  const movedTo = join(directory, `${damagedPrefix}${rfc3339Of(clock.now()).replaceAll(':', '-')}`);
  try {
    await mkdir(movedTo, { mode: 0o700 });
    for (const name of [dataFile, 'lock.mdb']) {
      await rename(join(directory, name), join(movedTo, name)).catch((cause: unknown) => {
        // The lock file may never have been made; without the data file there would be nothing to start empty from.
        if (name === dataFile) throw cause;
      });
    }
    const damaged = (await readdir(directory)).filter((name) => name.startsWith(damagedPrefix)).sort();
    for (const name of damaged.slice(0, -damagedKept)) await rm(join(directory, name), { recursive: true });
  } catch (cause) {
    throw new StoreRefused(`the damaged store in ${directory} cannot be moved aside: ${codeOf(cause)}`, { cause });
  }
  log.error('the store is damaged; it was moved aside and the sidecar starts with an empty one', { movedTo });
  return movedTo;
}

/** Calls to the store's thread. It answers each with one reply in order, so replies are matched by order alone. */
class Calls {
  readonly #thread: Worker;
  readonly #arrived: StoreReply[] = [];
  readonly #waiting: ((reply: StoreReply) => void)[] = [];
  #ended: StoreReply | undefined;

  constructor(thread: Worker) {
    this.#thread = thread;
    thread.on('message', (reply: StoreReply) => this.#take(reply));
    thread.on('error', (cause: Error) => this.#end(`the store's thread failed: ${cause.message}`));
    thread.on('exit', () => this.#end("the store's thread has ended"));
  }

  next(): Promise<StoreReply> {
    const reply = this.#arrived.shift() ?? this.#ended;
    return reply === undefined ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve(reply);
  }

  async make(call: StoreCall): Promise<void> {
    if (this.#ended === undefined) this.#thread.postMessage(call);
    const reply = await this.next();
    if (reply.reply === 'failed') throw new Error(reply.reason);
  }

  #take(reply: StoreReply): void {
    const waiting = this.#waiting.shift();
    if (waiting === undefined) this.#arrived.push(reply);
    else waiting(reply);
  }

  #end(reason: string): void {
    this.#ended ??= { reply: 'failed', reason };
    for (const waiting of this.#waiting.splice(0)) waiting(this.#ended);
  }
}

/** An errno such as `EROFS`; the message would repeat the path. */
function codeOf(cause: unknown): string {
  return osErrorCode(cause) ?? String(cause);
}
