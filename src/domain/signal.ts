import { canonicalJson, type JsonObject, type JsonValue } from './json-value.ts';
import type { EpochMs } from './time.ts';

export const aboutKinds = ['device', 'subject', 'session', 'workload'] as const;
export type AboutKind = (typeof aboutKinds)[number];

/** Sources reserved for the sidecar: its readings of the machine, and its lost records. Other reporters cannot use them. */
export const ownSources: readonly string[] = ['host', 'store'];

/** One source's report about one thing. Attribute names follow CAEP where CAEP has one. */
export interface Signal {
  readonly about: { readonly kind: AboutKind; readonly id: string };
  readonly attributes: JsonObject;
  /** When the source measured it, never when we received it. */
  readonly observedAt: EpochMs;
  readonly expiresAt?: EpochMs;
  readonly source: string;
  /** Orders reports of one source that carry the same `observedAt`; 0 when the source has no counter. */
  readonly sequence: number;
}

/** One attribute as one source last reported it. Lists of these are never changed, only replaced. */
export interface AttributeReport {
  readonly attribute: string;
  readonly value: JsonValue;
  readonly source: string;
  readonly observedAt: EpochMs;
  readonly expiresAt: EpochMs | undefined;
  readonly sequence: number;
}

/** How closed a known attribute's value is; more is closed further. `undefined`: no order is known for it. */
function strictness(attribute: string, value: JsonValue): number | undefined {
  switch (attribute) {
    case 'compliant':
    case 'secure_boot':
    case 'disk_encrypted':
    case 'managed':
      return value === true ? 0 : 1;
    case 'revoked':
    case 'credential_compromised':
    case 'identity_disabled':
    case 'jailbroken':
      return value === false ? 0 : 1;
    case 'risk_level':
      return value === 'low' ? 0 : value === 'medium' ? 1 : 2;
    case 'risk_score':
    case 'pending_security_updates':
      return typeof value === 'number' ? value : Number.POSITIVE_INFINITY;
    default:
      return undefined;
  }
}

/**
 * Compares what two reports say of one attribute by how far each closes the gate.
 *
 * @returns above 0 if `a` is the more closed value, below 0 if `b` is, 0 if they are equal or have no known order
 */
export function compareStrictness(attribute: string, a: JsonValue, b: JsonValue): number {
  const closedA = strictness(attribute, a);
  const closedB = strictness(attribute, b);
  return closedA === undefined || closedB === undefined || closedA === closedB ? 0 : closedA - closedB;
}

/**
 * Whether a report replaces what the same source said before of the same attribute. Newest observation first, then the
 * source's own sequence; a full tie goes to the more closed value, and where no order is known to the greater text, then to the
 * one that is over sooner, so that any order of arrival ends in one state.
 *
 * A report from the future is the exception: its source's clock was wrong, and until that time has come it must not keep
 * out what the source says meanwhile, or a revocation would be taken and change nothing. Only a more open word waits.
 *
 * @param now when `next` came
 */
export function supersedes(next: AttributeReport, before: AttributeReport, now: EpochMs): boolean {
  if (before.observedAt > now && next.observedAt <= now)
    return compareStrictness(next.attribute, next.value, before.value) >= 0;
  if (next.observedAt !== before.observedAt) return next.observedAt > before.observedAt;
  if (next.sequence !== before.sequence) return next.sequence > before.sequence;
  const closed = compareStrictness(next.attribute, next.value, before.value);
  if (closed !== 0) return closed > 0;
  const [nextText, beforeText] = [canonicalJson(next.value), canonicalJson(before.value)];
  if (nextText !== beforeText) return nextText > beforeText;
  return (next.expiresAt ?? Number.POSITIVE_INFINITY) < (before.expiresAt ?? Number.POSITIVE_INFINITY);
}
