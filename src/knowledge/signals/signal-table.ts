import { ControlRefused } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import type { SignalKeeper } from '../../domain/ports.ts';
import { type AboutKind, type AttributeReport, aboutKinds, type Signal, supersedes } from '../../domain/signal.ts';
import { type Clock, type EpochMs, epochMs } from '../../domain/time.ts';
import { Collection } from '../store/collection.ts';
import type { DurableStore } from '../store/durable-store.ts';
import { recordKey } from '../store/record-key.ts';
import type { StoreLoss } from '../store/store-loss.ts';
import type { Transaction } from '../store/transaction.ts';
import { checkSignal } from './check-signal.ts';
import { SourceLabels } from './source-labels.ts';

/** A report, or a part of one, and when it came. */
interface Arrived {
  readonly signal: Signal;
  readonly at: EpochMs;
}

/** Events about one thing that are under way to the disk. */
interface Closing {
  readonly arrived: Set<Arrived>;
  /** The reports with these events applied, valid while the stored reports are unchanged. */
  kept:
    | { readonly stored: readonly AttributeReport[] | undefined; readonly held: readonly AttributeReport[] | undefined }
    | undefined;
}

interface Entry {
  readonly kind: AboutKind;
  readonly id: string;
  readonly held: readonly AttributeReport[];
}

export type SignalResult = 'changed' | 'unchanged' | 'refused';

export interface SignalTableOptions {
  readonly loss: StoreLoss;
  readonly clock: Clock;
  /** Most things of each kind that something is held about. */
  readonly entriesMax: Readonly<Record<AboutKind, number>>;
  /** For the counter: labels are bounded. */
  onSignal(source: string, kind: AboutKind, result: SignalResult): void;
}

const attributesPerEntryMax = 256;
/** Attributes of events: absent means "did not happen"; for other attributes absent means "unknown". */
const events: ReadonlySet<string> = new Set(['revoked', 'credential_compromised', 'identity_disabled']);
/** An expired report still keeps older ones of its source from coming back for this long. */
const keptAfterExpiryMs = 24 * 60 * 60 * 1000;

/**
 * Replaces a lost record: the session or the subject may have been revoked. Devices and workloads need no replacement:
 * for them a missing report leads to deny.
 */
const mayBeRevoked: AttributeReport = {
  attribute: 'revoked',
  value: true,
  source: 'store',
  observedAt: epochMs(0),
  expiresAt: undefined,
  sequence: 0,
};
const onlyMayBeRevoked: readonly AttributeReport[] = [mayBeRevoked];

/** Device reports and trust signals: on disk, and in memory for the way of a request. */
export class SignalTable implements SignalKeeper {
  readonly collection: Collection<Entry>;
  readonly #options: SignalTableOptions;
  readonly #byKind: ReadonlyMap<AboutKind, Map<string, readonly AttributeReport[]>> = new Map(
    aboutKinds.map((kind) => [kind, new Map()]),
  );
  readonly #withLoss = new WeakMap<readonly AttributeReport[], readonly AttributeReport[]>();
  /** Events under way to the disk, by what they are about: they hold already, however long it takes. */
  readonly #closing = new Map<string, Closing>();
  readonly #labels = new SourceLabels();
  #store: DurableStore | undefined;

  constructor(options: SignalTableOptions) {
    this.#options = options;
    this.collection = new Collection<Entry>({
      kind: 'signal',
      groupsOf: ({ kind }) => [kind],
      encode: encodeEntry,
      decode: decodeEntry,
      changed: (_key, before, after) => {
        if (after !== undefined) this.#of(after.kind).set(after.id, after.held);
        else if (before !== undefined) this.#of(before.kind).delete(before.id);
      },
    });
  }

  /** The table is read from the store before the store can take its changes. */
  keepIn(store: DurableStore): void {
    this.#store = store;
  }

  held(kind: AboutKind, id: string): readonly AttributeReport[] | undefined {
    const stored = this.#of(kind).get(id);
    const held = this.#closing.size === 0 ? stored : this.#heldWithClosing(kind, id, stored);
    if (this.#options.loss.isEmpty || kind === 'device' || kind === 'workload') return held;
    return this.#heldAfterLoss(kind, id, held);
  }

  count(kind: AboutKind): number {
    return this.#of(kind).size;
  }

  async put(signals: readonly Signal[]): Promise<readonly ('changed' | 'unchanged')[]> {
    try {
      for (const [index, signal] of signals.entries()) {
        checkSignal(signal, signals.length === 1 ? '' : `[${index}].`);
      }
      const now = this.#options.clock.now();
      const results = await this.#durable().transact((tx) => signals.map((signal) => this.#take(tx, signal, now)), {
        over: this.#closeWith(signals, now),
      });
      for (const [index, signal] of signals.entries()) this.#count(signal, results[index] ?? 'unchanged');
      return results;
    } catch (cause) {
      for (const signal of signals) this.#count(signal, 'refused');
      throw cause;
    }
  }

  async forget(kind: AboutKind, id: string): Promise<boolean> {
    const key = recordKey('signal', [kind, id]);
    return this.#durable().transact((tx) => {
      if (this.collection.getIn(tx, key) === undefined) return false;
      this.collection.removeIn(tx, key);
      return true;
    });
  }

  /** Drops reports that expired long ago. One without an end only ages. */
  async prune(now: EpochMs): Promise<void> {
    const isOver = ({ expiresAt }: AttributeReport): boolean =>
      expiresAt !== undefined && expiresAt + keptAfterExpiryMs <= now;
    const stale = [...this.collection.values()].filter(({ held }) => held.some(isOver));
    if (stale.length === 0) return;
    await this.#durable().transact((tx) => {
      for (const { kind, id } of stale) {
        const key = recordKey('signal', [kind, id]);
        const entry = this.collection.getIn(tx, key);
        if (entry === undefined) continue;
        const held = entry.held.filter((report) => !isOver(report));
        if (held.length === 0) this.collection.removeIn(tx, key);
        else if (held.length < entry.held.length) this.collection.setIn(tx, key, { kind, id, held });
      }
    });
  }

  #take(tx: Transaction, signal: Signal, now: EpochMs): 'changed' | 'unchanged' {
    const { kind, id } = signal.about;
    const key = recordKey('signal', [kind, id]);
    const before = this.collection.getIn(tx, key);
    const max = this.#options.entriesMax[kind];
    if (before === undefined && this.collection.countIn(tx, kind) >= max) {
      throw new ControlRefused('store_full', 429, `signals about ${max} ${kind}s are already stored`);
    }
    const held = merged(before?.held ?? [], signal, now);
    if (held === undefined) return 'unchanged';
    if (held.length > attributesPerEntryMax) {
      throw new ControlRefused(
        'store_full',
        429,
        `${attributesPerEntryMax} attributes of all sources together are the maximum for one ${kind}, and this would exceed it`,
      );
    }
    this.collection.setIn(tx, key, { kind, id, held });
    return 'changed';
  }

  /** @returns what is to be called once memory says what became of them */
  #closeWith(signals: readonly Signal[], at: EpochMs): () => void {
    const arrived = signals.flatMap((signal) => {
      const closing = eventsIn(signal);
      return closing === undefined ? [] : [{ name: nameOf(signal.about), each: { signal: closing, at } }];
    });
    for (const { name, each } of arrived) {
      const closing = this.#closing.get(name) ?? { arrived: new Set(), kept: undefined };
      closing.arrived.add(each);
      closing.kept = undefined;
      this.#closing.set(name, closing);
    }
    return () => {
      for (const { name, each } of arrived) {
        const closing = this.#closing.get(name);
        if (closing === undefined) continue;
        closing.arrived.delete(each);
        closing.kept = undefined;
        if (closing.arrived.size === 0) this.#closing.delete(name);
      }
    };
  }

  #heldWithClosing(
    kind: AboutKind,
    id: string,
    stored: readonly AttributeReport[] | undefined,
  ): readonly AttributeReport[] | undefined {
    const closing = this.#closing.get(nameOf({ kind, id }));
    if (closing === undefined) return stored;
    if (closing.kept === undefined || closing.kept.stored !== stored) {
      let held = stored;
      for (const { signal, at } of closing.arrived) {
        const next = merged(held ?? [], signal, at);
        // More will be refused.
        if (next !== undefined && next.length <= attributesPerEntryMax) held = next;
      }
      closing.kept = { stored, held };
    }
    return closing.kept.held;
  }

  #heldAfterLoss(
    kind: AboutKind,
    id: string,
    held: readonly AttributeReport[] | undefined,
  ): readonly AttributeReport[] | undefined {
    if (!this.#options.loss.covers(recordKey('signal', [kind, id]))) return held;
    if (held === undefined) return onlyMayBeRevoked;
    if (held.some(({ attribute }) => attribute === 'revoked')) return held;
    let both = this.#withLoss.get(held);
    if (both === undefined) {
      both = [...held, mayBeRevoked];
      this.#withLoss.set(held, both);
    }
    return both;
  }

  #of(kind: AboutKind): Map<string, readonly AttributeReport[]> {
    const entries = this.#byKind.get(kind);
    if (entries === undefined) throw new RangeError(`no such kind: ${kind}`);
    return entries;
  }

  #durable(): DurableStore {
    if (this.#store === undefined) throw new Error('the table has no store yet');
    return this.#store;
  }

  #count(signal: Signal, result: SignalResult): void {
    // A refused report has not earned its source a label of its own.
    const source = result === 'refused' ? 'other' : this.#labels.labelOf(signal.source);
    this.#options.onSignal(source, signal.about.kind, result);
  }
}

/** A kind has no blanks in its name. */
function nameOf({ kind, id }: Signal['about']): string {
  return `${kind} ${id}`;
}

/** The attributes of a report that can only make decisions stricter. */
function eventsIn(signal: Signal): Signal | undefined {
  const { kind } = signal.about;
  if (kind === 'device' || kind === 'workload') return undefined;
  const attributes = Object.entries(signal.attributes).filter(([name, value]) => events.has(name) && value !== false);
  return attributes.length === 0 ? undefined : { ...signal, attributes: Object.fromEntries(attributes) };
}

/** @returns what is held after the report; undefined if it changes nothing */
function merged(
  before: readonly AttributeReport[],
  signal: Signal,
  now: EpochMs,
): readonly AttributeReport[] | undefined {
  const { source, observedAt, expiresAt, sequence } = signal;
  const after = new Map(before.map((held) => [heldKey(held), held]));
  let changed = false;
  for (const [attribute, value] of Object.entries(signal.attributes)) {
    const report: AttributeReport = { attribute, value, source, observedAt, expiresAt, sequence };
    const held = after.get(heldKey(report));
    if (held !== undefined && !supersedes(report, held, now)) continue;
    after.set(heldKey(report), report);
    changed = true;
  }
  if (!changed) return undefined;
  // One order whatever the order of arrival: by source, then by attribute.
  return [...after].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, held]) => held);
}

/** A source has no blanks in its name. */
function heldKey({ source, attribute }: AttributeReport): string {
  return `${source} ${attribute}`;
}

function encodeEntry({ kind, id, held }: Entry): JsonValue {
  return {
    kind,
    id,
    held: held.map(({ attribute, value, source, observedAt, expiresAt, sequence }) => ({
      attribute,
      value,
      source,
      observed_at: observedAt,
      ...(expiresAt !== undefined && { expires_at: expiresAt }),
      sequence,
    })),
  };
}

function decodeEntry(value: JsonValue): Entry | undefined {
  if (!isJsonObject(value)) return undefined;
  const kind = aboutKinds.find((one) => one === member(value, 'kind'));
  const id = member(value, 'id');
  const list = member(value, 'held');
  if (kind === undefined || typeof id !== 'string' || !Array.isArray(list)) return undefined;
  const held = list.map((one) => (isJsonObject(one) ? decodeReport(one) : undefined));
  return held.every((one) => one !== undefined) ? { kind, id, held } : undefined;
}

function decodeReport(one: JsonObject): AttributeReport | undefined {
  const attribute = member(one, 'attribute');
  const value = member(one, 'value');
  const source = member(one, 'source');
  const observedAt = member(one, 'observed_at');
  const expiresAt = member(one, 'expires_at');
  const sequence = member(one, 'sequence');
  if (typeof attribute !== 'string' || value === undefined || typeof source !== 'string') return undefined;
  if (typeof observedAt !== 'number' || typeof sequence !== 'number') return undefined;
  if (expiresAt !== undefined && typeof expiresAt !== 'number') return undefined;
  return {
    attribute,
    value,
    source,
    observedAt: epochMs(observedAt),
    expiresAt: expiresAt === undefined ? undefined : epochMs(expiresAt),
    sequence,
  };
}
