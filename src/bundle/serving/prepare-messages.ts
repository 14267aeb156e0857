// Tested by test/bundle/serving/bundle-life.long.test.ts.
import type { ArchiveLimits } from '../reading/read-archive.ts';
import type { Prepared, PrepareJob } from './prepare.ts';
import type { ThreadPolicyLimits } from './thread-time.ts';

/** What of the limits can go to another thread, which has clocks of its own. */
export interface ThreadLimits {
  readonly archive: ArchiveLimits;
  readonly policy: ThreadPolicyLimits;
}

export interface PrepareRequest {
  readonly id: number;
  readonly job: PrepareJob;
  readonly limits: ThreadLimits;
}

export interface Refusal {
  readonly message: string;
  /** Which of several; undefined where it is none of them alone. */
  readonly bundle: string | undefined;
  /** Otherwise it is a fault of ours. */
  readonly isRefused: boolean;
}

export type PrepareAnswer =
  | { readonly id: number; readonly prepared: Prepared }
  | { readonly id: number; readonly refusal: Refusal };
