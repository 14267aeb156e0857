/**
 * Claims (docs/platform-engineer.md, "Size"): how long a document takes until it serves, how much memory it takes then and
 * during a swap, and that swaps leave no more of it behind. Meanwhile the thread that answers is never busy with it for
 * 50 ms.
 *
 * usage: node bench/large-data.ts [megabytes [swaps]]
 */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BundleSlot } from '../src/bundle/serving/bundle-slot.ts';
import { packed } from '../src/bundle/sources/pack-files.ts';
import { epochMs } from '../src/domain/time.ts';
import { realTimers } from '../src/system/real-timers.ts';
import { wasm } from './support/bare-evaluation.ts';

const [megabytes = 11, swaps = 10] = process.argv.slice(2).map(Number);
const entrypoint = 'authz/decision';

/** Users as a directory exports them; `tier` tells one revision from the next. */
function document(tier: string): string {
  const users: Record<string, unknown> = {};
  for (let index = 0, size = 0; size < megabytes * 1e6; index += 1) {
    const owner = { team: `t${index % 100}`, cost: index * 1.5 };
    const user = {
      tier,
      name: `user-${index}`,
      roles: ['reader', 'writer', `r${index % 17}`],
      level: index % 100,
      owner,
    };
    users[`agent-${index}`] = user;
    size += JSON.stringify(user).length + 14;
  }
  return JSON.stringify({ users });
}

function archive(revision: string): Buffer {
  const manifest = JSON.stringify({ revision, roots: [''] });
  const files = { '.manifest': manifest, 'policy.wasm': wasm, 'data.json': document(revision) };
  const bytes = Object.entries(files).map(([name, content]) => [name, Buffer.from(content)] as const);
  return Buffer.concat([...packed(new Map(bytes))]);
}

const mebibytes = (bytes: number): string => `${Math.round(bytes / 1024 / 1024)} MiB`;
const mainCpuMs = (): number => {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
};

const folder = await mkdtemp(join(tmpdir(), 'large-data-'));
const file = join(folder, 'bundle.tar.gz');
const slot = new BundleSlot({
  name: 'large',
  file,
  entrypoint,
  maxAgeMs: undefined,
  fileBytesMax: 2 ** 30,
  archiveLimits: { inflatedBytes: 2 ** 30, members: 100 },
  policyLimits: {
    memoryPages: 4_096,
    resultBytes: 1_048_576,
    budgetMs: 25,
    monotonicMs: () => performance.now(),
    threadCpuMs: mainCpuMs,
  },
  clock: { now: () => epochMs(Date.now()), monotonicMs: () => performance.now() },
  timers: realTimers,
  log: { debug: () => undefined, info: () => undefined, warn: console.warn, error: console.error },
  activated: () => undefined,
  refused: () => undefined,
});

async function deliver(bytes: Uint8Array): Promise<number> {
  await writeFile(`${file}.new`, bytes);
  await rename(`${file}.new`, file);
  const startedMs = performance.now();
  await slot.reload();
  return performance.now() - startedMs;
}

/** Once what was replaced last has been given back, which takes moments. */
async function settled(): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  return process.memoryUsage().rss;
}

const archives = [archive('one'), archive('two')];
const before = await settled();
const firstMs = await deliver(archives[0] ?? Buffer.alloc(0));
const after = await settled();
console.log(`a document of ${megabytes} MB: first activation ${Math.round(firstMs)} ms`);
console.log(`resident ${mebibytes(before)} before, ${mebibytes(after)} after`);

// A request at every turn of the event loop, each of which shows how long the last one was kept from it.
let lastMs = mainCpuMs();
const turns = { requests: 0, longestMs: 0 };
const load = setInterval(() => {
  const nowMs = mainCpuMs();
  turns.longestMs = Math.max(turns.longestMs, nowMs - lastMs);
  lastMs = nowMs;
  slot.serving(epochMs(Date.now())).policy.evaluate(entrypoint, '{}', { now: epochMs(0), seed: 'bench' });
  turns.requests += 1;
}, 1);
const took: number[] = [];
let most = after;
for (let index = 1; index <= swaps; index += 1) {
  took.push(await deliver(archives[index % 2] ?? Buffer.alloc(0)));
  most = Math.max(most, process.memoryUsage().rss);
  if (index % 10 === 0) console.log(`resident ${mebibytes(await settled())} after ${index} swaps`);
}
clearInterval(load);
took.sort((a, b) => a - b);
console.log(
  `${swaps} swaps: median ${Math.round(took[took.length >> 1] ?? 0)} ms, longest ${Math.round(took.at(-1) ?? 0)} ms`,
);
console.log(
  `${turns.requests} requests meanwhile; the longest turn of their thread took ${turns.longestMs.toFixed(1)} ms of processor time`,
);
console.log(`resident at most ${mebibytes(most)}`);
await slot.close();
await rm(folder, { recursive: true });
