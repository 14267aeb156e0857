// Tested by test/bundle/serving/bundle-life.long.test.ts.
import { bundleRevision, type PolicyCatalogue } from '../../domain/bundle.ts';
import { asSidecarError, BundleRefused } from '../../domain/errors.ts';
import type { JsonValue } from '../../domain/json-value.ts';
import { namingRules } from '../../request/evaluate/calling-rules.ts';
import type { Draws } from '../../request/evaluate/draws.ts';
import { buildImage, type PolicyImage, patchImage } from '../../request/evaluate/policy-image.ts';
import { type PolicyLimits, PolicyModule } from '../../request/evaluate/policy-module.ts';
import type { ArchiveLimits } from '../reading/read-archive.ts';
import { type BundleFacts, type Delta, readContents, type Snapshot } from '../reading/read-bundle.ts';
import { unitedData } from '../reading/read-data.ts';
import { fulfils, type Sample, someTime } from '../reading/read-samples.ts';
import { overlap } from '../reading/roots.ts';
import type { SigningRule } from '../reading/verify-signature.ts';

/** One of the bundles that serve together, as it lies on the disk or came from its source. */
export interface BundleParts {
  readonly name: string;
  readonly snapshot: Uint8Array;
  /** On top of it, in order. */
  readonly deltas: readonly Uint8Array[];
  readonly signing: SigningRule;
}

/** What a bundle has to stand before it serves. */
export interface Trial {
  /** That every decision asks. */
  readonly entrypoint: string;
  /** Of the policy that serves now: none of them may go without being said. */
  readonly entrypointsBefore: readonly string[];
}

/** What serves, where a delta would be applied to it. */
export interface DeltaBase {
  readonly image: PolicyImage;
  /** Of the bundle that the delta is for. */
  readonly facts: BundleFacts;
  readonly samples: readonly Sample[];
}

export interface PrepareJob {
  /** All that serve together: the first has the policy, the others data. */
  readonly bundles: readonly BundleParts[];
  /** Which of them is new; what is new may be a delta if there is a base for it. */
  readonly changed: number;
  readonly base: DeltaBase | undefined;
  readonly trial: Trial;
}

export interface PrepareLimits {
  readonly archive: ArchiveLimits;
  readonly policy: PolicyLimits;
}

/** Found whole, built and tried: it can serve. */
export interface Prepared {
  /** What the new archive is: a bundle in place of the one before, or a change to it. */
  readonly kind: 'snapshot' | 'delta';
  readonly image: PolicyImage;
  /** By bundle, in the order of the job; after a delta the changed one's alone. */
  readonly facts: readonly BundleFacts[];
  readonly samples: readonly Sample[];
  /** Undefined after a delta, which changes nothing of it. */
  readonly catalogue: PolicyCatalogue | undefined;
  readonly entrypoints: readonly string[];
}

/**
 * Makes of archives what can serve. It takes as long as it takes, seconds for large data: never on the thread that
 * answers.
 *
 * @throws BundleRefused which bundle, and why
 */
export async function prepare(job: PrepareJob, limits: PrepareLimits): Promise<Prepared> {
  const { bundles, changed, base, trial } = job;
  const [news] = bundles.slice(changed, changed + 1);
  if (news === undefined) throw new Error('a job without its news');
  // First what is new: a delta leaves the others, which may be large, unread.
  const contents = await inNameOf(news.name, () => readContents(news.snapshot, limits.archive, news.signing));
  if (contents.kind === 'delta') {
    if (base === undefined) throw new RefusedBundle('a delta bundle cannot be activated by itself', news.name);
    return inNameOf(news.name, () => prepareDelta(contents, base, trial, limits));
  }
  const read: Read[] = [];
  // One after the other: each may hold its limit's worth of memory.
  for (const parts of bundles) {
    const known = parts === news ? contents : undefined;
    read.push(await inNameOf(parts.name, () => readParts(parts, known, limits)));
  }
  return prepareWhole(read, trial, limits);
}

interface Read {
  readonly name: string;
  readonly snapshot: Snapshot;
  readonly deltas: readonly Delta[];
}

async function prepareWhole(read: readonly Read[], trial: Trial, limits: PrepareLimits): Promise<Prepared> {
  requireDisjoint(read);
  const [first, ...others] = read;
  const policy = first?.snapshot.policy;
  if (first === undefined || policy === undefined)
    throw new RefusedBundle('the bundle holds no policy.wasm; `opa build -t wasm` puts it there', first?.name ?? '');
  const second = others.find(({ snapshot }) => snapshot.policy !== undefined);
  if (second !== undefined)
    throw new RefusedBundle(
      `it holds a policy, and so does ${first.name}: one decides, the others give data`,
      second.name,
    );

  const dataText = unitedData(read.map(({ name, snapshot }) => ({ name, dataText: snapshot.dataText })));
  const data = new TextEncoder().encode(dataText);
  let image = await buildImage(policy.wasm, data, limits.policy.memoryPages);
  for (const { name, deltas } of read) {
    for (const { patches } of deltas) image = await inNameOf(name, async () => patchImage(image, patches));
  }
  const samples = read.flatMap(({ snapshot }) => snapshot.samples);
  const { entrypoints: promised = [], retired } = policy;
  const before = trial.entrypointsBefore.filter((entrypoint) => !retired.includes(entrypoint));
  const entrypoints = await namingRules(policy.wasm, () =>
    tried(image, samples, { ...trial, entrypointsBefore: before }, promised, limits),
  );
  return {
    kind: 'snapshot',
    image,
    facts: read.map(({ snapshot, deltas }) => factsAfter(snapshot, deltas)),
    samples,
    catalogue: policy.catalogue,
    entrypoints,
  };
}

async function prepareDelta(delta: Delta, base: DeltaBase, trial: Trial, limits: PrepareLimits): Promise<Prepared> {
  requireFollows(delta, base.facts);
  const image = patchImage(base.image, delta.patches);
  const { samples } = base;
  const entrypoints = await tried(image, samples, trial, [], limits);
  return {
    kind: 'delta',
    image,
    facts: [factsAfter(base.facts, [delta])],
    samples,
    catalogue: undefined,
    entrypoints,
  };
}

async function readParts(
  { name, snapshot, deltas, signing }: BundleParts,
  known: Snapshot | undefined,
  limits: PrepareLimits,
): Promise<Read> {
  const whole = known ?? (await readContents(snapshot, limits.archive, signing));
  if (whole.kind === 'delta') throw new BundleRefused('a delta bundle cannot be activated by itself');
  const read: Delta[] = [];
  for (const bytes of deltas) {
    const delta = await readContents(bytes, limits.archive, signing);
    if (delta.kind !== 'delta') throw new BundleRefused('a whole bundle stands where a delta should');
    requireFollows(delta, factsAfter(whole, read));
    read.push(delta);
  }
  return { name, snapshot: whole, deltas: read };
}

function requireFollows(delta: Delta, before: BundleFacts): void {
  if (!sameTexts(delta.roots, before.roots)) throw new BundleRefused('the delta is for other roots');
  if (delta.modules.length > 0 && !sameTexts(delta.modules, before.modules))
    throw new BundleRefused('the delta is for other modules or entrypoints');
  if (delta.revision !== '' && delta.revision === before.revision)
    throw new BundleRefused(`the delta changes revision ${delta.revision} and does not call it another`);
  if (delta.revision === '' && before.revision !== '')
    throw new BundleRefused('the delta has no revision, and what it changes has one');
}

function sameTexts(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.toSorted().join('\n') === b.toSorted().join('\n');
}

/** What a bundle is after its deltas; its content then has no archive that one digest could stand for. */
function factsAfter(before: BundleFacts, deltas: readonly Delta[]): BundleFacts {
  const last = deltas.at(-1);
  const { revision, roots, modules, sequence, contentDigest, expiresAt } = before;
  if (last === undefined) return { revision, roots, modules, sequence, contentDigest, expiresAt };
  return { revision: last.revision, roots, modules, sequence: last.sequence, contentDigest: undefined, expiresAt };
}

function requireDisjoint(read: readonly { readonly name: string; readonly snapshot: Snapshot }[]): void {
  for (const [index, { name, snapshot }] of read.entries()) {
    for (const other of read.slice(0, index)) {
      const both = overlap(other.snapshot.roots, snapshot.roots);
      if (both === undefined) continue;
      const [theirs, ours] = both.map((root) => (root === '' ? 'all of data' : `data.${root.replaceAll('/', '.')}`));
      throw new RefusedBundle(`it overlaps with ${other.name}: it gives ${ours}, ${other.name} ${theirs}`, name);
    }
  }
}

/** @returns the entrypoints that there are */
async function tried(
  image: PolicyImage,
  samples: readonly Sample[],
  trial: Trial,
  promised: readonly string[],
  limits: PrepareLimits,
): Promise<readonly string[]> {
  const policy = await PolicyModule.of(image, bundleRevision(''), limits.policy);
  try {
    requireEntrypoints(policy, trial, promised);
    try {
      // What knows nothing of the caller has to come to an answer, too, even if it is "undefined".
      policy.evaluate(trial.entrypoint, '{}', { now: someTime, seed: 'trial' });
    } catch (cause) {
      const { code, message } = asSidecarError(cause);
      // No server is called here. That is not the policy's fault; it stays closed for it.
      if (code !== 'outside_unavailable')
        throw new BundleRefused(`${trial.entrypoint} fails on an empty input: ${message}`, { cause });
    }
    for (const sample of samples) requireAnswer(policy, sample, trial.entrypoint);
    return [...policy.entrypoints.keys()];
  } finally {
    // Before the image goes on: two threads on one memory would be the end of it.
    policy.close();
  }
}

function requireEntrypoints(
  policy: PolicyModule,
  { entrypoint, entrypointsBefore }: Trial,
  promised: readonly string[],
): void {
  for (const needed of [entrypoint, ...promised]) {
    if (!policy.entrypoints.has(needed)) throw new BundleRefused(`policy.wasm has no entrypoint ${needed}`);
  }
  const gone = entrypointsBefore.find((one) => !policy.entrypoints.has(one));
  if (gone !== undefined)
    throw new BundleRefused(
      `the entrypoint ${gone} is gone; if it is meant to be, .manifest has to list it in metadata.postern.retired`,
    );
}

function requireAnswer(policy: PolicyModule, sample: Sample, usual: string): void {
  const { name, entrypoint = usual, inputText, now, expect, replies } = sample;
  const draws: Draws = { now, seed: name, replies: new Map(replies) };
  let text: string | undefined;
  try {
    text = policy.evaluate(entrypoint, inputText, draws);
  } catch (cause) {
    // A reply that is not there is why, then.
    requireReplies(draws, sample);
    throw new BundleRefused(`the sample ${JSON.stringify(name)} fails: ${asSidecarError(cause).message}`, { cause });
  }
  requireReplies(draws, sample);
  const answer = text === undefined ? undefined : (JSON.parse(text) as JsonValue);
  if (fulfils(answer, expect)) return;
  const shown = (value: JsonValue | undefined): string => (JSON.stringify(value) ?? 'nothing').slice(0, 300);
  throw new BundleRefused(
    `the sample ${JSON.stringify(name)} is answered ${shown(answer)}, and ${shown(expect)} is expected`,
  );
}

function requireReplies({ missed: [first] = [] }: Draws, { name }: Sample): void {
  if (first !== undefined)
    throw new BundleRefused(
      `the sample ${JSON.stringify(name)} asks ${first.slice(0, 300)}, for which its nd_builtin_cache holds no reply`,
    );
}

async function inNameOf<T>(name: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (cause instanceof BundleRefused) throw new RefusedBundle(cause.message, name, { cause });
    throw cause;
  }
}

/** One of several that were to serve together. */
export class RefusedBundle extends BundleRefused {
  readonly bundle: string;

  constructor(message: string, bundle: string, options?: ErrorOptions) {
    super(message, options);
    this.bundle = bundle;
  }
}
