// Tested by test/author/grant-patterns.test.ts.
import type { EpochMs } from './time.ts';

export type GrantState = 'requested' | 'active' | 'revoked';

/** A just-in-time right, held in place of a standing one. Its clock starts at approval. */
export interface Grant {
  readonly id: string;
  /** Compared byte for byte: never folded, never normalised. */
  readonly subject: string;
  readonly actions: readonly string[];
  /** Resource ids, or a parent and its literal children: `prod/*`. */
  readonly resources: readonly string[];
  readonly resourceType?: string;
  readonly reason: string;
  readonly state: GrantState;
  readonly requestedBy: string;
  readonly requestedAt: EpochMs;
  /** How long it lasts once approved. */
  readonly ttlMs: number;
  readonly notBefore?: EpochMs;
  /** Absent: as often as wished while it lasts. */
  readonly maxUses?: number;
  readonly uses: number;
  /** The authenticated principal that approved it. */
  readonly approver?: string;
  /** The approver that this principal named, if it approves for another person. */
  readonly approverNamed?: string;
  readonly approvedAt?: EpochMs;
  /** Set at approval. */
  readonly expiresAt?: EpochMs;
  readonly revokedAt?: EpochMs;
  readonly revokedBy?: string;
}

/** A requested grant; it is not valid before it is approved. */
export interface GrantRequest {
  readonly subject: string;
  readonly actions: readonly string[];
  readonly resources: readonly string[];
  readonly resourceType?: string;
  readonly reason: string;
  readonly ttlMs: number;
  readonly notBefore?: EpochMs;
  /** Absent: as often as wished while it lasts. */
  readonly maxUses?: number;
  readonly requestedBy: string;
}

/** The state of a grant at one moment: `lapsed` was never approved in time, `scheduled` has not begun. */
export const grantStandings = ['requested', 'lapsed', 'scheduled', 'active', 'spent', 'expired', 'revoked'] as const;
export type GrantStanding = (typeof grantStandings)[number];

export interface StandingGrant {
  readonly grant: Grant;
  readonly standing: GrantStanding;
}

/** The attempted action, as grants are matched with it. */
export interface Attempt {
  readonly subject: string;
  readonly action: string;
  readonly resource: { readonly type: string; readonly id: string };
}

export function usesLeft(grant: Grant): number | undefined {
  return grant.maxUses === undefined ? undefined : grant.maxUses - grant.uses;
}

/** Approved, begun, not over, not revoked, not used up. `notBefore` is inside, `expiresAt` is outside. */
export function isActive(grant: Grant, now: EpochMs): boolean {
  return (
    grant.state === 'active' &&
    grant.expiresAt !== undefined &&
    now < grant.expiresAt &&
    (grant.notBefore === undefined || now >= grant.notBefore) &&
    (usesLeft(grant) ?? 1) > 0
  );
}

/**
 * Whether a resource pattern names a resource id. `prod/*` names the literal children of `prod`: one more segment,
 * not empty, not `.` or `..`, without `\`, `%` or control characters (an id that some reader might decode or resolve
 * into another one is not a literal child). Anything else names itself only. The same table stands in
 * `rego/postern/grants.rego` and its test.
 */
export function patternNames(pattern: string, id: string): boolean {
  if (!pattern.endsWith('/*')) return pattern === id;
  const parent = pattern.slice(0, -1);
  if (!id.startsWith(parent)) return false;
  const child = id.slice(parent.length);
  return child !== '' && child !== '.' && child !== '..' && !/[/\\%\p{Cc}]/u.test(child);
}

export function covers(grant: Grant, attempt: Attempt): boolean {
  return (
    grant.subject === attempt.subject &&
    grant.actions.includes(attempt.action) &&
    (grant.resourceType === undefined || grant.resourceType === attempt.resource.type) &&
    grant.resources.some((pattern) => patternNames(pattern, attempt.resource.id))
  );
}
