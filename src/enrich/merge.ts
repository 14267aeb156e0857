import type { JsonValue } from '../domain/json.ts';
import { compareClosedness, type Held } from '../domain/signal.ts';
import type { EpochMs } from '../domain/time.ts';

/** What all sources together say of one thing: per attribute the worse, and what each said by itself. */
export interface Merged {
  readonly attributes: ReadonlyMap<string, Held>;
  readonly bySource: ReadonlyMap<string, readonly Held[]>;
  /** The newest report of all. */
  readonly newest: Held;
  /** From here on a report in it is over, and it has to be merged anew; absent: never. */
  readonly validUntil: EpochMs | undefined;
}

/**
 * Merges what is held about one thing. Where sources disagree the more closed value counts, whatever its age; where they
 * agree, the older report of the two, since the agreement is no fresher than its oldest half. Attributes without a known
 * order take the newest report.
 *
 * @returns undefined if every report is over
 */
export function merge(held: readonly Held[], now: EpochMs): Merged | undefined {
  const attributes = new Map<string, Held>();
  const bySource = new Map<string, Held[]>();
  let newest: Held | undefined;
  let validUntil: EpochMs | undefined;
  for (const report of held) {
    if (report.expiresAt !== undefined) {
      if (now >= report.expiresAt) continue;
      if (validUntil === undefined || report.expiresAt < validUntil) validUntil = report.expiresAt;
    }
    if (newest === undefined || report.observedAt > newest.observedAt) newest = report;
    const before = attributes.get(report.attribute);
    if (before === undefined || counts(report, before)) attributes.set(report.attribute, report);
    const ofSource = bySource.get(report.source);
    if (ofSource === undefined) bySource.set(report.source, [report]);
    else ofSource.push(report);
  }
  return newest === undefined ? undefined : { attributes, bySource, newest, validUntil };
}

function counts(report: Held, before: Held): boolean {
  const closed = compareClosedness(report.attribute, report.value, before.value);
  if (closed !== 0) return closed > 0;
  if (sameValue(report.value, before.value)) return report.observedAt < before.observedAt;
  return report.observedAt > before.observedAt;
}

function sameValue(a: JsonValue, b: JsonValue): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
