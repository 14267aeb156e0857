import type { BundleRevision } from './bundle.ts';
import type { OutboundReply } from './outbound.ts';
import type { EpochMs } from './time.ts';

/** What an evaluation came to: the result's text (none: undefined), or the code of why it came to nothing. */
export type Outcome = { readonly text: string | undefined } | { readonly code: string };

/** A decision that was answered already, for whoever compares. */
export interface AnsweredDecision {
  readonly decisionId: string;
  readonly entrypoint: string;
  readonly input: string;
  readonly now: EpochMs;
  /** What chance followed from; the same again gives the same again. */
  readonly seed: string;
  /** What was asked outside for it and came back; absent: nothing was asked. */
  readonly replies?: ReadonlyMap<string, OutboundReply>;
  readonly revision: BundleRevision;
  readonly outcome: Outcome;
  /** Whether the bundle masks what is recorded, so that nothing of the texts in an outcome may be shown either. */
  readonly isMasked: boolean;
}
