// Tested by test/knowledge/grants/grant-table.test.ts.
import { ControlRefused } from '../../domain/errors.ts';
import type { GrantRequest } from '../../domain/grant.ts';
import type { EpochMs } from '../../domain/time.ts';
import { idMax, isText } from '../check-text.ts';

const day = 24 * 60 * 60 * 1000;
export const ttlMs = { least: 1000, most: 30 * day };
export const usesMost = 1_000_000;
/** How long a request waits for its approval. */
export const requestLivesMs = day;

const listMax = 64;
const actionMax = 256;
const reasonMax = 1024;

/**
 * Checks what its type does not say: a grant names what it allows, and ends.
 *
 * @throws ControlRefused `grant_invalid`, naming the member as the control API writes it
 */
export function checkGrantRequest(asked: GrantRequest, now: EpochMs): void {
  const refuse = (member: string, wants: string): never => {
    throw new ControlRefused('grant_invalid', 400, `${member} ${wants}`);
  };
  const list = (member: string, values: readonly string[], max: number): void => {
    if (values.length === 0 || values.length > listMax) refuse(member, `must hold 1 to ${listMax} entries`);
    if (!values.every((value) => isText(value, max))) refuse(member, `must hold text of 1 to ${max} characters`);
    if (new Set(values).size < values.length) refuse(member, 'contains an entry twice');
  };
  if (!isText(asked.subject, idMax)) refuse('subject', `must be text of 1 to ${idMax} characters`);
  list('actions', asked.actions, actionMax);
  if (asked.actions.some((action) => action.includes('*'))) refuse('actions', 'must be named one by one');
  list('resources', asked.resources, idMax);
  if (!asked.resources.every(isResourcePattern)) {
    refuse('resources', 'must be ids, or a parent and its children as in prod/*');
  }
  if (asked.resourceType !== undefined && !isText(asked.resourceType, actionMax)) {
    refuse('resource_type', `must be text of 1 to ${actionMax} characters`);
  }
  if (!isText(asked.reason, reasonMax)) refuse('reason', `must be text of 1 to ${reasonMax} characters`);
  if (!isWhole(asked.ttlMs, ttlMs.least, ttlMs.most)) {
    refuse('ttl_s', `must be from ${ttlMs.least / 1000} to ${ttlMs.most / 1000} seconds`);
  }
  if (asked.maxUses !== undefined && !isWhole(asked.maxUses, 1, usesMost)) {
    refuse('max_uses', `must be a whole number from 1 to ${usesMost}`);
  }
  if (asked.notBefore !== undefined && asked.notBefore >= now + requestLivesMs + asked.ttlMs) {
    refuse('not_before', 'is later than the last moment at which the grant could end');
  }
}

function isWhole(value: number, least: number, most: number): boolean {
  return Number.isSafeInteger(value) && value >= least && value <= most;
}

/** `*` has one meaning only: the literal children of a parent that is itself written out, segment for segment as `patternNames` has children. */
function isResourcePattern(pattern: string): boolean {
  if (!pattern.includes('*')) return true;
  if (!pattern.endsWith('/*')) return false;
  const segments = pattern.slice(0, -2).split('/');
  return segments.every((segment) => !['', '.', '..'].includes(segment) && !/[*\\%\p{Cc}]/u.test(segment));
}
