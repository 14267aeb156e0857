import { asSidecarError, type ErrorCode, Undecided } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import type { DecisionLogRules, MaskOrDropStep } from '../../domain/ports.ts';
import type { EpochMs } from '../../domain/time.ts';
import { itemsOf, membersOf } from '../../text/json-text.ts';
import { escaped } from './decision-event.ts';
import { EditableJson } from './editable-json.ts';

export interface MaskedOrDropped {
  /** The event as it is recorded; undefined: it is dropped. */
  readonly line: string | undefined;
  readonly steps: readonly MaskOrDropStep[];
  readonly failures: readonly { readonly rule: 'mask' | 'drop'; readonly code: ErrorCode }[];
}

/** The members that a mask may change; the others show that there was a decision, which a mask cannot hide. */
const sections = ['input', 'result', 'nd_builtin_cache'] as const;
/** Events wait in memory, of which a mask must not make much more. */
const growthMax = { factor: 2, units: 4_096 };

/**
 * An event as the bundle's own rules let it be kept. A drop that fails drops nothing; a mask that fails withholds
 * everything that it could have named.
 *
 * @see OPA documentation, "Decision Logs", masking and dropping
 */
export function maskAndDrop(
  line: string,
  { mask, drop }: DecisionLogRules,
  now: EpochMs,
  seed: string,
): MaskedOrDropped {
  const steps: MaskOrDropStep[] = [];
  const failures: { rule: 'mask' | 'drop'; code: ErrorCode }[] = [];
  try {
    if (drop?.(line, now, seed) === 'true') return { line: undefined, steps: ['dropped'], failures };
  } catch (cause) {
    steps.push('drop_failed');
    failures.push({ rule: 'drop', code: asSidecarError(cause).code });
  }
  let kept = line;
  try {
    const rules = mask?.(line, now, seed);
    if (rules !== undefined) kept = masked(line, rules);
    if (kept !== line) steps.push('masked');
  } catch (cause) {
    const { code } = asSidecarError(cause);
    steps.push('mask_failed');
    failures.push({ rule: 'mask', code });
    kept = withheld(line, code);
  }
  return { line: kept, steps, failures };
}

interface Change {
  readonly path: string;
  readonly segments: readonly string[];
  /** Undefined: it is taken out. */
  readonly valueText: string | undefined;
}

function masked(line: string, rulesText: string): string {
  const changes = readMask(rulesText);
  const event = new EditableJson(line);
  const done = (change: Change, apply: () => boolean): readonly string[] =>
    event.has(change.segments[0] ?? '') && apply() ? [change.path] : [];
  // All that is taken out first, each where it stood in the event: a place in a list means what it meant to the policy.
  const erased = changes.flatMap((change) =>
    change.valueText === undefined ? done(change, () => event.remove(change.segments)) : [],
  );
  event.closeGaps();
  const upserted = changes.flatMap((change) => {
    const { segments, valueText } = change;
    return valueText === undefined ? [] : done(change, () => event.put(segments, valueText));
  });
  if (erased.length + upserted.length === 0) return line;
  const isResultKept = ![...erased, ...upserted].some((path) => /^\/result(\/|$)/.test(path));
  if (!isResultKept) keepCodes(event, line, 'reasons');
  keepCodes(event, line, 'error');
  if (erased.length > 0) event.put(['erased'], JSON.stringify(erased));
  if (upserted.length > 0) event.put(['masked'], JSON.stringify(upserted));
  const kept = escaped(`${event}\n`);
  if (kept.length > line.length * growthMax.factor + growthMax.units)
    throw new Undecided('policy_result_invalid', 'the mask makes the event more than twice as long');
  return kept;
}

/** Of what a mask may name, nothing: it could have named any of it. */
function withheld(line: string, code: ErrorCode): string {
  const event = new EditableJson(line);
  const erased = sections.filter((section) => event.remove([section])).map((section) => `/${section}`);
  keepCodes(event, line, 'reasons');
  keepCodes(event, line, 'error');
  event.put(['erased'], JSON.stringify(erased));
  event.put(['mask_error'], JSON.stringify({ code }));
  return escaped(`${event}\n`);
}

/** Texts beside a code may repeat what was taken out. */
function keepCodes(event: EditableJson, line: string, name: 'reasons' | 'error'): void {
  const text = membersOf(line)?.get(name);
  if (text === undefined) return;
  const codeOf = ({ code, otherwise }: JsonObject): JsonObject => ({
    ...(code !== undefined && { code }),
    ...(otherwise !== undefined && { otherwise }),
  });
  const said = JSON.parse(text) as JsonObject | readonly JsonObject[];
  event.put([name], JSON.stringify(Array.isArray(said) ? said.map(codeOf) : codeOf(said as JsonObject)));
}

/** @throws Undecided `policy_result_invalid`: skipping an unreadable rule could reveal what it should mask */
function readMask(text: string): readonly Change[] {
  if (!text.startsWith('[')) throw new Undecided('policy_result_invalid', 'the mask is not a set');
  return itemsOf(text).map(readRule);
}

function readRule(text: string): Change {
  const rule = JSON.parse(text) as JsonValue;
  if (typeof rule === 'string') return { path: rule, segments: segmentsOf(rule), valueText: undefined };
  const op = isJsonObject(rule) ? member(rule, 'op') : undefined;
  const path = isJsonObject(rule) ? member(rule, 'path') : undefined;
  if ((op !== 'remove' && op !== 'upsert') || typeof path !== 'string')
    throw new Undecided('policy_result_invalid', 'the mask contains an invalid rule');
  const valueText = op === 'upsert' ? (membersOf(text)?.get('value') ?? 'null') : undefined;
  return { path, segments: segmentsOf(path), valueText };
}

function segmentsOf(path: string): readonly string[] {
  const [start, ...segments] = path.split('/');
  if (start !== '' || !sections.some((section) => section === segments[0]))
    throw new Undecided('policy_result_invalid', 'the mask names a member that it may not change');
  return segments;
}
