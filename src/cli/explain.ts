import { posix } from 'node:path';
import type { Config } from '../config/schema.ts';
import { type Decision, effects as effectNames, effectOf } from '../domain/decision.ts';
import { asSidecarError, type ErrorCode, publicMessages, RequestRefused, Undecided } from '../domain/errors.ts';
import { canonicalJson, isJsonObject, type JsonObject, type JsonValue, member } from '../domain/json-value.ts';
import type { OutboundReply } from '../domain/outbound.ts';
import { type CallerBinding, knownMembers } from '../domain/request.ts';
import { epochMs, parseRfc3339 } from '../domain/time.ts';
import { decide } from '../request/decide/decide.ts';
import { enricher } from '../request/enrich/enrich.ts';
import type { Draws } from '../request/evaluate/draws.ts';
import type { PolicyModule } from '../request/evaluate/policy-module.ts';
import { recordedReplies } from '../request/evaluate/recorded-replies.ts';
import { identifier, requireOwnSubject } from '../request/identify/identify.ts';
import { receive } from '../request/receive/receive.ts';
import { decodeUtf8 } from '../text/decode-utf8.ts';
import { scanJson } from '../text/scan-json.ts';
import { CommandFailed, readArguments, UsageFault } from './arguments.ts';
import { type CliEffects, exitCodes } from './effects.ts';
import { type Explained, explainText } from './explain-text.ts';
import { loadConfig } from './load-config.ts';
import { readFileFor } from './read-file.ts';

export interface ExplainParts {
  /**
   * Opens a bundle file as the sidecar does.
   *
   * @throws BundleRefused
   */
  readonly loadPolicy: (file: string) => Promise<PolicyModule>;
}

const options = {
  config: { type: 'string' },
  bundle: { type: 'string' },
  entrypoint: { type: 'string' },
  known: { type: 'string' },
  socket: { type: 'string' },
  input: { type: 'string' },
  event: { type: 'string' },
  decision: { type: 'string' },
  last: { type: 'boolean' },
  color: { type: 'boolean' },
  'no-color': { type: 'boolean' },
} as const;

type Values = ReturnType<typeof readArguments<typeof options>>['values'];

/** A nesting that no request or event comes near; the record's own envelope included. */
const depthMax = 2048;

/**
 * `postern explain`: evaluates one request, input or recorded decision against a bundle, beside the sidecar, and shows
 * the whole reasoning. The very steps of a request are used, on a store that knows nothing unless it is told.
 */
export async function explain(args: readonly string[], effects: CliEffects, parts: ExplainParts): Promise<number> {
  const { values, positionals } = readArguments(args, options, 1);
  const [request] = positionals;
  const recorded = values.event !== undefined || values.last === true || values.decision !== undefined;
  const ways = [request !== undefined, values.input !== undefined, recorded].filter(Boolean).length;
  if (ways !== 1) throw new UsageFault('give one of REQUEST, --input, --event, --last or --decision');
  if (values.event !== undefined && values.last === true) {
    throw new UsageFault('--event already replays its last decision; --last reads the sidecar’s own record');
  }
  if (request === undefined && (values.known !== undefined || values.socket !== undefined)) {
    throw new UsageFault('--known and --socket need REQUEST');
  }
  const explained =
    request !== undefined
      ? await ofRequest(request, values, effects, parts)
      : values.input !== undefined
        ? await ofInput(values.input, values, effects, parts)
        : await ofEvent(values, effects, parts);
  effects.out(explainText(explained, wantsColor(values, effects)));
  return exitCodes.ok;
}

/** @see https://no-color.org: set and not empty, whatever its value; an option given by hand counts for more */
function wantsColor(values: Values, { env, isTerminal }: CliEffects): boolean {
  if (values['no-color'] === true) return false;
  if (values.color === true) return true;
  const { NO_COLOR: noColor }: { NO_COLOR?: string | undefined } = env;
  return isTerminal && (noColor === undefined || noColor === '');
}

async function ofRequest(path: string, values: Values, effects: CliEffects, parts: ExplainParts): Promise<Explained> {
  const { config } = await loadConfig(values.config, effects);
  const policy = await parts.loadPolicy(values.bundle ?? bundleFileOf(config));
  const entrypoint = values.entrypoint ?? config.decision.entrypoint;
  const via = viaOf(config, values.socket);
  const body = await readFileFor(path, effects);
  const told =
    values.known === undefined
      ? {}
      : knownIn(JSON.parse(await jsonText(values.known, effects)) as JsonValue, values.known);
  const limits = { depthMax: config.decision.limits.depth };
  const request = readable(path, () =>
    receive({ surface: 'authzen', entrypoint, body, via, remote: 'explain' }, limits),
  );
  const identify = identifier({ relays: new Set(config.decision.relays), deviceId: config.device?.id });
  const caller = identify(request);
  const now = effects.clock.now();
  const facts = enricher({
    signals: { held: () => undefined },
    grants: { activeOf: () => [] },
    attestations: { of: () => [] },
    sidecar: config.sidecar,
  })(request, caller, { revision: policy.revision, currentAt: now }, now);
  const input = { ...(JSON.parse(facts.input) as JsonObject), ...told };
  const notes =
    values.known === undefined ? ['nothing is known of the device, trust, grants …: pass it with --known'] : [];
  const draws: Draws = { now, seed: 'explain' };
  const decision = attempt(
    policy,
    draws,
    () => {
      // A caller that was told is the caller; then what the listener would have made of it says nothing.
      if (!Object.hasOwn(told, 'caller')) requireOwnSubject(request, caller);
      return JSON.stringify(input);
    },
    entrypoint,
  );
  return { decision, entrypoint, input, notes: [...notes, ...missedNotes(draws)] };
}

function viaOf(config: Config, socket: string | undefined): CallerBinding {
  const { identity, sockets } = config.decision;
  if (socket === undefined)
    return identity === undefined ? { method: 'none' } : { method: 'configured', id: identity.id };
  const found = sockets.find(({ path }) => posix.normalize(path) === posix.normalize(socket));
  if (found === undefined) throw new UsageFault(`the configuration has no socket ${JSON.stringify(socket)}`);
  return { method: 'socket', id: found.identity.id };
}

/** The sidecar's half out of a file: standing by itself, or in an input or decision event. */
function knownIn(value: JsonValue, path: string): JsonObject {
  if (!isJsonObject(value)) throw new CommandFailed(`${path}: not a JSON object`);
  const input = member(value, 'input');
  const from = isJsonObject(input) ? input : value;
  const known: Record<string, JsonValue> = {};
  for (const name of knownMembers) {
    const told = member(from, name);
    if (told !== undefined) known[name] = told;
  }
  const strange = Object.keys(from).filter((name) => !Object.hasOwn(known, name));
  // A plain file of facts has only these members; a mistyped name would otherwise be ignored.
  if (from === value && !Object.hasOwn(from, 'subject') && strange.length > 0) {
    throw new CommandFailed(
      `${path}: ${strange.map((name) => JSON.stringify(name)).join(', ')} is not one of ${knownMembers.join(', ')}`,
    );
  }
  return known;
}

async function ofInput(path: string, values: Values, effects: CliEffects, parts: ExplainParts): Promise<Explained> {
  const { policy, entrypoint: standard } = await bundleOf(values, effects, parts);
  const entrypoint = values.entrypoint ?? standard;
  const text = await jsonText(path, effects);
  const input = JSON.parse(text) as JsonValue;
  if (!isJsonObject(input)) throw new CommandFailed(`${path}: not a JSON object`);
  const draws: Draws = { now: effects.clock.now(), seed: 'explain' };
  const decision = attempt(policy, draws, () => text, entrypoint);
  return { decision, entrypoint, input, notes: missedNotes(draws) };
}

async function bundleOf(values: Values, effects: CliEffects, parts: ExplainParts) {
  // With a bundle given there is nothing that a configuration has to say.
  if (values.bundle !== undefined && values.config === undefined) {
    return { policy: await parts.loadPolicy(values.bundle), entrypoint: 'authz/decision' };
  }
  const { config } = await loadConfig(values.config, effects);
  return {
    policy: await parts.loadPolicy(values.bundle ?? bundleFileOf(config)),
    entrypoint: config.decision.entrypoint,
  };
}

function bundleFileOf({ bundle }: Config): string {
  if (bundle.file === undefined)
    throw new UsageFault('the configuration names a bundle source other than a file: name a bundle file with --bundle');
  return bundle.file;
}

async function ofEvent(values: Values, effects: CliEffects, parts: ExplainParts): Promise<Explained> {
  const path = values.event ?? (await loadConfig(values.config, effects)).config.record.file;
  const event = eventIn(await readFileFor(path, effects), values.decision, path);
  const entrypoint = values.entrypoint ?? event.entrypoint;
  const recorded = `decision ${event.id}, recorded ${event.timestamp}: ${event.outcome}`;
  // The known half ends with the environment; an event without it stems from a request that came to no evaluation.
  if (event.input === undefined || !Object.hasOwn(event.input, 'environment')) {
    return { decision: event.undecided, entrypoint, input: event.input, notes: [recorded] };
  }
  const { policy } = await bundleOf(values, effects, parts);
  let replayed: string | undefined;
  const { draws } = event;
  const decision = attempt(
    policy,
    draws,
    () => event.inputText,
    entrypoint,
    (text) => {
      replayed = text;
    },
  );
  const bundle =
    policy.revision === event.revision ? 'the same bundle' : `bundle ${policy.revision}, recorded on ${event.revision}`;
  const same = sameJson(replayed, event.resultText);
  // A result on record beside an error: the policy had decided, and what came after it, e.g. a grant's last use, failed.
  const closedAfter = same && event.isUndecided && decision.kind !== 'undecided';
  return {
    decision: closedAfter ? event.undecided : decision,
    ...(closedAfter && { policySaid: decision }),
    entrypoint,
    input: event.input,
    notes: [
      recorded,
      ...(event.isMasked
        ? ['parts of this event are masked: the recorded input is incomplete, so the replay may differ']
        : []),
      `replayed on ${bundle}: ${same ? 'the same result' : 'ANOTHER RESULT'}`,
      ...(closedAfter
        ? [`the policy's own result was ${effectOf(decision)}; a later step failed, so the decision was deny`]
        : []),
      ...missedNotes(draws),
    ],
  };
}

interface RecordedEvent {
  readonly id: string;
  readonly timestamp: string;
  readonly entrypoint: string;
  readonly revision: string;
  /** e.g. `deny device_report_fresh, risk_low` */
  readonly outcome: string;
  readonly input: JsonObject | undefined;
  /** To the byte, so that the replay reads the digits that the policy read. */
  readonly inputText: string;
  readonly resultText: string | undefined;
  /** Clock, chance and replies as they were. */
  readonly draws: Draws;
  /** Whether the bundle took something out, or put something in. */
  readonly isMasked: boolean;
  /** Whether it holds an error: whatever the policy said, nothing was decided. */
  readonly isUndecided: boolean;
  /** The recorded outcome, for an event that cannot be replayed or that a later step turned into a deny. */
  readonly undecided: Decision;
}

/** The event of a decision, or the last one. */
function eventIn(bytes: Uint8Array, id: string | undefined, path: string): RecordedEvent {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  // A crash may leave half a line at the end: what ends without a line feed was never fully written, unless it is all.
  const whole = file.includes(0x0a) ? file.subarray(0, file.lastIndexOf(0x0a)) : file;
  let end = whole.length;
  while (end > 0) {
    // A caller may also have sent the id, so a line that contains it is only a candidate.
    const found = id === undefined ? end - 1 : whole.lastIndexOf(JSON.stringify(id), end - 1);
    if (found < 0) break;
    const start = whole.lastIndexOf(0x0a, found) + 1;
    const next = whole.indexOf(0x0a, found);
    const line = whole.subarray(start, next < 0 ? whole.length : next);
    if (line.length > 0) {
      const event = readable(path, () => readEvent(line, path));
      if (id === undefined || event.id === id) return event;
    }
    end = start - 1;
  }
  throw new CommandFailed(
    id === undefined ? `${path}: no decision events` : `${path}: no decision ${JSON.stringify(id)}`,
  );
}

function readEvent(line: Buffer, path: string): RecordedEvent {
  const scan = scanJson(decodeUtf8(line), { depthMax });
  const event = JSON.parse(scan.text) as JsonValue;
  const string = (name: string): string | undefined => {
    const value = isJsonObject(event) ? member(event, name) : undefined;
    return typeof value === 'string' ? value : undefined;
  };
  const textOf = (name: string): string | undefined => {
    const index = scan.names.findIndex((each, at) => each === name && scan.parents[at] === scan.root);
    return index < 0 ? undefined : scan.text.slice(scan.starts[index], scan.ends[index]);
  };
  const id = string('decision_id');
  const entrypoint = string('path');
  if (!isJsonObject(event) || id === undefined || entrypoint === undefined) {
    throw new CommandFailed(`${path}: not a decision event: decision_id or path is missing`);
  }
  const input = member(event, 'input');
  const error = member(event, 'error');
  return {
    id,
    entrypoint,
    timestamp: string('timestamp') ?? 'at an unknown time',
    revision: revisionIn(member(event, 'bundles')),
    outcome: outcomeOf(event),
    input: isJsonObject(input) ? input : undefined,
    inputText: textOf('input') ?? '',
    resultText: textOf('result'),
    draws: {
      now: parseRfc3339(string('timestamp') ?? '') ?? epochMs(0),
      seed: id,
      replies: repliesIn(textOf('nd_builtin_cache') ?? '{}', path),
    },
    isMasked: Object.hasOwn(event, 'erased') || Object.hasOwn(event, 'masked'),
    isUndecided: error !== undefined,
    undecided: { kind: 'undecided', error: recordedError(error), revision: undefined },
  };
}

function repliesIn(cacheText: string, path: string): Map<string, OutboundReply> {
  try {
    return recordedReplies(cacheText);
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    throw new CommandFailed(`${path}: nd_builtin_cache has operands that are not JSON`, { cause });
  }
}

function revisionIn(bundles: JsonValue | undefined): string {
  const [bundle] = isJsonObject(bundles) ? Object.values(bundles) : [];
  const revision = isJsonObject(bundle) ? member(bundle, 'revision') : undefined;
  return typeof revision === 'string' ? revision : 'unknown';
}

function outcomeOf(event: JsonObject): string {
  const effect = member(event, 'effect');
  const reasons = member(event, 'reasons');
  const codes = (Array.isArray(reasons) ? (reasons as readonly JsonValue[]) : []).flatMap((reason) => {
    const code = isJsonObject(reason) ? member(reason, 'code') : undefined;
    return typeof code === 'string' ? [code] : [];
  });
  const known = effectNames.find((name) => name === effect) ?? 'query';
  return codes.length === 0 ? known : `${known}, because of ${codes.join(', ')}`;
}

function recordedError(error: JsonValue | undefined): Undecided {
  const code = isJsonObject(error) ? member(error, 'code') : undefined;
  const message = isJsonObject(error) ? member(error, 'message') : undefined;
  return new Undecided(
    typeof code === 'string' && isErrorCode(code) ? code : 'internal',
    typeof message === 'string' ? message : 'the event holds no input to replay',
  );
}

function isErrorCode(code: string): code is ErrorCode {
  return Object.hasOwn(publicMessages, code);
}

/** Evaluates and decides as the sidecar does, failures becoming what they become there. */
function attempt(
  policy: PolicyModule,
  draws: Draws,
  inputText: () => string,
  entrypoint: string,
  seen: (resultText: string | undefined) => void = () => {},
): Decision {
  try {
    const text = policy.evaluate(entrypoint, inputText(), draws);
    seen(text);
    return decide({ revision: policy.revision, text }, entrypoint);
  } catch (cause) {
    return { kind: 'undecided', error: asSidecarError(cause), revision: policy.revision };
  }
}

/** An explanation never calls a server: replies come from the record, or the call fails. */
function missedNotes({ missed = [] }: Draws): readonly string[] {
  return [...new Set(missed)].map(
    (question) => `servers are not called here, and the record has no reply for: ${question}`,
  );
}

function sameJson(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return canonicalJson(JSON.parse(a) as JsonValue) === canonicalJson(JSON.parse(b) as JsonValue);
}

/** A file's text, found to be one JSON document by the strict reading that requests get. */
async function jsonText(path: string, effects: CliEffects): Promise<string> {
  const bytes = await readFileFor(path, effects);
  return readable(path, () => scanJson(decodeUtf8(bytes), { depthMax }).text);
}

/** A file that the sidecar's own reading refuses: in its words, with the file's name. */
function readable<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof RequestRefused) throw new CommandFailed(`${path}: ${cause.publicMessage}`, { cause });
    throw cause;
  }
}
