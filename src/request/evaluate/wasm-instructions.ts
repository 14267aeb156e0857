// Tested by test/request/evaluate/meter.test.ts.
import { notKnown, type Reader, readValueType } from './wasm-binary.ts';

/** The type of a block that takes nothing from the stack and leaves nothing. */
export const voidBlock = 0x40;

/** Where a branch says how many blocks it leaves. */
export interface Branch {
  readonly at: number;
  readonly end: number;
  readonly depth: number;
}

type Instruction =
  | { readonly kind: 'block' | 'end' | 'grow' | 'bulk' | 'other' }
  | { readonly kind: 'loop'; readonly isVoid: boolean }
  | { readonly kind: 'branch'; readonly branches: readonly Branch[] }
  /** Without a callee it goes through a table. */
  | { readonly kind: 'call'; readonly callee?: number };

const other: Instruction = { kind: 'other' };

/** Reads over one instruction and its immediates. */
export function readInstruction(reader: Reader): Instruction {
  const opcode = reader.byte();
  // 0x45 to 0xc4 are comparisons, arithmetic and conversions: operands on the stack only.
  if (opcode >= 0x45 && opcode <= 0xc4) return other;
  if (opcode >= 0x28 && opcode <= 0x3e) {
    // From here on the index of a memory follows it.
    const alignment = reader.u32();
    if (alignment >= 0x40) throw notKnown('an alignment', alignment);
    reader.leb();
    return other;
  }
  switch (opcode) {
    case 0x03: {
      // loop
      const isVoid = reader.next === voidBlock;
      readBlockType(reader);
      return { kind: 'loop', isVoid };
    }
    case 0x02: // block
    case 0x04: // if
      readBlockType(reader);
      return { kind: 'block' };
    case 0x41: // i32.const
    case 0x42: // i64.const
      reader.leb();
      return other;
    case 0x0b: // end
      return { kind: 'end' };
    case 0x00: // unreachable
    case 0x01: // nop
    case 0x05: // else
    case 0x0f: // return
    case 0x1a: // drop
    case 0x1b: // select
      return other;
    case 0x0c: // br
    case 0x0d: // br_if
      return { kind: 'branch', branches: [readBranch(reader)] };
    case 0x20: // local.get
    case 0x21: // local.set
    case 0x22: // local.tee
    case 0x23: // global.get
    case 0x24: // global.set
    case 0x3f: // memory.size
      reader.u32();
      return other;
    case 0x40: // memory.grow
      reader.u32();
      return { kind: 'grow' };
    case 0x10: // call
      return { kind: 'call', callee: reader.u32() };
    case 0x11: // call_indirect
      reader.u32();
      reader.u32();
      return { kind: 'call' };
    case 0x0e: // br_table
      return { kind: 'branch', branches: Array.from({ length: reader.u32() + 1 }, () => readBranch(reader)) };
    case 0x43: // f32.const
      reader.bytes(4);
      return other;
    case 0x44: // f64.const
      reader.bytes(8);
      return other;
    case 0xfc:
      return readPrefixed(reader);
    default:
      throw notKnown('an instruction', opcode);
  }
}

/** None, one value, or a type by its number: a signed number, of which these are the negative ones. */
function readBlockType(reader: Reader): void {
  const first = reader.next ?? 0;
  if (first === voidBlock) reader.byte();
  else if ((first & 0xc0) === 0x40) readValueType(reader);
  else if ((reader.leb() & 0x40) !== 0) throw notKnown('a block', first);
}

function readBranch(reader: Reader): Branch {
  const at = reader.at;
  const depth = reader.u32();
  return { at, end: reader.at, depth };
}

function readPrefixed(reader: Reader): Instruction {
  const opcode = reader.u32();
  if (opcode <= 7) return other; // saturating conversions
  switch (opcode) {
    case 8: // memory.init
    case 10: // memory.copy
      reader.u32();
      reader.u32();
      return { kind: 'bulk' };
    case 11: // memory.fill
      reader.u32();
      return { kind: 'bulk' };
    case 9: // data.drop
      reader.u32();
      return other;
    default:
      throw notKnown('an instruction 0xfc', opcode);
  }
}
