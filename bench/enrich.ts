/** Claim (src/request/enrich/known-facts.ts): keeping the text of what is known beside the reports beats writing it anew. */
import type { AttributeReport } from '../src/domain/signal.ts';
import { epochMs } from '../src/domain/time.ts';
import { KnownFacts } from '../src/request/enrich/known-facts.ts';
import { compare } from './support/measure.ts';

const now = epochMs(1_795_000_000_000);
const held: readonly AttributeReport[] = ['host', 'mdm'].flatMap((source) =>
  Object.entries({ compliant: true, os_version: '12', kernel_version: '6.1', disk_encrypted: true }).map(
    ([attribute, value]) => ({ attribute, value, source, observedAt: now, expiresAt: undefined, sequence: 0 }),
  ),
);
const kept = new KnownFacts({ held: () => held });
// A new list each time is what a new report is: nothing kept applies.
const anew = new KnownFacts({ held: () => [...held] });

compare('a device that two sources report on', {
  kept: () => kept.device('node-7', now),
  'written anew': () => anew.device('node-7', now),
});
