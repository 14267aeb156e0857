// Tested by test/request/record/decision-event.test.ts.
import type { BundleRevision } from './bundle.ts';
import type { SidecarError } from './errors.ts';
import type { JsonObject } from './json-value.ts';

export const effects = ['allow', 'deny', 'step_up', 'constrain'] as const;
export type Effect = (typeof effects)[number];

/** Why not simply "allow": a requirement that is not met, or a code of ours. */
export interface Reason {
  readonly code: string;
  readonly otherwise?: Exclude<Effect, 'allow'>;
  /** For the auditor; it may hold values. */
  readonly message?: string;
  /** How the caller can meet it. */
  readonly remedy?: string;
}

/** OpenID AuthZEN Obligations profile (draft): bound to permit and deny alike. */
export interface Obligation {
  readonly id: string;
  readonly type: string;
  readonly properties: JsonObject;
}

interface Said {
  readonly revision: BundleRevision;
  /** The policy that spoke, if it gave its name. */
  readonly policy: string | undefined;
  readonly reasons: readonly Reason[];
  readonly met: readonly string[];
  readonly obligations: readonly Obligation[];
  /** How long a PEP may hold the answer, in seconds; absent: not beyond this one action. */
  readonly ttlS: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  /** Ids of the grants it rests on; `undefined` where the policy did not say. */
  readonly grants: readonly string[] | undefined;
}

/** "No" and "no answer" are different facts. Both stay closed; only `deny` is the policy's word. */
export type Decision =
  | ({ readonly kind: 'allow' } & Said)
  | ({ readonly kind: 'constrain'; readonly constraints: JsonObject } & Said)
  | ({ readonly kind: 'step_up'; readonly acrValues: readonly string[]; readonly maxAgeS: number | undefined } & Said)
  | ({ readonly kind: 'deny' } & Said)
  | {
      readonly kind: 'undecided';
      readonly error: SidecarError;
      readonly revision: BundleRevision | undefined;
    }
  /** A query: an entrypoint that is not a decision, through OPA's API. Its result is returned unchanged and permits nothing. */
  | { readonly kind: 'queried'; readonly revision: BundleRevision; readonly resultText: string | undefined };

declare const settled: unique symbol;
declare const recorded: unique symbol;

/**
 * A decision whose grants' uses are taken, or that rests on none: what may be recorded. `settleGrants` makes it, and
 * `undecided`, which permits nothing.
 */
export type SettledDecision = Decision & { readonly [settled]: true };

/** A settled decision that the record has: what may be answered. Only the recorder makes it. */
export type RecordedDecision = Decision & { readonly [recorded]: true };

/** The decision where something failed: closed, with the failure's code. */
export function undecided(error: SidecarError, revision: BundleRevision | undefined): SettledDecision {
  const decision: Decision = { kind: 'undecided', error, revision };
  return decision as SettledDecision;
}

/** The unchecked result of one evaluation. */
export interface PolicyResult {
  readonly revision: BundleRevision;
  /** The entrypoint's value as JSON text; absent: undefined. */
  readonly text: string | undefined;
}

/** The effect as answer, record and metric show it: no answer is a deny. */
export function effectOf(decision: Decision): Effect | 'query' {
  switch (decision.kind) {
    case 'undecided':
      return 'deny';
    case 'queried':
      return 'query';
    default:
      return decision.kind;
  }
}

/** Whether an entrypoint returns a decision document (docs/decision.md): its last segment says so. */
export function isDecisionEntrypoint(entrypoint: string): boolean {
  return entrypoint === 'decision' || entrypoint.endsWith('/decision');
}
