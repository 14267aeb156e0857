// Tested by test/knowledge/grants/grant-table.test.ts.
import { type Clock, type EpochMs, epochMs } from '../../domain/time.ts';

/**
 * The time that grants end by: the wall clock, except that it never goes back and never runs slower than the monotonic
 * clock. A wall clock that is set back an hour would give every grant another hour. After one that was set forward and
 * back, this one stays ahead; a grant is approved and ends by the same clock, so it lasts no longer for that.
 */
export class SteadyClock {
  readonly #clock: Clock;
  #at: EpochMs;
  #monotonicMs: number;

  /** @param mark the latest reading on record, from before a restart */
  constructor(clock: Clock, mark: EpochMs | undefined) {
    this.#clock = clock;
    this.#at = epochMs(Math.max(clock.now(), mark ?? 0));
    this.#monotonicMs = clock.monotonicMs();
  }

  /** @param wall a reading of the wall clock, e.g. the request's */
  now(wall: EpochMs): EpochMs {
    const monotonicMs = this.#clock.monotonicMs();
    const run = this.#at + Math.max(0, Math.floor(monotonicMs - this.#monotonicMs));
    if (wall > run) {
      this.#at = wall;
      this.#monotonicMs = monotonicMs;
      return wall;
    }
    return epochMs(run);
  }
}
