import type { Outcome } from '../domain/seen.ts';
import type { EpochMs } from '../domain/time.ts';
import type { PolicyImage } from '../evaluate/policy-image.ts';
import type { ThreadPolicyLimits } from './thread-time.ts';

/** An input, and what time and chance were when it was decided. */
export interface ShadowQuestion {
  readonly id: number;
  readonly entrypoint: string;
  readonly input: string;
  readonly now: EpochMs;
  readonly seed: string;
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
  readonly outcome: Outcome;
}
