import { describe, expect, it } from '@jest/globals';
import { Collection } from '../../../src/knowledge/store/collection.ts';
import { DurableStore } from '../../../src/knowledge/store/durable-store.ts';
import { isRecordKey, recordKey } from '../../../src/knowledge/store/record-key.ts';
import { realTimers } from '../../../src/system/real-timers.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { MemoryDisk } from '../../fakes/memory-disk.ts';

const settled = async (): Promise<void> => {
  for (let i = 0; i < 5; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

async function opened(disk = new MemoryDisk(), changes: { bytesMax?: number; waitMs?: number } = {}) {
  const clock = new FakeClock();
  const numbers = new Collection<number>({
    kind: 'number',
    groupsOf: (value) => [value % 2 === 0 ? 'even' : 'odd'],
    encode: (value) => value,
    decode: (value) => (typeof value === 'number' ? value : undefined),
  });
  const logged: string[] = [];
  const line = (message: string): void => {
    logged.push(message);
  };
  const log = { debug: line, info: line, warn: line, error: line };
  const { bytesMax = 1000, waitMs = 5000 } = changes;
  const { store, found } = await DurableStore.open({
    open: disk.open,
    collections: [numbers],
    bytesMax,
    waitMs,
    clock,
    timers: realTimers,
    log,
  });
  return { disk, clock, numbers, store, found, logged };
}

const key = (name: string): string => recordKey('number', [name]);

describe('a change', () => {
  it('is seen by readers when it is on disk, and not before', async () => {
    const { disk, numbers, store } = await opened();
    disk.next = ['hangs'];
    const change = store.transact((tx) => numbers.setIn(tx, key('a'), 1));
    await settled();
    expect(numbers.get(key('a'))).toBeUndefined();
    disk.release();
    await change;
    expect(numbers.get(key('a'))).toBe(1);
    expect(disk.records.get(key('a'))).toBe('1');
  });

  it('sees those before it that go to disk with it, and not one that was refused', async () => {
    const { disk, numbers, store } = await opened();
    const add = (by: number): Promise<number> =>
      store.transact((tx) => {
        const sum = (numbers.getIn(tx, key('a')) ?? 0) + by;
        numbers.setIn(tx, key('a'), sum);
        if (by < 0) throw new RangeError('negative');
        return sum;
      });
    const results = await Promise.allSettled([add(1), add(-5), add(2), add(-7), add(4)]);
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value : 'refused'))).toEqual([
      ...[1, 'refused', 3, 'refused', 7],
    ]);
    expect(disk.commits).toBe(1);
    expect(numbers.get(key('a'))).toBe(7);
  });

  it('counts groups and records as they would be', async () => {
    const { numbers, store } = await opened();
    await store.transact((tx) => {
      for (const value of [1, 2, 3]) numbers.setIn(tx, key(String(value)), value);
    });
    await store.transact((tx) => {
      numbers.setIn(tx, key('1'), 4);
      numbers.setIn(tx, key('5'), 5);
      numbers.removeIn(tx, key('3'));
      expect([numbers.countIn(tx, 'even'), numbers.countIn(tx, 'odd'), numbers.sizeIn(tx)]).toEqual([2, 1, 3]);
      expect([numbers.countIn(undefined, 'even'), numbers.countIn(undefined, 'odd'), numbers.size]).toEqual([1, 2, 3]);
    });
    expect([numbers.countIn(undefined, 'even'), numbers.countIn(undefined, 'odd'), numbers.size]).toEqual([2, 1, 3]);
  });

  it('L05 that would fill the store is refused; one that makes room is not', async () => {
    const { numbers, store } = await opened(new MemoryDisk(), { bytesMax: 10 });
    await store.transact((tx) => numbers.setIn(tx, key('a'), 12345678));
    expect(store.bytes).toBe(8);
    const refused = { code: 'store_full', status: 429 };
    await expect(store.transact((tx) => numbers.setIn(tx, key('b'), 123))).rejects.toMatchObject(refused);
    await store.transact((tx) => numbers.setIn(tx, key('b'), 12));
    await expect(store.transact((tx) => numbers.setIn(tx, key('a'), 123456789))).rejects.toMatchObject(refused);
    await store.transact((tx) => numbers.setIn(tx, key('a'), 1));
    expect(store.bytes).toBe(3);
  });
});

describe('L02 a commit that fails', () => {
  it('is refused, read back, and shown as the disk has it', async () => {
    for (const [how, value] of [
      ['refuses', 1],
      ['takes it and says it failed', 2],
    ] as const) {
      const { disk, numbers, store, logged } = await opened();
      await store.transact((tx) => numbers.setIn(tx, key('a'), 1));
      disk.next = [how];
      const change = store.transact((tx) => numbers.setIn(tx, key('a'), 2));
      await expect(change).rejects.toMatchObject({ code: 'store_failed', status: 503 });
      await settled();
      expect(store.state).toBe('ok');
      expect(numbers.get(key('a'))).toBe(value);
      expect(logged).toHaveLength(2);
    }
  });

  it('leaves readers what they knew, and refuses writers at once, until it is back', async () => {
    const { disk, numbers, store } = await opened();
    await store.transact((tx) => numbers.setIn(tx, key('a'), 1));
    disk.next = ['refuses'];
    disk.failingOpens = 2;
    const set = (value: number): Promise<void> => store.transact((tx) => numbers.setIn(tx, key('a'), value));
    await expect(set(2)).rejects.toMatchObject({ code: 'store_failed' });
    await settled();
    expect(store.state).toBe('failed');
    await expect(set(3)).rejects.toMatchObject({ code: 'store_failed' });
    expect(numbers.get(key('a'))).toBe(1);
    while (store.state !== 'ok') await new Promise((resolve) => setTimeout(resolve, 10));
    await set(4);
    expect(disk.records.get(key('a'))).toBe('4');
  });

  it('writes all of memory to a new file if the old one is lost meanwhile', async () => {
    const { disk, numbers, store } = await opened();
    await store.transact((tx) => numbers.setIn(tx, key('a'), 1));
    disk.next = ['refuses'];
    disk.damaged = true;
    await expect(store.transact((tx) => numbers.setIn(tx, key('b'), 2))).rejects.toMatchObject({
      code: 'store_failed',
    });
    await settled();
    expect(disk.records).toEqual(new Map([[key('a'), '1']]));
    expect(numbers.get(key('a'))).toBe(1);
  });

  it('writes a record anew that is unreadable on disk while memory has it', async () => {
    const { disk, numbers, store } = await opened();
    await store.transact((tx) => numbers.setIn(tx, key('a'), 1));
    disk.next = ['refuses'];
    disk.records.clear();
    disk.unreadable = [key('a')];
    await expect(store.transact((tx) => numbers.setIn(tx, key('b'), 2))).rejects.toMatchObject({
      code: 'store_failed',
    });
    await settled();
    expect(disk.records).toEqual(new Map([[key('a'), '1']]));
    expect(disk.unreadable).toEqual([]);
  });
});

describe('a commit that does not come back', () => {
  it('is told to its caller in time, as an outcome that is not known, and to readiness', async () => {
    const { disk, clock, numbers, store } = await opened(new MemoryDisk(), { waitMs: 20 });
    disk.next = ['hangs'];
    const change = store.transact((tx) => numbers.setIn(tx, key('a'), 1));
    await expect(change).rejects.toMatchObject({ code: 'store_failed', status: 503 });
    expect(store.state).toBe('ok');
    clock.advance(21);
    expect(store.state).toBe('slow');
    disk.release();
    await settled();
    expect(store.state).toBe('ok');
    expect(numbers.get(key('a'))).toBe(1);
  });

  it('is over for its caller’s own books when memory says what became of it, and not before', async () => {
    const { disk, numbers, store } = await opened(new MemoryDisk(), { waitMs: 20 });
    const seen: unknown[] = [];
    const set = (value: number): Promise<void> =>
      store.transact(
        (tx) => {
          if (value < 0) throw new RangeError('negative');
          numbers.setIn(tx, key('a'), value);
        },
        { over: () => seen.push([value, numbers.get(key('a'))]) },
      );
    disk.next = ['hangs'];
    const first = set(1);
    await settled();
    await Promise.allSettled([first, set(2), set(-3)]);
    expect(seen).toEqual([]);
    disk.release();
    await settled();
    disk.next = ['refuses'];
    await expect(set(4)).rejects.toMatchObject({ code: 'store_failed' });
    await store.close();
    await expect(set(5)).rejects.toMatchObject({ code: 'store_failed' });
    expect(seen).toEqual([
      [1, 1],
      [-3, 1],
      [2, 2],
      [4, 2],
      [5, 2],
    ]);
  });

  it('lets a bounded number of others wait', async () => {
    const { disk, numbers, store } = await opened();
    disk.next = ['hangs'];
    const changes = Array.from({ length: 11_000 }, () => store.transact((tx) => numbers.setIn(tx, key('a'), 1)));
    const results = Promise.allSettled(changes);
    await settled();
    disk.release();
    const refused = (await results).filter(({ status }) => status === 'rejected');
    expect(refused.length).toBeGreaterThan(500);
    expect(refused.length).toBeLessThan(1100);
  });
});

describe('closing', () => {
  it('waits for what is under way and takes nothing after', async () => {
    const { disk, numbers, store } = await opened();
    const change = store.transact((tx) => numbers.setIn(tx, key('a'), 1));
    const closed = store.close();
    await expect(store.transact((tx) => numbers.setIn(tx, key('a'), 2))).rejects.toMatchObject({
      code: 'store_failed',
    });
    await Promise.all([change, closed]);
    expect(disk.records.get(key('a'))).toBe('1');
  });

  it('ends the tries to open a store that failed', async () => {
    const { disk, numbers, store } = await opened();
    disk.next = ['refuses'];
    disk.failingOpens = 1_000_000;
    await expect(store.transact((tx) => numbers.setIn(tx, key('a'), 1))).rejects.toBeDefined();
    await settled();
    await store.close();
    expect(disk.failingOpens).toBeLessThan(1_000_000);
  });
});

describe('opening', () => {
  it('names records that no version of ours wrote', async () => {
    const disk = new MemoryDisk();
    disk.records.set(key('a'), '"one"');
    disk.records.set(key('b'), '2');
    const { numbers, found } = await opened(disk);
    expect(found.unreadable).toEqual([key('a')]);
    expect([...numbers.values()]).toEqual([2]);
  });
});

describe("a record's key", () => {
  it('differs for different parts, and tells when it was changed', () => {
    const keys = [['a', 'b'], ['a,b'], ['a', 'b', ''], ['ab'], ['a"b'], [], ['']].map((parts) =>
      recordKey('signal', parts),
    );
    expect(new Set(keys).size).toBe(keys.length);
    for (const one of keys) {
      expect(isRecordKey(one)).toBe(true);
      for (let i = 0; i < one.length; i += 1) {
        expect(isRecordKey(`${one.slice(0, i)}${one[i] === 'x' ? 'y' : 'x'}${one.slice(i + 1)}`)).toBe(false);
      }
    }
    expect(isRecordKey('')).toBe(false);
  });
});
