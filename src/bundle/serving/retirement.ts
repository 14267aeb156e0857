// Tested by test/bundle/serving/bundle-life.long.test.ts.
import { Worker } from 'node:worker_threads';
import type { Timers } from '../../domain/time.ts';
import type { PolicyImage } from '../../request/evaluate/policy-image.ts';
import { siblingModule } from '../../system/sibling-module.ts';

/** What a thread costs is more than giving back less than this. */
const largeBytes = 33_554_432;
/** So much is asked for and let go of, so often, until the collector looks. */
const nudge = { bytes: 16_777_216, everyMs: 50, timesMax: 100 };

/**
 * Gives the memory of policies that were replaced back to the machine, soon, and on another thread.
 *
 * The thread that lets go of a memory last unmaps it, and unmapping some hundred mebibytes takes tens of milliseconds, in
 * which the thread that answers would stand still: so a thread that does nothing else holds it until the one that answers
 * has let go. That happens when its collector runs, which a memory of hundreds of mebibytes behind an object of a few bytes
 * does not bring about; what does is asking for memory outside of its heap. It then marks in small steps, while a
 * collection that is asked for by name would stop the thread for all of it.
 */
export class Retirement {
  readonly #holders = new Set<Worker>();
  /** Memories that the collector has yet to meet. */
  #uncollected = 0;
  readonly #collected = new FinalizationRegistry<Worker | undefined>((holder) => {
    this.#uncollected -= 1;
    if (holder === undefined) return;
    this.#holders.delete(holder);
    void holder.terminate();
  });
  readonly #timers: Timers;
  #cancelNudge: () => void = () => undefined;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /**
   * Never throws: a swap is past the point where anything of it may fail.
   *
   * @param image no evaluation starts on it any more
   */
  take({ memory }: PolicyImage): void {
    if (memory.buffer.byteLength < largeBytes) return;
    this.#collected.register(memory, this.#hold(memory));
    this.#uncollected += 1;
    this.#nudge(nudge.timesMax);
  }

  async close(): Promise<void> {
    this.#cancelNudge();
    const holders = [...this.#holders];
    this.#holders.clear();
    await Promise.all(holders.map((holder) => holder.terminate()));
  }

  /** @returns undefined where no thread is to be had: then this one is the last after all, and stands still a little */
  #hold(memory: WebAssembly.Memory): Worker | undefined {
    try {
      const holder = new Worker(siblingModule(import.meta.url, './hold-thread.ts'), { workerData: memory });
      holder.unref();
      // It has started and can go no further, which comes to the same.
      holder.on('error', () => this.#holders.delete(holder));
      this.#holders.add(holder);
      return holder;
    } catch {
      return undefined;
    }
  }

  #nudge(timesLeft: number): void {
    this.#cancelNudge();
    if (timesLeft === 0 || this.#uncollected === 0) return;
    this.#cancelNudge = this.#timers.after(nudge.everyMs, () => {
      // Never written to, so it takes nothing but the collector's attention.
      void new ArrayBuffer(nudge.bytes);
      this.#nudge(timesLeft - 1);
    });
  }
}
