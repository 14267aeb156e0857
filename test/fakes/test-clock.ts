import { type Clock, type EpochMs, epochMs } from '../../src/domain/time.ts';

/** A clock that stands until it is moved; both its hands move together unless the wall clock alone is set. */
export class TestClock implements Clock {
  #now: number;
  #monotonic = 0;

  constructor(start = '2026-11-02T10:00:00.000Z') {
    this.#now = Date.parse(start);
  }

  now(): EpochMs {
    return epochMs(this.#now);
  }

  monotonicMs(): number {
    return this.#monotonic;
  }

  advance(ms: number): void {
    this.#now += ms;
    this.#monotonic += ms;
  }

  /** The wall clock steps, as an administrator or NTP would step it; no time passes. */
  step(ms: number): void {
    this.#now += ms;
  }
}
