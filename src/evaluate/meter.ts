import { BundleRefused } from '../domain/errors.ts';

/** The global that counts down; the host sets it, the module only takes from it. */
export const fuelExport = 'postern_fuel';
/** Handed to `opa_builtin0` where the fuel is used up: no builtin of OPA's has this number. */
export const fuelSpentId = -1;

const sections = { type: 1, import: 2, function: 3, table: 4, memory: 5, global: 6, export: 7, start: 8, code: 10 };
/** The order that the sections stand in (WebAssembly core specification, 5.5.2); 12 is the data count. */
const sectionOrder = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 10, 11];
/** Enough for a module's start function; while that runs, the host cannot reach the counter to fill it up. */
const startFuel = 10_000_000;
const magic = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const voidBlock = 0x40;
const i32 = 0x7f;

/** Iterations between two ticks of a loop: few where it calls something, many where each is a handful of instructions. */
const iterations = { calling: 16, plain: 1_024 };
/** Work that a function may do unticked for each time it is called; a unit is about 256 bytes of code. */
const untickedWeightMax = 16;
const bytesPerWeight = 256;
const searchDepthMax = 500;

/**
 * Rewrites a policy module so that it cannot run on unasked. A counter goes down as it works, and at nought the module
 * calls the host, which fills the counter up again or ends the evaluation. Nothing else changes: no index moves, since
 * the host is reached through an import that every OPA module has.
 *
 * Counted are functions that call themselves in a circle, through a table, or do much at once, at each call; and loops,
 * every so many iterations, in a local of their own, which stays in a register. What lies between two counts is bounded
 * by the code's own length. Counting each call and iteration in the global instead costs half an evaluation more
 * (bench/meter.ts); the other ways that were weighed are in docs/architecture.md.
 *
 * @param wasm a module as `opa build -t wasm` writes it
 * @throws BundleRefused if it is no such module, or holds instructions that are not known here (SIMD, threads, …): what
 *   cannot be read cannot be bounded
 * @see WebAssembly core specification 2.0, section 5 (binary format)
 */
export function metered(wasm: Uint8Array): Uint8Array<ArrayBuffer> {
  const module = readSections(wasm);
  const imports = readImports(module.get(sections.import));
  const hostCall = imports.functions.indexOf('env.opa_builtin0');
  if (hostCall < 0)
    throw new BundleRefused('policy.wasm does not import env.opa_builtin0, which every OPA policy does');

  const globals = module.get(sections.global) ?? Uint8Array.of(0);
  const fuelGlobal = imports.globals + new Reader(globals).u32();
  module.set(sections.global, appended(globals, [i32, 1, 0x41, ...leb(startFuel), 0x0b]));
  const exported = module.get(sections.export) ?? Uint8Array.of(0);
  module.set(sections.export, appended(exported, [...named(fuelExport), 0x03, ...leb(fuelGlobal)]));

  const bodies = readBodies(module.get(sections.code), readParameterCounts(module));
  const ticked = tickedFunctions(bodies, imports.functions.length);
  const toll = new Toll(fuelGlobal, hostCall);
  const code: Uint8Array[] = [Uint8Array.from(leb(bodies.length))];
  for (const [index, body] of bodies.entries()) {
    const made = meteredBody(body, ticked.has(index), toll);
    code.push(Uint8Array.from(leb(made.length)), made);
  }
  module.set(sections.code, concatenated(code));
  return written(wasm, module);
}

/** The instructions that are put in. */
class Toll {
  /** Ask the host at once: for single instructions that may move a whole memory. */
  readonly ask: readonly number[];
  /** If the counter is at nought, ask the host; then take one. */
  readonly tick: readonly number[];

  constructor(fuelGlobal: number, hostCall: number) {
    const fuel = leb(fuelGlobal);
    this.ask = [0x41, ...leb(fuelSpentId), 0x41, 0, 0x10, ...leb(hostCall), 0x1a];
    this.tick = [
      ...[0x23, ...fuel, 0x45, 0x04, voidBlock, ...this.ask, 0x0b],
      ...[0x23, ...fuel, 0x41, 1, 0x6b, 0x24, ...fuel],
    ];
  }

  /** Count an iteration in a local; tick at every `every`-th, a power of two. */
  iteration(local: number, every: number): readonly number[] {
    const counter = leb(local);
    return [
      ...[0x20, ...counter, 0x41, 1, 0x6a, 0x22, ...counter],
      ...[0x41, ...leb(every - 1), 0x71, 0x45, 0x04, voidBlock, ...this.tick, 0x0b],
    ];
  }
}

/** Where something is put into a body, and what. */
interface Site {
  readonly at: number;
  readonly kind: 'loop' | 'bulk';
  calls: boolean;
}

/** A function's body, read through once. */
interface Body {
  readonly bytes: Uint8Array;
  /** Where its instructions begin, behind the locals. */
  readonly start: number;
  readonly localGroups: number;
  /** Where the groups of locals begin, behind their count. */
  readonly localsAt: number;
  /** The first local that is free. */
  readonly locals: number;
  readonly sites: readonly Site[];
  readonly callees: readonly number[];
  readonly callsThroughTable: boolean;
}

function readBodies(code: Uint8Array | undefined, parameterCounts: readonly number[]): readonly Body[] {
  if (code === undefined) throw new BundleRefused('policy.wasm has no code');
  const reader = new Reader(code);
  const count = reader.u32();
  const bodies: Body[] = [];
  for (let index = 0; index < count; index += 1) {
    bodies.push(readBody(reader.bytes(reader.u32()), parameterCounts[index] ?? 0));
  }
  reader.requireEnd();
  return bodies;
}

function readBody(bytes: Uint8Array, parameters: number): Body {
  const reader = new Reader(bytes);
  const localGroups = reader.u32();
  const localsAt = reader.at;
  let locals = parameters;
  for (let group = 0; group < localGroups; group += 1) {
    locals += reader.u32();
    reader.byte();
  }
  const start = reader.at;
  const sites: Site[] = [];
  const callees: number[] = [];
  /** The blocks that are open; a loop's site, or undefined for any other. */
  const open: (Site | undefined)[] = [];
  let callsThroughTable = false;
  while (!reader.atEnd) {
    const at = reader.at;
    const instruction = readInstruction(reader);
    switch (instruction.kind) {
      case 'loop': {
        const site: Site = { at: reader.at, kind: 'loop', calls: false };
        sites.push(site);
        open.push(site);
        break;
      }
      case 'block':
        open.push(undefined);
        break;
      case 'end':
        open.pop();
        break;
      case 'call':
        if (instruction.callee === undefined) callsThroughTable = true;
        else callees.push(instruction.callee);
        for (const site of open) if (site !== undefined) site.calls = true;
        break;
      case 'bulk':
        sites.push({ at, kind: 'bulk', calls: false });
        break;
      default:
    }
  }
  return { bytes, start, localGroups, localsAt, locals, sites, callees, callsThroughTable };
}

/**
 * Which functions count their calls. Any circle of calls holds one: the search marks the function that a circle closes
 * in. What is left calls downwards only, and the work of those calls is added up, so that none does much unticked.
 */
function tickedFunctions(bodies: readonly Body[], imported: number): ReadonlySet<number> {
  const ticked = new Set<number>();
  const weights = new Map<number, number>();
  const underWay = new Set<number>();
  const weigh = (index: number, depth: number): number => {
    const body = bodies[index];
    const known = weights.get(index);
    if (body === undefined || ticked.has(index)) return 1;
    if (known !== undefined) return known;
    if (underWay.has(index) || depth > searchDepthMax) {
      ticked.add(index);
      return 1;
    }
    underWay.add(index);
    let weight = 1 + body.bytes.length / bytesPerWeight;
    for (const callee of body.callees) weight += callee < imported ? 1 : weigh(callee - imported, depth + 1);
    underWay.delete(index);
    if (weight > untickedWeightMax || body.callsThroughTable) ticked.add(index);
    weights.set(index, weight);
    return ticked.has(index) ? 1 : weight;
  };
  // One that is marked for the depth of the search is searched from itself as well: circles below it close there.
  for (const index of bodies.keys()) {
    const marked = ticked.delete(index);
    weigh(index, 0);
    if (marked) ticked.add(index);
  }
  return ticked;
}

function meteredBody(body: Body, ticked: boolean, toll: Toll): Uint8Array {
  const { bytes, start, localGroups, localsAt, locals, sites } = body;
  const pieces: Uint8Array[] = [
    Uint8Array.from(leb(localGroups + 1)),
    bytes.subarray(localsAt, start),
    Uint8Array.of(1, i32),
  ];
  if (ticked) pieces.push(Uint8Array.from(toll.tick));
  let from = start;
  for (const { at, kind, calls } of sites) {
    const every = calls ? iterations.calling : iterations.plain;
    pieces.push(bytes.subarray(from, at), Uint8Array.from(kind === 'loop' ? toll.iteration(locals, every) : toll.ask));
    from = at;
  }
  pieces.push(bytes.subarray(from));
  return concatenated(pieces);
}

/** By function of the module itself: how many parameters come before its locals. */
function readParameterCounts(module: ReadonlyMap<number, Uint8Array>): readonly number[] {
  const types: number[] = [];
  const typeReader = new Reader(module.get(sections.type) ?? Uint8Array.of(0));
  for (let count = typeReader.u32(); count > 0; count -= 1) {
    if (typeReader.byte() !== 0x60) throw new BundleRefused('policy.wasm has a type that is not known here');
    const parameters = typeReader.u32();
    typeReader.bytes(parameters);
    typeReader.bytes(typeReader.u32());
    types.push(parameters);
  }
  const functionReader = new Reader(module.get(sections.function) ?? Uint8Array.of(0));
  const counts: number[] = [];
  for (let count = functionReader.u32(); count > 0; count -= 1) counts.push(types[functionReader.u32()] ?? 0);
  return counts;
}

interface Instruction {
  readonly kind: 'loop' | 'block' | 'end' | 'call' | 'bulk' | 'other';
  /** Of a call; absent where it goes through a table. */
  readonly callee?: number;
}

const other: Instruction = { kind: 'other' };

/** Reads over one instruction and its immediates. */
function readInstruction(reader: Reader): Instruction {
  const opcode = reader.byte();
  // 0x45 to 0xc4 are comparisons, arithmetic and conversions: operands on the stack only.
  if (opcode >= 0x45 && opcode <= 0xc4) return other;
  if (opcode >= 0x28 && opcode <= 0x3e) {
    reader.u32();
    reader.leb();
    return other;
  }
  switch (opcode) {
    case 0x03: // loop
      reader.leb();
      return { kind: 'loop' };
    case 0x02: // block
    case 0x04: // if
      reader.leb();
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
    case 0x20: // local.get
    case 0x21: // local.set
    case 0x22: // local.tee
    case 0x23: // global.get
    case 0x24: // global.set
    case 0x3f: // memory.size
    case 0x40: // memory.grow
      reader.u32();
      return other;
    case 0x10: // call
      return { kind: 'call', callee: reader.u32() };
    case 0x11: // call_indirect
      reader.u32();
      reader.u32();
      return { kind: 'call' };
    case 0x0e: // br_table
      for (let targets = reader.u32() + 1; targets > 0; targets -= 1) reader.u32();
      return other;
    case 0x43: // f32.const
      reader.bytes(4);
      return other;
    case 0x44: // f64.const
      reader.bytes(8);
      return other;
    case 0xfc:
      return readPrefixed(reader);
    default:
      throw new BundleRefused(`policy.wasm holds an instruction that is not known here: 0x${opcode.toString(16)}`);
  }
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
      throw new BundleRefused(`policy.wasm holds an instruction that is not known here: 0xfc ${opcode}`);
  }
}

function readSections(wasm: Uint8Array): Map<number, Uint8Array> {
  const reader = new Reader(wasm);
  if (!magic.every((byte) => reader.byte() === byte)) throw new BundleRefused('policy.wasm is no WebAssembly 1 module');
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

function readImports(section: Uint8Array | undefined): { functions: readonly string[]; globals: number } {
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
      if (kind === 1) reader.byte();
      const limits = reader.byte();
      reader.u32();
      if ((limits & 1) === 1) reader.u32();
    } else if (kind === 3) {
      globals += 1;
      reader.bytes(2);
    } else throw new BundleRefused(`policy.wasm imports ${name}, which no OPA policy does`);
  }
  return { functions, globals };
}

/** A vector's section with one more element behind the others. */
function appended(section: Uint8Array, element: readonly number[]): Uint8Array {
  const reader = new Reader(section);
  const count = reader.u32();
  return concatenated([Uint8Array.from(leb(count + 1)), section.subarray(reader.at), Uint8Array.from(element)]);
}

function written(wasm: Uint8Array, module: ReadonlyMap<number, Uint8Array>): Uint8Array<ArrayBuffer> {
  const pieces = [wasm.subarray(0, 8)];
  for (const id of sectionOrder) {
    const content = module.get(id);
    if (content !== undefined) pieces.push(Uint8Array.from([id, ...leb(content.length)]), content);
  }
  return concatenated(pieces);
}

function concatenated(pieces: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(pieces.reduce((sum, piece) => sum + piece.length, 0));
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.length;
  }
  return whole;
}

function named(name: string): readonly number[] {
  const bytes = Buffer.from(name, 'utf8');
  return [...leb(bytes.length), ...bytes];
}

/** LEB128, signed: an unsigned number up to 2^31 whose sign bit would be set gets one more byte, which reads the same. */
function leb(value: number): readonly number[] {
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
class Reader {
  readonly #bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get atEnd(): boolean {
    return this.at >= this.#bytes.length;
  }

  requireEnd(): void {
    if (!this.atEnd) throw new BundleRefused('policy.wasm has bytes that belong to nothing');
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

  /** Reads over a LEB128 number of any sign and width. */
  leb(): void {
    for (let length = 1; (this.byte() & 0x80) !== 0; length += 1) {
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
