// Tested by test/opa/builtins/identifiers.test.ts.
import type { RegoNumber } from '../values/value.ts';

/**
 * What Go's reflection tells apart: an int64 or a larger integer is a bigint, a float64 a number, a `json.Number` keeps
 * its text; nil is null. Maps hold their keys in order.
 */
export type GoValue =
  | null
  | boolean
  | string
  | number
  | bigint
  | RegoNumber
  | GoInt
  | GoSlice
  | ReadonlyMap<string, GoValue>;

export class GoInt {
  readonly type: 'int' | 'uint8';
  readonly value: bigint;

  constructor(value: bigint | number, type: 'int' | 'uint8' = 'int') {
    this.value = BigInt(value);
    this.type = type;
  }
}

/** Go's slice of anything: a window on an array that may reach further than the window. */
export class GoSlice {
  readonly #array: readonly GoValue[];
  readonly #start: number;
  readonly length: number;
  readonly capacity: number;

  constructor(array: readonly GoValue[], start = 0, length = array.length, capacity = grown(array.length)) {
    this.#array = array;
    this.#start = start;
    this.length = length;
    this.capacity = capacity;
  }

  at(index: number): GoValue {
    return this.#array[this.#start + index] ?? null;
  }

  items(): readonly GoValue[] {
    return Array.from({ length: this.length }, (_, index) => this.at(index));
  }

  /** `slice[from:to:capacity]` */
  slice(from: number, to: number, capacity = this.capacity): GoSlice {
    return new GoSlice(this.#array, this.#start + from, to - from, capacity - from);
  }
}

/** The capacity of an array that Go appended to one by one: it doubles while it is small. */
function grown(length: number): number {
  return length > 512 ? length : 2 ** Math.ceil(Math.log2(length || 1)) * Math.min(length, 1);
}
