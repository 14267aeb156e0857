// Tested by test/knowledge/store/durable-store.test.ts.
import type { JsonValue } from '../../domain/json-value.ts';
import type { Change, Loaded } from './backing.ts';
import { kindOf } from './record-key.ts';
import type { Participant, Transaction } from './transaction.ts';

export interface CollectionOptions<T> {
  /** The first part of its records' keys. */
  readonly kind: string;
  /** The group that a record counts in, for caps. */
  groupsOf?(value: T): readonly string[];
  encode(value: T): JsonValue;
  /** @returns undefined for what no version of ours wrote; it is then unreadable */
  decode(value: JsonValue): T | undefined;
  /** Called with each change that is durable, in order; indexes are kept here. */
  changed?(key: string, before: T | undefined, after: T | undefined): void;
  /**
   * After a failure the store is read back, and a record may be another one than memory holds. Absent: what was read
   * back is right.
   */
  reconcile?(memory: T, readBack: T): T;
}

interface Stored<T> {
  readonly value: T;
  /** Of its text, in UTF-8. The text itself is not kept: it would double what the store takes in memory. */
  readonly bytes: number;
}

interface Staged<T> {
  readonly records: Map<string, Stored<T> | undefined>;
  /** By how much each group grows. */
  readonly counts: Map<string, number>;
  growth: number;
}

/** The records of one kind, in memory as they are on disk, and beside them what transactions are about to change. */
export class Collection<T> implements Participant {
  readonly kind: string;
  readonly #options: CollectionOptions<T>;
  readonly #stored = new Map<string, Stored<T>>();
  readonly #staged = new WeakMap<Transaction, Staged<T>>();
  readonly #counts = new Map<string, number>();
  #bytes = 0;

  constructor(options: CollectionOptions<T>) {
    this.kind = options.kind;
    this.#options = options;
  }

  get(key: string): T | undefined {
    return this.#stored.get(key)?.value;
  }

  *values(): IterableIterator<T> {
    for (const { value } of this.#stored.values()) yield value;
  }

  get size(): number {
    return this.#stored.size;
  }

  get bytes(): number {
    return this.#bytes;
  }

  getIn(tx: Transaction, key: string): T | undefined {
    return this.#storedIn(tx, key)?.value;
  }

  setIn(tx: Transaction, key: string, value: T): void {
    this.#change(tx, key, this.#written(value));
  }

  removeIn(tx: Transaction, key: string): void {
    this.#change(tx, key, undefined);
  }

  /** Records of one group, as many as there would be. */
  countIn(tx: Transaction | undefined, group: string): number {
    if (tx === undefined) return this.#counts.get(group) ?? 0;
    return this.countIn(tx.batch, group) + (this.#staged.get(tx)?.counts.get(group) ?? 0);
  }

  /** All records, as many as there would be. */
  sizeIn(tx: Transaction | undefined): number {
    return tx === undefined ? this.size : this.sizeIn(tx.batch) + (this.#staged.get(tx)?.growth ?? 0);
  }

  /** Keys of records that are set and not stored yet, the one set longest ago first. */
  *setKeysIn(tx: Transaction): IterableIterator<string> {
    for (const staged of [tx.batch, tx]) {
      if (staged === undefined) continue;
      for (const [key] of this.#recordsOf(staged)) if (this.#storedIn(tx, key) !== undefined) yield key;
    }
  }

  growth(tx: Transaction): number {
    let bytes = 0;
    for (const [key, stored] of this.#recordsOf(tx)) {
      const before = tx.batch === undefined ? this.#stored.get(key) : this.#storedIn(tx.batch, key);
      bytes += (stored?.bytes ?? 0) - (before?.bytes ?? 0);
    }
    return bytes;
  }

  handOver(tx: Transaction, batch: Transaction): void {
    for (const [key, stored] of this.#recordsOf(tx)) this.#change(batch, key, stored);
  }

  changes(tx: Transaction): Change[] {
    return [...this.#recordsOf(tx)].map(([key, stored]) => ({
      key,
      text: stored === undefined ? undefined : this.#textOf(stored.value),
    }));
  }

  apply(tx: Transaction): void {
    for (const [key, stored] of this.#recordsOf(tx)) this.#put(key, stored);
  }

  /** All of it as changes, for an empty store that is to hold what memory holds. */
  everything(): Change[] {
    return [...this.#stored].map(([key, { value }]) => ({ key, text: this.#textOf(value) }));
  }

  /**
   * Takes over what was read from disk. A record that memory holds and the disk holds unreadably stays.
   *
   * @returns `unreadable`: keys of records that are not of this kind's form; `corrections`: what has to be written so
   * that the disk holds what memory now holds
   */
  load(read: Pick<Loaded, 'records' | 'unreadable'>): {
    readonly unreadable: string[];
    readonly corrections: Change[];
  } {
    const unreadable: string[] = [];
    const corrections: Change[] = [];
    const unreadableThere = new Set(read.unreadable);
    for (const [key, { value }] of [...this.#stored]) {
      if (unreadableThere.has(key)) corrections.push({ key, text: this.#textOf(value) });
      else if (!read.records.has(key)) this.#put(key, undefined);
    }
    for (const [key, text] of read.records) {
      if (kindOf(key) !== this.kind) continue;
      const before = this.#stored.get(key);
      const value = this.#options.decode(JSON.parse(text) as JsonValue);
      if (value === undefined) {
        unreadable.push(key);
        continue;
      }
      const reconciled =
        before === undefined || this.#options.reconcile === undefined
          ? value
          : this.#options.reconcile(before.value, value);
      this.#put(key, this.#written(reconciled));
      const kept = this.#textOf(reconciled);
      if (kept !== text) corrections.push({ key, text: kept });
    }
    return { unreadable, corrections };
  }

  #written(value: T): Stored<T> {
    return { value, bytes: Buffer.byteLength(this.#textOf(value)) };
  }

  #textOf(value: T): string {
    return JSON.stringify(this.#options.encode(value));
  }

  #storedIn(tx: Transaction, key: string): Stored<T> | undefined {
    const staged = this.#staged.get(tx);
    if (staged?.records.has(key)) return staged.records.get(key);
    return tx.batch === undefined ? this.#stored.get(key) : this.#storedIn(tx.batch, key);
  }

  #recordsOf(tx: Transaction): Iterable<[string, Stored<T> | undefined]> {
    return this.#staged.get(tx)?.records ?? [];
  }

  #change(tx: Transaction, key: string, after: Stored<T> | undefined): void {
    let staged = this.#staged.get(tx);
    if (staged === undefined) {
      staged = { records: new Map(), counts: new Map(), growth: 0 };
      this.#staged.set(tx, staged);
      tx.touched.add(this);
    }
    const before = this.#storedIn(tx, key);
    staged.growth += Number(after !== undefined) - Number(before !== undefined);
    this.#recount(staged.counts, before, after);
    staged.records.delete(key); // to its place in the order of setKeysIn
    staged.records.set(key, after);
  }

  #recount(counts: Map<string, number>, before: Stored<T> | undefined, after: Stored<T> | undefined): void {
    const add = (stored: Stored<T> | undefined, by: number): void => {
      if (stored === undefined) return;
      for (const group of this.#options.groupsOf?.(stored.value) ?? []) {
        const count = (counts.get(group) ?? 0) + by;
        if (count === 0) counts.delete(group);
        else counts.set(group, count);
      }
    };
    add(before, -1);
    add(after, 1);
  }

  #put(key: string, after: Stored<T> | undefined): void {
    const before = this.#stored.get(key);
    if (after === undefined) this.#stored.delete(key);
    else this.#stored.set(key, after);
    this.#bytes += (after?.bytes ?? 0) - (before?.bytes ?? 0);
    this.#recount(this.#counts, before, after);
    this.#options.changed?.(key, before?.value, after?.value);
  }
}
