import { BundleRefused } from '../../domain/errors.ts';
import type { Timers } from '../../domain/time.ts';
import { type Clock, type EpochMs, rfc3339Of } from '../../domain/time.ts';
import type { BundleFacts } from '../reading/read-bundle.ts';
import type { SigningRule } from '../reading/verify-signature.ts';
import { type BundleSource, type Fetched, type LastFetch, SourceFailed } from '../sources/source.ts';
import { remember, type Served } from './history.ts';
import { type Archives, type BundleKeep, DamagedKeep, type KeptBundle, type StoredArchive } from './kept-bundle.ts';

export interface FeedOptions {
  readonly name: string;
  readonly source: BundleSource;
  readonly signing: SigningRule;
  /** Whether what served before may serve again. */
  readonly rollback: boolean;
  /** Whether changes are asked for in place of whole bundles. */
  readonly deltas: boolean;
  readonly maxAgeMs: number | undefined;
  /** Where the last good one is kept; undefined: nowhere. */
  readonly keep: BundleKeep | undefined;
}

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

/** A bundle's archive as it came, not yet found good. */
export interface Candidate extends StoredArchive {
  readonly etag: string | undefined;
  readonly currentAt: EpochMs;
  /** Under the archive itself, where it comes from the kept copy; all of it served before. */
  readonly kept?: KeptBundle;
}

/** What serves of one bundle. */
export interface Held {
  readonly archives: Archives;
  readonly facts: BundleFacts;
  readonly etag: string | undefined;
  readonly currentAt: EpochMs;
}

export type FeedEvent = 'new' | 'unchanged' | 'failed';

/** What a feed needs of the slot that it feeds. */
export interface FeedHost {
  readonly clock: Clock;
  readonly timers: Timers;
  /** Tries what arrived; a failure is the feed's to tell. @throws BundleRefused; anything else is no word on the bundle */
  activate(feed: Feed, candidate: Candidate): Promise<void>;
  /** What serves is as current as the feed now says. */
  renewed(): void;
  fetched(feed: Feed, outcome: FeedEvent): void;
  refused(feed: Feed, fault: Error, asked: boolean, again: boolean): void;
  keepFailed(feed: Feed, cause: unknown): void;
}

/** Behind a load balancer an older server may answer; that it has what was just replaced is no news then. */
const supersededMs = 300_000;
const supersededMax = 8;
/** Between two attempts at what lies on this machine, where the one before came to no end. */
const retryMs = { first: 1_000, last: 60_000 };
/** Deltas in a row before a whole bundle is asked for: a restart has to go through all of them. */
const deltasMax = 64;

/** One bundle on its way here: it is fetched, handed over to be tried, kept, and its troubles are told. */
export class Feed {
  readonly options: FeedOptions;
  readonly #host: FeedHost;
  held: Held | undefined;
  served: readonly Served[] = [];
  /** The last one that was refused, which may fit once another bundle has come. */
  rejected: Candidate | undefined;
  #rejectedDigest = '';
  /** What came last is there to be had and was not judged: it is asked for again though it has not changed. */
  #isUntried = false;
  /** The next bundle is to come whole: changes do not fit what is held, or are too many. */
  #wantsWhole = false;
  #superseded: { readonly etag: string; readonly at: EpochMs }[] = [];
  #fault: Error | undefined;
  #failures = 0;
  #lastRequestAt: EpochMs | undefined;
  #lastContactAt: EpochMs | undefined;
  #lastDownloadAt: EpochMs | undefined;
  #activatedAt: EpochMs | undefined;
  #activatedType: 'snapshot' | 'delta' | undefined;
  #turn: Promise<void> = Promise.resolve();
  #abort = new AbortController();
  #cancelPause: () => void = () => undefined;
  #localMs: number | undefined;
  #isStarted = false;
  #isClosed = false;
  #saving: Promise<void> = Promise.resolve();

  constructor(options: FeedOptions, host: FeedHost) {
    this.options = options;
    this.#host = host;
  }

  /** One look at the source, now; a request that a server holds open is given up for it. */
  look(asked: boolean): Promise<void> {
    if (asked && this.options.source.pauseMs !== undefined) this.#abort.abort();
    this.#turn = this.#turn.then(() => this.#look(asked));
    return this.#turn;
  }

  /** Looks again and again. @param localMs between two looks where the source does not say; undefined: none are taken */
  start(localMs: number | undefined): void {
    this.#isStarted = true;
    this.#localMs = localMs;
    if (this.options.source.pauseMs !== undefined) void this.look(false);
    else this.#pause(this.#localPauseMs());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelPause();
    this.#abort.abort();
    await this.#turn;
    await this.#saving;
  }

  /** @returns what is kept on disk, as a candidate; undefined if nothing usable is */
  async loadKept(): Promise<Candidate | undefined> {
    let kept: KeptBundle | undefined;
    try {
      kept = await this.options.keep?.load();
    } catch (cause) {
      // What cannot serve any more still says what may not come back.
      if (cause instanceof DamagedKeep) this.served = cause.served;
      throw cause;
    }
    if (kept === undefined) return undefined;
    this.served = kept.served;
    return { ...kept.archives.snapshot, etag: kept.etag, currentAt: kept.currentAt, kept };
  }

  /** It serves from now on. */
  taken(candidate: Candidate, kind: 'snapshot' | 'delta', facts: BundleFacts): void {
    const { clock } = this.#host;
    const now = clock.now();
    const { bytes, digest, etag, currentAt, kept } = candidate;
    const before = this.held;
    if (kind === 'delta' && before !== undefined) {
      const { snapshot, deltas } = before.archives;
      this.held = { archives: { snapshot, deltas: [...deltas, { bytes, digest }] }, facts, etag, currentAt };
    } else {
      const archives = kept?.archives ?? { snapshot: { bytes, digest }, deltas: [] };
      this.held = { archives, facts, etag, currentAt };
    }
    if (before?.etag !== undefined && before.etag !== etag) this.#superseded.push({ etag: before.etag, at: now });
    const { revision, sequence, contentDigest } = facts;
    if (kept === undefined) this.served = remember(this.served, { revision, sequence, contentDigest, at: now });
    this.#wantsWhole = this.held.archives.deltas.length >= deltasMax;
    this.#activatedAt = now;
    this.#activatedType = kind;
    this.#clearFault();
    if (kept === undefined) this.#save();
  }

  /** Its deltas have left too many holes in the data: the next bundle is to be a whole one. */
  wantWhole(): void {
    this.#wantsWhole = true;
  }

  /** Found unfit by the slot. */
  refuse(candidate: Candidate, fault: Error, asked: boolean): void {
    // Given up with everything else: no trouble to tell of.
    if (this.#isClosed) return;
    this.rejected = candidate;
    this.#isUntried = !(fault instanceof BundleRefused);
    this.#rejectedDigest = this.#isUntried ? '' : candidate.digest;
    // A delta that does not fit will not fit the next time either.
    if (!this.#isUntried && this.options.deltas && this.held !== undefined) this.#wantsWhole = true;
    this.#fail(fault, asked);
  }

  status(now: EpochMs): BundleStatus {
    const { held } = this;
    const at = (time: EpochMs | undefined, name: string): object =>
      time === undefined ? {} : { [name]: rfc3339Of(time) };
    const fault = this.#fault;
    const httpCode = fault instanceof SourceFailed ? fault.httpStatus : undefined;
    return {
      name: this.options.name,
      ...(held !== undefined && {
        active_revision: held.facts.revision,
        ...(this.#activatedType !== undefined && { type: this.#activatedType }),
        size: held.archives.snapshot.bytes.length,
        age_s: Math.max(0, now - held.currentAt) / 1_000,
      }),
      ...at(this.#lastRequestAt, 'last_request'),
      ...at(this.#lastContactAt, 'last_successful_request'),
      ...at(this.#lastDownloadAt, 'last_successful_download'),
      ...at(this.#activatedAt, 'last_successful_activation'),
      ...(fault !== undefined && { code: 'bundle_invalid', message: fault.message }),
      ...(httpCode !== undefined && { http_code: httpCode }),
    };
  }

  async #look(asked: boolean): Promise<void> {
    if (this.#isClosed) return;
    this.#cancelPause();
    const { clock } = this.#host;
    this.#abort = new AbortController();
    const startedMs = clock.monotonicMs();
    let outcome: FeedEvent;
    let isSilent = false;
    try {
      const fetched = await this.options.source.fetch(this.#wanted(asked || this.#isUntried), this.#abort.signal);
      // A look at a file that is as it was is nothing to speak of.
      isSilent = fetched.kind === 'unchanged' && !fetched.isHeld;
      outcome = await this.#arrived(fetched, asked);
    } catch (cause) {
      // Given up for a look that comes at once, or for good.
      if (this.#abort.signal.aborted) return;
      this.#lastRequestAt = clock.now();
      this.#fail(cause instanceof Error ? cause : new BundleRefused(String(cause)), asked);
      outcome = 'failed';
    }
    this.#failures = outcome === 'failed' ? this.#failures + 1 : 0;
    if (!isSilent) this.#host.fetched(this, outcome);
    this.#pauseAfter({ outcome, failures: this.#failures, tookMs: clock.monotonicMs() - startedMs });
  }

  async #arrived(fetched: Fetched, asked: boolean): Promise<FeedEvent> {
    const now = this.#host.clock.now();
    if (fetched.kind === 'unchanged') {
      if (!fetched.isHeld) return 'unchanged';
      this.#lastRequestAt = now;
      this.#lastContactAt = now;
      this.#clearFault();
      return 'unchanged';
    }
    this.#lastRequestAt = now;
    this.#lastContactAt = now;
    this.#lastDownloadAt = now;
    const { held } = this;
    if (held !== undefined && held.archives.deltas.length === 0 && fetched.digest === held.archives.snapshot.digest) {
      // The same bytes once more: what serves is as current as that.
      this.held = { ...held, etag: fetched.etag, currentAt: fetched.currentAt };
      this.#wantsWhole = false;
      this.#clearFault();
      this.#host.renewed();
      if (held.currentAt !== fetched.currentAt || held.etag !== fetched.etag) this.#save();
      return 'unchanged';
    }
    if (fetched.digest === this.#rejectedDigest && !asked) return 'unchanged';
    const { bytes, digest, etag, currentAt } = fetched;
    const candidate = { bytes, digest, etag, currentAt };
    try {
      await this.#host.activate(this, candidate);
      return 'new';
    } catch (cause) {
      this.refuse(candidate, cause instanceof Error ? cause : new BundleRefused(String(cause)), asked);
      // It came, and is unfit: the next look is due as after any other that came. One that was not judged is soon due again.
      return this.#isUntried ? 'failed' : 'unchanged';
    }
  }

  #wanted(asked: boolean): { readonly etags: readonly string[]; readonly deltas: boolean; readonly asked: boolean } {
    const { clock } = this.#host;
    const { deltas, maxAgeMs, rollback } = this.options;
    const now = clock.now();
    const { held } = this;
    const none = { etags: [], deltas: false, asked };
    if (held?.etag === undefined || this.#wantsWhole) return none;
    // A 304 is a server's word, and a cache can give it for ever; only the bundle itself proves that it is there still.
    if (maxAgeMs !== undefined && now - held.currentAt > maxAgeMs / 2) return none;
    // Changes are to the newest; with older ones named beside it, a server could not tell to which.
    if (deltas) return { etags: [held.etag], deltas, asked };
    this.#superseded = this.#superseded.filter(({ at }) => now - at < supersededMs).slice(-supersededMax);
    const older = rollback ? [] : this.#superseded.map(({ etag }) => etag).reverse();
    return { etags: [...new Set([held.etag, ...older])], deltas, asked };
  }

  #pauseAfter(last: LastFetch): void {
    const pauseMs = this.options.source.pauseMs?.(last) ?? this.#localPauseMs();
    if (this.#isStarted) this.#pause(pauseMs);
  }

  /** Looks cost next to nothing there; what costs is to try again what came to no end. */
  #localPauseMs(): number | undefined {
    if (!this.#isUntried) return this.#localMs;
    return Math.min(retryMs.last, retryMs.first * 2 ** Math.min(this.#failures - 1, 20));
  }

  #pause(ms: number | undefined): void {
    if (this.#isClosed || ms === undefined) return;
    this.#cancelPause();
    this.#cancelPause = this.#host.timers.after(ms, () => void this.look(false));
  }

  #clearFault(): void {
    this.#fault = undefined;
    this.rejected = undefined;
    this.#rejectedDigest = '';
    this.#isUntried = false;
  }

  #fail(fault: Error, asked: boolean): void {
    const again = fault.message === this.#fault?.message;
    this.#fault = fault;
    if (fault instanceof BundleRefused) this.#isUntried = false;
    // What could not be had is not what was refused before it: once it is back, it is tried again.
    if (fault instanceof SourceFailed) this.#rejectedDigest = '';
    this.#host.refused(this, fault, asked, again);
  }

  /** Behind what serves: a disk that is slow or full holds nothing up. */
  #save(): void {
    const { keep } = this.options;
    if (keep === undefined) return;
    this.#saving = this.#saving
      .then(async () => {
        const { held, served } = this;
        if (held === undefined) return;
        const { archives, etag, currentAt } = held;
        await keep.save({ archives, etag, currentAt, served });
      })
      .catch((cause: unknown) => this.#host.keepFailed(this, cause));
  }
}
