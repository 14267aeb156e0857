import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Undecided } from '../../../src/domain/errors.ts';
import { openStores } from '../../../src/knowledge/open-stores.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { options, report } from '../stores.ts';

// Fills a store until its disk is full, then makes room; says what happened, one line each. It runs on a small file
// system of its own (`tmpfs`), or under a limit on the size of files (`limit`).
const [parent = '', kind = ''] = process.argv.slice(2);
let unhandled = 0;
process.on('unhandledRejection', () => {
  unhandled += 1;
});
process.on('SIGXFSZ', () => undefined);
const directory = join(parent, 'store');
const ballast = join(parent, 'ballast');
if (kind === 'tmpfs') writeFileSync(ballast, Buffer.alloc(200 * 1024));
const clock = new FakeClock();
let stores = await openStores({
  directory,
  ...options(clock, { caps: { devices: 1e5, subjects: 1, sessions: 1, workloads: 1, grants: 10, attestations: 1 } }),
});
const device = (i: number) => report(clock.now(), { padding: 'x'.repeat(4000) }, { id: `n${i}` });
const attempt = { subject: 'ci', action: 'deploy', resource: { type: 'environment', id: 'prod' } };
const { grant } = await stores.grants.request({
  ...{ subject: 'ci', actions: ['deploy'], resources: ['prod'], reason: 'r', ttlMs: 60_000, maxUses: 2 },
  requestedBy: 'x',
});
await stores.grants.approve(grant.id, 'ann');

let written = 0;
for (;;) {
  try {
    await stores.signals.put([device(written)]);
    written += 1;
  } catch (cause) {
    console.log(`refused after ${written} writes: ${cause instanceof Error && 'code' in cause ? cause.code : cause}`);
    break;
  }
}
const all = (): string => {
  const missing = Array.from({ length: written }, (_, i) => stores.signals.held('device', `n${i}`)).filter(
    (one) => one === undefined,
  );
  return missing.length === 0 ? 'all' : `${missing.length} missing`;
};
let use = 'taken';
for (let i = 0; i < 200 && use === 'taken'; i += 1) {
  try {
    // It may still fit into pages that are free; then there is nothing to see yet.
    if (!(await stores.grants.spend([grant.id], attempt, clock.now()))) use = 'grant_store_failed';
  } catch (cause) {
    use = cause instanceof Undecided ? cause.code : String(cause);
  }
}
await pause(200);
console.log(`unhandled rejections: ${unhandled}`);
console.log(`readable: ${all()}`);
console.log(`use of a grant: ${use}`);

if (kind === 'tmpfs') rmSync(ballast);
for (let i = 0; kind === 'limit' && i < 20; i += 1) {
  await stores.signals.forget('device', `n${written - 1}`).then(
    () => {
      written -= 1;
    },
    () => pause(100),
  );
}
let again = false;
for (let i = 0; i < 100 && !again; i += 1) {
  again = await stores.signals.put([report(clock.now(), { i }, { id: 'again' })]).then(
    () => true,
    () => pause(100, false),
  );
}
console.log(`takes writes again: ${again}`);
await stores.close();
stores = await openStores({ directory, ...options(clock) });
console.log(`after a restart: ${stores.isReady() ? all() : 'not ready'}`);
await stores.close();
