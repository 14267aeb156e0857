import type { Log } from '../../src/domain/ports.ts';
import type { AboutKind, Signal } from '../../src/domain/signal.ts';
import { type EpochMs, epochMs } from '../../src/domain/time.ts';
import { openStoresOn, type Stores, type StoresOptions } from '../../src/knowledge/open-stores.ts';
import { realTimers } from '../../src/system/real-timers.ts';
import { FakeClock } from '../fakes/clock.ts';
import { MemoryDisk } from '../fakes/memory-disk.ts';

export interface TestStores extends Stores {
  readonly clock: FakeClock;
  readonly disk: MemoryDisk;
  readonly counted: string[];
  readonly logged: string[];
  /** As after a crash: what is in memory is gone, what is on disk is read again. */
  restart(): Promise<TestStores>;
}

export function options(
  clock: FakeClock,
  changes: Partial<Omit<StoresOptions, 'clock'>> = {},
): Omit<StoresOptions, 'directory'> & { readonly counted: string[]; readonly logged: string[] } {
  const counted: string[] = [];
  const logged: string[] = [];
  const line = (message: string): void => {
    logged.push(message);
  };
  const log: Log = { debug: line, info: line, warn: line, error: line };
  let ids = 0;
  return {
    caps: { devices: 100, subjects: 100, sessions: 100, workloads: 100, grants: 2000, attestations: 100 },
    attestations: { keys: [], parseJson: (text) => JSON.parse(new TextDecoder().decode(text)) },
    clock,
    timers: realTimers,
    log,
    newId: () => {
      ids += 1;
      return `g-${clock.now()}-${ids}`;
    },
    onSignal: (source, kind, result) => counted.push(`${source} ${kind} ${result}`),
    onAttestation: (result) => counted.push(`attestation ${result}`),
    counted,
    logged,
    ...changes,
  };
}

/** Stores on a disk in memory that can be told to fail. */
export async function testStores(
  changes: Partial<Omit<StoresOptions, 'clock'>> = {},
  clock = new FakeClock(),
  disk = new MemoryDisk(),
): Promise<TestStores> {
  const made = options(clock, changes);
  const stores = await openStoresOn(disk.open, made);
  return {
    ...stores,
    clock,
    disk,
    counted: made.counted,
    logged: made.logged,
    restart: () => testStores(changes, clock, disk),
  };
}

/** A device report of now, unless it says otherwise. */
export function report(
  at: EpochMs,
  attributes: Signal['attributes'],
  changes: Partial<Omit<Signal, 'about'>> & { readonly kind?: AboutKind; readonly id?: string } = {},
): Signal {
  const { kind = 'device', id = 'node-7', ...rest } = changes;
  return { about: { kind, id }, attributes, observedAt: at, source: 'mdm', sequence: 0, ...rest };
}

export function later(at: EpochMs, ms: number): EpochMs {
  return epochMs(at + ms);
}
