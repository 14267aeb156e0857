// Tested by test/bundle/serving/bundle-life.long.test.ts.
import { Worker } from 'node:worker_threads';
import { BundleRefused } from '../../domain/errors.ts';
import type { Timers } from '../../domain/time.ts';
import { siblingModule } from '../../system/sibling-module.ts';
import { type Prepared, type PrepareJob, RefusedBundle } from './prepare.ts';
import type { PrepareAnswer, PrepareRequest, Refusal, ThreadLimits } from './prepare-messages.ts';

export interface PreparerOptions {
  readonly limits: ThreadLimits;
  /** A bundle that is not ready by then is refused, and its thread ended, wherever it is. */
  readonly timeoutMs: number;
  readonly timers: Timers;
}

/** JavaScript's own share; the policy's memory is not part of it. */
const heapMebibytes = 4_096;
/** A thread that has had large data in its hands goes at once, and gives the memory back. */
const largeBytes = 16_777_216;
/** Others soon, too: what evaluations make of an image's memory stays as long as the thread that made it. */
const lingerMs = 1_000;

/** Prepares bundles on a thread of their own, one at a time. */
export class Preparer {
  readonly #options: PreparerOptions;
  #worker: Worker | undefined;
  #cancelLinger: () => void = () => undefined;
  #last: Promise<unknown> = Promise.resolve();
  #id = 0;
  #isClosed = false;

  constructor(options: PreparerOptions) {
    this.#options = options;
  }

  /** @throws BundleRefused if it cannot serve, PreparationFailed if that could not be found out */
  prepare(job: PrepareJob): Promise<Prepared> {
    const result = this.#last.then(() => this.#run(job));
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** What is being prepared, or waits to be, comes to no end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#end();
  }

  async #run(job: PrepareJob): Promise<Prepared> {
    if (this.#isClosed) throw new PreparationFailed('no bundle is prepared any more');
    this.#cancelLinger();
    const worker = this.#start();
    worker.ref();
    let isLarge = true;
    try {
      const prepared = await this.#ask(worker, job);
      isLarge = prepared.image.heapStart > largeBytes;
      return prepared;
    } catch (cause) {
      isLarge = !(cause instanceof BundleRefused);
      throw cause;
    } finally {
      worker.unref();
      if (isLarge) await this.#end();
      else this.#cancelLinger = this.#options.timers.after(lingerMs, () => void this.#end());
    }
  }

  #start(): Worker {
    try {
      this.#worker ??= new Worker(siblingModule(import.meta.url, './prepare-thread.ts'), {
        resourceLimits: { maxOldGenerationSizeMb: heapMebibytes },
      });
    } catch (cause) {
      throw new PreparationFailed(`the thread that prepares bundles did not start${whyOf(cause)}`, { cause });
    }
    return this.#worker;
  }

  async #end(): Promise<void> {
    this.#cancelLinger();
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #ask(worker: Worker, job: PrepareJob): Promise<Prepared> {
    const { limits, timeoutMs, timers } = this.#options;
    this.#id += 1;
    const id = this.#id;
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        cancel();
        worker.off('message', answered).off('error', died).off('exit', died);
      };
      const answered = (answer: PrepareAnswer): void => {
        if (answer.id !== id) return;
        settle();
        if ('prepared' in answer) resolve(answer.prepared);
        else reject(refusalOf(answer.refusal));
      };
      const died = (cause: unknown): void => {
        settle();
        reject(new PreparationFailed(`the thread that prepares bundles ended${whyOf(cause)}`, { cause }));
      };
      const cancel = timers.after(timeoutMs, () => {
        settle();
        reject(new PreparationFailed(`the bundle was not ready after ${timeoutMs} ms`));
      });
      worker.on('message', answered).on('error', died).on('exit', died);
      worker.postMessage({ id, job, limits } satisfies PrepareRequest);
    });
  }
}

/** The thread came to no answer, or to none that is about the bundle: no word on it, so it may be tried again. */
class PreparationFailed extends Error {}

function whyOf(cause: unknown): string {
  return cause instanceof Error ? `: ${cause.message}` : '';
}

function refusalOf({ message, bundle, isRefused }: Refusal): Error {
  if (!isRefused) return new PreparationFailed(`the bundle could not be prepared: ${message}`);
  return bundle === undefined ? new BundleRefused(message) : new RefusedBundle(message, bundle);
}
