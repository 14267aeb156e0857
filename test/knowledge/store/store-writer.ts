import { writeSync } from 'node:fs';
import { performance } from 'node:perf_hooks';
import { epochMs } from '../../../src/domain/time.ts';
import { openStores } from '../../../src/knowledge/open-stores.ts';
import { realTimers } from '../../../src/system/real-timers.ts';

// A process to be killed: it writes signals, grants and uses as fast as it can, and says on its standard output what
// it found and then what was acknowledged, one line each, written whole before the next thing is begun.
const [directory = '', first = '0'] = process.argv.slice(2);
const said = (line: string): void => {
  for (let rest = Buffer.from(`${line}\n`); rest.length > 0; ) {
    try {
      rest = rest.subarray(writeSync(1, rest));
    } catch {
      // The pipe is full for the moment; whoever reads it will make room.
    }
  }
};
let counter = Number(first);
const clock = { now: () => epochMs(Date.now()), monotonicMs: () => performance.now() };
const quiet = (): void => undefined;
const stores = await openStores({
  directory,
  caps: { devices: 1e5, subjects: 1e5, sessions: 1e5, workloads: 1e5, grants: 1e5, attestations: 100 },
  attestations: { keys: [], parseJson: () => null },
  clock,
  timers: realTimers,
  log: { debug: quiet, info: quiet, warn: quiet, error: quiet },
  newId: () => `g-${counter}`,
  onSignal: quiet,
  onAttestation: quiet,
});
const found = {
  ready: stores.isReady(),
  signals: Object.fromEntries(
    [0, 1, 2, 3, 4, 5, 6]
      .flatMap((n) => [`node-${n}`, `node-${n}-b`])
      .map((id) => [id, stores.signals.held('device', id)?.[0]?.value]),
  ),
  grants: Object.fromEntries(
    (stores.grants.list({}, 1e5) ?? []).map(({ grant }) => [grant.id, { state: grant.state, uses: grant.uses }]),
  ),
};
said(JSON.stringify(found));

// A subject for each writer: one that goes far would else come to the cap of a subject's grants.
const subject = `ci-${first}`;
const attempt = { subject, action: 'deploy', resource: { type: 'environment', id: 'prod' } };

async function round(n: number): Promise<void> {
  await stores.signals.put([
    ...[`node-${n % 7}`, `node-${n % 7}-b`].map((id) => ({
      about: { kind: 'device' as const, id },
      attributes: { n },
      observedAt: epochMs(n),
      source: 'writer',
      sequence: 0,
    })),
  ]);
  said(`signal ${n}`);
  counter = n;
  const { grant } = await stores.grants.request({
    ...{ subject, actions: ['deploy'], resources: ['prod'], reason: 'r', ttlMs: 1000 * 60 * 60, maxUses: 2 },
    requestedBy: 'writer',
  });
  await stores.grants.approve(grant.id, 'ann');
  said(`grant ${grant.id}`);
  // Three try for two uses at once.
  const wins = await Promise.all([1, 2, 3].map(() => stores.grants.spend([grant.id], attempt, clock.now())));
  said(`used ${grant.id} ${wins.filter((won) => won).length}`);
  if (n % 2 === 0) {
    await stores.grants.revoke(grant.id, 'ann');
    said(`revoked ${grant.id}`);
  }
}

for (let n = Number(first); ; n += 1) await round(n);
