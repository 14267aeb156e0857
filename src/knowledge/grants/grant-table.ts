import { ControlRefused, Undecided } from '../../domain/errors.ts';
import {
  type Attempt,
  covers,
  type Grant,
  type GrantRequest,
  type GrantStanding,
  isActive,
  type StandingGrant,
  usesLeft,
} from '../../domain/grant.ts';
import type { GrantFilter, GrantKeeper, GrantReader, GrantSpender } from '../../domain/ports.ts';
import { type Clock, type EpochMs, epochMs } from '../../domain/time.ts';
import { idMax, isText } from '../check-text.ts';
import { Collection } from '../store/collection.ts';
import type { DurableStore } from '../store/durable-store.ts';
import { recordKey } from '../store/record-key.ts';
import type { Transaction } from '../store/transaction.ts';
import { checkGrantRequest, requestLivesMs } from './check-grant.ts';
import { decodeGrant, encodeGrant } from './grant-record.ts';
import { SteadyClock } from './steady-clock.ts';

export interface GrantTableOptions {
  readonly clock: Clock;
  /** A new grant's id; never one that was given before. */
  newId(): string;
  /** Grants in any state. */
  readonly grantsMax: number;
}

/** Of one subject. At the cap a new request takes the place of the oldest that is over; none over: it is refused. */
const perSubjectMax = 1000;
/** Most active grants in an input; an approval past it is refused, so that none is hidden. */
const activeMax = 100;
/** A grant that is over stays in sight for the reviewer this long. */
const keptWhenOverMs = 24 * 60 * 60 * 1000;
/** How far the mark on disk may lag while grants are active. */
const markLagMs = 60_000;
const markKey = recordKey('clock', []);
const none: readonly Grant[] = [];
const overStandings: ReadonlySet<GrantStanding> = new Set(['revoked', 'spent', 'expired', 'lapsed']);

/** Just-in-time rights, their approvals and their uses. Taking the last use is atomic: two requests never both have it. */
export class GrantTable implements GrantReader, GrantSpender, GrantKeeper {
  readonly collection: Collection<Grant>;
  /** The latest reading of the steady clock on record: what ended before a restart has ended after it. */
  readonly marks: Collection<EpochMs>;
  readonly #options: GrantTableOptions;
  /** Approved ones with a use left, by subject: what a request looks through. */
  readonly #live = new Map<string, Map<string, Grant>>();
  /** Revocations under way to the disk: they hold from when they are asked for, however long it takes. */
  readonly #revoking = new Set<string>();
  /** All of them, in order of request. */
  #ordered = new Map<string, Grant>();
  /** Ids by subject, in order of request. */
  readonly #idsOf = new Map<string, Set<string>>();
  #store: DurableStore | undefined;
  #steady: SteadyClock;
  /** No live grant ends before this, and none is to be dropped before that. */
  #nextEnd: number = Number.POSITIVE_INFINITY;
  #nextDrop: number = Number.POSITIVE_INFINITY;

  constructor(options: GrantTableOptions) {
    this.#options = options;
    this.#steady = new SteadyClock(options.clock, undefined);
    this.collection = new Collection<Grant>({
      kind: 'grant',
      groupsOf: (grant) =>
        isLive(grant) ? [ofSubject(grant.subject), liveOf(grant.subject)] : [ofSubject(grant.subject)],
      encode: encodeGrant,
      decode: decodeGrant,
      changed: (_key, before, after) => this.#index(before, after),
      reconcile: moreClosed,
    });
    this.marks = new Collection<EpochMs>({
      kind: 'clock',
      encode: (mark) => mark,
      decode: (value) => (typeof value === 'number' ? epochMs(value) : undefined),
      reconcile: (memory, readBack) => epochMs(Math.max(memory, readBack)),
    });
  }

  /** Begins once the table is read from the store. */
  keepIn(store: DurableStore): void {
    this.#store = store;
    this.#steady = new SteadyClock(this.#options.clock, this.marks.get(markKey));
    const byRequest = [...this.#ordered].sort(
      ([, a], [, b]) => a.requestedAt - b.requestedAt || (a.id < b.id ? -1 : 1),
    );
    this.#ordered = new Map(byRequest);
    this.#idsOf.clear();
    for (const grant of this.#ordered.values()) this.#remember(grant);
  }

  activeOf(subject: string, now: EpochMs): readonly Grant[] {
    const grants = this.#live.get(subject);
    if (grants === undefined) return none;
    const steady = this.#steady.now(now);
    const active: Grant[] = [];
    for (const grant of grants.values()) {
      if (this.#isActive(grant, now, steady) && active.push(grant) === activeMax) break;
    }
    return active;
  }

  async spend(ids: readonly string[], attempt: Attempt, now: EpochMs): Promise<boolean> {
    const keys = [...new Set(ids)].map(keyOf);
    const store = this.#durable();
    const shown = keys.map((key) => this.collection.get(key));
    // Not looked at again in the transaction: a use that was asked for before the revocation goes to disk before it.
    if (shown.some((grant) => grant !== undefined && this.#revoking.has(grant.id))) return false;
    if (!shown.every((grant) => grant !== undefined && this.#isUsable(grant, attempt, now))) return false;
    if (shown.every((grant) => grant?.maxUses === undefined)) return true;
    // Nor while a commit does not come back: each that waits for it would hold a place that others are decided in.
    if (store.state !== 'ok') throw new Undecided('grant_store_failed', 'the grant store accepts no changes');
    try {
      return await store.transact(
        (tx) => {
          const grants = keys.map((key) => this.collection.getIn(tx, key));
          if (!grants.every((grant) => grant !== undefined && this.#isUsable(grant, attempt, now))) return false;
          for (const grant of grants) {
            if (grant?.maxUses !== undefined) this.#set(tx, { ...grant, uses: grant.uses + 1 });
          }
          this.#mark(tx);
          return true;
        },
        { holdsAnyway: true },
      );
    } catch (cause) {
      throw new Undecided('grant_store_failed', 'the use of a grant could not be written to disk', { cause });
    }
  }

  async request(asked: GrantRequest): Promise<StandingGrant> {
    checkGrantRequest(asked, this.#options.clock.now());
    return this.#durable().transact((tx) => {
      const { grantsMax, newId, clock } = this.#options;
      if (this.collection.countIn(tx, ofSubject(asked.subject)) >= perSubjectMax) {
        const over = this.#oldestOver(tx, asked.subject);
        if (over === undefined) {
          throw new ControlRefused('store_full', 429, `${perSubjectMax} grants of this subject are already open`);
        }
        this.collection.removeIn(tx, keyOf(over));
      }
      if (this.collection.sizeIn(tx) >= grantsMax) {
        throw new ControlRefused('store_full', 429, `${grantsMax} grants are already stored`);
      }
      const requestedAt = this.#steady.now(clock.now());
      return this.#set(tx, { ...asked, id: newId(), state: 'requested', requestedAt, uses: 0 });
    });
  }

  async approve(id: string, approver: string, approverNamed?: string): Promise<StandingGrant> {
    if (approverNamed !== undefined && !isText(approverNamed, idMax)) {
      throw new ControlRefused('grant_invalid', 400, `approver must be text of 1 to ${idMax} characters`);
    }
    return this.#durable().transact((tx) => {
      const grant = this.#known(tx, id);
      if (approver === grant.subject || approverNamed === grant.subject) {
        throw new ControlRefused('grant_self_approval', 403, 'the approver is the subject of the grant');
      }
      const { standing } = this.#standing(grant);
      if (standing === 'revoked') throw new ControlRefused('grant_state', 409, 'the grant is revoked');
      if (standing === 'lapsed') throw new ControlRefused('grant_state', 410, 'the request was not approved in time');
      if (grant.state === 'active') return this.#standing(grant);
      const approvedAt = this.#steady.now(this.#options.clock.now());
      const expiresAt = epochMs(approvedAt + grant.ttlMs);
      if (grant.notBefore !== undefined && grant.notBefore >= expiresAt) {
        throw new ControlRefused('grant_state', 409, 'the grant would end before it begins');
      }
      if (this.#activeIn(tx, grant.subject) >= activeMax) {
        throw new ControlRefused('store_full', 429, `${activeMax} grants of this subject are already active`);
      }
      return this.#set(tx, {
        ...grant,
        state: 'active',
        approver,
        ...(approverNamed !== undefined && { approverNamed }),
        approvedAt,
        expiresAt,
      });
    });
  }

  async revoke(id: string, by: string): Promise<StandingGrant> {
    if (this.collection.get(keyOf(id)) !== undefined) this.#revoking.add(id);
    return this.#durable().transact(
      (tx) => {
        const grant = this.#known(tx, id);
        if (grant.state === 'revoked') return this.#standing(grant);
        const revokedAt = this.#steady.now(this.#options.clock.now());
        return this.#set(tx, { ...grant, state: 'revoked', revokedAt, revokedBy: by });
      },
      { holdsAnyway: true, over: () => this.#revoking.delete(id) },
    );
  }

  get(id: string): StandingGrant | undefined {
    const grant = this.#ordered.get(id);
    return grant === undefined ? undefined : this.#standing(grant);
  }

  list(filter: GrantFilter, limit: number, after?: string): readonly StandingGrant[] | undefined {
    if (after !== undefined && !this.#ordered.has(after)) return undefined;
    const found: StandingGrant[] = [];
    let isPast = after === undefined;
    for (const grant of this.#ordered.values()) {
      if (isPast && (filter.subject === undefined || filter.subject === grant.subject)) {
        const one = this.#standing(grant);
        if (filter.standing === undefined || filter.standing === one.standing) found.push(one);
        if (found.length === limit) break;
      }
      if (grant.id === after) isPast = true;
    }
    return found;
  }

  /** Grants that can be used now. */
  activeCount(): number {
    const now = this.#options.clock.now();
    const steady = this.#steady.now(now);
    let count = 0;
    for (const grants of this.#live.values()) {
      for (const grant of grants.values()) if (this.#isActive(grant, now, steady)) count += 1;
    }
    return count;
  }

  get count(): number {
    return this.collection.size;
  }

  /** How far the clock that grants end by is ahead of the wall clock: more than nothing after the latter went back. */
  aheadMs(): number {
    const now = this.#options.clock.now();
    return this.#steady.now(now) - now;
  }

  /**
   * Puts on record that grants have ended, so that they have after a restart with the clock set back, and drops those
   * that were over long ago. To be called every second or so.
   */
  async tick(): Promise<void> {
    const steady = this.#steady.now(this.#options.clock.now());
    const lag = steady - (this.marks.get(markKey) ?? 0);
    const dropped = steady >= this.#nextDrop ? [...this.#ordered.values()].filter((one) => dropAt(one) <= steady) : [];
    const isDue = steady >= this.#nextEnd || (Number.isFinite(this.#nextEnd) && lag >= markLagMs);
    if (!isDue && dropped.length === 0) {
      if (steady >= this.#nextDrop) this.#reschedule(steady);
      return;
    }
    await this.#durable().transact((tx) => {
      for (const { id } of dropped) {
        const grant = this.collection.getIn(tx, keyOf(id));
        if (grant !== undefined && dropAt(grant) <= steady) this.collection.removeIn(tx, keyOf(id));
      }
      this.#mark(tx);
    });
    this.#reschedule(steady);
  }

  #isActive(grant: Grant, now: EpochMs, steady: EpochMs): boolean {
    return isActiveAt(grant, now, steady) && !this.#revoking.has(grant.id);
  }

  #isUsable(grant: Grant, attempt: Attempt, asked: EpochMs): boolean {
    // The request's own reading of the clock is older than this one; the grant must hold at both.
    const now = epochMs(Math.max(asked, this.#options.clock.now()));
    const begun = grant.notBefore === undefined || grant.notBefore <= Math.min(asked, this.#options.clock.now());
    return begun && isActiveAt(grant, now, this.#steady.now(now)) && covers(grant, attempt);
  }

  #standing(grant: Grant): StandingGrant {
    const now = this.#options.clock.now();
    const standing = this.#revoking.has(grant.id) ? 'revoked' : standingAt(grant, now, this.#steady.now(now));
    return { grant, standing };
  }

  #known(tx: Transaction, id: string): Grant {
    const grant = this.collection.getIn(tx, keyOf(id));
    if (grant === undefined) throw new ControlRefused('grant_unknown', 404, 'no grant has this id');
    return grant;
  }

  /** The id of the subject's first requested grant that can never be used again, revoked, spent, expired or lapsed. */
  #oldestOver(tx: Transaction, subject: string): string | undefined {
    for (const id of this.#idsOf.get(subject) ?? []) {
      const grant = this.collection.getIn(tx, keyOf(id));
      // A revocation on its way to the disk still has to find its grant.
      if (grant === undefined || this.#revoking.has(id)) continue;
      if (overStandings.has(this.#standing(grant).standing)) return id;
    }
    return undefined;
  }

  #set(tx: Transaction, grant: Grant): StandingGrant {
    this.collection.setIn(tx, keyOf(grant.id), grant);
    this.#mark(tx);
    return this.#standing(grant);
  }

  #mark(tx: Transaction): void {
    this.marks.setIn(tx, markKey, this.#steady.now(this.#options.clock.now()));
  }

  #activeIn(tx: Transaction, subject: string): number {
    // Approvals in the batch that this one goes to disk with are not in the index yet.
    const approvedNow =
      this.collection.countIn(tx, liveOf(subject)) - this.collection.countIn(undefined, liveOf(subject));
    return this.activeOf(subject, this.#options.clock.now()).length + Math.max(0, approvedNow);
  }

  #index(before: Grant | undefined, after: Grant | undefined): void {
    if (before !== undefined) {
      const grants = this.#live.get(before.subject);
      grants?.delete(before.id);
      if (grants?.size === 0) this.#live.delete(before.subject);
      if (after === undefined) this.#forget(before);
    }
    if (after === undefined) return;
    this.#remember(after);
    this.#nextDrop = Math.min(this.#nextDrop, dropAt(after));
    if (!isLive(after)) return;
    this.#nextEnd = Math.min(this.#nextEnd, after.expiresAt ?? 0);
    const grants = this.#live.get(after.subject) ?? new Map<string, Grant>();
    this.#live.set(after.subject, grants.set(after.id, after));
  }

  #remember(grant: Grant): void {
    const { id, subject } = grant;
    this.#ordered.set(id, grant);
    const ids = this.#idsOf.get(subject) ?? new Set<string>();
    this.#idsOf.set(subject, ids.add(id));
  }

  #forget({ id, subject }: Grant): void {
    this.#ordered.delete(id);
    const ids = this.#idsOf.get(subject);
    ids?.delete(id);
    if (ids?.size === 0) this.#idsOf.delete(subject);
  }

  #reschedule(steady: EpochMs): void {
    this.#nextEnd = Number.POSITIVE_INFINITY;
    this.#nextDrop = Number.POSITIVE_INFINITY;
    for (const grant of this.#ordered.values()) {
      this.#nextDrop = Math.min(this.#nextDrop, dropAt(grant));
      const { expiresAt } = grant;
      if (grant.state === 'active' && expiresAt !== undefined && expiresAt > steady) {
        this.#nextEnd = Math.min(this.#nextEnd, expiresAt);
      }
    }
  }

  #durable(): DurableStore {
    if (this.#store === undefined) throw new Error('the table has no store yet');
    return this.#store;
  }
}

function keyOf(id: string): string {
  return recordKey('grant', [id]);
}

const ofSubject = (subject: string): string => `of ${subject}`;
const liveOf = (subject: string): string => `live of ${subject}`;

/** Approved, with a use left; its time is another question. */
function isLive(grant: Grant): boolean {
  return grant.state === 'active' && usesLeft(grant) !== 0;
}

/** A grant begins by the wall clock and ends by the steady one: each by the one that closes. */
function isActiveAt(grant: Grant, now: EpochMs, steady: EpochMs): boolean {
  return isActive(grant, steady) && (grant.notBefore === undefined || now >= grant.notBefore);
}

function standingAt(grant: Grant, now: EpochMs, steady: EpochMs): GrantStanding {
  if (grant.state === 'revoked') return 'revoked';
  if (grant.state === 'requested') return steady >= grant.requestedAt + requestLivesMs ? 'lapsed' : 'requested';
  if (usesLeft(grant) === 0) return 'spent';
  if (grant.expiresAt === undefined || steady >= grant.expiresAt) return 'expired';
  return isActiveAt(grant, now, steady) ? 'active' : 'scheduled';
}

/** When a grant has been over for long enough. */
function dropAt({ state, requestedAt, expiresAt, revokedAt }: Grant): number {
  const over = state === 'revoked' ? revokedAt : state === 'active' ? expiresAt : requestedAt + requestLivesMs;
  return (over ?? 0) + keptWhenOverMs;
}

/** The disk may have missed a use or a revocation that memory counts, or have taken one that memory gave up on. */
function moreClosed(memory: Grant, readBack: Grant): Grant {
  const base = memory.state === 'revoked' ? memory : readBack;
  return { ...base, uses: Math.max(memory.uses, readBack.uses) };
}
