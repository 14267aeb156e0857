import type { PolicyCatalogue } from '../../domain/bundle.ts';
import { BundleRefused, Undecided } from '../../domain/errors.ts';
import type { DecisionLogRules, Log } from '../../domain/ports.ts';
import type { Clock, EpochMs, Timers } from '../../domain/time.ts';
import type { PolicyImage } from '../../request/evaluate/policy-image.ts';
import { type PolicyHost, type PolicyLimits, PolicyModule } from '../../request/evaluate/policy-module.ts';
import type { ArchiveLimits } from '../reading/read-archive.ts';
import type { BundleFacts } from '../reading/read-bundle.ts';
import type { Sample } from '../reading/read-samples.ts';
import type { SigningRule } from '../reading/verify-signature.ts';
import { FileSource } from '../sources/file-source.ts';
import type { BundleSource } from '../sources/source.ts';
import { BundleState, type BundleStateOptions, type BundleStatus, type Candidate } from './bundle-state.ts';
import { requireNewer } from './history.ts';
import { KeepWriter } from './keep-writer.ts';
import { type BundleKeep, DamagedKeep } from './kept-bundle.ts';
import { type Failure, Poller, type PollOutcome } from './poller.ts';
import { type Prepared, RefusedBundle } from './prepare.ts';
import { Preparer } from './preparer.ts';
import { Retirement } from './retirement.ts';
import { type ServingSet, type SetMember, servingSet, whyClosed } from './serving-set.ts';

export type { BundleStatus } from './bundle-state.ts';

/** One bundle: where it comes from, and what is asked of it. */
export interface BundleOptions extends BundleStateOptions {
  readonly source: BundleSource;
  readonly signing: SigningRule;
  /** Where the last good one is kept; undefined: nowhere. */
  readonly keep: BundleKeep | undefined;
}

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
  readonly data?: readonly BundleOptions[];
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
  readonly fetched?: (bundle: string, outcome: PollOutcome) => void;
  readonly keepFailed?: (bundle: string) => void;
  /** Called once something of `status` has changed. */
  readonly changed?: () => void;
}

/** One bundle of the slot, with its state and what acts on it. */
interface Bundle {
  readonly options: BundleOptions;
  readonly state: BundleState;
  readonly poller: Poller;
  readonly keepWriter: KeepWriter | undefined;
}

const unsigned: SigningRule = { required: false, keys: [], scope: undefined };
const prepareMsUsual = 60_000;
/** Of the data's own size, and in bytes; past both, the holes that changes left cost more than reading it anew. */
const holesMax = { share: 0.5, bytes: 1_048_576 };

/**
 * The bundles that decide: one with the policy, others with data. Whatever comes is read, verified, built and tried on
 * another thread, and only then takes the place of the active one, between two requests; whatever fails on the way, the
 * active one serves on. Each bundle's state is a `BundleState`; here is what drives it.
 */
export class BundleSlot {
  readonly #options: BundleSlotOptions;
  readonly #preparer: Preparer;
  readonly #retirement: Retirement;
  readonly #policyBundle: Bundle;
  /** The one with the policy first. */
  readonly #bundles: readonly Bundle[];
  #serving: ServingSet | undefined;
  #image: PolicyImage | undefined;
  #samples: readonly Sample[] = [];
  #catalogue: PolicyCatalogue = { policies: new Map() };
  #entrypoints: readonly string[] = [];
  /** One preparation and swap at a time, whichever bundle it is for: each rests on what the one before left. */
  #swapping: Promise<unknown> = Promise.resolve();
  #isClosed = false;

  constructor(options: BundleSlotOptions) {
    const { archiveLimits, policyLimits, prepareMs = prepareMsUsual, timers } = options;
    const { memoryPages, resultBytes, budgetMs, outside = [] } = policyLimits;
    this.#options = options;
    this.#retirement = new Retirement(timers);
    this.#preparer = new Preparer({
      limits: { archive: archiveLimits, policy: { memoryPages, resultBytes, budgetMs, outside } },
      timeoutMs: prepareMs,
      timers,
    });
    this.#policyBundle = this.#open(policyBundleOf(options));
    this.#bundles = [this.#policyBundle, ...(options.data ?? []).map((data) => this.#open(data))];
  }

  #open(options: BundleOptions): Bundle {
    const { clock, timers, log, fetched, keepFailed, changed } = this.#options;
    const { name, source, keep } = options;
    const state = new BundleState(options);
    const bundle: Bundle = {
      options,
      state,
      poller: new Poller({
        source,
        state,
        clock,
        timers,
        arrived: (candidate, forced) => this.#arrived(bundle, candidate, forced),
        renewed: (isNews) => {
          this.#renew();
          if (isNews) this.#keep(bundle);
        },
        polled: (outcome) => {
          fetched?.(name, outcome);
          changed?.();
        },
        failed: (failure) => this.#tellFailure(bundle, failure),
      }),
      keepWriter:
        keep &&
        new KeepWriter(keep, (cause) => {
          keepFailed?.(name);
          log.error('the bundle that serves could not be kept for a restart', { bundle: name, cause });
        }),
    };
    return bundle;
  }

  /** @throws Undecided `no_bundle`, `bundle_too_old` */
  serving(now: EpochMs): ServingSet {
    const serving = this.#serving;
    if (serving === undefined) throw new Undecided('no_bundle', `bundle ${this.#options.name} has not been activated`);
    if (now > serving.closesAt) throw new Undecided('bundle_too_old', whyClosed(this.#members(), now));
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
    const { log, name } = this.#options;
    for (const bundle of this.#bundles) {
      await this.#offerKept(bundle).catch((cause: unknown) => {
        log.error('the kept copy of a bundle cannot be used', { bundle: bundle.options.name, cause });
      });
    }
    if (this.#bundles.some(({ state }) => state.candidate.name !== 'offered')) return;
    await this.#inTurn(() => this.#activateFirst(this.#policyBundle)).catch((cause: unknown) => {
      log.error('the kept copy of a bundle cannot be used', { bundle: name, cause });
      for (const { state } of this.#bundles) state.withdraw();
    });
  }

  /** Asks every source again and swaps if it can; never throws, the status says what became of it. */
  async reload(): Promise<void> {
    await Promise.all(this.#bundles.map(({ poller }) => poller.poll({ forced: true })));
  }

  /** Reads what lies on this machine; never throws either. */
  async readLocal(): Promise<void> {
    const local = this.#bundles.filter(({ options }) => options.source.pauseMs === undefined);
    await Promise.all(local.map(({ poller }) => poller.poll({ forced: false })));
  }

  /**
   * Polls from now on: servers as they and the settings want it.
   *
   * @param localMs between two looks at what lies on this machine; undefined: it is read again only when asked
   */
  watch(localMs: number | undefined): void {
    for (const { poller } of this.#bundles) poller.start(localMs);
  }

  isReady(now: EpochMs): boolean {
    return this.#serving !== undefined && now <= this.#serving.closesAt;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    const pollers = this.#bundles.map(({ poller }) => poller.close());
    // They wait for what is being prepared, which may take a minute that a shutdown does not have.
    await this.#preparer.close();
    await Promise.all(pollers);
    await this.#swapping;
    await Promise.all(this.#bundles.map(({ keepWriter }) => keepWriter?.close()));
    await this.#retirement.close();
  }

  /** Of the bundle with the policy. */
  status(now: EpochMs): BundleStatus {
    return this.#policyBundle.state.status(now);
  }

  /** Of every bundle, by name. */
  statuses(now: EpochMs): ReadonlyMap<string, BundleStatus> {
    return new Map(this.#bundles.map(({ options, state }) => [options.name, state.status(now)]));
  }

  async #offerKept({ options, state }: Bundle): Promise<void> {
    try {
      const kept = await options.keep?.load();
      if (kept === undefined) return;
      state.recall(kept.served);
      state.offer({ ...kept.archives.snapshot, etag: kept.etag, currentAt: kept.currentAt, kept });
    } catch (cause) {
      // What cannot serve any more still says what may not come back.
      if (cause instanceof DamagedKeep) state.recall(cause.served);
      throw cause;
    }
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#swapping.then(work);
    this.#swapping = result.catch(() => undefined);
    return result;
  }

  /** @returns whether it is active, or waits for the other bundles; otherwise its state says why not */
  async #arrived(bundle: Bundle, candidate: Candidate, forced: boolean): Promise<boolean> {
    try {
      await this.#inTurn(() => this.#activate(bundle, candidate));
      return true;
    } catch (cause) {
      this.#reject(bundle, candidate, asError(cause), forced);
      return false;
    }
  }

  async #activate(bundle: Bundle, candidate: Candidate): Promise<void> {
    bundle.state.offer(candidate);
    if (this.#serving !== undefined) {
      await this.#swap(new Map([[bundle, candidate]]), bundle);
      this.#tryRejected(bundle);
      return;
    }
    const missing = this.#bundles.filter(({ state }) => !state.canServe).map(({ options }) => options.name);
    if (missing.length > 0) {
      const { name } = bundle.options;
      this.#options.log.info('a bundle waits for others', { bundle: name, missing: missing.join(', ') });
      return;
    }
    await this.#activateFirst(bundle);
  }

  /**
   * Activates all bundles at once, where none served before.
   *
   * @param last the one that came last: it is blamed for a failure that names no other
   */
  async #activateFirst(last: Bundle): Promise<void> {
    const candidates = new Map<Bundle, Candidate>();
    for (const bundle of this.#bundles) {
      const { candidate } = bundle.state;
      if (candidate.name !== 'none') candidates.set(bundle, candidate.candidate);
    }
    try {
      await this.#swap(candidates, last);
    } catch (cause) {
      const blamed = cause instanceof RefusedBundle ? this.#named(cause.bundle) : undefined;
      const candidate = blamed === undefined ? undefined : candidates.get(blamed);
      if (blamed === undefined || candidate === undefined || blamed === last) throw cause;
      this.#reject(blamed, candidate, asError(cause), false);
    }
  }

  /** Prepares candidates beside what is active, and puts them in its place. */
  async #swap(candidates: ReadonlyMap<Bundle, Candidate>, changed: Bundle): Promise<void> {
    const { clock, log, policyLimits, policyHost } = this.#options;
    const prepared = await this.#prepare(candidates, changed);
    const now = clock.now();
    const described = new Map<Bundle, BundleFacts>();
    for (const [bundle, candidate] of candidates) {
      const facts = prepared.facts[prepared.kind === 'delta' ? 0 : this.#bundles.indexOf(bundle)];
      if (facts === undefined) throw new Error('a bundle was prepared, and not described');
      requireFit(bundle, candidate, facts, now);
      described.set(bundle, facts);
    }
    const policyFacts = described.get(this.#policyBundle) ?? this.#policyBundle.state.active?.facts;
    if (policyFacts === undefined) throw new Error('data was prepared before its policy');
    const policy = await PolicyModule.of(prepared.image, policyFacts.revision, policyLimits, policyHost);
    // From here on nothing fails: either all of it serves, or none of it has been noted anywhere.
    for (const [bundle, facts] of described) {
      const candidate = candidates.get(bundle);
      if (candidate === undefined) continue;
      bundle.state.activate(candidate, prepared.kind, facts, now);
      if (candidate.kept === undefined) this.#keep(bundle);
    }
    this.#take(prepared, policy, changed);
    for (const [{ options }, { revision }] of described)
      log.info('a bundle was activated', { bundle: options.name, revision });
  }

  #prepare(candidates: ReadonlyMap<Bundle, Candidate>, changed: Bundle): Promise<Prepared> {
    const bundles = this.#bundles.map((bundle) => {
      const { options, state } = bundle;
      const candidate = candidates.get(bundle);
      const archives = candidate === undefined ? state.active?.archives : candidate.kept?.archives;
      return {
        name: options.name,
        snapshot: archives?.snapshot.bytes ?? candidate?.bytes ?? new Uint8Array(),
        deltas: (archives?.deltas ?? []).map(({ bytes }) => bytes),
        signing: options.signing,
      };
    });
    const { options, state } = changed;
    const { active } = state;
    const image = this.#image;
    const isDeltaPossible = options.deltas && active !== undefined && image !== undefined && candidates.size === 1;
    return this.#preparer.prepare({
      bundles,
      changed: this.#bundles.indexOf(changed),
      base: isDeltaPossible ? { image, facts: active.facts, samples: this.#samples } : undefined,
      trial: { entrypoint: this.#options.entrypoint, entrypointsBefore: this.#entrypoints },
    });
  }

  #take(prepared: Prepared, policy: PolicyModule, changed: Bundle): void {
    const { image, samples, catalogue, entrypoints } = prepared;
    const replaced = this.#image;
    this.#image = image;
    this.#samples = samples;
    this.#catalogue = catalogue ?? this.#catalogue;
    this.#entrypoints = entrypoints;
    const holes = image.heapStart - image.firstHeapStart;
    const dataBytes = image.firstHeapStart - image.statics.length;
    if (holes > holesMax.bytes && holes > dataBytes * holesMax.share) changed.state.wantWhole();
    this.#renew(policy);
    if (replaced !== undefined) this.#retirement.take(replaced);
    this.#options.activated(this.#catalogue);
    this.#options.changed?.();
  }

  /** A bundle that did not fit may fit what serves now. */
  #tryRejected(changed: Bundle): void {
    for (const bundle of this.#bundles) {
      const before = bundle.state.candidate;
      if (bundle === changed || (before.name !== 'rejected' && before.name !== 'untried')) continue;
      const { candidate } = before;
      const again = this.#inTurn(async () => {
        // Unless another one has come by then.
        if (bundle.state.candidate === before) await this.#activate(bundle, candidate);
      });
      again.catch((cause: unknown) => this.#reject(bundle, candidate, asError(cause), false));
    }
  }

  /** Puts together anew what serves, and until when. */
  #renew(policy = this.#serving?.policy): void {
    if (policy !== undefined) this.#serving = servingSet(policy, this.#members());
  }

  #members(): readonly SetMember[] {
    return this.#bundles.flatMap(({ options: { name, maxAgeMs }, state: { active } }) =>
      active === undefined ? [] : [{ name, maxAgeMs, active }],
    );
  }

  #named(name: string): Bundle | undefined {
    return this.#bundles.find(({ options }) => options.name === name);
  }

  #keep({ keepWriter, state }: Bundle): void {
    keepWriter?.write(() => state.active && { ...state.active, served: state.served });
  }

  #reject(bundle: Bundle, candidate: Candidate, fault: Error, forced: boolean): void {
    // Given up with everything else: there is no trouble to tell of.
    if (this.#isClosed) return;
    this.#tellFailure(bundle, { fault, forced, isRepeat: bundle.state.reject(candidate, fault) });
  }

  #tellFailure({ options, state }: Bundle, { fault, forced, isRepeat }: Failure): void {
    const { log, refused, changed } = this.#options;
    changed?.();
    // A file that is missing is looked for at every interval, and told and counted once.
    if (isRepeat && !forced) return;
    refused(options.name);
    const { active } = state;
    const served = active === undefined ? 'none serves' : `revision ${active.facts.revision} serves on`;
    log.error(`a bundle was refused; ${served}`, { bundle: options.name, source: options.source.shown, cause: fault });
  }
}

/** @throws RefusedBundle for a bundle that was prepared well and may not serve */
function requireFit({ options, state }: Bundle, { kept }: Candidate, facts: BundleFacts, now: EpochMs): void {
  const { name, rollback } = options;
  if (facts.expiresAt !== undefined && facts.expiresAt <= now) throw new RefusedBundle('its signature has ended', name);
  try {
    if (!rollback && kept === undefined) requireNewer(facts, state.served);
  } catch (cause) {
    throw cause instanceof BundleRefused ? new RefusedBundle(cause.message, name, { cause }) : cause;
  }
}

function asError(cause: unknown): Error {
  return cause instanceof Error ? cause : new BundleRefused(String(cause));
}

function policyBundleOf(options: BundleSlotOptions): BundleOptions {
  const { name, file = '', fileBytesMax: bytesMax, clock, maxAgeMs, keep } = options;
  const {
    source = new FileSource({ file, bytesMax, clock }),
    signing = unsigned,
    rollback = true,
    deltas = false,
  } = options;
  return { name, source, signing, rollback, deltas, maxAgeMs, keep };
}
