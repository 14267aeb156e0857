import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { MessageChannel } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { epochMs } from '../../../src/domain/time.ts';
import { openStores, type Stores } from '../../../src/knowledge/open-stores.ts';
import { recordKey } from '../../../src/knowledge/store/record-key.ts';
import { type StoreReply, serveStore } from '../../../src/knowledge/store/serve-store.ts';
import { StoreFile } from '../../../src/knowledge/store/store-file.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { rounds as roundsOf } from '../../support/soak.ts';
import { options, report } from '../stores.ts';

const writer = join(import.meta.dirname, 'store-writer.ts');
const session = { kind: 'session', id: 's' } as const;
let directory: string;
let openOnes: Stores[] = [];
let logged: string[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-store-'));
});

afterEach(async () => {
  for (const stores of openOnes) await stores.close().catch(() => undefined);
  openOnes = [];
  rmSync(directory, { recursive: true, force: true });
});

async function opened(at = directory, clock = new FakeClock()): Promise<Stores> {
  const made = options(clock);
  logged = made.logged;
  const stores = await openStores({ directory: at, ...made });
  openOnes.push(stores);
  return stores;
}

async function closed(stores: Stores): Promise<void> {
  openOnes = openOnes.filter((one) => one !== stores);
  await stores.close();
}

const now = new FakeClock().now();
const data = (): string => join(directory, 'data.mdb');
const devices = (count: number) => Array.from({ length: count }, (_, i) => report(now, { i }, { id: `n${i}` }));
const file = (path: string): Buffer => readFileSync(path);

describe('a restart', () => {
  it('forgets nothing', async () => {
    const first = await opened();
    await first.signals.put([...devices(50), report(now, { revoked: true }, session)]);
    const { grant } = await first.grants.request({
      ...{ subject: 'ci', actions: ['deploy'], resources: ['prod/*'], reason: 'r', ttlMs: 60_000, maxUses: 3 },
      requestedBy: 'x',
    });
    await first.grants.approve(grant.id, 'ann');
    const attempt = { subject: 'ci', action: 'deploy', resource: { type: 'environment', id: 'prod/a' } };
    await expect(first.grants.spend([grant.id], attempt, now)).resolves.toBe(true);
    const before = first.grants.get(grant.id);
    await closed(first);
    const second = await opened();
    expect(second.grants.get(grant.id)).toEqual(before);
    expect(second.grants.get(grant.id)?.grant.uses).toBe(1);
    expect(second.signals.held('device', 'n49')).toEqual(first.signals.held('device', 'n49'));
    expect(second.signals.held('session', 's')?.[0]?.value).toBe(true);
    expect(second.status()).toMatchObject({ state: 'ok', devices: 50, sessions: 1, grants: 1, unreadable: 0 });
    expect(second.isReady()).toBe(true);
  });

  it('keeps a record larger than a page, and names of every kind', async () => {
    const first = await opened();
    const ids = ['\u0000', 'ü'.repeat(1000), '__proto__', 'x'.repeat(2048)];
    await first.signals.put(ids.map((id) => report(now, { big: 'é'.repeat(8000), __proto__: null }, { id })));
    await closed(first);
    const second = await opened();
    for (const id of ids) expect(second.signals.held('device', id)?.[0]?.value).toBe('é'.repeat(8000));
  });
});

describe('the directory', () => {
  it('is for its owner alone', async () => {
    const inside = join(directory, 'a/store');
    await opened(inside);
    expect(statSync(inside).mode & 0o777).toBe(0o700);
  });

  it('L05 belongs to one sidecar: a second one is refused with the reason, and the first goes on', async () => {
    const first = await opened();
    await expect(opened()).rejects.toThrow(/another sidecar is using the store/);
    const child = spawn(process.execPath, [writer, directory], { stdio: ['ignore', 'pipe', 'pipe'], env: {} });
    let told = '';
    child.stderr.on('data', (chunk) => {
      told += chunk;
    });
    expect(await new Promise((resolve) => child.once('exit', resolve))).toBe(1);
    expect(told).toContain('another sidecar is using the store');
    await first.signals.put(devices(1));
    await closed(first);
    await expect(opened()).resolves.toBeDefined();
  });

  it('X07 that cannot be made or written is refused with the reason', async () => {
    const plain = join(directory, 'file');
    writeFileSync(plain, '');
    await expect(opened(plain)).rejects.toMatchObject({ code: 'store_failed' });
    await expect(opened(join(plain, 'below'))).rejects.toThrow(/cannot be created: ENOTDIR/);
  });

  it('X07 that a later version wrote is refused, and left as it is', async () => {
    await closed(await opened());
    const store = await StoreFile.open(directory);
    store.commit([{ key: 'schema', text: '2' }]);
    await store.close();
    const before = file(data());
    await expect(opened()).rejects.toThrow(/later version/);
    expect(file(data())).toEqual(before);
    // The lock is free again.
    await expect(opened()).rejects.toThrow(/later version/);
  });
});

describe('L03 a damaged file', () => {
  const damages: readonly (readonly [string, () => void])[] = [
    ['cut to half', () => truncateSync(data(), Math.floor(statSync(data()).size / 2))],
    ['cut to two pages', () => truncateSync(data(), 8192)],
    ['cut to one byte', () => truncateSync(data(), 1)],
    ['empty in its meta pages', () => overwrite(0, 8192, 0)],
    ['empty after its meta pages', () => overwrite(8192, statSync(data()).size - 8192, 0)],
    ['full of ones', () => overwrite(0, statSync(data()).size, 255)],
    ['no LMDB file at all', () => writeFileSync(data(), 'x'.repeat(50_000))],
  ];

  function overwrite(from: number, count: number, byte: number): void {
    const bytes = file(data());
    bytes.fill(byte, from, from + count);
    writeFileSync(data(), bytes);
  }

  it.each(damages)(
    '%s: put away, started empty, told, not ready, and nothing reads as not revoked',
    async (_name, damage) => {
      const first = await opened();
      await first.signals.put([...devices(100), report(now, { revoked: true }, session)]);
      await closed(first);
      damage();
      const bytes = file(data());
      const second = await opened();
      expect(second.isReady()).toBe(false);
      expect(logged.join()).toContain('damaged');
      expect(second.signals.held('device', 'n1')).toBeUndefined();
      expect(second.signals.held('session', 's')?.[0]).toMatchObject({ attribute: 'revoked', value: true });
      const [put = ''] = readdirSync(directory).filter((name) => name.startsWith('damaged-'));
      expect(file(join(directory, put, 'data.mdb'))).toEqual(bytes);
      await second.signals.put(devices(1));
      await second.acknowledgeLoss();
      expect(second.isReady()).toBe(true);
      await closed(second);
      const third = await opened();
      expect(third.isReady()).toBe(true);
      expect(third.status().devices).toBe(1);
    },
  );

  it('keeps the last three that were put away', async () => {
    const clock = new FakeClock();
    for (let i = 0; i < 5; i += 1) {
      await closed(await opened(directory, clock));
      writeFileSync(data(), 'x'.repeat(50_000));
      await closed(await opened(directory, clock));
      clock.advance(1000);
    }
    const kept = readdirSync(directory).filter((name) => name.startsWith('damaged-'));
    expect(kept).toHaveLength(3);
    expect(kept.at(-1)).toContain('10-00-04');
  });
});

describe('L04 flipped bits', () => {
  it('never become another value, and a lost revocation never reads as none', async () => {
    const first = await opened();
    const padding = 'p'.repeat(300);
    const wanted = Array.from({ length: 60 }, (_, i) =>
      report(now, { i, padding, revoked: true }, { kind: 'session', id: `n${i}` }),
    );
    await first.signals.put(wanted);
    await closed(first);
    const whole = file(data());
    let unreadable = 0;
    let lost = 0;
    // A fixed run of bytes to flip: the same on every machine.
    let seed = 1;
    const next = (max: number): number => {
      seed = (seed * 48271) % 2147483647;
      return seed % max;
    };
    for (let round = 0; round < 30; round += 1) {
      const bytes = Buffer.from(whole);
      for (let i = 0; i < 3; i += 1) {
        const at = next(bytes.length);
        bytes[at] = (bytes[at] ?? 0) ^ (1 << next(8));
      }
      const place = join(directory, `round-${round}`);
      mkdirSync(place);
      writeFileSync(join(place, 'data.mdb'), bytes);
      const stores = await opened(place);
      for (let i = 0; i < 60; i += 1) {
        const held = stores.signals.held('session', `n${i}`);
        const value = held?.find(({ attribute }) => attribute === 'i')?.value;
        expect([undefined, i]).toContain(value);
        expect(held?.find(({ attribute }) => attribute === 'revoked')?.value).toBe(true);
      }
      unreadable += stores.status().unreadable;
      if (stores.status().lost_since !== undefined) lost += 1;
      await closed(stores);
      rmSync(place, { recursive: true });
    }
    // Of both kinds, or the test has shown nothing.
    expect(unreadable).toBeGreaterThan(0);
    expect(lost).toBeGreaterThan(0);
  }, 120_000);

  it('in one value are found by its checksum, and a value under another key too', async () => {
    const store = await StoreFile.open(directory);
    const [a, b, c] = ['a', 'b', 'c'].map((name) => recordKey('signal', [name]));
    if (a === undefined || b === undefined || c === undefined) throw new Error('no keys');
    store.commit([
      { key: a, text: '"the value of a"' },
      { key: b, text: '"the value of b"' },
      { key: c, text: '"the value of c"' },
    ]);
    await store.close();
    const bytes = file(data());
    const at = bytes.indexOf('the value of b');
    bytes.write('the value of B', at);
    writeFileSync(data(), bytes);
    const again = await StoreFile.open(directory);
    const { records, unreadable } = again.readAll();
    await again.close();
    expect(unreadable).toEqual([b]);
    expect([...records.keys()].sort()).toEqual([a, c].sort());
  });
});

describe('L01 a full disk', () => {
  // A small tmpfs needs a mount: as root directly, else in a user namespace of one's own. Where neither is had, a limit
  // on the size of files fails the same write with EFBIG instead of ENOSPC.
  const script = join(import.meta.dirname, 'full-disk.ts');
  const run = (command: string, args: readonly string[]): string | undefined => {
    try {
      return execFileSync(command, args, {
        encoding: 'utf8',
        env: { PATH: process.env['PATH'] ?? '' },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    } catch {
      return undefined;
    }
  };
  const inTmpfs = (how: readonly string[]): string | undefined => {
    const [command = '', ...args] = how;
    const mountAndRun = `mount -t tmpfs -o size=600k tmpfs "$1" && "$2" "$3" "$1" tmpfs; status=$?; umount "$1" 2>/dev/null; exit $status`;
    return run(command, [...args, 'sh', '-c', mountAndRun, 'sh', directory, process.execPath, script]);
  };

  it('refuses writes, goes on reading, holds no promise that nobody catches, and takes writes when there is room', () => {
    const told =
      inTmpfs(['unshare', '-m']) ??
      inTmpfs(['unshare', '-Urm']) ??
      run('prlimit', ['--fsize=600000:unlimited', process.execPath, script, directory, 'limit']);
    expect(told?.trim().split('\n')).toEqual([
      expect.stringMatching(/^refused after [1-9]\d* writes: store_failed$/),
      'unhandled rejections: 0',
      'readable: all',
      'use of a grant: grant_store_failed',
      'takes writes again: true',
      'after a restart: all',
    ]);
  }, 60_000);
});

describe('kill -9 at any moment', () => {
  it('loses nothing that was acknowledged and gives no use twice', async () => {
    const signals = new Map<string, number>();
    const granted = new Set<string>();
    const revoked = new Set<string>();
    const used = new Set<string>();
    let next = 0;
    let lines = 0;
    const rounds = roundsOf(15, 50);
    for (let round = 0; round < rounds; round += 1) {
      // Each writer says first what it found, and is killed after some lines more; the last one is not needed.
      const [found = '', ...said] = (await killed(next, (round * 37) % 60)).split('\n').slice(0, -1);
      const state: FoundByWriter = JSON.parse(found);
      expect(state.ready).toBe(true);
      for (const [id, n] of signals) expect(state.signals[id]).toBeGreaterThanOrEqual(n);
      // Both halves of one report, or neither.
      for (let n = 0; n < 7; n += 1) expect(state.signals[`node-${n}`]).toBe(state.signals[`node-${n}-b`]);
      for (const id of granted) expect(state.grants[id]?.state).toMatch(/active|revoked/);
      for (const id of revoked) expect(state.grants[id]?.state).toBe('revoked');
      for (const id of used) expect(state.grants[id]?.uses).toBe(2);
      for (const line of said) {
        lines += 1;
        const [what, id = '', count] = line.split(' ');
        if (what === 'signal') {
          for (const name of [`node-${Number(id) % 7}`, `node-${Number(id) % 7}-b`]) signals.set(name, Number(id));
          next = Number(id) + 1;
        } else if (what === 'grant') granted.add(id);
        else if (what === 'revoked') revoked.add(id);
        else if (what === 'used') {
          expect(count).toBe('2');
          used.add(id);
        }
      }
      next += 1; // what was begun and not acknowledged may be there or not
    }
    // Or the test has shown nothing.
    expect(lines).toBeGreaterThan(rounds * 20);
    expect(used.size).toBeGreaterThan(rounds * 4);
  }, 120_000);

  interface FoundByWriter {
    readonly ready: boolean;
    readonly signals: Readonly<Record<string, number>>;
    readonly grants: Readonly<Record<string, { readonly state: string; readonly uses: number }>>;
  }

  /** @returns what the writer said before it was killed, which is once it has said so many lines more than the first */
  function killed(from: number, afterLines: number): Promise<string> {
    return new Promise((resolve, reject) => {
      const args = [writer, directory, String(from)];
      const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env: {} });
      let said = '';
      child.stdout.on('data', (chunk) => {
        said += chunk;
        if (said.split('\n').length > 1 + afterLines) child.kill('SIGKILL');
      });
      child.once('close', (_code, signal) => {
        if (signal === 'SIGKILL') resolve(said);
        else reject(new Error(`the writer ended by itself: ${said}`));
      });
    });
  }
});

describe('the thread that owns the file', () => {
  const replies = (port: MessageChannel['port1'], count: number): Promise<StoreReply[]> =>
    new Promise((resolve) => {
      const got: StoreReply[] = [];
      port.on('message', (reply: StoreReply) => {
        if (got.push(reply) === count) resolve(got);
      });
    });

  it('says what it holds, then answers each call in order', async () => {
    const { port1, port2 } = new MessageChannel();
    const heard = replies(port1, 5);
    void serveStore(directory, port2);
    const key = recordKey('signal', ['a']);
    port1.postMessage({ call: 'commit', changes: [{ key, text: '1' }] });
    port1.postMessage({ call: 'commit', changes: [{ key: '', text: '1' }] });
    port1.postMessage({ call: 'commit', changes: [{ key, text: undefined }] });
    port1.postMessage({ call: 'close' });
    expect((await heard).map(({ reply }) => reply)).toEqual(['loaded', 'done', 'failed', 'done', 'done']);
    port1.close();
  });

  it('says that it cannot, and ends', async () => {
    const { port1, port2 } = new MessageChannel();
    const heard = replies(port1, 1);
    const store = await StoreFile.open(directory);
    store.commit([{ key: 'schema', text: '2' }]);
    await store.close();
    void serveStore(directory, port2);
    expect(await heard).toEqual([{ reply: 'failed', reason: 'written with schema 2, this is 1' }]);
    port1.close();
  });
});

describe('a store with records and no schema', () => {
  it('is not taken for an empty one', async () => {
    const store = await StoreFile.open(directory);
    store.commit([
      { key: recordKey('signal', ['a']), text: '1' },
      { key: 'schema', text: undefined },
    ]);
    await store.close();
    await expect(StoreFile.open(directory)).rejects.toThrow('records without a schema');
    const stores = await opened();
    expect(stores.isReady()).toBe(false);
  });
});

describe('upkeep of open stores', () => {
  it('drops what is over, every ten minutes', async () => {
    const clock = new FakeClock();
    const stores = await opened(directory, clock);
    await stores.signals.put([report(clock.now(), { note: 1 }, { expiresAt: epochMs(clock.now() + 1) })]);
    clock.advance(24 * 60 * 60 * 1000 + 1);
    await stores.tick();
    expect(stores.status().devices).toBe(0);
    expect(existsSync(join(directory, 'lock'))).toBe(true);
  });
});
