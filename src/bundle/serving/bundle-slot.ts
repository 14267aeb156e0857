import type { BundleRevision, PolicyCatalogue } from '../../domain/bundle.ts';
import { BundleRefused, Undecided } from '../../domain/errors.ts';
import type { DecisionLogRules, Log } from '../../domain/ports.ts';
import type { Timers } from '../../domain/time.ts';
import { type Clock, type EpochMs, epochMs } from '../../domain/time.ts';
import { eventRulesOf } from '../../request/evaluate/decision-log-rules.ts';
import type { PolicyImage } from '../../request/evaluate/policy-image.ts';
import { type PolicyHost, type PolicyLimits, PolicyModule } from '../../request/evaluate/policy-module.ts';
import type { ArchiveLimits } from '../reading/read-archive.ts';
import type { Sample } from '../reading/read-samples.ts';
import type { SigningRule } from '../reading/verify-signature.ts';
import { FileSource } from '../sources/file-source.ts';
import type { BundleSource } from '../sources/source.ts';
import { type BundleStatus, type Candidate, Feed, type FeedEvent, type FeedHost, type FeedOptions } from './feed.ts';
import { requireNewer } from './history.ts';
import type { BundleKeep } from './kept-bundle.ts';
import { type Prepared, RefusedBundle } from './prepare.ts';
import { Preparer } from './preparer.ts';
import { Retirement } from './retirement.ts';

export type { BundleStatus } from './feed.ts';

export interface BundleSlotOptions {
  readonly name: string;
  /** Where the bundle with the policy comes from; `file` for short. */
  readonly source?: BundleSource;
  readonly file?: string;
  readonly signing?: SigningRule;
  readonly rollback?: boolean;
  readonly deltas?: boolean;
  readonly maxAgeMs: number | undefined;
  readonly keep?: BundleKeep | undefined;
  /** Bundles that give data beside it, each below roots of its own. */
  readonly data?: readonly FeedOptions[];
  /** The entrypoint that has to be there. */
  readonly entrypoint: string;
  readonly fileBytesMax: number;
  readonly archiveLimits: ArchiveLimits;
  readonly policyLimits: PolicyLimits;
  readonly policyHost?: PolicyHost;
  /** For a bundle to be ready once it is here. */
  readonly prepareMs?: number;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  readonly activated: (catalogue: PolicyCatalogue) => void;
  readonly refused: (bundle: string) => void;
  readonly fetched?: (bundle: string, outcome: FeedEvent) => void;
  readonly keepFailed?: (bundle: string) => void;
  /** Called once something of `status` has changed. */
  readonly changed?: () => void;
}

/** What serves. */
export interface Serving {
  /** Of the bundle with the policy. */
  readonly revision: BundleRevision;
  readonly policy: PolicyModule;
  /** When all of it was last known to be current. */
  readonly currentAt: EpochMs;
  /** Every bundle in it, by name. */
  readonly bundles: ReadonlyMap<string, ServingBundle>;
  /** Those of data, as a record has them: `,"<name>":{"revision":"…"}` for each. */
  readonly dataBundlesText: string;
  readonly decisionLogRules: DecisionLogRules | undefined;
}

export interface ServingBundle {
  readonly revision: BundleRevision;
  readonly currentAt: EpochMs;
}

const unsigned: SigningRule = { required: false, keys: [], scope: undefined };
const prepareMsUsual = 60_000;
/** Of the data's own size, and in bytes; past both, the holes that changes left cost more than reading it anew. */
const holesMax = { share: 0.5, bytes: 1_048_576 };

/**
 * The bundles that decide: one with the policy, others with data. Whatever comes is read, verified, built and tried on
 * another thread, and only then takes the place of what was before, between two requests; whatever fails on the way, what
 * was before serves on.
 */
export class BundleSlot {
  readonly #options: BundleSlotOptions;
  readonly #preparer: Preparer;
  readonly #retirement: Retirement;
  readonly #feeds: readonly Feed[];
  readonly #policyFeed: Feed;
  #serving: Serving | undefined;
  /** The moment past which it must not serve: too old, or its signature has ended. */
  #closesAt = Number.POSITIVE_INFINITY;
  #image: PolicyImage | undefined;
  #samples: readonly Sample[] = [];
  #catalogue: PolicyCatalogue = { policies: new Map() };
  #entrypoints: readonly string[] = [];
  /** What came before the rest was there, by feed. */
  readonly #waiting = new Map<Feed, Candidate>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(options: BundleSlotOptions) {
    const { archiveLimits, policyLimits, prepareMs = prepareMsUsual, timers, clock } = options;
    const { memoryPages, resultBytes, budgetMs, outside = [] } = policyLimits;
    this.#options = options;
    this.#retirement = new Retirement(timers);
    this.#preparer = new Preparer({
      limits: { archive: archiveLimits, policy: { memoryPages, resultBytes, budgetMs, outside } },
      timeoutMs: prepareMs,
      timers,
    });
    const host: FeedHost = {
      clock,
      timers,
      activate: (feed, candidate) => this.#inTurn(() => this.#activate(feed, candidate)),
      renewed: () => this.#renew(),
      fetched: (feed, outcome) => {
        this.#options.fetched?.(feed.options.name, outcome);
        this.#options.changed?.();
      },
      refused: (feed, fault, asked, again) => this.#refused(feed, fault, asked, again),
      keepFailed: (feed, cause) => {
        options.keepFailed?.(feed.options.name);
        options.log.error('the bundle that serves could not be kept for a restart', {
          bundle: feed.options.name,
          cause,
        });
      },
    };
    this.#policyFeed = new Feed(policyFeedOf(options), host);
    this.#feeds = [this.#policyFeed, ...(options.data ?? []).map((feed) => new Feed(feed, host))];
  }

  /** @throws Undecided `no_bundle`, `bundle_too_old` */
  serving(now: EpochMs): Serving {
    const serving = this.#serving;
    if (serving === undefined) throw new Undecided('no_bundle', `bundle ${this.#options.name} has not been activated`);
    if (now > this.#closesAt) throw new Undecided('bundle_too_old', this.#whyTooOld(now));
    return serving;
  }

  /** The image that serves, for a comparison with another; undefined before any does. */
  get image(): PolicyImage | undefined {
    return this.#image;
  }

  /** What it lets be kept of events, even while it is too old to decide. */
  get decisionLogRules(): DecisionLogRules | undefined {
    return this.#serving?.decisionLogRules;
  }

  /** Serves what was kept on disk, if all of it is there and still good; says in the log if it is not. */
  async restore(): Promise<void> {
    for (const feed of this.#feeds) {
      try {
        const candidate = await feed.loadKept();
        if (candidate !== undefined) this.#waiting.set(feed, candidate);
      } catch (cause) {
        this.#options.log.error('the kept copy of a bundle cannot be used', { bundle: feed.options.name, cause });
      }
    }
    const kept = [...this.#waiting.keys()];
    if (kept.length < this.#feeds.length) return;
    await this.#inTurn(() => this.#prepareWaiting(this.#policyFeed)).catch((cause: unknown) => {
      this.#options.log.error('the kept copy of a bundle cannot be used', { bundle: this.#options.name, cause });
      this.#waiting.clear();
    });
  }

  /** Asks every source again and swaps if it can; never throws, the status says what became of it. */
  async reload(): Promise<void> {
    await Promise.all(this.#feeds.map((feed) => feed.look(true)));
  }

  /** Reads what lies on this machine; never throws either. */
  async readLocal(): Promise<void> {
    const local = this.#feeds.filter(({ options }) => options.source.pauseMs === undefined);
    await Promise.all(local.map((feed) => feed.look(false)));
  }

  /**
   * Looks for changes from now on: at servers as they and the settings want it.
   *
   * @param localMs between two looks at what lies on this machine; undefined: it is read again only when asked
   */
  watch(localMs: number | undefined): void {
    for (const feed of this.#feeds) feed.start(localMs);
  }

  isReady(now: EpochMs): boolean {
    return this.#serving !== undefined && now <= this.#closesAt;
  }

  async close(): Promise<void> {
    const feeds = this.#feeds.map((feed) => feed.close());
    // They wait for what is being prepared, which may take a minute that a shutdown does not have.
    await this.#preparer.close();
    await Promise.all(feeds);
    await this.#last;
    await this.#retirement.close();
  }

  /** Of the bundle with the policy. */
  status(now: EpochMs): BundleStatus {
    return this.#policyFeed.status(now);
  }

  /** Of every bundle, by name. */
  statuses(now: EpochMs): ReadonlyMap<string, BundleStatus> {
    return new Map(this.#feeds.map((feed) => [feed.options.name, feed.status(now)]));
  }

  /** One at a time, whichever feed it comes from: each rests on what the one before left. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #activate(feed: Feed, candidate: Candidate): Promise<void> {
    if (feed.held === undefined || this.#serving === undefined) {
      this.#waiting.set(feed, candidate);
      if (this.#feeds.some((one) => one.held === undefined && !this.#waiting.has(one))) {
        const names = this.#feeds.filter((one) => !this.#waiting.has(one)).map((one) => one.options.name);
        this.#options.log.info('a bundle waits for others', { bundle: feed.options.name, missing: names.join(', ') });
        return;
      }
      await this.#prepareWaiting(feed);
      return;
    }
    const prepared = await this.#prepare(feed, new Map([[feed, candidate]]));
    await this.#swap(prepared, new Map([[feed, candidate]]), feed);
    this.#tryRejected(feed);
  }

  /** @param last the one whose fault it is where nobody else's name stands on it */
  async #prepareWaiting(last: Feed): Promise<void> {
    const waiting = new Map(this.#waiting);
    try {
      const prepared = await this.#prepare(last, waiting);
      await this.#swap(prepared, waiting, last);
      this.#waiting.clear();
    } catch (cause) {
      const named =
        cause instanceof RefusedBundle ? this.#feeds.find(({ options }) => options.name === cause.bundle) : undefined;
      const candidate = named === undefined ? undefined : waiting.get(named);
      if (named === undefined || candidate === undefined || named === last) {
        if (this.#feeds.length === 1 || named !== undefined) this.#waiting.delete(last);
        throw cause;
      }
      this.#waiting.delete(named);
      named.refuse(candidate, cause as Error, false);
    }
  }

  #prepare(changed: Feed, candidates: ReadonlyMap<Feed, Candidate>): Promise<Prepared> {
    const bundles = this.#feeds.map((feed) => {
      const candidate = candidates.get(feed);
      const archives = candidate === undefined ? feed.held?.archives : candidate.kept?.archives;
      return {
        name: feed.options.name,
        snapshot: archives?.snapshot.bytes ?? candidate?.bytes ?? new Uint8Array(),
        deltas: (archives?.deltas ?? []).map(({ bytes }) => bytes),
        signing: feed.options.signing,
      };
    });
    const { held, options } = changed;
    const image = this.#image;
    const isDeltaPossible = options.deltas && held !== undefined && image !== undefined && candidates.size === 1;
    return this.#preparer.prepare({
      bundles,
      changed: this.#feeds.indexOf(changed),
      base: isDeltaPossible ? { image, facts: held.facts, samples: this.#samples } : undefined,
      trial: { entrypoint: this.#options.entrypoint, entrypointsBefore: this.#entrypoints },
    });
  }

  async #swap(prepared: Prepared, candidates: ReadonlyMap<Feed, Candidate>, changed: Feed): Promise<void> {
    const { clock, log, policyLimits, policyHost } = this.#options;
    const now = clock.now();
    const factsOf = (feed: Feed): Prepared['facts'][number] | undefined =>
      prepared.kind === 'delta' ? prepared.facts[0] : prepared.facts[this.#feeds.indexOf(feed)];
    for (const [feed, candidate] of candidates) {
      const facts = factsOf(feed);
      if (facts === undefined) throw new Error('a bundle was prepared, and not described');
      const { name, rollback } = feed.options;
      if (facts.expiresAt !== undefined && facts.expiresAt <= now)
        throw new RefusedBundle('its signature has ended', name);
      try {
        if (!rollback && candidate.kept === undefined) requireNewer(facts, feed.served);
      } catch (cause) {
        throw cause instanceof BundleRefused ? new RefusedBundle(cause.message, name, { cause }) : cause;
      }
    }
    const policyFacts = candidates.has(this.#policyFeed) ? factsOf(this.#policyFeed) : this.#policyFeed.held?.facts;
    if (policyFacts === undefined) throw new Error('data was prepared before its policy');
    const policy = await PolicyModule.of(prepared.image, policyFacts.revision, policyLimits, policyHost);
    // From here on nothing fails: either all of it serves, or none of it has been noted anywhere.
    for (const [feed, candidate] of candidates) {
      const facts = factsOf(feed);
      if (facts !== undefined) feed.taken(candidate, prepared.kind, facts);
    }
    const { image } = prepared;
    const replaced = this.#image;
    this.#image = image;
    this.#samples = prepared.samples;
    this.#catalogue = prepared.catalogue ?? this.#catalogue;
    this.#entrypoints = prepared.entrypoints;
    const holes = image.heapStart - image.firstHeapStart;
    const dataBytes = image.firstHeapStart - image.statics.length;
    if (holes > holesMax.bytes && holes > dataBytes * holesMax.share) changed.wantWhole();
    this.#renew(policy);
    if (replaced !== undefined) this.#retirement.take(replaced);
    this.#options.activated(this.#catalogue);
    this.#options.changed?.();
    for (const feed of candidates.keys()) {
      const { revision } = feed.held?.facts ?? policyFacts;
      log.info('a bundle was activated', { bundle: feed.options.name, revision });
    }
  }

  /** A bundle that did not fit may fit what serves now. */
  #tryRejected(changed: Feed): void {
    for (const feed of this.#feeds) {
      const { rejected } = feed;
      if (feed === changed || rejected === undefined) continue;
      void this.#inTurn(() => this.#activate(feed, rejected)).catch((cause: unknown) => {
        if (cause instanceof Error) feed.refuse(rejected, cause, false);
      });
    }
  }

  /** Puts together anew what serves, and until when. */
  #renew(policy = this.#serving?.policy): void {
    if (policy === undefined) return;
    const bundles = new Map<string, ServingBundle>();
    let currentAt = Number.POSITIVE_INFINITY;
    this.#closesAt = Number.POSITIVE_INFINITY;
    for (const { options, held } of this.#feeds) {
      if (held === undefined) continue;
      bundles.set(options.name, { revision: held.facts.revision, currentAt: held.currentAt });
      currentAt = Math.min(currentAt, held.currentAt);
      this.#closesAt = Math.min(
        this.#closesAt,
        held.currentAt + (options.maxAgeMs ?? Number.POSITIVE_INFINITY),
        held.facts.expiresAt ?? Number.POSITIVE_INFINITY,
      );
    }
    const dataBundlesText = Array.from(bundles)
      .filter(([name]) => name !== this.#options.name)
      .map(([name, { revision }]) => `,${JSON.stringify(name)}:${JSON.stringify({ revision })}`)
      .join('');
    this.#serving = {
      revision: policy.revision,
      policy,
      currentAt: epochMs(currentAt),
      bundles,
      dataBundlesText,
      decisionLogRules: eventRulesOf(policy),
    };
  }

  #whyTooOld(now: EpochMs): string {
    for (const { options, held } of this.#feeds) {
      if (held === undefined) continue;
      if (options.maxAgeMs !== undefined && now - held.currentAt > options.maxAgeMs)
        return `bundle ${options.name} is ${now - held.currentAt} ms old`;
      if (held.facts.expiresAt !== undefined && now > held.facts.expiresAt)
        return `the signature of bundle ${options.name} has ended`;
    }
    return `bundle ${this.#options.name} is too old`;
  }

  #refused(feed: Feed, fault: Error, asked: boolean, again: boolean): void {
    const { log, refused, changed } = this.#options;
    changed?.();
    // A file that is missing is looked for at every interval, and told and counted once.
    if (again && !asked) return;
    refused(feed.options.name);
    const { held } = feed;
    const served = held === undefined ? 'none serves' : `revision ${held.facts.revision} serves on`;
    log.error(`a bundle was refused; ${served}`, {
      bundle: feed.options.name,
      source: feed.options.source.shown,
      cause: fault,
    });
  }
}

function policyFeedOf(options: BundleSlotOptions): FeedOptions {
  const { name, file = '', fileBytesMax: bytesMax, clock, maxAgeMs, keep } = options;
  const {
    source = new FileSource({ file, bytesMax, clock }),
    signing = unsigned,
    rollback = true,
    deltas = false,
  } = options;
  return { name, source, signing, rollback, deltas, maxAgeMs, keep };
}
