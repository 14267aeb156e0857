// Tested by test/bundle/serving/bundle-slot.long.test.ts.
import type { Timers } from '../domain/time.ts';

/** The process's own timers; none of them keeps it from ending. */
export const realTimers: Timers = {
  after: (ms, run) => {
    const timer = setTimeout(run, ms).unref();
    return () => clearTimeout(timer);
  },
};
