import { type Answer, type Ask, isObject, type Question } from './answer.ts';
import { type Able, isTrue, permission } from './permission.ts';

interface ReviewConstraints {
  readonly read_only: true;
}

// It shows and never changes, so holding it to read-only takes nothing.
const able: Able<ReviewConstraints> = { read_only: isTrue };

/** The carrier of the findings: `rego/policies/entitlement_review/policy.rego`. */
const reviewObligation = 'urn:postern:obligation:entitlement-review';

export interface Right {
  readonly action: string;
  readonly resource: string;
}

export interface Finding {
  readonly identity: string;
  readonly granted: readonly Right[];
  readonly narrowed: readonly Right[];
  readonly unused: readonly Right[];
  readonly kept: readonly (Right & { readonly because: string })[];
}

export interface Review {
  readonly window_days: number;
  readonly overprivileged: readonly Finding[];
  readonly in_use: readonly string[];
  readonly not_judged: readonly { readonly identity: string; readonly because: string }[];
}

export type ReviewOutcome = { readonly review: Review } | { readonly refused: string };

/** Shows an operator what the review found, once the answer hands it out. */
export class EntitlementsPep {
  readonly #ask: Ask;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async review(question: Question): Promise<{ readonly answer: Answer; readonly outcome: ReviewOutcome }> {
    const answer = await this.#ask(question);
    const allowed = permission<ReviewConstraints>(answer, able, [reviewObligation]);
    if (!allowed.permitted) return { answer, outcome: { refused: allowed.because } };
    const obligation = answer.obligations.find(({ type }) => type === reviewObligation);
    if (!isReview(obligation?.properties)) return { answer, outcome: { refused: 'the answer holds no review' } };
    return { answer, outcome: { review: obligation.properties } };
  }
}

function isReview(value: unknown): value is Review {
  return (
    isObject(value) &&
    ['overprivileged', 'in_use', 'not_judged'].every((name) => Array.isArray(value[name])) &&
    typeof value['window_days'] === 'number'
  );
}
