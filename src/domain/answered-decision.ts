// Tested by test/request/authorize.test.ts.
import type { BundleRevision } from './bundle.ts';
import type { OutboundReply } from './outbound.ts';
import type { EpochMs } from './time.ts';

/** The outcome of an evaluation: the result's text (undefined: no result), or the code of its failure. */
export type Outcome = { readonly text: string | undefined } | { readonly code: string };

/** A decision that was already answered, for comparison with another bundle. */
export interface AnsweredDecision {
  readonly decisionId: string;
  readonly entrypoint: string;
  readonly input: string;
  readonly now: EpochMs;
  /** The seed of random values; the same seed gives the same values. */
  readonly seed: string;
  /** Replies of servers; absent: no server was called. */
  readonly replies?: ReadonlyMap<string, OutboundReply>;
  readonly revision: BundleRevision;
  readonly outcome: Outcome;
  /** Whether the bundle masks what is recorded, so that nothing of the texts in an outcome may be shown either. */
  readonly isMasked: boolean;
}
