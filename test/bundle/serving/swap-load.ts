import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { BundleSlot } from '../../../src/bundle/serving/bundle-slot.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { realTimers } from '../../../src/system/real-timers.ts';
import { KeptLog } from '../../fakes/kept-log.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { policyLimits } from '../../support/testbed.ts';

// swap-load <directory> <bundle>...: serves the first bundle and asks it at every turn of the event loop, while the
// others are swapped in, one after another. A process of its own: a test runner's heap is large, and its collection
// would count as waiting. What came of it goes to standard output.
const entrypoint = 'authz/decision';
const [directory = '', ...bundles] = process.argv.slice(2);
const file = join(directory, 'bundle.tar.gz');
const log = new KeptLog();
const slot = new BundleSlot({
  name: 'authz',
  file,
  entrypoint,
  maxAgeMs: undefined,
  fileBytesMax: 100_000_000,
  archiveLimits: { inflatedBytes: 100_000_000, members: 100 },
  policyLimits,
  clock: new TestClock(),
  timers: realTimers,
  log,
  activated: () => undefined,
  refused: () => undefined,
});

export interface SwapLoad {
  readonly asked: number;
  /** Answers that were not the revision's that was asked. */
  readonly wrong: number;
  /** The longest that a turn kept the thread from the next, in ms of its processor time. */
  readonly longestMs: number;
  /** What all other threads did in the swaps, in ms of processor time. */
  readonly othersMs: number;
  readonly answeredBy: readonly string[];
  readonly serving: string;
  readonly errors: readonly unknown[];
}

/** Processor time of this thread: what other processes take of the machine is not counted. */
function threadMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

function processMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1_000;
}

async function deliver(bundle: string): Promise<void> {
  await writeFile(`${file}.new`, await readFile(bundle));
  await rename(`${file}.new`, file);
  await slot.reload();
}

await deliver(bundles[0] ?? '');
const seen = { asked: 0, wrong: 0, longestMs: 0, isOver: false };
const answeredBy = new Set<string>();
let lastMs = threadMs();
const ask = (): void => {
  if (seen.isOver) return;
  const nowMs = threadMs();
  seen.longestMs = Math.max(seen.longestMs, nowMs - lastMs);
  lastMs = nowMs;
  const { policy, revision } = slot.serving(epochMs(0));
  const text = policy.evaluate(entrypoint, '{"subject":{"id":"a"}}', { now: epochMs(0), seed: 'test' }) ?? '';
  if (!isDeepStrictEqual(JSON.parse(text), { effect: 'allow', labels: { tier: revision } })) seen.wrong += 1;
  answeredBy.add(revision);
  seen.asked += 1;
  setTimeout(ask, 1);
};
ask();
const before = processMs() - threadMs();
for (const bundle of bundles.slice(1)) await deliver(bundle);
const othersMs = processMs() - threadMs() - before;
seen.isOver = true;
const report: SwapLoad = {
  ...seen,
  othersMs,
  answeredBy: [...answeredBy].toSorted(),
  serving: slot.serving(epochMs(0)).revision,
  errors: log.of('error'),
};
console.log(JSON.stringify(report));
await slot.close();
