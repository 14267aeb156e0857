import { type Clock, type EpochMs, epochMs } from '../../src/domain/time.ts';

/** Both clocks by hand: time passes on both, and the wall clock can also be set. */
export class FakeClock implements Clock {
  #wall: number;
  #monotonic = 0;

  constructor(startsAt = Date.parse('2026-11-02T10:00:00Z')) {
    this.#wall = startsAt;
  }

  now(): EpochMs {
    return epochMs(this.#wall);
  }

  monotonicMs(): number {
    return this.#monotonic;
  }

  advance(ms: number): void {
    this.#wall += ms;
    this.#monotonic += ms;
  }

  /** As NTP or a hand does it: the wall clock jumps, and no time has passed. */
  stepWall(ms: number): void {
    this.#wall += ms;
  }
}
