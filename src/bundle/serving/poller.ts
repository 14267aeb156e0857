// Tested by test/bundle/serving/bundle-life.long.test.ts.
import { BundleRefused } from '../../domain/errors.ts';
import type { Clock, Timers } from '../../domain/time.ts';
import type { BundleSource, Fetched, LastFetch } from '../sources/source.ts';
import type { BundleState, Candidate } from './bundle-state.ts';

export type PollOutcome = 'new' | 'unchanged' | 'failed';

export interface Failure {
  readonly fault: Error;
  /** The poll was asked for by hand. */
  readonly forced: boolean;
  /** It failed in the same way the last time. */
  readonly isRepeat: boolean;
}

export interface PollerOptions {
  readonly source: BundleSource;
  readonly state: BundleState;
  readonly clock: Clock;
  readonly timers: Timers;
  /** Tries what was fetched, and tells the state what became of it. @returns whether it is active, or waits for others */
  readonly arrived: (candidate: Candidate, forced: boolean) => Promise<boolean>;
  /** The active bundle came once more. @param changed whether anything is to be kept that was not before */
  readonly renewed: (changed: boolean) => void;
  readonly polled: (outcome: PollOutcome) => void;
  readonly failed: (failure: Failure) => void;
}

/** Between two attempts at what lies on this machine, where the one before came to no end. */
const retryMs = { first: 1_000, last: 60_000 };

/** Asks one source for a bundle, again and again, and hands over what came. */
export class Poller {
  readonly #options: PollerOptions;
  /** One poll at a time: what is asked for next depends on what became of the one before. */
  #polling: Promise<void> = Promise.resolve();
  #abort = new AbortController();
  #cancelPause: () => void = () => undefined;
  #failures = 0;
  #localMs: number | undefined;
  #isStarted = false;
  #isClosed = false;

  constructor(options: PollerOptions) {
    this.#options = options;
  }

  /** Asks the source now; a request that a server holds open is given up for one that is forced. Never rejects. */
  poll({ forced }: { readonly forced: boolean }): Promise<void> {
    if (forced && this.#options.source.pauseMs !== undefined) this.#abort.abort();
    this.#polling = this.#polling.then(() => this.#poll(forced));
    return this.#polling;
  }

  /** @param localMs between two polls where the source does not say; undefined: there are none */
  start(localMs: number | undefined): void {
    this.#isStarted = true;
    this.#localMs = localMs;
    if (this.#options.source.pauseMs !== undefined) void this.poll({ forced: false });
    else this.#pause(this.#localPauseMs());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelPause();
    this.#abort.abort();
    await this.#polling;
  }

  async #poll(forced: boolean): Promise<void> {
    if (this.#isClosed) return;
    this.#cancelPause();
    const { source, state, clock, polled, failed } = this.#options;
    this.#abort = new AbortController();
    const startedMs = clock.monotonicMs();
    let outcome: PollOutcome;
    let isSilent = false;
    try {
      const fetched = await source.fetch(state.wanted(clock.now(), forced), this.#abort.signal);
      // A file that is as it was is not worth a word.
      isSilent = fetched.kind === 'unchanged' && !fetched.isHeld;
      outcome = await this.#arrived(fetched, forced);
    } catch (cause) {
      // Given up for a forced poll, or for good.
      if (this.#abort.signal.aborted) return;
      const fault = cause instanceof Error ? cause : new BundleRefused(String(cause));
      failed({ fault, forced, isRepeat: state.fetchFailed(fault, clock.now()) });
      outcome = 'failed';
    }
    this.#failures = outcome === 'failed' ? this.#failures + 1 : 0;
    if (!isSilent) polled(outcome);
    this.#pauseAfter({ outcome, failures: this.#failures, tookMs: clock.monotonicMs() - startedMs });
  }

  async #arrived(fetched: Fetched, forced: boolean): Promise<PollOutcome> {
    const { state, clock, arrived, renewed } = this.#options;
    const now = clock.now();
    if (fetched.kind === 'unchanged') {
      if (fetched.isHeld) state.confirm(now);
      return 'unchanged';
    }
    state.downloaded(now);
    const { bytes, digest, etag, currentAt } = fetched;
    if (state.isActive(digest)) {
      renewed(state.renew(fetched));
      return 'unchanged';
    }
    if (state.isRejected(digest) && !forced) return 'unchanged';
    if (await arrived({ bytes, digest, etag, currentAt }, forced)) return 'new';
    // It came, and is unfit: the next poll is due as after any other that came. One that was not judged is due soon.
    return state.candidate.name === 'untried' ? 'failed' : 'unchanged';
  }

  #pauseAfter(last: LastFetch): void {
    const pauseMs = this.#options.source.pauseMs?.(last) ?? this.#localPauseMs();
    if (this.#isStarted) this.#pause(pauseMs);
  }

  /** To look at a file costs next to nothing; to prepare again what was not judged does. */
  #localPauseMs(): number | undefined {
    if (this.#options.state.candidate.name !== 'untried') return this.#localMs;
    return Math.min(retryMs.last, retryMs.first * 2 ** Math.min(this.#failures - 1, 20));
  }

  #pause(ms: number | undefined): void {
    if (this.#isClosed || ms === undefined) return;
    this.#cancelPause();
    this.#cancelPause = this.#options.timers.after(ms, () => void this.poll({ forced: false }));
  }
}
