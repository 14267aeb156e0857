// Tested by test/bundle/shadow/shadow.test.ts.
import type { Outcome } from '../../domain/answered-decision.ts';
import type { OutboundReply } from '../../domain/outbound.ts';
import type { EpochMs } from '../../domain/time.ts';
import type { PolicyImage } from '../../request/evaluate/policy-image.ts';
import type { ThreadPolicyLimits } from '../serving/thread-time.ts';

/** An input, and what time and chance were when it was decided. */
export interface ShadowQuestion {
  readonly id: number;
  readonly entrypoint: string;
  readonly input: string;
  readonly now: EpochMs;
  readonly seed: string;
  /** What was asked outside for it, and what came back. */
  readonly replies: ReadonlyMap<string, OutboundReply> | undefined;
}

export type ShadowMessage =
  | {
      readonly kind: 'policy';
      readonly image: PolicyImage;
      readonly limits: ThreadPolicyLimits;
    }
  | { readonly kind: 'ask'; readonly questions: readonly ShadowQuestion[] };

export interface ShadowAnswer {
  readonly id: number;
  /** Undefined: it asks outside what the decision that was answered did not, and there is nothing to compare. */
  readonly outcome: Outcome | undefined;
}
