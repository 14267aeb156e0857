import { canonicalOf, compareDecimals } from './decimal.ts';

/**
 * Values as policy and builtins exchange them: sets are apart from arrays, objects may have any value for a key, numbers
 * are exact. A string may hold bytes that are no UTF-8, each as a lone surrogate U+DC80 to U+DCFF (see `text.ts`).
 */
export type Value = null | boolean | string | RegoNumber | readonly Value[] | RegoSet | RegoObject;

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

  set(key: Value, value: T): void {
    this.#entries.set(keyOf(key), [key, value]);
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
}

export class RegoSet {
  readonly #members = new Map<string, Value>();

  constructor(members: Iterable<Value> = []) {
    for (const member of members) this.add(member);
  }

  get size(): number {
    return this.#members.size;
  }

  add(value: Value): void {
    const key = keyOf(value);
    if (!this.#members.has(key)) this.#members.set(key, value);
  }

  has(value: Value): boolean {
    return this.#members.has(keyOf(value));
  }

  values(): IterableIterator<Value> {
    return this.#members.values();
  }

  /** In OPA's order. */
  sorted(): Value[] {
    return [...this.#members.values()].sort(compareValues);
  }
}

export class RegoObject extends ValueMap<Value> {
  constructor(entries: Iterable<readonly [Value, Value]> = []) {
    super();
    for (const [key, value] of entries) this.set(key, value);
  }

  static of(members: Readonly<Record<string, Value>>): RegoObject {
    return new RegoObject(Object.entries(members));
  }

  /** In OPA's order of keys. */
  sorted(): (readonly [Value, Value])[] {
    return [...this.entries()].sort(([a], [b]) => compareValues(a, b));
  }
}

/** Equal values have equal keys, and only they. */
function keyOf(value: Value): string {
  // The first character tells the kinds apart; inside a collection a string is quoted, so that it ends somewhere.
  return typeof value === 'string' ? `"${value}` : nestedKeyOf(value);
}

function nestedKeyOf(value: Value): string {
  if (value === null) return 'null';
  switch (typeof value) {
    case 'boolean':
      return value ? 'true' : 'false';
    case 'string':
      return `'${value.length}:${value}`;
    default:
      if (value instanceof RegoNumber) return `#${canonicalOf(value.text)}`;
      if (value instanceof RegoSet) return `<${value.sorted().map(nestedKeyOf).join(',')}>`;
      if (value instanceof RegoObject)
        return `{${value
          .sorted()
          .map(([key, member]) => `${nestedKeyOf(key)}:${nestedKeyOf(member)}`)
          .join(',')}}`;
      return `[${value.map(nestedKeyOf).join(',')}]`;
  }
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
export function compareValues(a: Value, b: Value): number {
  if (typeof a === 'string' && typeof b === 'string') return compareStrings(a, b);
  const rankA = rank(a);
  const byRank = rankA - rank(b);
  if (byRank !== 0) return byRank < 0 ? -1 : 1;
  if (a instanceof RegoNumber && b instanceof RegoNumber) return compareDecimals(a.text, b.text);
  if (a instanceof RegoSet && b instanceof RegoSet) return compareLists(a.sorted(), b.sorted());
  if (a instanceof RegoObject && b instanceof RegoObject) return compareObjects(a, b);
  if (Array.isArray(a) && Array.isArray(b)) return compareLists(a, b);
  return Number(a) - Number(b);
}

export function equalValues(a: Value, b: Value): boolean {
  return compareValues(a, b) === 0;
}

function compareLists(a: readonly Value[], b: readonly Value[]): number {
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (right === undefined) return 1;
    const order = compareValues(left, right);
    if (order !== 0) return order;
  }
  return a.length < b.length ? -1 : 0;
}

function compareObjects(a: RegoObject, b: RegoObject): number {
  const left = a.sorted();
  const right = b.sorted();
  for (const [index, [key, value]] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    const order = compareValues(key, other[0]) || compareValues(value, other[1]);
    if (order !== 0) return order;
  }
  return left.length < right.length ? -1 : 0;
}

/** By code point, which is the order of UTF-8 bytes; UTF-16 units order surrogates before U+E000. */
export function compareStrings(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let at = 0; at < length; at++) {
    const x = a.charCodeAt(at);
    const y = b.charCodeAt(at);
    if (x !== y) {
      const surrogateX = x >= 0xd800 && x <= 0xdfff;
      return surrogateX === (y >= 0xd800 && y <= 0xdfff) ? (x < y ? -1 : 1) : surrogateX ? 1 : -1;
    }
  }
  return Math.sign(a.length - b.length);
}

/** What has no member of its own kind: for messages, with OPA's words. */
export function nameOf(value: Value): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return 'boolean';
  if (typeof value === 'string') return 'string';
  if (value instanceof RegoNumber) return 'number';
  if (value instanceof RegoObject) return 'object';
  if (value instanceof RegoSet) return 'set';
  return 'array';
}
