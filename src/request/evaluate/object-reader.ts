// Tested by test/request/evaluate/policy-image.long.test.ts.
/** How OPA lays values out in memory (wasm/src/value.h, ABI 1.3); all numbers are little-endian. */
const tags = { string: 4, object: 6, internedString: 8 };
const string = { length: 4, bytes: 8 };
const object = { buckets: 4, bucketCount: 8 };
const element = { key: 0, value: 4, next: 8 };
const fnv = { offset: 0x811c9dc5, prime: 0x01000193 };

export interface Found {
  readonly found: boolean;
  /** Something on the way is there and no object, so that nothing can be put below it. */
  readonly blocked: boolean;
}

/**
 * Looks members of objects up in a module's memory. The ABI's functions that change data pass over a path that is not
 * there in silence, and none of its exports says whether one is.
 */
export class ObjectReader {
  readonly #memory: Buffer;

  constructor(memory: WebAssembly.Memory) {
    this.#memory = Buffer.from(memory.buffer);
  }

  /** @param address of the value that the path starts from */
  find(address: number, path: readonly string[]): Found {
    let at = address;
    for (const name of path) {
      if (this.#memory[at] !== tags.object) return { found: false, blocked: true };
      const next = this.#member(at, Buffer.from(name, 'utf8'));
      if (next === undefined) return { found: false, blocked: false };
      at = next;
    }
    return { found: true, blocked: false };
  }

  #member(objectAt: number, name: Buffer): number | undefined {
    const memory = this.#memory;
    const buckets = memory.readUInt32LE(objectAt + object.buckets);
    const count = memory.readUInt32LE(objectAt + object.bucketCount);
    let at = memory.readUInt32LE(buckets + (hashOf(name) % count) * 4);
    while (at !== 0) {
      const key = memory.readUInt32LE(at + element.key);
      if (this.#isString(key, name)) return memory.readUInt32LE(at + element.value);
      at = memory.readUInt32LE(at + element.next);
    }
    return undefined;
  }

  #isString(at: number, text: Buffer): boolean {
    const memory = this.#memory;
    const tag = memory[at];
    if (tag !== tags.string && tag !== tags.internedString) return false;
    if (memory.readUInt32LE(at + string.length) !== text.length) return false;
    const start = memory.readUInt32LE(at + string.bytes);
    return memory.subarray(start, start + text.length).equals(text);
  }
}

/** FNV-1, 32 bits, as OPA hashes strings. */
function hashOf(bytes: Buffer): number {
  let hash = fnv.offset;
  for (const byte of bytes) hash = (Math.imul(hash, fnv.prime) ^ byte) >>> 0;
  return hash;
}
