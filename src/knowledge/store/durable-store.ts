import { types } from 'node:util';
import { ControlRefused } from '../../domain/errors.ts';
import type { Log } from '../../domain/ports.ts';
import type { Clock, Timers } from '../../domain/time.ts';
import type { Backing, Change, Loaded, OpenBacking } from './backing.ts';
import { Transaction } from './transaction.ts';

/** One kind of record, as the store sees it. */
export interface StoredCollection {
  readonly size: number;
  readonly bytes: number;
  load(read: Pick<Loaded, 'records' | 'unreadable'>): { readonly unreadable: string[]; readonly corrections: Change[] };
  everything(): Change[];
}

export interface DurableStoreOptions {
  readonly open: OpenBacking;
  readonly collections: readonly StoredCollection[];
  /** LMDB's map size is not a cap; this is one, over all records as text. */
  readonly bytesMax: number;
  /** How long a caller waits for the disk before it is told that the outcome is not known. */
  readonly waitMs: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

export interface TransactOptions {
  /** The change holds in memory even if the disk refuses it: for a change that only closes, such as a use taken. */
  readonly holdsAnyway?: boolean;
  /**
   * Called once memory says what became of the change, however long that takes and whether or not anybody still waits to
   * hear of it.
   */
  readonly over?: () => void;
}

/** `slow`: a commit has not come back in time. `failed`: nothing is written; what is known stays readable and ages. */
export type StoreState = 'ok' | 'slow' | 'failed';

/** Faults of the store that were found when it was opened. */
export interface Found {
  readonly unreadable: readonly string[];
  readonly movedTo: string | undefined;
}

interface Job {
  readonly holdsAnyway: boolean;
  /** @returns what to call once the change is durable */
  run(tx: Transaction): () => void;
  refuse(cause: unknown): void;
}

const jobsInBatch = 256;
const jobsWaitingMax = 10_000;
const reopenAfterMs = { least: 250, most: 5_000 };

/**
 * Changes records one job after the other, and resolves a job when its change is on disk: jobs that arrive while a commit
 * is under way share the next one. Readers see the last durable state, never one that may still be refused.
 */
export class DurableStore {
  readonly #options: DurableStoreOptions;
  readonly #queue: Job[] = [];
  #backing: Backing | undefined;
  #pumping: Promise<void> = Promise.resolve();
  #reopening: Promise<void> = Promise.resolve();
  #isPumping = false;
  #commitBegan: number | undefined;
  #closing = false;
  #wake: () => void = () => undefined;

  /** @throws StoreRefused */
  static async open(options: DurableStoreOptions): Promise<{ readonly store: DurableStore; readonly found: Found }> {
    const backing = await options.open();
    const { loaded } = backing;
    const unreadable = new Set(loaded.unreadable);
    for (const collections of options.collections)
      for (const key of collections.load(loaded).unreadable) unreadable.add(key);
    return {
      store: new DurableStore(options, backing),
      found: { unreadable: [...unreadable], movedTo: loaded.movedTo },
    };
  }

  private constructor(options: DurableStoreOptions, backing: Backing) {
    this.#options = options;
    this.#backing = backing;
  }

  /**
   * @param run reads and stages changes; what it throws is thrown to the caller, and nothing it staged is kept
   * @throws ControlRefused `store_full`, or `store_failed`: not collections, or not known to be
   */
  transact<T>(run: (tx: Transaction) => T, { holdsAnyway = false, over }: TransactOptions = {}): Promise<T> {
    return new Promise((resolve, reject) => {
      if (this.#closing || this.#queue.length >= jobsWaitingMax) {
        over?.();
        reject(storeFailed(this.#closing ? 'the store is closing' : 'too many changes are waiting for the disk'));
        return;
      }
      const cancel = this.#options.timers.after(this.#options.waitMs, () =>
        reject(storeFailed('the disk did not answer in time; the outcome is unknown')),
      );
      this.#queue.push({
        holdsAnyway,
        run: (tx) => {
          const result = run(tx);
          return () => {
            cancel();
            over?.();
            resolve(result);
          };
        },
        refuse: (cause) => {
          cancel();
          over?.();
          reject(cause);
        },
      });
      if (!this.#isPumping) this.#pumping = this.#pump();
    });
  }

  get state(): StoreState {
    if (this.#backing === undefined) return 'failed';
    const since = this.#commitBegan;
    return since !== undefined && this.#options.clock.monotonicMs() - since > this.#options.waitMs ? 'slow' : 'ok';
  }

  get bytes(): number {
    return this.#options.collections.reduce((sum, collections) => sum + collections.bytes, 0);
  }

  /** Waits for what is under way, then closes the file. */
  async close(): Promise<void> {
    this.#closing = true;
    this.#wake();
    await this.#pumping;
    await this.#reopening;
    await this.#backing?.close();
  }

  async #pump(): Promise<void> {
    this.#isPumping = true;
    // Everything that arrives in this turn of the event loop goes to disk together.
    await Promise.resolve();
    while (this.#queue.length > 0) await this.#runBatch(this.#queue.splice(0, jobsInBatch));
    this.#isPumping = false;
  }

  async #runBatch(jobs: readonly Job[]): Promise<void> {
    const batch = new Transaction();
    const ran: { readonly job: Job; readonly tx: Transaction; readonly done: () => void }[] = [];
    let room = this.#options.bytesMax - this.bytes;
    for (const job of jobs) {
      const tx = new Transaction(batch);
      try {
        const done = job.run(tx);
        const growth = tx.growth();
        if (growth > Math.max(room, 0)) {
          throw new ControlRefused('store_full', 429, `the store has reached its ${this.#options.bytesMax} bytes`);
        }
        room -= growth;
        tx.handOver(batch);
        ran.push({ job, tx, done });
      } catch (cause) {
        job.refuse(cause);
      }
    }
    try {
      if (!batch.isEmpty()) await this.#commit(batch.changes());
    } catch (cause) {
      for (const { job, tx } of ran) {
        if (job.holdsAnyway) tx.apply();
        job.refuse(storeFailed('the write to disk failed', cause));
      }
      await this.#leave(cause);
      return;
    }
    batch.apply();
    for (const { done } of ran) done();
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    if (this.#backing === undefined) throw new Error('the store is not open');
    this.#commitBegan = this.#options.clock.monotonicMs();
    try {
      await this.#backing.commit(changes);
    } finally {
      this.#commitBegan = undefined;
    }
  }

  /** After a failed commit the content of the disk is unknown: the file is closed, opened again and read back. */
  async #leave(cause: unknown): Promise<void> {
    const backing = this.#backing;
    if (backing === undefined) return;
    this.#backing = undefined;
    this.#options.log.error('a change could not be written to the store; writes stop until it can be read back', {
      reason: reasonOf(cause),
    });
    await backing.close().catch(() => undefined); // it has failed already, and that was told
    this.#reopening = this.#reopen();
  }

  async #reopen(): Promise<void> {
    let waitMs = 0;
    while (!this.#closing) {
      if (waitMs > 0) await this.#pause(waitMs);
      waitMs = Math.min(Math.max(waitMs * 2, reopenAfterMs.least), reopenAfterMs.most);
      if (this.#closing) return;
      let backing: Backing | undefined;
      try {
        backing = await this.#options.open();
        await this.#readBack(backing);
        if (this.#closing) await backing.close();
        else this.#backing = backing;
        this.#options.log.info('the store was read back and accepts changes again');
        return;
      } catch (cause) {
        this.#options.log.warn('the store cannot be reopened yet', { reason: reasonOf(cause) });
        await backing?.close().catch(() => undefined); // it has failed already, and that was told
      }
    }
  }

  async #readBack(backing: Backing): Promise<void> {
    const { collections } = this.#options;
    // Memory holds all that was ever acknowledged: a file that was lost meanwhile is written anew from it.
    const corrections =
      backing.loaded.movedTo === undefined
        ? collections.flatMap((one) => one.load(backing.loaded).corrections)
        : collections.flatMap((one) => one.everything());
    if (corrections.length > 0) await backing.commit(corrections);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const cancel = this.#options.timers.after(ms, resolve);
      this.#wake = () => {
        cancel();
        resolve();
      };
    });
  }
}

function storeFailed(detail: string, cause?: unknown): ControlRefused {
  return new ControlRefused('store_failed', 503, detail, { cause });
}

function reasonOf(cause: unknown): string {
  return types.isNativeError(cause) ? cause.message : String(cause);
}
