import { hash } from 'node:crypto';
import { canonicalOf, compareDecimals } from '../../text/decimal.ts';
import { compareStrings } from '../../text/utf8-order.ts';
import type { Charge } from './charge.ts';

/**
 * Values as policy and builtins exchange them: sets are apart from arrays, objects may have any value for a key, numbers
 * are exact. A string may hold bytes that are not UTF-8, each as a lone surrogate U+DC80 to U+DCFF (see `text.ts`).
 */
export type Value = null | boolean | string | RegoNumber | readonly Value[] | RegoSet | RegoObject;

/** A longer key is replaced by its digest in the keys that contain it, so that these do not grow with the depth. */
const keyUnitsMax = 256;

export class RegoNumber {
  /** As JSON writes numbers, and as the policy wrote it. */
  readonly text: string;

  constructor(text: string) {
    this.text = text;
  }
}

/** A map whose keys are values: `1` and `1.0` are the same key. */
export class ValueMap<T> {
  readonly #entries = new Map<string, readonly [Value, T]>();

  get size(): number {
    return this.#entries.size;
  }

  get(key: Value): T | undefined {
    return this.#entries.get(keyOf(key))?.[1];
  }

  has(key: Value): boolean {
    return this.#entries.has(keyOf(key));
  }

  set(key: Value, value: T, charge?: Charge): void {
    this.#entries.set(keyOf(key, charge), [key, value]);
  }

  delete(key: Value): void {
    this.#entries.delete(keyOf(key));
  }

  clear(): void {
    this.#entries.clear();
  }

  entries(): IterableIterator<readonly [Value, T]> {
    return this.#entries.values();
  }

  /** With the text that is the same for equal keys, in no order. */
  protected keyed(): IterableIterator<[string, readonly [Value, T]]> {
    return this.#entries.entries();
  }
}

/**
 * What was put into a collection is not changed any more: its order and its key are kept, because a collection of
 * collections asks each of them at every comparison.
 */
export class RegoSet {
  readonly #members = new Map<string, Value>();
  #sorted: readonly Value[] | undefined;
  #key: string | undefined;

  constructor(members: Iterable<Value> = []) {
    for (const member of members) this.add(member);
  }

  get size(): number {
    return this.#members.size;
  }

  add(value: Value, charge?: Charge): void {
    const key = keyOf(value, charge);
    if (this.#members.has(key)) return;
    this.#members.set(key, value);
    this.#sorted = undefined;
    this.#key = undefined;
  }

  has(value: Value): boolean {
    return this.#members.has(keyOf(value));
  }

  values(): IterableIterator<Value> {
    return this.#members.values();
  }

  /** In OPA's order. */
  sorted(charge?: Charge): readonly Value[] {
    this.#sorted ??= [...this.#members.values()].sort((a, b) => compareValues(a, b, charge));
    return this.#sorted;
  }

  /** The same for equal sets. */
  key(charge?: Charge): string {
    // Keys have an order of their own, which is cheaper than the order of their values.
    this.#key ??= shortened(
      `<${inOrder([...this.#members.keys()], charge)
        .map(delimited)
        .join(',')}>`,
      charge,
    );
    return this.#key;
  }
}

/** As with sets, members are not changed once they are in it. */
export class RegoObject extends ValueMap<Value> {
  #sorted: readonly (readonly [Value, Value])[] | undefined;
  #key: string | undefined;

  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    super();
    for (const [key, value] of entries) this.set(key, value);
  }

  static of(members: Readonly<Record<string, Value>>): RegoObject {
    return new RegoObject(Object.entries(members));
  }

  override set(key: Value, value: Value, charge?: Charge): void {
    super.set(key, value, charge);
    this.#forget();
  }

  override delete(key: Value): void {
    super.delete(key);
    this.#forget();
  }

  override clear(): void {
    super.clear();
    this.#forget();
  }

  /** In OPA's order of keys. */
  sorted(charge?: Charge): readonly (readonly [Value, Value])[] {
    this.#sorted ??= [...this.entries()].sort(([a], [b]) => compareValues(a, b, charge));
    return this.#sorted;
  }

  /** The same for equal objects. */
  key(charge?: Charge): string {
    if (this.#key === undefined) {
      const members = new Map(this.keyed());
      const parts = inOrder([...members.keys()], charge).map(
        (key) => `${delimited(key)}:${nestedKeyOf(members.get(key)?.[1] ?? null, charge)}`,
      );
      this.#key = shortened(`{${parts.join(',')}}`, charge);
    }
    return this.#key;
  }

  #forget(): void {
    this.#sorted = undefined;
    this.#key = undefined;
  }
}

/** Equal values have equal keys, and only they. */
function keyOf(value: Value, charge?: Charge): string {
  // The first character tells the kinds apart; inside a collection a string is delimited, so that it ends somewhere.
  return typeof value === 'string' ? `"${value}` : nestedKeyOf(value, charge);
}

function nestedKeyOf(value: Value, charge: Charge | undefined): string {
  charge?.(1);
  if (value === null) return 'null';
  switch (typeof value) {
    case 'boolean':
      return value ? 'true' : 'false';
    case 'string':
      return `'${delimited(value)}`;
    default:
      if (value instanceof RegoNumber) return `#${canonicalOf(value.text)}`;
      if (value instanceof RegoSet || value instanceof RegoObject) return value.key(charge);
      return shortened(`[${value.map((item) => nestedKeyOf(item, charge)).join(',')}]`, charge);
  }
}

function delimited(text: string): string {
  return `${text.length}:${text}`;
}

function inOrder(keys: string[], charge: Charge | undefined): string[] {
  return keys.sort((a, b) => {
    charge?.(1);
    return a < b ? -1 : 1;
  });
}

function shortened(key: string, charge: Charge | undefined): string {
  if (key.length <= keyUnitsMax) return key;
  charge?.(key.length / 64, key.length / 100);
  // Not as UTF-8, in which lone surrogates are all the same.
  return `=${hash('sha256', Buffer.from(key, 'utf16le'), 'base64')}`;
}

function rank(value: Value): number {
  if (value === null) return 0;
  if (typeof value === 'boolean') return 1;
  if (value instanceof RegoNumber) return 2;
  if (typeof value === 'string') return 3;
  if (value instanceof RegoObject) return 5;
  if (value instanceof RegoSet) return 6;
  return 4;
}

/** OPA's order: null, booleans, numbers, strings by their bytes, arrays, objects, sets. */
export function compareValues(a: Value, b: Value, charge?: Charge): number {
  charge?.(1);
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b, charge);
  const rankA = rank(a);
  const byRank = rankA - rank(b);
  if (byRank !== 0) return byRank < 0 ? -1 : 1;
  if (a instanceof RegoNumber && b instanceof RegoNumber) {
    charge?.((a.text.length + b.text.length) / 64);
    return compareDecimals(a.text, b.text);
  }
  if (a instanceof RegoSet && b instanceof RegoSet) return compareLists(a.sorted(charge), b.sorted(charge), charge);
  if (a instanceof RegoObject && b instanceof RegoObject) return compareObjects(a, b, charge);
  if (Array.isArray(a) && Array.isArray(b)) return compareLists(a, b, charge);
  return Number(a) - Number(b);
}

export function equalValues(a: Value, b: Value): boolean {
  return compareValues(a, b) === 0;
}

function compareLists(a: readonly Value[], b: readonly Value[], charge: Charge | undefined): number {
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (right === undefined) return 1;
    const order = compareValues(left, right, charge);
    if (order !== 0) return order;
  }
  return a.length < b.length ? -1 : 0;
}

function compareObjects(a: RegoObject, b: RegoObject, charge: Charge | undefined): number {
  const left = a.sorted(charge);
  const right = b.sorted(charge);
  for (const [index, [key, value]] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    const order = compareValues(key, other[0], charge) || compareValues(value, other[1], charge);
    if (order !== 0) return order;
  }
  return left.length < right.length ? -1 : 0;
}

/** The kind of a value in OPA's words, for messages. */
export function nameOf(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return 'boolean';
  if (typeof value === 'string') return 'string';
  if (value instanceof RegoNumber) return 'number';
  if (value instanceof RegoObject) return 'object';
  if (value instanceof RegoSet) return 'set';
  return 'array';
}
