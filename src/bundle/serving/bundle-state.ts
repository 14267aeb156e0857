import { BundleRefused } from '../../domain/errors.ts';
import { type EpochMs, rfc3339Of } from '../../domain/time.ts';
import type { BundleFacts } from '../reading/read-bundle.ts';
import { SourceFailed, type Wanted } from '../sources/source.ts';
import { remember, type Served } from './history.ts';
import type { Archives, KeptBundle, StoredArchive } from './kept-bundle.ts';

/** A bundle's archive as it came, not yet found good. */
export interface Candidate extends StoredArchive {
  readonly etag: string | undefined;
  readonly currentAt: EpochMs;
  /** Under the archive itself, where it comes from the kept copy; all of it served before. */
  readonly kept?: KeptBundle;
}

/** What serves of one bundle. */
export interface ActiveBundle {
  readonly archives: Archives;
  readonly facts: BundleFacts;
  readonly etag: string | undefined;
  readonly currentAt: EpochMs;
}

/** What came last and does not serve. */
export type CandidateState =
  | { readonly name: 'none' }
  /** To be prepared: now, or once the bundles it serves with are there too. */
  | { readonly name: 'offered'; readonly candidate: Candidate }
  /** Unfit; it may fit once another bundle has come. Without a digest it is judged anew when it is fetched again. */
  | { readonly name: 'rejected'; readonly candidate: Candidate; readonly digest: string | undefined }
  /** Not judged, for want of a thread, memory or time: it is asked for again though it has not changed. */
  | { readonly name: 'untried'; readonly candidate: Candidate };

/** For the status page and OPA's status API: what serves, and what became of the attempts to replace it. */
export interface BundleStatus {
  readonly name: string;
  readonly active_revision?: string;
  readonly type?: 'snapshot' | 'delta';
  readonly size?: number;
  readonly age_s?: number;
  readonly last_request?: string;
  readonly last_successful_request?: string;
  readonly last_successful_download?: string;
  readonly last_successful_activation?: string;
  readonly code?: string;
  readonly message?: string;
  readonly http_code?: number;
}

export interface BundleStateOptions {
  readonly name: string;
  /** Whether a bundle that served before may serve again. */
  readonly rollback: boolean;
  /** Whether changes are asked for in place of whole bundles. */
  readonly deltas: boolean;
  readonly maxAgeMs: number | undefined;
}

/** Behind a load balancer an older server may answer; that it has what was just replaced is no news then. */
const supersededMs = 300_000;
const supersededMax = 8;
/** Deltas in a row before a whole bundle is asked for: a restart has to go through all of them. */
const deltasMax = 64;

/**
 * One bundle's state machine, without effects: what serves of it (absent or active) and what came after that (`none`,
 * `offered`, `rejected`, `untried`). docs/architecture.md draws it; its methods are the arrows.
 */
export class BundleState {
  readonly #options: BundleStateOptions;
  #active: ActiveBundle | undefined;
  #candidate: CandidateState = { name: 'none' };
  #served: readonly Served[] = [];
  /** The next bundle is to come whole: changes do not fit the active one, or are too many. */
  #wantsWhole = false;
  #superseded: { readonly etag: string; readonly at: EpochMs }[] = [];
  #fault: Error | undefined;
  #lastRequestAt: EpochMs | undefined;
  #lastContactAt: EpochMs | undefined;
  #lastDownloadAt: EpochMs | undefined;
  #activation: { readonly at: EpochMs; readonly type: 'snapshot' | 'delta' } | undefined;

  constructor(options: BundleStateOptions) {
    this.#options = options;
  }

  get active(): ActiveBundle | undefined {
    return this.#active;
  }

  get candidate(): CandidateState {
    return this.#candidate;
  }

  /** Revisions that served, the last one serves now. */
  get served(): readonly Served[] {
    return this.#served;
  }

  /** Something of it is there that could be prepared together with other bundles. */
  get canServe(): boolean {
    return this.#active !== undefined || this.#candidate.name === 'offered' || this.#candidate.name === 'untried';
  }

  /** What served before a restart may not come back, even where the kept copy itself cannot serve. */
  recall(served: readonly Served[]): void {
    this.#served = served;
  }

  offer(candidate: Candidate): void {
    this.#candidate = { name: 'offered', candidate };
  }

  /** The kept copy cannot serve: as if nothing had come. */
  withdraw(): void {
    if (this.#candidate.name === 'offered') this.#candidate = { name: 'none' };
  }

  activate(candidate: Candidate, type: 'snapshot' | 'delta', facts: BundleFacts, now: EpochMs): void {
    const { bytes, digest, etag, currentAt, kept } = candidate;
    const before = this.#active;
    const archives =
      type === 'delta' && before !== undefined
        ? { snapshot: before.archives.snapshot, deltas: [...before.archives.deltas, { bytes, digest }] }
        : (kept?.archives ?? { snapshot: { bytes, digest }, deltas: [] });
    this.#active = { archives, facts, etag, currentAt };
    if (before?.etag !== undefined && before.etag !== etag) this.#superseded.push({ etag: before.etag, at: now });
    const { revision, sequence, contentDigest } = facts;
    if (kept === undefined) this.#served = remember(this.#served, { revision, sequence, contentDigest, at: now });
    this.#wantsWhole = archives.deltas.length >= deltasMax;
    this.#activation = { at: now, type };
    this.#clearFault();
  }

  /** @returns whether it failed in the same way the last time */
  reject(candidate: Candidate, fault: Error): boolean {
    const isUnfit = fault instanceof BundleRefused;
    this.#candidate = isUnfit
      ? { name: 'rejected', candidate, digest: candidate.digest }
      : { name: 'untried', candidate };
    // A delta that does not fit will not fit the next time either.
    if (isUnfit && this.#options.deltas && this.#active !== undefined) this.#wantsWhole = true;
    return this.#fail(fault);
  }

  /** @returns whether it failed in the same way the last time */
  fetchFailed(fault: Error, now: EpochMs): boolean {
    this.#lastRequestAt = now;
    const before = this.#candidate;
    // What could not be fetched is not what was rejected before it: once it is back, it is tried again.
    const isForgotten =
      (before.name === 'untried' && fault instanceof BundleRefused) ||
      (before.name === 'rejected' && fault instanceof SourceFailed);
    if (isForgotten) this.#candidate = { name: 'rejected', candidate: before.candidate, digest: undefined };
    return this.#fail(fault);
  }

  /** The source says that the active bundle is the newest. */
  confirm(now: EpochMs): void {
    this.#lastRequestAt = now;
    this.#lastContactAt = now;
    this.#clearFault();
  }

  downloaded(now: EpochMs): void {
    this.#lastRequestAt = now;
    this.#lastContactAt = now;
    this.#lastDownloadAt = now;
  }

  /**
   * The bytes of the active bundle came once more: it is as current as that.
   *
   * @returns whether anything is to be kept that was not before
   */
  renew({ etag, currentAt }: Pick<Candidate, 'etag' | 'currentAt'>): boolean {
    const before = this.#active;
    if (before === undefined) throw new Error('nothing is active that could be renewed');
    this.#active = { ...before, etag, currentAt };
    this.#wantsWhole = false;
    this.#clearFault();
    return before.currentAt !== currentAt || before.etag !== etag;
  }

  /** The deltas have left too many holes in the data. */
  wantWhole(): void {
    this.#wantsWhole = true;
  }

  isActive(digest: string): boolean {
    const archives = this.#active?.archives;
    return archives !== undefined && archives.deltas.length === 0 && archives.snapshot.digest === digest;
  }

  isRejected(digest: string): boolean {
    return this.#candidate.name === 'rejected' && this.#candidate.digest === digest;
  }

  /** What to ask the source for. @param forced asked for by hand */
  wanted(now: EpochMs, forced: boolean): Wanted {
    const asked = forced || this.#candidate.name === 'untried';
    const { deltas, maxAgeMs, rollback } = this.#options;
    const active = this.#active;
    const whole = { etags: [], deltas: false, asked };
    if (active?.etag === undefined || this.#wantsWhole) return whole;
    // A 304 is a server's word, and a cache can give it for ever; only the bundle itself proves that it is there still.
    if (maxAgeMs !== undefined && now - active.currentAt > maxAgeMs / 2) return whole;
    // Changes are to the newest; with older ones named beside it, a server could not tell to which.
    if (deltas) return { etags: [active.etag], deltas, asked };
    this.#superseded = this.#superseded.filter(({ at }) => now - at < supersededMs).slice(-supersededMax);
    const older = rollback ? [] : this.#superseded.map(({ etag }) => etag).reverse();
    return { etags: [...new Set([active.etag, ...older])], deltas, asked };
  }

  status(now: EpochMs): BundleStatus {
    const active = this.#active;
    const at = (time: EpochMs | undefined, name: string): object =>
      time === undefined ? {} : { [name]: rfc3339Of(time) };
    const fault = this.#fault;
    const httpCode = fault instanceof SourceFailed ? fault.httpStatus : undefined;
    return {
      name: this.#options.name,
      ...(active !== undefined && {
        active_revision: active.facts.revision,
        ...(this.#activation !== undefined && { type: this.#activation.type }),
        size: active.archives.snapshot.bytes.length,
        age_s: Math.max(0, now - active.currentAt) / 1_000,
      }),
      ...at(this.#lastRequestAt, 'last_request'),
      ...at(this.#lastContactAt, 'last_successful_request'),
      ...at(this.#lastDownloadAt, 'last_successful_download'),
      ...at(this.#activation?.at, 'last_successful_activation'),
      ...(fault !== undefined && { code: 'bundle_invalid', message: fault.message }),
      ...(httpCode !== undefined && { http_code: httpCode }),
    };
  }

  #fail(fault: Error): boolean {
    const isRepeat = fault.message === this.#fault?.message;
    this.#fault = fault;
    return isRepeat;
  }

  #clearFault(): void {
    this.#fault = undefined;
    if (this.#candidate.name !== 'offered' || this.#active !== undefined) this.#candidate = { name: 'none' };
  }
}
