import { BundleRefused } from '../../domain/errors.ts';
import { type EpochMs, rfc3339Of } from '../../domain/time.ts';
import type { BundleFacts } from '../reading/read-bundle.ts';

/** A revision that served, as long as it is remembered. */
export interface Served {
  readonly revision: string;
  readonly sequence: number | undefined;
  /** Undefined for what a delta led to: the whole bundle of the same revision is another archive. */
  readonly contentDigest: string | undefined;
  readonly at: EpochMs;
}

/** Far more than a publisher makes in the time that a signature is good for; sequences protect past it. */
const remembered = 4_096;

/**
 * Whether a bundle may follow those that served: revisions are names and have no order of their own, so
 * `metadata.postern.sequence` gives one where the publisher counts, and memory where not. A sequence that was once there
 * has to grow; without any, what was replaced does not come back; and one revision is one content. What a delta leads to
 * has no content that could be compared: there its name and its sequence decide alone.
 *
 * @param served in order, the last one serves now
 * @throws BundleRefused
 */
export function requireNewer(next: BundleFacts, served: readonly Served[]): void {
  const now = served.at(-1);
  if (now !== undefined && isSameContent(next, now)) return;
  const namesake = next.revision === '' ? undefined : served.findLast(({ revision }) => revision === next.revision);
  // Asked for whole, a server gives what its deltas led to, under the same name.
  const isWholeOfNow =
    namesake !== undefined &&
    namesake === now &&
    namesake.contentDigest === undefined &&
    next.contentDigest !== undefined;
  if (namesake !== undefined && !isWholeOfNow) {
    const at = rfc3339Of(namesake.at);
    if (next.contentDigest === undefined || namesake.contentDigest === undefined || isSameContent(next, namesake))
      throw new BundleRefused(`revision ${next.revision} served at ${at} and was replaced since: it is older`);
    throw new BundleRefused(`revision ${next.revision} served with other content at ${at}`);
  }
  const highest = served.reduce<number | undefined>(
    (most, { sequence }) => (sequence === undefined ? most : Math.max(most ?? sequence, sequence)),
    undefined,
  );
  if (highest !== undefined) {
    if (next.sequence === undefined) throw new BundleRefused(`it has no sequence, and ${highest} served before`);
    if (next.sequence < highest || (next.sequence === highest && !isWholeOfNow))
      throw new BundleRefused(`its sequence is ${next.sequence}, and ${highest} served before: it is older`);
    return;
  }
  const before = served.find((one) => isSameContent(next, one));
  if (before !== undefined)
    throw new BundleRefused(`it served at ${rfc3339Of(before.at)} and was replaced since: it is older`);
}

/** @returns the history with one more; nothing new where the same content goes on */
export function remember(served: readonly Served[], next: Served): readonly Served[] {
  const last = served.at(-1);
  if (last !== undefined && isSameContent(next, last)) return served;
  return [...served, next].slice(-remembered);
}

function isSameContent(a: Pick<Served, 'contentDigest'>, b: Pick<Served, 'contentDigest'>): boolean {
  return a.contentDigest !== undefined && a.contentDigest === b.contentDigest;
}
