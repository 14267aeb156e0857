import { canonicalJson } from '../../domain/json-value.ts';
import { type AttributeReport, compareStrictness } from '../../domain/signal.ts';
import type { EpochMs } from '../../domain/time.ts';

/** What all sources together say of one thing: per attribute the worse, and what each said by itself. Both in order of name. */
export interface Merged {
  readonly attributes: ReadonlyMap<string, AttributeReport>;
  readonly bySource: ReadonlyMap<string, readonly AttributeReport[]>;
  /** The newest report of all. */
  readonly newest: AttributeReport;
  /** From here on a report in it is over, and it has to be merged anew; absent: never. */
  readonly validUntil: EpochMs | undefined;
}

/**
 * Merges what is held about one thing. Where sources disagree the more closed value counts, whatever its age; among
 * equally closed ones, and where no order is known, the newest. Where sources agree on that value, the oldest of their
 * reports counts, since the agreement is no fresher than its oldest half. The order in which reports are held plays no
 * part.
 *
 * @returns undefined if every report is over
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
