import { BundleRefused } from '../domain/errors.ts';

const importSection = 2;
const kinds = { function: 0, memory: 2 };
/** Limits with a maximum, shared between threads (WebAssembly core specification 3.0, section 5.3). */
const sharedWithMaximum = 3;
/** All that 32 bits can address; what a policy may really have is said where its memory is made. */
const pagesMax = 65_536;

/**
 * Rewrites a module so that it takes its memory from a thread that has filled it: OPA's modules import their memory and
 * do not care. Nothing else changes; plain loads and stores cost the same on shared memory (bench/shared-memory.ts).
 *
 * @param wasm a module as `opa build -t wasm` writes it
 * @throws BundleRefused if its imports are not such a module's
 */
export function withSharedMemory(wasm: Uint8Array): Uint8Array {
  const { at, start, end } = findImports(wasm);
  const reader = new Reader(wasm, start);
  const count = reader.u32();
  const pieces: Uint8Array[] = [Uint8Array.from(leb(count))];
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
      pieces.push(Uint8Array.from([sharedWithMaximum, ...leb(minimum), ...leb(pagesMax)]));
    } else throw new BundleRefused('policy.wasm imports what no OPA policy does');
  }
  if (reader.at !== end) throw new BundleRefused('policy.wasm has imports that cannot be read');
  const section = Buffer.concat(pieces);
  return Buffer.concat([
    wasm.subarray(0, at),
    Uint8Array.from([importSection, ...leb(section.length)]),
    section,
    wasm.subarray(end),
  ]);
}

/** @returns where the section's header begins, and where its content begins and ends */
function findImports(wasm: Uint8Array): { readonly at: number; readonly start: number; readonly end: number } {
  const reader = new Reader(wasm, 8);
  while (reader.at < wasm.length) {
    const at = reader.at;
    const id = reader.byte();
    const length = reader.u32();
    const start = reader.at;
    reader.skip(length);
    if (id === importSection) return { at, start, end: reader.at };
  }
  throw new BundleRefused('policy.wasm imports nothing, so it is no OPA policy');
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
