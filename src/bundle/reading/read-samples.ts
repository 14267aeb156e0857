// Tested by test/bundle/reading/read-bundle.long.test.ts.
import { BundleRefused } from '../../domain/errors.ts';
import { isJsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import type { OutboundReply } from '../../domain/outbound.ts';
import { type EpochMs, epochMs, parseRfc3339 } from '../../domain/time.ts';
import { recordedReplies } from '../../request/evaluate/recorded-replies.ts';
import { itemsOf, membersOf } from '../../text/json-text.ts';
import type { Archive } from './read-archive.ts';
import { jsonValueOf } from './read-json-text.ts';

/** A request that a bundle's owner knows the answer to; the bundle serves only if it gives that answer. */
export interface Sample {
  /** As messages name it. */
  readonly name: string;
  /** Undefined: the sidecar's own. */
  readonly entrypoint: string | undefined;
  readonly inputText: string;
  /** What `time.now_ns()` says meanwhile. */
  readonly now: EpochMs;
  /** The answer has all of it, and may have more members; undefined: the entrypoint gives none. */
  readonly expect: JsonValue | undefined;
  /** What anybody outside would say, had they been asked: a sample is answered without them. */
  readonly replies: ReadonlyMap<string, OutboundReply>;
}

export const samplesFile = 'samples.json';
const sampleMembers = ['name', 'entrypoint', 'input', 'now', 'expect', 'nd_builtin_cache'];
const samplesMax = 10_000;
/** A sample that does not ask what time it is need not say it. */
export const someTime = epochMs(Date.parse('2026-01-01T00:00:00Z'));

/**
 * The cases in `samples.json`, and in the manifest's `metadata.postern.samples` where the tools of a pipeline leave other
 * files out: `[{name?, entrypoint?, input, now?, expect?, nd_builtin_cache?}]`.
 *
 * @throws BundleRefused
 */
export function readSamples(archive: Archive, inManifest: string | undefined): readonly Sample[] {
  const file = archive.get(samplesFile);
  const samples = [
    ...(file === undefined ? [] : listed(file, samplesFile)),
    ...(inManifest === undefined ? [] : listed(Buffer.from(inManifest), 'metadata.postern.samples')),
  ];
  if (samples.length > samplesMax)
    throw new BundleRefused(`${samples.length} samples; at most ${samplesMax} are tried`);
  return samples;
}

function listed(bytes: Uint8Array, where: string): readonly Sample[] {
  const { text, value: list } = jsonValueOf(bytes, where);
  if (!Array.isArray(list)) throw new BundleRefused(`${where} is no list of samples`);
  const texts = itemsOf(text);
  return (list as readonly JsonValue[]).map((item, index) =>
    sampleOf(item, texts[index] ?? 'null', `${where} [${index}]`),
  );
}

function sampleOf(item: JsonValue, text: string, where: string): Sample {
  if (!isJsonObject(item)) throw new BundleRefused(`${where} is no object`);
  const unknown = Object.keys(item).find((key) => !sampleMembers.includes(key));
  if (unknown !== undefined)
    throw new BundleRefused(`${where}: unknown member ${JSON.stringify(unknown.slice(0, 40))}`);
  const name = member(item, 'name') ?? where;
  const entrypoint = member(item, 'entrypoint');
  const now = member(item, 'now');
  const at = now === undefined ? someTime : parseRfc3339(String(now));
  if (typeof name !== 'string' || (entrypoint !== undefined && typeof entrypoint !== 'string') || at === undefined)
    throw new BundleRefused(`${where}: name and entrypoint are text, now is a date-time`);
  const members = membersOf(text);
  return {
    name: name.slice(0, 200),
    entrypoint,
    inputText: members?.get('input') ?? '{}',
    now: at,
    expect: member(item, 'expect'),
    replies: repliesIn(members?.get('nd_builtin_cache'), where),
  };
}

/** As a decision event has it: what was once recorded can be put into a sample. */
function repliesIn(cacheText: string | undefined, where: string): ReadonlyMap<string, OutboundReply> {
  try {
    return cacheText === undefined ? new Map() : recordedReplies(cacheText);
  } catch (cause) {
    throw new BundleRefused(`${where}: nd_builtin_cache has operands that are no JSON`, { cause });
  }
}

/** Whether an answer says all that is expected of it: objects may say more, lists are as long, the rest is the same. */
export function fulfils(answer: JsonValue | undefined, expected: JsonValue | undefined): boolean {
  if (expected === undefined || answer === undefined) return expected === answer;
  if (Array.isArray(expected)) {
    const items = Array.isArray(answer) ? (answer as readonly JsonValue[]) : undefined;
    return (
      items?.length === expected.length &&
      (expected as readonly JsonValue[]).every((item, index) => fulfils(items[index], item))
    );
  }
  if (isJsonObject(expected)) {
    return (
      isJsonObject(answer) && Object.entries(expected).every(([key, value]) => fulfils(member(answer, key), value))
    );
  }
  return answer === expected;
}
