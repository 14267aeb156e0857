// Tested by test/knowledge/store/open-stores.long.test.ts.
import { ControlRefused } from '../domain/errors.ts';
import type { Log } from '../domain/ports.ts';
import type { AboutKind } from '../domain/signal.ts';
import { type Clock, rfc3339Of, type Timers } from '../domain/time.ts';
import { AttestationTable } from './attestations/attestation-table.ts';
import type { VerifyOptions } from './attestations/verify-attestation.ts';
import { GrantTable } from './grants/grant-table.ts';
import { type SignalResult, SignalTable } from './signals/signal-table.ts';
import type { Backing, OpenBacking } from './store/backing.ts';
import { DurableStore, type StoreState } from './store/durable-store.ts';
import { makeStoreDirectory, openLmdb } from './store/lmdb-backing.ts';
import { lockStore } from './store/store-lock.ts';
import { StoreLoss } from './store/store-loss.ts';

export interface StoreCaps {
  readonly devices: number;
  readonly subjects: number;
  readonly sessions: number;
  readonly workloads: number;
  readonly grants: number;
  readonly attestations: number;
}

export interface StoresOptions {
  /** The directory of one sidecar alone; it is made if it is not there. */
  readonly directory: string;
  readonly caps: StoreCaps;
  readonly attestations: VerifyOptions;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
  /** An id that was never given before and cannot be guessed. */
  newId(): string;
  /** For the counters. All labels are bounded. */
  onSignal(source: string, kind: AboutKind, result: SignalResult): void;
  onAttestation(result: 'kept' | 'refused'): void;
}

/** As the control listener shows it. */
export interface StoreStatus {
  readonly state: StoreState;
  /** Records that failed their checksum and are in doubt. */
  readonly unreadable: number;
  /** Since when all is in doubt, RFC 3339: the store was damaged, and an empty one took its place. */
  readonly lost_since?: string;
  readonly bytes: number;
  readonly devices: number;
  readonly subjects: number;
  readonly sessions: number;
  readonly workloads: number;
  readonly grants: number;
  readonly attestations: number;
  /** How far the clock that grants end by is ahead of the wall clock. */
  readonly grant_clock_ahead_s: number;
}

export interface Stores {
  readonly signals: SignalTable;
  readonly grants: GrantTable;
  readonly attestations: AttestationTable;
  status(): StoreStatus;
  /** Writable, and nothing of it in doubt. */
  isReady(): boolean;
  /** Ends the doubt after a damage; until then an unknown session or subject counts as revoked. */
  acknowledgeLoss(): Promise<void>;
  /** Puts endings of grants on record and drops what is long over. To be called every second; never rejects. */
  tick(): Promise<void>;
  /** Finishes what is under way and lets go of the directory. */
  close(): Promise<void>;
}

/** All records as text. Memory holds about three times that. */
const bytesMax = 256 * 1024 * 1024;
const waitMs = 5000;
const pruneEveryMs = 10 * 60 * 1000;

/**
 * Opens the store of one directory: signals, grants and attestations.
 *
 * @throws StoreRefused with one clear reason: another sidecar has it, it cannot be written, a later version wrote it
 */
export async function openStores(options: StoresOptions): Promise<Stores> {
  const { directory, clock, log } = options;
  await makeStoreDirectory(directory);
  const lock = lockStore(`${directory}/lock`);
  try {
    let when: 'at the start' | 'again' = 'at the start';
    const open = async (): Promise<Backing> => {
      const backing = await openLmdb({ directory, clock, log }, when);
      when = 'again';
      return backing;
    };
    const stores = await openStoresOn(open, options);
    return {
      ...stores,
      async close() {
        try {
          await stores.close();
        } finally {
          lock.release();
        }
      },
    };
  } catch (cause) {
    lock.release();
    throw cause;
  }
}

/** As `openStores`, on records that lie wherever the backing keeps them. */
export async function openStoresOn(open: OpenBacking, options: Omit<StoresOptions, 'directory'>): Promise<Stores> {
  const { caps, clock, timers, log } = options;
  const loss = new StoreLoss();
  const signals = new SignalTable({
    loss,
    clock,
    entriesMax: { device: caps.devices, subject: caps.subjects, session: caps.sessions, workload: caps.workloads },
    onSignal: options.onSignal,
  });
  const grants = new GrantTable({ clock, newId: options.newId, grantsMax: caps.grants });
  const attestations = new AttestationTable({
    ...options.attestations,
    clock,
    attestationsMax: caps.attestations,
    onAttestation: options.onAttestation,
  });
  const collections = [loss.collection, signals.collection, grants.collection, grants.marks, attestations.collection];
  const { store, found } = await DurableStore.open({ open, collections, bytesMax, waitMs, clock, timers, log });
  for (const table of [signals, grants, attestations]) table.keepIn(store);
  if (found.unreadable.length > 0) log.error('records of the store are unreadable', { count: found.unreadable.length });
  try {
    await loss.add(store, found, clock.now());
  } catch (cause) {
    await store.close();
    throw cause;
  }
  let pruneAtMs = clock.monotonicMs() + pruneEveryMs;
  return {
    signals,
    grants,
    attestations,
    status: () => ({
      state: store.state,
      unreadable: loss.unreadable,
      ...(loss.lostSince !== undefined && { lost_since: rfc3339Of(loss.lostSince) }),
      bytes: store.bytes,
      devices: signals.count('device'),
      subjects: signals.count('subject'),
      sessions: signals.count('session'),
      workloads: signals.count('workload'),
      grants: grants.count,
      attestations: attestations.count,
      grant_clock_ahead_s: grants.aheadMs() / 1000,
    }),
    isReady: () => store.state === 'ok' && loss.isEmpty,
    acknowledgeLoss: () => loss.end(store, collections),
    async tick() {
      try {
        await grants.tick();
        if (clock.monotonicMs() < pruneAtMs) return;
        pruneAtMs = clock.monotonicMs() + pruneEveryMs;
        await signals.prune(clock.now());
      } catch (cause) {
        // The store has said why; the next tick comes in a second.
        if (!(cause instanceof ControlRefused)) log.error('maintenance of the store failed', { reason: String(cause) });
      }
    },
    close: () => store.close(),
  };
}
