// Tested by test/request/evaluate/policy-image.long.test.ts.
import { BundleRefused } from '../../domain/errors.ts';
import { concatenated, leb, Reader, readSections, sections, written } from './wasm-binary.ts';

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
  const module = readSections(wasm);
  const imports = module.get(sections.import);
  if (imports === undefined) throw new BundleRefused('policy.wasm imports nothing, so it is not an OPA policy');
  const reader = new Reader(imports);
  const pieces: Uint8Array[] = [];
  let pages = Math.ceil(dataEnd(module.get(sections.data)) / pageBytes);
  let from = 0;
  for (let count = reader.u32(); count > 0; count -= 1) {
    reader.bytes(reader.u32());
    reader.bytes(reader.u32());
    const kind = reader.byte();
    if (kind === kinds.function) reader.u32();
    else if (kind === kinds.memory) {
      pieces.push(imports.subarray(from, reader.at));
      const hasMaximum = (reader.byte() & 1) === 1;
      const minimum = reader.u32();
      if (hasMaximum) reader.u32();
      pages = Math.max(pages, minimum);
      pieces.push(Uint8Array.from([sharedWithMaximum, ...leb(minimum), ...leb(pagesMax)]));
      from = reader.at;
    } else throw new BundleRefused('policy.wasm imports what no OPA policy does');
  }
  reader.requireEnd();
  pieces.push(imports.subarray(from));
  module.set(sections.import, concatenated(pieces));
  return { wasm: written(wasm, module), pages };
}

/** Where the last of its data ends in memory, as far as it says so as OPA's compiler does. */
function dataEnd(section: Uint8Array | undefined): number {
  if (section === undefined) return 0;
  const reader = new Reader(section);
  let last = 0;
  for (let left = reader.u32(); left > 0; left -= 1) {
    const isActive = reader.u32() === 0 && reader.byte() === opcodes.i32Const;
    const offset = isActive ? reader.u32() : 0;
    if (!isActive || reader.byte() !== opcodes.end) break;
    last = Math.max(last, offset + reader.bytes(reader.u32()).length);
  }
  return last;
}
