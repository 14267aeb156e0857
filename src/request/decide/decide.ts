import {
  type Decision,
  type Effect,
  effects,
  isDecisionEntrypoint,
  type Obligation,
  type PolicyResult,
  type Reason,
} from '../../domain/decision.ts';
import { Undecided } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import { parseExact } from '../../text/parse-exact.ts';

/** A year; longer times are malformed. */
const ttlSMax = 31_536_000;
const listMax = 1_000;
/** A challenge is one header field: RFC 9470 names a few values in order of preference. */
const acrValuesMax = 16;
/** Of constraints and obligations: as deep as a request may be, and far from what writing it again could not do. */
const depthMax = 64;

const documentMembers: ReadonlySet<string> = new Set([
  'effect',
  'reasons',
  'met',
  'constraints',
  'step_up',
  'obligations',
  'ttl_s',
  'labels',
  'policy',
  'grants',
]);

/**
 * Parses a policy's result strictly and never repairs it: a document that is not exactly of the shape in
 * docs/decision.md is malformed, and a malformed document is a deny.
 *
 * @param entrypoint where the result came from; the result of one that is not a decision is returned as a query's result
 * @throws Undecided `policy_undefined`, `policy_result_invalid`
 */
export function decide(result: PolicyResult, entrypoint: string): Decision {
  const { revision, text } = result;
  if (!isDecisionEntrypoint(entrypoint)) return { kind: 'queried', revision, resultText: text };
  if (text === undefined) throw new Undecided('policy_undefined', `${entrypoint} is undefined for this input`);
  const document = object(parsed(text), 'the result');
  for (const name of Object.keys(document)) {
    if (!documentMembers.has(name)) return invalid(`unknown member ${JSON.stringify(name.slice(0, 64))}`);
  }
  const effect = effectIn(document);
  const said = {
    revision,
    policy: optional(document, 'policy', (value) => name(value, 'policy')),
    reasons: optional(document, 'reasons', (value) => list(value, 'reasons', reason)) ?? [],
    met: optional(document, 'met', (value) => list(value, 'met', (one) => name(one, 'met'))) ?? [],
    obligations: optional(document, 'obligations', (value) => list(value, 'obligations', obligation)) ?? [],
    ttlS: optional(document, 'ttl_s', (value) => seconds(value, 'ttl_s')),
    labels: optional(document, 'labels', labels) ?? {},
    grants: optional(document, 'grants', (value) => list(value, 'grants', (one) => name(one, 'grants'))),
  };
  // Both are read whatever the effect: a constraint or challenge that cannot be read is not dropped.
  const constraints = optional(document, 'constraints', (value) => carried(value, 'constraints'));
  const stepUp = optional(document, 'step_up', (value) => object(value, 'step_up'));
  const acrValues =
    stepUp === undefined ? undefined : list(member(stepUp, 'acr_values'), 'step_up.acr_values', acrValue);
  const maxAgeS =
    stepUp === undefined ? undefined : optional(stepUp, 'max_age', (value) => wholeSeconds(value, 'step_up.max_age'));
  switch (effect) {
    case 'allow':
      if (constraints !== undefined && Object.keys(constraints).length > 0) return invalid('allow with constraints');
      if (said.reasons.length > 0) return invalid('allow with reasons against it');
      return { kind: 'allow', ...said };
    case 'deny':
      return { kind: 'deny', ...said };
    case 'constrain':
      if (constraints === undefined || Object.keys(constraints).length === 0)
        return invalid('constrain without constraints');
      return { kind: 'constrain', constraints, ...said };
    case 'step_up':
      if (acrValues === undefined || acrValues.length === 0) return invalid('step_up without acr_values');
      if (acrValues.length > acrValuesMax) return invalid(`step_up with more than ${acrValuesMax} acr_values`);
      return { kind: 'step_up', acrValues, maxAgeS, ...said };
    default:
      return effect satisfies never;
  }
}

function invalid(what: string): never {
  throw new Undecided('policy_result_invalid', what);
}

/** A number that would leave as another one than the policy said makes the whole result malformed. */
function parsed(text: string): JsonValue {
  try {
    return parseExact(text);
  } catch (cause) {
    throw new Undecided('policy_result_invalid', 'the result is not JSON that can be recorded exactly', { cause });
  }
}

function effectIn(document: JsonObject): Effect {
  const said = member(document, 'effect');
  return effects.find((effect) => effect === said) ?? invalid('effect is not one of allow, deny, step_up, constrain');
}

function optional<T>(document: JsonObject, memberName: string, read: (value: JsonValue) => T): T | undefined {
  const value = member(document, memberName);
  return value === undefined ? undefined : read(value);
}

function object(value: JsonValue | undefined, what: string): JsonObject {
  return isJsonObject(value) ? value : invalid(`${what} is not an object`);
}

/** An object that goes on to the enforcement point as it is. */
function carried(value: JsonValue | undefined, what: string): JsonObject {
  if (isDeeperThan(value ?? null, depthMax)) return invalid(`${what} is nested too deeply`);
  return object(value, what);
}

function isDeeperThan(value: JsonValue, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeperThan(inner as JsonValue, depth - 1));
}

function list<T>(value: JsonValue | undefined, what: string, read: (item: JsonValue) => T): readonly T[] {
  if (!Array.isArray(value)) return invalid(`${what} is not an array`);
  if (value.length > listMax) return invalid(`${what} has more than ${listMax} items`);
  return (value as readonly JsonValue[]).map(read);
}

function name(value: JsonValue, what: string): string {
  return typeof value === 'string' && value !== '' && value.length <= 512
    ? value
    : invalid(`${what} contains a value that is not a name`);
}

/** Space-separated on the wire and quoted there: RFC 9470 section 3, RFC 6749 appendix A's character set. */
function acrValue(value: JsonValue): string {
  return typeof value === 'string' && /^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/.test(value)
    ? value
    : invalid('step_up.acr_values contains an invalid value');
}

function seconds(value: JsonValue, what: string): number {
  return typeof value === 'number' && value >= 0 && value <= ttlSMax
    ? value
    : invalid(`${what} is not a number of seconds`);
}

/** RFC 9470 section 3: a non-negative integer. */
function wholeSeconds(value: JsonValue, what: string): number {
  return Number.isInteger(value) ? seconds(value, what) : invalid(`${what} is not a whole number of seconds`);
}

function reason(value: JsonValue): Reason {
  const document = object(value, 'a reason');
  const otherwise = optional(document, 'otherwise', (said) =>
    said === 'deny' || said === 'step_up' || said === 'constrain'
      ? said
      : invalid('otherwise is not deny, step_up or constrain'),
  );
  const message = optional(document, 'message', (said) => words(said, 'message'));
  const remedy = optional(document, 'remedy', (said) => words(said, 'remedy'));
  return {
    code: name(member(document, 'code') ?? null, 'reasons.code'),
    ...(otherwise !== undefined && { otherwise }),
    ...(message !== undefined && { message }),
    ...(remedy !== undefined && { remedy }),
  };
}

function words(value: JsonValue, what: string): string {
  return typeof value === 'string' ? value : invalid(`${what} is not a string`);
}

function obligation(value: JsonValue): Obligation {
  const document = object(value, 'an obligation');
  return {
    id: name(member(document, 'id') ?? null, 'obligations.id'),
    type: name(member(document, 'type') ?? null, 'obligations.type'),
    properties: carried(member(document, 'properties') ?? {}, 'obligations.properties'),
  };
}

function labels(value: JsonValue): Readonly<Record<string, string>> {
  const document = object(value, 'labels');
  for (const label of Object.values(document)) words(label, 'labels');
  return document as Readonly<Record<string, string>>;
}
