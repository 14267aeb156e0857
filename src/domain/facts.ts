// Tested by test/request/authorize.test.ts.
import type { Grant } from './grant.ts';
import type { Caller } from './request.ts';
import type { EpochMs } from './time.ts';

/** All that a decision rests on. `input` is what the policy reads, and what the record keeps, to the byte. */
export interface Facts {
  readonly entrypoint: string;
  readonly input: string;
  readonly now: EpochMs;
  readonly caller: Caller;
  /** The grants the policy was shown: a decision can use no other. */
  readonly grants: readonly Grant[];
  /** Seconds, by kind of signal; absent: nothing was known. */
  readonly signalAgesS: { readonly device?: number; readonly trust?: number; readonly workload?: number };
}
