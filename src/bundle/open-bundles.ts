// Tested by test/outbound/sidecar.long.test.ts.
import { createPublicKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from '../config/schema.ts';
import type { AnsweredDecision, Outcome } from '../domain/answered-decision.ts';
import type { BundleRevision, PolicyCatalogue } from '../domain/bundle.ts';
import { type Decision, effectOf } from '../domain/decision.ts';
import { asSidecarError, ConfigRefused } from '../domain/errors.ts';
import type { Log } from '../domain/ports.ts';
import type { Clock, EpochMs, Timers } from '../domain/time.ts';
import { decide } from '../request/decide/decide.ts';
import type { PolicyLimits } from '../request/evaluate/policy-module.ts';
import { archiveLimits } from './reading/read-archive.ts';
import { fits, type SignatureAlgorithm, type SigningRule } from './reading/verify-signature.ts';
import { type BundleOptions, BundleSlot } from './serving/bundle-slot.ts';
import type { BundleStatus } from './serving/bundle-state.ts';
import { BundleKeep } from './serving/kept-bundle.ts';
import type { PollOutcome } from './serving/poller.ts';
import { realDisk } from './serving/real-disk.ts';
import { StatusReport } from './serving/status-report.ts';
import { type Flip, type Judged, Shadow } from './shadow/shadow.ts';
import type { HttpAccess } from './sources/bundle-exchange.ts';
import { FileSource } from './sources/file-source.ts';
import { FolderSource } from './sources/folder-source.ts';
import { HttpSource } from './sources/http-source.ts';
import type { BundleSource } from './sources/source.ts';

type BundleConfig = Config['bundle'];
type OriginConfig = Pick<BundleConfig, 'file' | 'directory' | 'http' | 'signing' | 'rollback'> & {
  readonly name: string;
  readonly max_age_s?: number;
};

/** What the bundles need of the sidecar around them, and whom they tell what becomes of them. */
export interface BundlesNeeds {
  readonly entrypoint: string;
  readonly policyLimits: PolicyLimits;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to below 1, for jitter and samples. */
  readonly random: () => number;
  readonly log: Log;
  /** As the status API names this sidecar. */
  readonly labels: Readonly<Record<string, string>>;
  readonly activated: (catalogue: PolicyCatalogue) => void;
  readonly refused: (bundle: string) => void;
  readonly fetched: (bundle: string, outcome: PollOutcome) => void;
  readonly keepFailed: (bundle: string) => void;
  readonly compared: (result: 'same' | 'flip' | 'dropped' | 'failed') => void;
  readonly flipped: (flip: Flip) => void;
}

/** The bundles of one sidecar. */
export interface Bundles {
  readonly slot: BundleSlot;
  /** Notes a decision that was answered, for the shadow bundle; does nothing if there is none. */
  onAnswered(answered: AnsweredDecision): void;
  /** Of every bundle, the shadow included, by name. */
  statuses(now: EpochMs): ReadonlyMap<string, BundleStatus>;
  /** Asks every source again; the status says what became of it. */
  reload(): Promise<void>;
  close(): Promise<void>;
}

/** Short, because authors wait for it after each save; a look costs some tens of microseconds. */
const watchMs = 200;
const archiveBytesMax = 536_870_912;

/**
 * Opens the bundles as configured: what was kept serves first, what lies on this machine is read, and servers are asked.
 *
 * @throws ConfigRefused for a key that cannot be used
 */
export async function openBundles(config: BundleConfig, needs: BundlesNeeds): Promise<Bundles> {
  const feeds = new Feeds(config, needs);
  const report: { status?: StatusReport } = {};
  const slot = new BundleSlot({
    ...(await feeds.feed('bundle', config)),
    ...common(config, needs),
    data: await Promise.all(config.data.map((data, index) => feeds.feed(`bundle.data[${index}]`, data))),
    activated: needs.activated,
    refused: needs.refused,
    fetched: needs.fetched,
    keepFailed: needs.keepFailed,
    changed: () => report.status?.changed(),
  });
  const shadow = config.shadow === undefined ? undefined : await openShadow(config, config.shadow, feeds, needs);
  const statuses = (now: EpochMs): ReadonlyMap<string, BundleStatus> =>
    new Map([...slot.statuses(now), ...(shadow?.slot.statuses(now) ?? [])]);
  await start(slot, config);
  if (shadow !== undefined) await start(shadow.slot, config);
  if (config.status !== undefined) report.status = openStatusReport(config.status, statuses, slot, needs);
  return {
    slot,
    onAnswered: (answered) => shadow?.shadow.onAnswered(answered),
    statuses,
    reload: async () => {
      await Promise.all([slot.reload(), shadow?.slot.reload()]);
    },
    close: async () => {
      await Promise.all([report.status?.close(), slot.close(), shadow?.slot.close(), shadow?.shadow.close()]);
    },
  };
}

/** Servers are not waited for: until one answers, decisions are deny `no_bundle`, and that is said. */
async function start(slot: BundleSlot, { watch }: BundleConfig): Promise<void> {
  await slot.restore();
  await slot.readLocal();
  slot.watch(watch ? watchMs : undefined);
}

interface OpenShadow {
  readonly slot: BundleSlot;
  readonly shadow: Shadow;
}

async function openShadow(
  config: BundleConfig,
  origin: NonNullable<BundleConfig['shadow']>,
  feeds: Feeds,
  needs: BundlesNeeds,
): Promise<OpenShadow> {
  const { memoryPages, resultBytes, budgetMs, outside = [] } = needs.policyLimits;
  let masks = false;
  const shadow = new Shadow({
    share: origin.share,
    limits: { memoryPages, resultBytes, budgetMs, outside },
    judge: (outcome, { entrypoint, isMasked }, revision) => judged(outcome, entrypoint, revision, isMasked || masks),
    flipped: needs.flipped,
    compared: needs.compared,
    timers: needs.timers,
    random: needs.random,
    log: needs.log,
  });
  const slot: BundleSlot = new BundleSlot({
    ...(await feeds.feed('bundle.shadow', origin)),
    ...common(config, needs),
    activated: () => {
      const serving = slot.serving(needs.clock.now());
      masks = serving.decisionLogRules?.mask !== undefined;
      // Its memory goes to the thread that evaluates it, and is no one else's from here on.
      serving.policy.close();
      if (slot.image !== undefined) shadow.use(slot.image, serving.revision);
    },
    refused: needs.refused,
    fetched: needs.fetched,
    keepFailed: needs.keepFailed,
  });
  return { slot, shadow };
}

/** What a caller would be told of an outcome, and why; by codes alone where texts could hold what the record masks. */
function judged(outcome: Outcome, entrypoint: string, revision: BundleRevision, isMasked: boolean): Judged {
  if ('code' in outcome) return { effect: 'deny', explanation: [{ code: outcome.code }] };
  let decision: Decision;
  try {
    decision = decide({ revision, text: outcome.text }, entrypoint);
  } catch (cause) {
    decision = { kind: 'undecided', error: asSidecarError(cause), revision };
  }
  const effect = effectOf(decision);
  if (decision.kind === 'undecided') return { effect, explanation: [{ code: decision.error.code }] };
  const reasons = decision.kind === 'queried' ? [] : decision.reasons;
  return { effect, explanation: isMasked ? reasons.map(({ code }) => ({ code })) : reasons };
}

function common({ prepare_s: prepareS }: BundleConfig, { entrypoint, policyLimits, clock, timers, log }: BundlesNeeds) {
  return {
    entrypoint,
    fileBytesMax: archiveBytesMax,
    archiveLimits,
    policyLimits,
    prepareMs: prepareS * 1_000,
    clock,
    timers,
    log,
  };
}

function openStatusReport(
  status: NonNullable<BundleConfig['status']>,
  statuses: Bundles['statuses'],
  slot: BundleSlot,
  { clock, timers, random, labels, log }: BundlesNeeds,
): StatusReport {
  return new StatusReport({
    url: new URL(status.url),
    access: accessOf(status),
    intervalMs: status.interval_s * 1_000,
    labels,
    statuses: () => statuses(clock.now()),
    isReady: () => slot.isReady(clock.now()),
    timers,
    random,
    log,
  });
}

/** Makes feeds of what the configuration says of bundles. */
class Feeds {
  readonly #keep: string | undefined;
  readonly #effects: Pick<BundlesNeeds, 'clock' | 'timers' | 'random'>;

  constructor({ keep }: BundleConfig, effects: Pick<BundlesNeeds, 'clock' | 'timers' | 'random'>) {
    this.#keep = keep;
    this.#effects = effects;
  }

  /** @param at where in the configuration it stands, for messages */
  async feed(at: string, origin: OriginConfig): Promise<BundleOptions> {
    const { name, http, max_age_s: maxAgeS } = origin;
    const signing = await signingRule(`${at}.signing`, origin.signing);
    return {
      name,
      source: this.#source(origin),
      signing,
      rollback: origin.rollback ?? http === undefined,
      deltas: http?.deltas === true && !signing.required,
      maxAgeMs: maxAgeS === undefined ? undefined : maxAgeS * 1_000,
      keep: this.#keep === undefined ? undefined : new BundleKeep(join(this.#keep, name), realDisk, archiveBytesMax),
    };
  }

  #source({ file, directory, http }: OriginConfig): BundleSource {
    const { clock, timers, random } = this.#effects;
    const bytesMax = archiveBytesMax;
    if (http !== undefined) {
      return new HttpSource({
        url: new URL(http.url),
        access: accessOf(http),
        bytesMax,
        minDelayMs: http.min_delay_s * 1_000,
        maxDelayMs: http.max_delay_s * 1_000,
        longPollMs: http.long_poll_s === undefined ? undefined : http.long_poll_s * 1_000,
        clock,
        timers,
        random,
      });
    }
    if (directory !== undefined)
      return new FolderSource({ directory, bytesMax, membersMax: archiveLimits.members, clock });
    return new FileSource({ file: file ?? '', bytesMax, clock });
  }
}

function accessOf(
  server: Pick<
    NonNullable<OriginConfig['http']>,
    'bearer_file' | 'ca_file' | 'certificate_file' | 'key_file' | 'timeout_s'
  >,
): HttpAccess {
  return {
    bearerFile: server.bearer_file,
    caFile: server.ca_file,
    certificateFile: server.certificate_file,
    keyFile: server.key_file,
    timeoutMs: server.timeout_s * 1_000,
  };
}

async function signingRule(at: string, signing: OriginConfig['signing']): Promise<SigningRule> {
  if (signing === undefined) return { required: false, keys: [], scope: undefined };
  const faults: string[] = [];
  const keys = [];
  for (const { id, file, algorithm } of signing.keys) {
    const key = await readKey(file);
    if (typeof key === 'string') faults.push(`${at}.keys: the key ${id} ${key}`);
    else if (!fits(algorithm, key)) faults.push(`${at}.keys: the key ${id} is none for ${algorithm}`);
    else keys.push({ id, algorithm: algorithm satisfies SignatureAlgorithm, key });
  }
  if (faults.length > 0) throw new ConfigRefused(faults);
  return { required: signing.required, keys, scope: signing.scope };
}

async function readKey(file: string): Promise<KeyObject | string> {
  let pem: Buffer;
  try {
    pem = await readFile(file);
  } catch {
    return 'has no file that can be read';
  }
  try {
    return createPublicKey(pem);
  } catch {
    return 'cannot be read as a PEM public key';
  }
}
