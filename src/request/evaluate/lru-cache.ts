// Tested by test/request/evaluate/builtin-faults.test.ts.
/** A bounded memory of what is dear to make: the least lately used goes first. */
export class LruCache {
  readonly #entriesMax: number;
  readonly #textMax: number;
  readonly #made = new Map<string, unknown>();

  /** @param textMax what is made from longer texts is not kept: a caller's own text could fill the memory */
  constructor(entriesMax: number, textMax: number) {
    this.#entriesMax = entriesMax;
    this.#textMax = textMax;
  }

  get<T>(kind: string, text: string, make: () => T): T {
    if (text.length > this.#textMax) return make();
    const key = `${kind} ${text}`;
    const before = this.#made.get(key);
    if (before !== undefined) {
      this.#made.delete(key);
      this.#made.set(key, before);
      return before as T;
    }
    const made = make();
    this.#made.set(key, made);
    for (const oldest of this.#made.keys()) {
      if (this.#made.size <= this.#entriesMax) break;
      this.#made.delete(oldest);
    }
    return made;
  }
}
