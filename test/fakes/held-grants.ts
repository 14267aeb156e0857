import { type Attempt, covers, type Grant, isActive, usesLeft } from '../../src/domain/grant.ts';
import type { GrantReader, GrantSpender } from '../../src/domain/ports.ts';
import { type EpochMs, epochMs } from '../../src/domain/time.ts';

/** Grants in memory that really get used up, expire and can be revoked. */
export class HeldGrants implements GrantReader, GrantSpender {
  readonly #grants = new Map<string, Grant>();
  /** What `spend` was asked for, in order. */
  readonly asked: (readonly string[])[] = [];
  /** Set: `spend` fails with it, as a store whose disk is gone. */
  failure: Error | undefined;

  give(grant: Partial<Grant> & Pick<Grant, 'id' | 'subject'>): Grant {
    const made: Grant = {
      actions: ['deploy'],
      resources: ['prod/payments'],
      reason: 'test',
      state: 'active',
      requestedBy: 'test',
      requestedAt: epochMs(0),
      ttlMs: 60_000,
      uses: 0,
      approvedAt: epochMs(0),
      expiresAt: epochMs(Date.parse('9999-12-31T00:00:00Z')),
      ...grant,
    };
    this.#grants.set(made.id, made);
    return made;
  }

  revoke(id: string): void {
    const grant = this.#grants.get(id);
    if (grant !== undefined) this.#grants.set(id, { ...grant, state: 'revoked' });
  }

  left(id: string): number | undefined {
    const grant = this.#grants.get(id);
    return grant === undefined ? undefined : usesLeft(grant);
  }

  activeOf(subject: string, now: EpochMs): readonly Grant[] {
    return [...this.#grants.values()].filter((grant) => grant.subject === subject && isActive(grant, now));
  }

  async spend(ids: readonly string[], attempt: Attempt, now: EpochMs): Promise<boolean> {
    this.asked.push(ids);
    if (this.failure !== undefined) throw this.failure;
    const grants = ids.map((id) => this.#grants.get(id));
    if (!grants.every((grant) => grant !== undefined && isActive(grant, now) && covers(grant, attempt))) return false;
    for (const grant of grants) {
      if (grant?.maxUses !== undefined) this.#grants.set(grant.id, { ...grant, uses: grant.uses + 1 });
    }
    return true;
  }
}
