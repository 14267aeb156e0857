// Tested by test/control/control.test.ts.
import Type, { type Static } from 'typebox';
import { Compile } from 'typebox/compile';
import { ControlRefused, type ErrorCode } from '../domain/errors.ts';
import { type Grant, type GrantRequest, grantStandings, type StandingGrant, usesLeft } from '../domain/grant.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../domain/json-value.ts';
import { type AboutKind, type AttributeReport, aboutKinds, ownSources, type Signal } from '../domain/signal.ts';
import { type EpochMs, parseRfc3339, rfc3339Of } from '../domain/time.ts';
import { printable } from '../text/printable.ts';

/** The shapes of control requests and answers; one definition gives type, check and JSON Schema. Unknown members are refused. */
const closed = { additionalProperties: false } as const;
const text = Type.String();

export const signalSchema = Type.Object(
  {
    about: Type.Object({ kind: Type.Unsafe<AboutKind>(Type.String({ enum: [...aboutKinds] })), id: text }, closed),
    attributes: Type.Unsafe<JsonObject>(Type.Object({})),
    observed_at: text,
    expires_at: Type.Optional(text),
    source: text,
    sequence: Type.Optional(Type.Integer()),
  },
  closed,
);
const oneSignal = Compile(signalSchema);
export const signalsMax = 1_000;

export const grantRequestSchema = Type.Object(
  {
    subject: text,
    actions: Type.Array(text),
    resources: Type.Array(text),
    resource_type: Type.Optional(text),
    reason: text,
    ttl_s: Type.Number(),
    not_before: Type.Optional(text),
    // Said in so many words: a limit that was forgotten must not become none.
    max_uses: Type.Union([Type.Number(), Type.Literal('unlimited')]),
  },
  closed,
);
const grantRequest = Compile(grantRequestSchema);

export const approvalSchema = Type.Object({ approver: Type.Optional(text) }, closed);
const approval = Compile(approvalSchema);

/** A compiled check, as far as it is used here. */
interface Check {
  Check(value: unknown): boolean;
  Errors(value: unknown): readonly Fault[];
}

interface Fault {
  readonly keyword: string;
  readonly schemaPath: string;
  /** A JSON pointer. */
  readonly instancePath: string;
  readonly message: string;
  readonly params: object;
}

/** @throws ControlRefused 400, naming every member that is amiss */
function checked<T>(check: Check, value: JsonValue, code: ErrorCode, where: string): T {
  if (check.Check(value)) return value as T;
  const faults = check.Errors(value);
  const told = new Set(faults.flatMap((fault) => worded(fault, faults, where)));
  throw new ControlRefused(code, 400, [...told].join('; ') || `${where}the body is malformed`);
}

function worded(fault: Fault, faults: readonly Fault[], where: string): readonly string[] {
  const { keyword, instancePath, params } = fault;
  const path = instancePath
    .slice(1)
    .split('/')
    .filter((name) => name !== '');
  const member = (...more: readonly string[]): string => {
    const name = printable([...path, ...more].join('.'));
    return name === '' ? `${where}the body` : `${where}${name.length > 100 ? `${name.slice(0, 100)}…` : name}`;
  };
  // Each unknown member is told twice, as such and as a value that nothing may be.
  if (keyword === 'boolean' || keyword === 'anyOf') return [];
  if ('additionalProperties' in params && Array.isArray(params.additionalProperties)) {
    return params.additionalProperties.map((name) => `${member(String(name))} is not a known member`);
  }
  if ('requiredProperties' in params && Array.isArray(params.requiredProperties)) {
    return params.requiredProperties.map((name) => `${member(String(name))} is missing`);
  }
  // A member that may be one of several things has a fault for each of them.
  const choices = faults.filter((other) => other.instancePath === instancePath).flatMap((one) => wanted(one, faults));
  return [`${member()} must be ${choices.join(' or ')}`];
}

function wanted({ keyword, schemaPath, message, params }: Fault, faults: readonly Fault[]): readonly string[] {
  if ('allowedValue' in params) return [JSON.stringify(params.allowedValue)];
  if ('allowedValues' in params && Array.isArray(params.allowedValues)) {
    return params.allowedValues.map((one) => JSON.stringify(one));
  }
  if (keyword !== 'type') return [];
  // The type of a value that is written out goes without saying.
  const isSaid = faults.some((other) => other.schemaPath === schemaPath && other.keyword !== 'type');
  return isSaid ? [] : [message.replace(/^must be /, '')];
}

function time(value: string | undefined, code: ErrorCode, member: string): EpochMs | undefined {
  if (value === undefined) return undefined;
  const at = parseRfc3339(value);
  if (at === undefined) throw new ControlRefused(code, 400, `${member} must be an RFC 3339 time with an offset`);
  return at;
}

/** One signal, or several in an array: all of them are taken, or none. */
export function readSignals(body: JsonValue): readonly Signal[] {
  const many = Array.isArray(body) ? (body as readonly JsonValue[]) : undefined;
  if (many === undefined) return [readSignal(body, '')];
  if (many.length === 0) throw new ControlRefused('signal_invalid', 400, 'the list is empty');
  if (many.length > signalsMax)
    throw new ControlRefused('signal_invalid', 413, `at most ${signalsMax} signals are accepted at once`);
  return many.map((one, index) => readSignal(one, `[${index}].`));
}

/** The kind of each signal in a body, as far as a malformed one shows it: for the counter. */
export function kindsIn(body: JsonValue): readonly (AboutKind | 'other')[] {
  const reports = Array.isArray(body) ? (body as readonly JsonValue[]) : [body];
  return reports.map((report) => {
    const about = isJsonObject(report) ? member(report, 'about') : undefined;
    const named = isJsonObject(about) ? member(about, 'kind') : undefined;
    return aboutKinds.find((kind) => kind === named) ?? 'other';
  });
}

function readSignal(body: JsonValue, where: string): Signal {
  const { about, attributes, observed_at, expires_at, source, sequence } = checked<Static<typeof signalSchema>>(
    oneSignal,
    body,
    'signal_invalid',
    where,
  );
  if (ownSources.includes(source)) {
    throw new ControlRefused('signal_invalid', 400, `${where}source is reserved for the sidecar itself`);
  }
  const observedAt = time(observed_at, 'signal_invalid', `${where}observed_at`);
  if (observedAt === undefined) throw new ControlRefused('signal_invalid', 400, `${where}observed_at is missing`);
  const expiresAt = time(expires_at, 'signal_invalid', `${where}expires_at`);
  return {
    about,
    attributes,
    observedAt,
    ...(expiresAt !== undefined && { expiresAt }),
    source,
    sequence: sequence ?? 0,
  };
}

export function readGrantRequest(body: JsonValue, requestedBy: string): GrantRequest {
  const asked = checked<Static<typeof grantRequestSchema>>(grantRequest, body, 'grant_invalid', '');
  const notBefore = time(asked.not_before, 'grant_invalid', 'not_before');
  return {
    subject: asked.subject,
    actions: asked.actions,
    resources: asked.resources,
    ...(asked.resource_type !== undefined && { resourceType: asked.resource_type }),
    reason: asked.reason,
    ttlMs: asked.ttl_s * 1_000,
    ...(notBefore !== undefined && { notBefore }),
    ...(asked.max_uses !== 'unlimited' && { maxUses: asked.max_uses }),
    requestedBy,
  };
}

/** @returns whom the principal names as the approver, if anybody */
export function readApproval(body: JsonValue): string | undefined {
  return checked<Static<typeof approvalSchema>>(approval, body, 'grant_invalid', '').approver;
}

export function heldDocument(kind: AboutKind, id: string, held: readonly AttributeReport[]): object {
  return {
    about: { kind, id },
    reports: held.map(({ attribute, value, source, observedAt, expiresAt, sequence }) => ({
      attribute,
      value,
      source,
      observed_at: rfc3339Of(observedAt),
      ...(expiresAt !== undefined && { expires_at: rfc3339Of(expiresAt) }),
      sequence,
    })),
  };
}

export function grantDocument({ grant, standing }: StandingGrant): object {
  return {
    id: grant.id,
    state: standing,
    subject: grant.subject,
    actions: grant.actions,
    resources: grant.resources,
    ...(grant.resourceType !== undefined && { resource_type: grant.resourceType }),
    reason: grant.reason,
    ttl_s: grant.ttlMs / 1_000,
    max_uses: grant.maxUses ?? 'unlimited',
    uses: grant.uses,
    ...(grant.maxUses !== undefined && { uses_left: usesLeft(grant) }),
    requested_by: grant.requestedBy,
    ...times(grant),
    ...(grant.approver !== undefined && { approver: grant.approver }),
    ...(grant.approverNamed !== undefined && { approver_named: grant.approverNamed }),
    ...(grant.revokedBy !== undefined && { revoked_by: grant.revokedBy }),
  };
}

function times(grant: Grant): object {
  const named = {
    requested_at: grant.requestedAt,
    not_before: grant.notBefore,
    approved_at: grant.approvedAt,
    expires_at: grant.expiresAt,
    revoked_at: grant.revokedAt,
  };
  return Object.fromEntries(
    Object.entries(named).flatMap(([name, at]) => (at === undefined ? [] : [[name, rfc3339Of(at)]])),
  );
}

export function isStanding(text: string): text is (typeof grantStandings)[number] {
  return (grantStandings as readonly string[]).includes(text);
}
