// Tested by test/sidecar/sidecar.long.test.ts.
import type { Clock, Timers } from '../domain/time.ts';
import type { OperationalLog } from '../telemetry/log.ts';

/** What a sidecar needs of the world; `main.ts` hands in the process's own, tests theirs. */
export interface Effects {
  readonly clock: Clock;
  readonly timers: Timers;
  /** An id that was never given before and cannot be guessed. */
  readonly newId: () => string;
  /** From 0 to below 1, for jitter and samples; nothing secret comes of it. */
  readonly random: () => number;
  /** Processor time of the thread that decides. */
  readonly threadCpuMs: () => number;
  readonly log: OperationalLog;
  readonly version: string;
  readonly nodeVersion: string;
}
