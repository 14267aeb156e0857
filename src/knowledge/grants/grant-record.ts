// Tested by test/knowledge/grants/grant-table.test.ts.
import type { Grant, GrantState } from '../../domain/grant.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import { type EpochMs, epochMs } from '../../domain/time.ts';

export function encodeGrant(grant: Grant): JsonValue {
  const { resourceType, notBefore, maxUses, approver, approverNamed, approvedAt, expiresAt, revokedAt, revokedBy } =
    grant;
  return {
    id: grant.id,
    subject: grant.subject,
    actions: grant.actions,
    resources: grant.resources,
    ...(resourceType !== undefined && { resource_type: resourceType }),
    reason: grant.reason,
    state: grant.state,
    requested_by: grant.requestedBy,
    requested_at: grant.requestedAt,
    ttl_ms: grant.ttlMs,
    ...(notBefore !== undefined && { not_before: notBefore }),
    ...(maxUses !== undefined && { max_uses: maxUses }),
    uses: grant.uses,
    ...(approver !== undefined && { approver }),
    ...(approverNamed !== undefined && { approver_named: approverNamed }),
    ...(approvedAt !== undefined && { approved_at: approvedAt }),
    ...(expiresAt !== undefined && { expires_at: expiresAt }),
    ...(revokedAt !== undefined && { revoked_at: revokedAt }),
    ...(revokedBy !== undefined && { revoked_by: revokedBy }),
  };
}

/** @returns undefined unless every member is there and of its type: half a grant is none */
export function decodeGrant(value: JsonValue): Grant | undefined {
  if (!isJsonObject(value)) return undefined;
  const id = text(value, 'id');
  const subject = text(value, 'subject');
  const actions = texts(value, 'actions');
  const resources = texts(value, 'resources');
  const reason = text(value, 'reason');
  const state = stateOf(value);
  const requestedBy = text(value, 'requested_by');
  const requestedAt = time(value, 'requested_at');
  const ttlMs = number(value, 'ttl_ms');
  const uses = number(value, 'uses');
  if (id === undefined || subject === undefined || actions === undefined || resources === undefined) return undefined;
  if (reason === undefined || state === undefined || requestedBy === undefined) return undefined;
  if (requestedAt === undefined || ttlMs === undefined || uses === undefined) return undefined;
  const maxUses = member(value, 'max_uses');
  // A limit that cannot be read must not become none.
  if (maxUses !== undefined && typeof maxUses !== 'number') return undefined;
  const notBefore = member(value, 'not_before');
  if (notBefore !== undefined && typeof notBefore !== 'number') return undefined;
  const resourceType = member(value, 'resource_type');
  if (resourceType !== undefined && typeof resourceType !== 'string') return undefined;
  const approver = text(value, 'approver');
  const approverNamed = text(value, 'approver_named');
  const approvedAt = time(value, 'approved_at');
  const expiresAt = time(value, 'expires_at');
  const revokedAt = time(value, 'revoked_at');
  const revokedBy = text(value, 'revoked_by');
  return {
    ...{ id, subject, actions, resources, reason, state, requestedBy, requestedAt, ttlMs, uses },
    ...(resourceType !== undefined && { resourceType }),
    ...(notBefore !== undefined && { notBefore: epochMs(notBefore) }),
    ...(maxUses !== undefined && { maxUses }),
    ...(approver !== undefined && { approver }),
    ...(approverNamed !== undefined && { approverNamed }),
    ...(approvedAt !== undefined && { approvedAt }),
    ...(expiresAt !== undefined && { expiresAt }),
    ...(revokedAt !== undefined && { revokedAt }),
    ...(revokedBy !== undefined && { revokedBy }),
  };
}

function stateOf(value: JsonObject): GrantState | undefined {
  const state = member(value, 'state');
  return state === 'requested' || state === 'active' || state === 'revoked' ? state : undefined;
}

function text(value: JsonObject, name: string): string | undefined {
  const found = member(value, name);
  return typeof found === 'string' ? found : undefined;
}

function texts(value: JsonObject, name: string): readonly string[] | undefined {
  const found = member(value, name);
  return Array.isArray(found) && found.every((one) => typeof one === 'string') ? found : undefined;
}

function number(value: JsonObject, name: string): number | undefined {
  const found = member(value, name);
  return typeof found === 'number' ? found : undefined;
}

function time(value: JsonObject, name: string): EpochMs | undefined {
  const found = number(value, name);
  return found === undefined ? undefined : epochMs(found);
}
