import { execFile } from 'node:child_process';
import { mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { BundleSlot, type BundleSlotOptions } from '../../../src/bundle/serving/bundle-slot.ts';
import type { PolicyCatalogue } from '../../../src/domain/bundle.ts';
import { Undecided } from '../../../src/domain/errors.ts';
import { realTimers } from '../../../src/system/real-timers.ts';
import { HeldTimers } from '../../fakes/held-timers.ts';
import { KeptLog } from '../../fakes/kept-log.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { bundleOf } from '../../support/archive.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { eventually } from '../../support/eventually.ts';
import { archiveLimits, policyLimits } from '../../support/testbed.ts';

let allow: Buffer;
let deny: Buffer;
let directory: string;
let file: string;
let clock: TestClock;
let log: KeptLog;
let activated: PolicyCatalogue[];
let refusals: number;
let slot: BundleSlot;

beforeAll(async () => {
  allow = await compilePolicy('allow', ['authz/decision']);
  deny = await compilePolicy('deny', ['authz/decision']);
}, 60_000);

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'slot-'));
  file = join(directory, 'bundle.tar.gz');
  clock = new TestClock();
  log = new KeptLog();
  activated = [];
  refusals = 0;
  slot = slotWith();
});

afterEach(async () => {
  await slot.close();
  await rm(directory, { recursive: true });
});

function slotWith(change: Partial<BundleSlotOptions> = {}): BundleSlot {
  return new BundleSlot({
    name: 'starter',
    file,
    entrypoint: 'authz/decision',
    maxAgeMs: undefined,
    fileBytesMax: 10_000_000,
    archiveLimits,
    policyLimits,
    clock,
    timers: realTimers,
    log,
    activated: (catalogue) => activated.push(catalogue),
    refused: () => {
      refusals += 1;
    },
    ...change,
  });
}

/** Puts a file in the other's place, as a delivery does: never half of it. */
async function deliver(bytes: Uint8Array, at: number = clock.now()): Promise<void> {
  const staged = `${file}.new`;
  await writeFile(staged, bytes);
  await utimes(staged, at / 1_000, at / 1_000);
  await rename(staged, file);
}

/** What serves now answers, or the code of why nothing does. */
function answers(): string {
  try {
    const { policy } = slot.serving(clock.now());
    return (JSON.parse(policy.evaluate('authz/decision', '{}') ?? '{}') as { effect: string }).effect;
  } catch (cause) {
    if (cause instanceof Undecided) return cause.code;
    throw cause;
  }
}

describe('a bundle slot', () => {
  it('serves nothing before a bundle was activated', () => {
    expect(answers()).toBe('no_bundle');
    expect(slot.status(clock.now())).toEqual({ name: 'starter' });
  });

  it('serves what its file holds, and says so', async () => {
    await deliver(allow);
    clock.advance(9_000);
    await slot.reload();
    expect(answers()).toBe('allow');
    expect(slot.serving(clock.now()).revision).toBe('test-allow');
    expect(activated).toHaveLength(1);
    expect(slot.status(clock.now())).toEqual({
      name: 'starter',
      active_revision: 'test-allow',
      type: 'snapshot',
      size: allow.length,
      age_s: 9,
      last_request: '2026-11-02T10:00:09.000Z',
      last_successful_request: '2026-11-02T10:00:09.000Z',
      last_successful_download: '2026-11-02T10:00:09.000Z',
      last_successful_activation: '2026-11-02T10:00:09.000Z',
    });
    expect(log.of('info')).toEqual(['a bundle was activated']);
  });

  it('swaps between two requests: one that has begun keeps what it began with', async () => {
    await deliver(allow);
    await slot.reload();
    const before = slot.serving(clock.now());
    await deliver(deny);
    await slot.reload();
    expect(before.revision).toBe('test-allow');
    expect(before.policy.evaluate('authz/decision', '{}')).toContain('"allow"');
    expect(answers()).toBe('deny');
  });

  it('says its file is missing once, however often it looks', async () => {
    await slot.reload();
    expect(answers()).toBe('no_bundle');
    expect(slot.status(clock.now())).toMatchObject({
      code: 'bundle_invalid',
      message: 'the bundle file cannot be read: ENOENT',
    });
    slot.watch(5);
    await deliver(allow);
    await eventually(() => answers() === 'allow');
    expect(refusals).toBe(1);
    expect(slot.status(clock.now())).not.toHaveProperty('code');
  });
});

describe('a bundle that does not serve', () => {
  const broken: readonly (readonly [string, () => Buffer, string])[] = [
    ['is cut short', () => allow.subarray(0, -1), 'cut short'],
    ['is no bundle', () => Buffer.from('<html>'.repeat(20)), 'no gzip archive'],
    ['has no module', () => bundleOf([{ name: 'data.json', content: '{}' }]), 'policy.wasm'],
  ];

  it.each(broken)('is refused, and the last good one serves on: one that %s', async (_what, bytes, why) => {
    await deliver(allow);
    await slot.reload();
    await deliver(bytes());
    await slot.reload();
    expect(answers()).toBe('allow');
    expect(refusals).toBe(1);
    expect(slot.status(clock.now())).toMatchObject({ active_revision: 'test-allow', code: 'bundle_invalid' });
    expect(slot.status(clock.now()).message).toContain(why);
    expect(log.of('error')).toEqual(['a bundle was refused; revision test-allow serves on']);
    await deliver(deny);
    await slot.reload();
    expect(answers()).toBe('deny');
    expect(slot.status(clock.now())).not.toHaveProperty('code');
  });

  it.each(broken)('leaves the slot empty where none served before: one that %s', async (_what, bytes) => {
    await deliver(bytes());
    await slot.reload();
    expect(answers()).toBe('no_bundle');
    expect(log.of('error')).toEqual(['a bundle was refused; none serves']);
  });

  it('B05 is refused when the entrypoint that is asked for every decision is not in it', async () => {
    await deliver(await compilePolicy('echo', ['echo/shown']));
    await slot.reload();
    expect(answers()).toBe('no_bundle');
    expect(slot.status(clock.now()).message).toContain('authz/decision');
  });

  it('B02 is refused by the size of its file, before it is read', async () => {
    await slot.close();
    slot = slotWith({ fileBytesMax: allow.length - 1 });
    await deliver(allow);
    await slot.reload();
    expect(slot.status(clock.now()).message).toContain(`the file has ${allow.length} bytes`);
    await slot.close();
    slot = slotWith({ fileBytesMax: allow.length });
    await slot.reload();
    expect(answers()).toBe('allow');
  });

  it('is refused when its place is taken by a directory', async () => {
    await slot.close();
    slot = slotWith({ file: directory });
    await slot.reload();
    expect(answers()).toBe('no_bundle');
    expect(slot.status(clock.now()).message).toBe('the bundle is no file');
  });

  it('is refused at once when its place is taken by a named pipe that nobody writes to', async () => {
    await promisify(execFile)('mkfifo', [file]);
    await slot.reload();
    expect(slot.status(clock.now()).message).toBe('the bundle is no file');
  });

  it('is not tried again for being looked at, and is when asked', async () => {
    await deliver(allow);
    await slot.reload();
    await deliver(Buffer.from('broken'.repeat(10)));
    slot.watch(5);
    await eventually(() => refusals === 1);
    // The same bytes as another file: seen, and known.
    await deliver(Buffer.from('broken'.repeat(10)), clock.now());
    clock.advance(1_000);
    await deliver(Buffer.from('broken'.repeat(10)));
    await deliver(deny);
    await eventually(() => answers() === 'deny');
    expect(refusals).toBe(1);
    await deliver(Buffer.from('broken'.repeat(10)));
    await eventually(() => refusals === 2);
    await slot.reload();
    expect(refusals).toBe(3);
    expect(log.of('error')).toHaveLength(3);
  });

  it.each([
    ['is watched', 5],
    ['is read only when asked', undefined],
  ])('is tried again, later each time, where that was not its own fault and its file %s', async (_what, localMs) => {
    const timers = new HeldTimers();
    await slot.close();
    slot = slotWith({ timers, prepareMs: 60_000 });
    await deliver(allow);
    // The thread that prepares it has no time at all.
    const inVain = async (look: () => void): Promise<void> => {
      const before = refusals;
      look();
      await eventually(() => timers.pending.includes(60_000));
      timers.advance(60_000);
      await eventually(() => refusals > before || timers.pending.length > 0);
    };
    let first: Promise<void> = Promise.resolve();
    await inVain(() => {
      first = slot.reload();
    });
    await first;
    expect(slot.status(clock.now()).message).toBe('the bundle was not ready after 60000 ms');
    slot.watch(localMs);
    expect(timers.pending).toEqual([1_000]);
    await inVain(() => timers.advance(1_000));
    expect(timers.pending).toEqual([2_000]);
    timers.advance(2_000);
    await eventually(() => answers() === 'allow');
    expect(refusals).toBe(1);
    await eventually(() => slot.status(clock.now()).code === undefined);
  });

  it('is forgotten when the good one comes back in its place', async () => {
    await deliver(allow);
    await slot.reload();
    await deliver(Buffer.from('broken'.repeat(10)));
    await slot.reload();
    await deliver(allow);
    await slot.reload();
    expect(slot.status(clock.now())).not.toHaveProperty('code');
    expect(activated).toHaveLength(1);
    expect(answers()).toBe('allow');
  });
});

describe('a watched bundle file', () => {
  it('is seen when it is replaced, and when a symbolic link is pointed elsewhere', async () => {
    const [first, second] = [join(directory, 'first'), join(directory, 'second')];
    await writeFile(first, allow);
    await writeFile(second, deny);
    await symlink(first, file);
    await slot.reload();
    slot.watch(5);
    expect(answers()).toBe('allow');
    // As Kubernetes swaps a mounted volume.
    await symlink(second, `${file}.new`);
    await rename(`${file}.new`, file);
    await eventually(() => answers() === 'deny');
  });

  it('may vanish and come back, and what it held serves on', async () => {
    await deliver(allow);
    await slot.reload();
    slot.watch(5);
    await rename(file, `${file}.away`);
    await eventually(() => slot.status(clock.now()).message === 'the bundle file cannot be read: ENOENT');
    expect(answers()).toBe('allow');
    await rename(`${file}.away`, file);
    await eventually(() => slot.status(clock.now()).code === undefined);
    expect(refusals).toBe(1);
    expect(activated).toHaveLength(1);
  });
});

describe('a bundle’s age', () => {
  beforeEach(async () => {
    await slot.close();
    slot = slotWith({ maxAgeMs: 60_000 });
    await deliver(allow);
    await slot.reload();
  });

  it('closes the gate past its limit, and not at it', () => {
    clock.advance(60_000);
    expect(answers()).toBe('allow');
    clock.advance(1);
    expect(answers()).toBe('bundle_too_old');
  });

  it('begins anew when the same bytes are delivered again', async () => {
    clock.advance(60_001);
    await deliver(allow);
    await slot.reload();
    expect(answers()).toBe('allow');
    expect(slot.status(clock.now())).toMatchObject({ age_s: 0 });
    expect(activated).toHaveLength(1);
  });

  it('does not begin anew when a broken one is delivered', async () => {
    clock.advance(60_001);
    await deliver(allow.subarray(1));
    await slot.reload();
    expect(answers()).toBe('bundle_too_old');
  });

  it('is never below nought for a file from the future', async () => {
    await deliver(deny, clock.now() + 3_600_000);
    await slot.reload();
    expect(slot.status(clock.now())).toMatchObject({ age_s: 0 });
    clock.advance(60_001);
    expect(answers()).toBe('bundle_too_old');
  });
});
