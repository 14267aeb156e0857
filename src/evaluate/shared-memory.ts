import { BundleRefused } from '../domain/errors.ts';

const sections = { import: 2, data: 11 };
const pageBytes = 65_536;
const opcodes = { i32Const: 0x41, end: 0x0b };
const kinds = { function: 0, memory: 2 };
/** Limits with a maximum, shared between threads (WebAssembly core specification 3.0, section 5.3). */
const sharedWithMaximum = 3;
/** All that 32 bits can address; what a policy may really have is said where its memory is made. */
const pagesMax = 65_536;

export interface SharedModule {
  readonly wasm: Uint8Array;
  /**
   * The pages that it needs, which is more with every text that its policy holds; it may ask for fewer, since the compiler
   * counts before it has written all.
   */
  readonly pages: number;
}

/**
 * Rewrites a module so that it takes its memory from a thread that has filled it: OPA's modules import their memory and
 * do not care. Nothing else changes; plain loads and stores cost the same on shared memory (bench/shared-memory.ts).
 *
 * @param wasm a module as `opa build -t wasm` writes it
 * @throws BundleRefused if its imports are not such a module's
 */
export function withSharedMemory(wasm: Uint8Array): SharedModule {
  const imports = findSection(wasm, sections.import);
  if (imports === undefined) throw new BundleRefused('policy.wasm imports nothing, so it is no OPA policy');
  const { at, start, end } = imports;
  const reader = new Reader(wasm, start);
  const count = reader.u32();
  const pieces: Uint8Array[] = [Uint8Array.from(leb(count))];
  let pages = Math.ceil(dataEnd(wasm) / pageBytes);
  for (let index = 0; index < count; index += 1) {
    const from = reader.at;
    reader.skip(reader.u32());
    reader.skip(reader.u32());
    const kind = reader.byte();
    if (kind === kinds.function) {
      reader.u32();
      pieces.push(wasm.subarray(from, reader.at));
    } else if (kind === kinds.memory) {
      pieces.push(wasm.subarray(from, reader.at));
      const hasMaximum = (reader.byte() & 1) === 1;
      const minimum = reader.u32();
      if (hasMaximum) reader.u32();
      pages = Math.max(pages, minimum);
      pieces.push(Uint8Array.from([sharedWithMaximum, ...leb(minimum), ...leb(pagesMax)]));
    } else throw new BundleRefused('policy.wasm imports what no OPA policy does');
  }
  if (reader.at !== end) throw new BundleRefused('policy.wasm has imports that cannot be read');
  const section = Buffer.concat(pieces);
  const head = Uint8Array.from([sections.import, ...leb(section.length)]);
  return { wasm: Buffer.concat([wasm.subarray(0, at), head, section, wasm.subarray(end)]), pages };
}

interface Section {
  /** Where its header begins, and where its content begins and ends. */
  readonly at: number;
  readonly start: number;
  readonly end: number;
}

function findSection(wasm: Uint8Array, wanted: number): Section | undefined {
  const reader = new Reader(wasm, 8);
  while (reader.at < wasm.length) {
    const at = reader.at;
    const id = reader.byte();
    const length = reader.u32();
    const start = reader.at;
    reader.skip(length);
    if (id === wanted) return { at, start, end: reader.at };
  }
  return undefined;
}

/** Where the last of its data ends in memory, as far as it says so as OPA's compiler does. */
function dataEnd(wasm: Uint8Array): number {
  const section = findSection(wasm, sections.data);
  if (section === undefined) return 0;
  const reader = new Reader(wasm, section.start);
  let last = 0;
  for (let left = reader.u32(); left > 0; left -= 1) {
    const isActive = reader.u32() === 0 && reader.byte() === opcodes.i32Const;
    const offset = isActive ? reader.u32() : 0;
    if (!isActive || reader.byte() !== opcodes.end) break;
    const length = reader.u32();
    reader.skip(length);
    last = Math.max(last, offset + length);
  }
  return last;
}

class Reader {
  readonly #bytes: Uint8Array;
  at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.at = at;
  }

  byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new BundleRefused('policy.wasm is cut short');
    this.at += 1;
    return byte;
  }

  skip(count: number): void {
    this.at += count;
    if (this.at > this.#bytes.length) throw new BundleRefused('policy.wasm is cut short');
  }

  /** LEB128, unsigned. */
  u32(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) return value;
    }
    throw new BundleRefused('policy.wasm holds a number that is too long');
  }
}

/** LEB128, unsigned. */
function leb(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return [...bytes, rest];
}
