import { canonicalJson } from '../../domain/json-value.ts';
import { type AttributeReport, compareStrictness } from '../../domain/signal.ts';
import type { EpochMs } from '../../domain/time.ts';

/** All sources' reports on one thing: per attribute the stricter value, and each source's own. Both sorted by name. */
export interface Merged {
  readonly attributes: ReadonlyMap<string, AttributeReport>;
  readonly bySource: ReadonlyMap<string, readonly AttributeReport[]>;
  /** The newest report of all. */
  readonly newest: AttributeReport;
  /** The time at which a report in it expires and the merge must be repeated; absent: never. */
  readonly validUntil: EpochMs | undefined;
}

/**
 * Merges the reports on one thing. Where sources disagree the stricter value counts, whatever its age; among equally
 * strict ones, and where no order is known, the newest. Where sources agree on that value, the oldest of their reports
 * counts, since the agreement is not fresher than its oldest half. The order of the stored reports does not matter.
 *
 * @returns undefined if every report has expired
 */
export function merge(held: readonly AttributeReport[], now: EpochMs): Merged | undefined {
  const byAttribute = new Map<string, AttributeReport[]>();
  const bySource = new Map<string, AttributeReport[]>();
  let newest: AttributeReport | undefined;
  let validUntil: EpochMs | undefined;
  for (const report of held) {
    if (report.expiresAt !== undefined) {
      if (now >= report.expiresAt) continue;
      if (validUntil === undefined || report.expiresAt < validUntil) validUntil = report.expiresAt;
    }
    if (newest === undefined || isNewer(report, newest)) newest = report;
    add(byAttribute, report.attribute, report);
    add(bySource, report.source, report);
  }
  if (newest === undefined) return undefined;
  const attributes = new Map<string, AttributeReport>();
  for (const [attribute, reports] of inOrder(byAttribute)) attributes.set(attribute, counting(reports));
  for (const reports of bySource.values()) reports.sort((a, b) => (a.attribute < b.attribute ? -1 : 1));
  return { attributes, bySource: inOrder(bySource), newest, validUntil };
}

function counting(reports: readonly AttributeReport[]): AttributeReport {
  const worst = reports.reduce((before, report) => {
    const closed = compareStrictness(report.attribute, report.value, before.value);
    return closed > 0 || (closed === 0 && isNewer(report, before)) ? report : before;
  });
  const text = canonicalJson(worst.value);
  return reports
    .filter((report) => canonicalJson(report.value) === text)
    .reduce((before, report) => (isNewer(before, report) ? report : before));
}

/** A full order: reports of the same moment go by what they say, then by who says it. */
function isNewer(report: AttributeReport, before: AttributeReport): boolean {
  if (report.observedAt !== before.observedAt) return report.observedAt > before.observedAt;
  const [text, textBefore] = [identity(report), identity(before)];
  return text > textBefore;
}

function identity(report: AttributeReport): string {
  return canonicalJson([report.value, report.attribute, report.source]);
}

function add(groups: Map<string, AttributeReport[]>, name: string, report: AttributeReport): void {
  const group = groups.get(name);
  if (group === undefined) groups.set(name, [report]);
  else group.push(report);
}

function inOrder<T>(groups: ReadonlyMap<string, T>): Map<string, T> {
  return new Map([...groups].sort(([a], [b]) => (a < b ? -1 : 1)));
}
