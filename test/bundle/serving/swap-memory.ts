import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { BundleSlot } from '../../../src/bundle/serving/bundle-slot.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { realTimers } from '../../../src/system/real-timers.ts';
import { KeptLog } from '../../fakes/kept-log.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { policyLimits } from '../../support/testbed.ts';

// swap-memory <directory> <bundle>...: serves one after the other, and has each take all the memory that it may. Says on
// standard output how much more is resident with any of them than with the first, in MiB. A process of its own: a
// test runner's memory is its own business.
const [directory = '', ...bundles] = process.argv.slice(2);
const file = join(directory, 'bundle.tar.gz');
const slot = new BundleSlot({
  name: 'authz',
  file,
  entrypoint: 'authz/decision',
  maxAgeMs: undefined,
  fileBytesMax: 10_000_000,
  archiveLimits: { inflatedBytes: 10_000_000, members: 100 },
  policyLimits: { ...policyLimits, memoryPages: 2_048 },
  clock: new TestClock(),
  timers: realTimers,
  log: new KeptLog(),
  activated: () => undefined,
  refused: () => undefined,
});
const resident: number[] = [];

for (const bundle of bundles) {
  await writeFile(`${file}.new`, await readFile(bundle));
  await rename(`${file}.new`, file);
  await slot.reload();
  const { policy } = slot.serving(epochMs(0));
  const input = JSON.stringify({ action: { name: 'hoard' }, context: { n: 650_000 } });
  policy.evaluate('authz/decision', input);
  // As far apart as a pipeline in a hurry would have them.
  await new Promise((resolve) => setTimeout(resolve, 2_500));
  resident.push(Math.round(process.memoryUsage().rss / 1_048_576));
}
console.log(Math.max(...resident) - (resident[0] ?? 0));
await slot.close();
