// Tested by test/request/evaluate/meter.test.ts.
import { BundleRefused } from '../../domain/errors.ts';

export const sections = {
  type: 1,
  import: 2,
  function: 3,
  table: 4,
  memory: 5,
  global: 6,
  export: 7,
  start: 8,
  code: 10,
  data: 11,
};
/** The order of the sections (WebAssembly core specification, 5.5.2); 12 is the data count. */
const sectionOrder = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11];
const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];

export function readSections(wasm: Uint8Array): Map<number, Uint8Array> {
  const reader = new Reader(wasm);
  if (!magic.every((byte) => reader.byte() === byte))
    throw new BundleRefused('policy.wasm is not a WebAssembly 1 module');
  const found = new Map<number, Uint8Array>();
  while (!reader.atEnd) {
    const id = reader.byte();
    const content = reader.bytes(reader.u32());
    if (id === 0) continue; // names and the like: nothing runs by them
    if (found.has(id) || !sectionOrder.includes(id))
      throw new BundleRefused(`policy.wasm has a section ${id} that cannot be there`);
    found.set(id, content);
  }
  return found;
}

export function readImports(section: Uint8Array | undefined): { functions: readonly string[]; globals: number } {
  const functions: string[] = [];
  let globals = 0;
  if (section === undefined) return { functions, globals };
  const reader = new Reader(section);
  for (let count = reader.u32(); count > 0; count -= 1) {
    const name = `${reader.text()}.${reader.text()}`;
    const kind = reader.byte();
    if (kind === 0) {
      functions.push(name);
      reader.u32();
    } else if (kind === 2 || kind === 1) {
      if (kind === 1) readTableType(reader);
      readLimits(reader);
    } else if (kind === 3) {
      globals += 1;
      readValueType(reader);
      reader.byte();
    } else throw new BundleRefused(`policy.wasm imports ${name}, which no OPA policy does`);
  }
  return { functions, globals };
}

/** i32, i64, f32, f64. Others have types of several bytes, and no policy has them. */
export function readValueType(reader: Reader): void {
  const type = reader.byte();
  if (type < 0x7c || type > 0x7f) throw notKnown('a value type', type);
}

/** @returns the elements or pages that are there from the start */
export function readLimits(reader: Reader): number {
  const flags = reader.byte();
  // Bit 0: there is a maximum; bit 1: shared. Others change what follows.
  if (flags > 3) throw notKnown('limits', flags);
  const minimum = reader.u32();
  if ((flags & 1) === 1) reader.u32();
  return minimum;
}

export function readTableType(reader: Reader): void {
  const type = reader.byte();
  if (type !== 0x70) throw notKnown('a table', type);
}

/** Unknown forms are refused: misreading one would hide the code after it. */
export function notKnown(what: string, code: number): BundleRefused {
  return new BundleRefused(`policy.wasm holds ${what} that is not known here: 0x${code.toString(16)}`);
}

/** A vector's section with one more element behind the others. */
export function appended(section: Uint8Array, element: readonly number[]): Uint8Array {
  const reader = new Reader(section);
  const count = reader.u32();
  return concatenated([Uint8Array.from(leb(count + 1)), section.subarray(reader.at), Uint8Array.from(element)]);
}

export function written(wasm: Uint8Array, module: ReadonlyMap<number, Uint8Array>): Uint8Array<ArrayBuffer> {
  const pieces = [wasm.subarray(0, 8)];
  for (const id of sectionOrder) {
    const content = module.get(id);
    if (content !== undefined) pieces.push(Uint8Array.from([id, ...leb(content.length)]), content);
  }
  return concatenated(pieces);
}

export function concatenated(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

/** LEB128, signed: an unsigned number up to 2^31 whose sign bit would be set gets one more byte, which reads the same. */
export function leb(value: number): readonly number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const low = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (low & 0x40) === 0) || (rest === -1 && (low & 0x40) !== 0);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

/** Reads forward and never past the end. */
export class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  get next(): number | undefined {
    return this.#bytes[this.at];
  }

  requireEnd(): void {
    if (!this.atEnd) throw new BundleRefused('policy.wasm has bytes outside of its sections');
  }

  byte(): number {
    const byte = this.#bytes[this.at];
    if (byte === undefined) throw new BundleRefused('policy.wasm is cut short');
    this.at += 1;
    return byte;
  }

  bytes(count: number): Uint8Array {
    const end = this.at + count;
    if (end > this.#bytes.length) throw new BundleRefused('policy.wasm is cut short');
    const slice = this.#bytes.subarray(this.at, end);
    this.at = end;
    return slice;
  }

  text(): string {
    return Buffer.from(this.bytes(this.u32())).toString('utf8');
  }

  /** Reads over a LEB128 number of any sign and width. @returns its last byte */
  leb(): number {
    for (let length = 1; ; length += 1) {
      const byte = this.byte();
      if ((byte & 0x80) === 0) return byte;
      if (length === 10) throw new BundleRefused('policy.wasm holds a number that is too long');
    }
  }

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
