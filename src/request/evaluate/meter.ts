import { BundleRefused } from '../../domain/errors.ts';
import {
  appended,
  concatenated,
  leb,
  Reader,
  readImports,
  readLimits,
  readSections,
  readTableType,
  readValueType,
  sections,
  written,
} from './wasm-binary.ts';
import { type Branch, readInstruction, voidBlock } from './wasm-instructions.ts';

/**
 * Handed to `opa_builtin0` where the fuel is used up: no builtin of OPA's has this number. The answer is the fuel to go
 * on with.
 */
export const fuelSpentId = -1;
/** Handed to it before an instruction that may take long by itself; the answer is not read. */
export const bulkId = -2;

const i32 = 0x7f;

/** Bytes of executed code for one unit of fuel: a few microseconds. */
const bytesPerFuel = 16_384;
/** Bytes of code that a call, or a loop between two ticks, may run through unticked: of all its ways, of which it takes one. */
const untickedBytesMax = 65_536;
/** And behind one tick where a function begins, which takes all of it off: past this its calls tick by themselves. */
const tickedBytesMax = 1_048_576;
/** A loop ticks at every so many iterations, at the most. */
const iterationsMax = { plain: 1_024, calling: 16 };
/** Of what a function may run through unticked, what its loops may take before their first tick: most end sooner. */
const firstBytes = 1_024;
const firstIterationsMax = { plain: 64, calling: 4 };
const searchDepthMax = 500;
/** Bytes that one instruction may move: some milliseconds. */
const bulkBytesMax = 16 * 1024 * 1024;
/** Elements of a table, which each instance has one of. OPA's has as many as the policy has functions. */
const tableMax = 100_000;
/**
 * Of a function, locals times blocks and branches: what the compiler's time and memory go by, a second and a gigabyte at
 * this much. OPA's own library has 6,000 at the most, a rule of three thousand calls 45 million.
 */
const complexityMax = 64_000_000;

/**
 * Rewrites a policy module so that it cannot run on unasked. A counter goes down as it works, and at nought the module
 * calls the host, which fills the counter up again or ends the evaluation. Nothing else changes: no index moves, since
 * the host is reached through an import that every OPA module has.
 *
 * A tick takes off the counter what was or is to be done, by the length of the code. Loops tick every so many iterations,
 * by a count in a local, which stays in a register, and for the first time after few. Calls tick where they close a
 * circle, or where what is below them and their neighbours is too much; what the others do is bounded by the code's own
 * length and its loops' first iterations. All of it costs about a sixth of an evaluation (bench/meter.ts); ticking at
 * each call and iteration cost half of one. docs/architecture.md has the other ways that were weighed.
 *
 * @param wasm a module as `opa build -t wasm` writes it
 * @throws BundleRefused if it is not such a module, or contains instructions that are not known here (SIMD, threads, …):
 *   unknown instructions cannot be metered
 * @see WebAssembly core specification 2.0, section 5 (binary format)
 */
export function metered(wasm: Uint8Array): Uint8Array<ArrayBuffer> {
  const module = readSections(wasm);
  const imports = readImports(module.get(sections.import));
  const hostCall = imports.functions.indexOf('env.opa_builtin0');
  if (hostCall < 0)
    throw new BundleRefused('policy.wasm does not import env.opa_builtin0, which every OPA policy does');

  checkTables(module);

  const globals = module.get(sections.global) ?? Uint8Array.of(0);
  const fuelGlobal = imports.globals + new Reader(globals).u32();
  module.set(sections.global, appended(globals, [i32, 1, 0x41, 0, 0x0b]));

  const bodies = readBodies(module.get(sections.code), readParameterCounts(module));
  const ticks = findTicks(bodies, imports.functions.length);
  const toll = new Toll(fuelGlobal, hostCall, imports.functions.length + bodies.length);
  const types = module.get(sections.type) ?? Uint8Array.of(0);
  module.set(sections.type, appended(types, [0x60, 1, i32, 0]));
  const functions = module.get(sections.function) ?? Uint8Array.of(0);
  module.set(sections.function, appended(functions, leb(new Reader(types).u32())));
  const code: Uint8Array[] = [Uint8Array.from(leb(bodies.length + 1))];
  for (const body of bodies) {
    const made = meteredBody(body, ticks, toll);
    code.push(Uint8Array.from(leb(made.length)), made);
  }
  code.push(Uint8Array.from([...leb(toll.tickBody.length), ...toll.tickBody]));
  module.set(sections.code, concatenated(code));
  return written(wasm, module);
}

/** The instructions that are put in. */
class Toll {
  /** Of the function that ticks: its operand off the counter; below nought, what the host says. */
  readonly tickBody: readonly number[];
  /** Before memory grows: the host looks at its clock. */
  readonly grow: readonly number[];
  readonly #call: readonly number[];

  constructor(fuelGlobal: number, hostCall: number, tickFunction: number) {
    const fuel = leb(fuelGlobal);
    const host = (id: number): readonly number[] => [0x41, ...leb(id), 0x41, 0, 0x10, ...leb(hostCall)];
    this.#call = [0x10, ...leb(tickFunction)];
    this.tickBody = [
      ...[0, 0x23, ...fuel, 0x20, 0, 0x6b, 0x24, ...fuel],
      ...[0x23, ...fuel, 0x41, 0, 0x48, 0x04, voidBlock, ...host(fuelSpentId), 0x24, ...fuel, 0x0b, 0x0b],
    ];
    this.grow = [...host(bulkId), 0x1a];
  }

  /**
   * A call, so that what ticks stays small: the compiler works on it for less long, and makes better code of it.
   *
   * @param work in bytes of code run through
   */
  tick(work: number): readonly number[] {
    return [0x41, ...leb(Math.min(0x3fffffff, Math.max(1, Math.ceil(work / bytesPerFuel)))), ...this.#call];
  }

  /** Take an iteration off a count in a local; at nought tick, and begin again. */
  iteration(counter: number, { every, work }: Rhythm): readonly number[] {
    return [...countDown(counter), 0x04, voidBlock, ...this.tick(work), ...setLocal(counter, every), 0x0b];
  }

  /** Before an instruction that moves as many bytes as the stack's top says: tick by them, and trap where it is too many. */
  bulk(scratch: number): readonly number[] {
    const length = [0x20, ...leb(scratch)];
    return [
      ...[0x22, ...leb(scratch), 0x41, ...leb(bulkBytesMax), 0x4b, 0x04, voidBlock, 0x00, 0x0b],
      ...[...length, 0x41, Math.log2(bytesPerFuel), 0x76, 0x41, 1, 0x6a, ...this.#call, ...length],
    ];
  }
}

/** One off a local; leaves on the stack whether nought was reached. */
function countDown(index: number): readonly number[] {
  const local = leb(index);
  return [0x20, ...local, 0x41, 1, 0x6b, 0x22, ...local, 0x45];
}

function setLocal(index: number, value: number): readonly number[] {
  return [0x41, ...leb(value), 0x21, ...leb(index)];
}

/** The place of an outermost loop, with the loops inside of it. */
interface Nest {
  /** Where the outermost loop's instruction is. */
  readonly at: number;
  /** Bytes of the longest loop in it that calls nothing, and of the longest that does; 0 where there is none. */
  plain: number;
  calling: number;
  /** Bytes of code below its calls, of those that do not tick. */
  called: number;
}

interface Loop {
  readonly nest: Nest;
  /** Where its instruction is, where its code begins, and where that ends. */
  readonly at: number;
  readonly start: number;
  end: number;
  /** Whether it leaves nothing on the stack. */
  readonly isVoid: boolean;
  calls: boolean;
  isInnermost: boolean;
  /** Branches from its code to places outside of it. */
  readonly exits: Branch[];
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
  readonly nests: readonly Nest[];
  readonly loops: readonly Loop[];
  /** Where memory grows, and where single instructions move a lot of it. */
  readonly grows: readonly number[];
  readonly bulks: readonly number[];
  readonly calls: readonly Call[];
  readonly callsThroughTable: boolean;
}

interface Call {
  /** Where its instruction is. */
  readonly at: number;
  readonly callee: number;
  /** Around it; undefined where it is in no loop. */
  readonly nest: Nest | undefined;
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
    readValueType(reader);
  }
  const start = reader.at;
  const nests: Nest[] = [];
  const loops: Loop[] = [];
  const grows: number[] = [];
  const bulks: number[] = [];
  const calls: Call[] = [];
  /** The open blocks; undefined for those that are not loops. */
  const open: (Loop | undefined)[] = [];
  let callsThroughTable = false;
  let forks = 0;
  while (!reader.atEnd) {
    const at = reader.at;
    const instruction = readInstruction(reader);
    forks += instruction.kind === 'branch' ? instruction.branches.length : instruction.kind === 'other' ? 0 : 1;
    switch (instruction.kind) {
      case 'loop': {
        for (const outer of open) if (outer !== undefined) outer.isInnermost = false;
        let nest = open.find((block) => block !== undefined)?.nest;
        if (nest === undefined) {
          nest = { at, plain: 0, calling: 0, called: 0 };
          nests.push(nest);
        }
        const { isVoid } = instruction;
        const loop = { nest, at, start: reader.at, end: at, isVoid, calls: false, isInnermost: true, exits: [] };
        loops.push(loop);
        open.push(loop);
        break;
      }
      case 'block':
        open.push(undefined);
        break;
      case 'end': {
        const closed = open.pop();
        if (closed === undefined) break;
        closed.end = at;
        const kind = closed.calls ? 'calling' : 'plain';
        closed.nest[kind] = Math.max(closed.nest[kind], at - closed.start);
        break;
      }
      case 'branch': {
        const inside = open.findLastIndex((block) => block !== undefined);
        for (const branch of instruction.branches) {
          if (open.length - 1 - branch.depth < inside) open[inside]?.exits.push(branch);
        }
        break;
      }
      case 'call':
        if (instruction.callee === undefined) callsThroughTable = true;
        else calls.push({ at, callee: instruction.callee, nest: open.find((block) => block !== undefined)?.nest });
        for (const loop of open) if (loop !== undefined) loop.calls = true;
        break;
      case 'grow':
        grows.push(at);
        break;
      case 'bulk':
        bulks.push(at);
        break;
      default:
    }
  }
  if (locals * forks > complexityMax)
    throw new BundleRefused('policy.wasm has a function with too many locals and branches to be compiled in time');
  return { bytes, start, localGroups, localsAt, locals, nests, loops, grows, bulks, calls, callsThroughTable };
}

/** Where calls tick, and by how much work: functions where they begin, and single calls before they are made. */
interface Ticks {
  readonly functions: ReadonlyMap<Body, number>;
  readonly calls: ReadonlyMap<Call, number>;
}

/**
 * Functions tick that call through a table, or have more code below them than may run unticked. Of the calls tick those
 * that close a circle, and of what a function calls the heaviest, until the rest may run behind its own tick. Most values
 * that a policy compares or hashes hold no others, and never come to that.
 */
function findTicks(bodies: readonly Body[], imported: number): Ticks {
  const functions = new Map<Body, number>();
  const calls = new Map<Call, number>();
  const weights = new Map<Body, number>();
  const underWay = new Set<Body>();
  /** @returns bytes of code that a call may run through unticked */
  const weigh = (body: Body): number => {
    const known = weights.get(body);
    if (known !== undefined) return known;
    underWay.add(body);
    let weight = body.bytes.length;
    for (const nest of body.nests) weight += first('plain', nest) * nest.plain + first('calling', nest) * nest.calling;
    const below: { readonly call: Call; readonly once: number; readonly unticked: number }[] = [];
    for (const call of body.calls) {
      const callee = bodies[call.callee - imported];
      if (callee === undefined) continue;
      if (underWay.has(callee) || (underWay.size > searchDepthMax && !weights.has(callee)))
        calls.set(call, callee.bytes.length);
      else {
        const once = weigh(callee);
        below.push({ call, once, unticked: once * (call.nest === undefined ? 1 : firstIterationsMax.calling) });
      }
    }
    underWay.delete(body);
    for (const { call, once, unticked } of below.sort((a, b) => a.unticked - b.unticked)) {
      if (weight + unticked > tickedBytesMax) calls.set(call, once);
      else {
        weight += unticked;
        if (call.nest !== undefined) call.nest.called += once;
      }
    }
    if (body.callsThroughTable || weight > untickedBytesMax) {
      functions.set(body, weight);
      weight = 0;
    }
    weights.set(body, weight);
    return weight;
  };
  for (const body of bodies) weigh(body);
  return { functions, calls };
}

/** A replacement of some bytes of a body, or an insertion. */
interface Piece {
  readonly at: number;
  readonly end: number;
  readonly code: readonly number[];
}

function meteredBody(body: Body, ticks: Ticks, toll: Toll): Uint8Array {
  const { bytes, start, localGroups, localsAt, locals, nests, loops, grows, bulks, calls } = body;
  const counters = { plain: locals, calling: locals + 1 };
  const scratch = locals + 2;
  const put: Piece[] = [];
  const insert = (at: number, code: readonly number[]): number => put.push({ at, end: at, code });
  // Insertions at the same place keep this order: the end of a loop comes before the start of the next.
  const ownWork = ticks.functions.get(body);
  if (ownWork !== undefined) insert(start, toll.tick(ownWork));
  for (const loop of loops) {
    if (!canBeLeft(loop)) continue;
    const { every, work } = later('plain', loop.nest);
    const tick = [...toll.tick(work), ...setLocal(counters.plain, every)];
    insert(loop.end + 1, [0x0c, 2, 0x0b, ...tick, 0x0c, 0, 0x0b, 0x0b]);
  }
  for (const nest of nests) {
    for (const kind of ['plain', 'calling'] as const)
      if (nest[kind] > 0) insert(nest.at, setLocal(counters[kind], first(kind, nest)));
  }
  for (const loop of loops) {
    const kind = loop.calls ? 'calling' : 'plain';
    if (!canBeLeft(loop)) {
      insert(loop.start, toll.iteration(counters[kind], later(kind, loop.nest)));
      continue;
    }
    insert(loop.at, [0x02, voidBlock, 0x03, voidBlock, 0x02, voidBlock]);
    insert(loop.start, [...countDown(counters.plain), 0x0d, 1]);
    for (const { at, end, depth } of loop.exits) put.push({ at, end, code: leb(depth + 3) });
  }
  for (const at of grows) insert(at, toll.grow);
  for (const at of bulks) insert(at, toll.bulk(scratch));
  for (const call of calls) {
    const work = ticks.calls.get(call);
    if (work !== undefined) insert(call.at, toll.tick(work));
  }
  if (put.length === 0) return bytes;
  put.sort((a, b) => a.at - b.at);
  const pieces: Uint8Array[] = [
    Uint8Array.from(leb(localGroups + 1)),
    bytes.subarray(localsAt, start),
    Uint8Array.of(3, i32),
  ];
  let from = start;
  for (const { at, end, code } of put) {
    pieces.push(bytes.subarray(from, at), Uint8Array.from(code));
    from = end;
  }
  pieces.push(bytes.subarray(from));
  return concatenated(pieces);
}

/**
 * A loop that calls nothing must not call the host either: the compiler makes half as fast what it cannot keep in
 * registers. So it is left for the tick, and entered again: three blocks surround it.
 */
function canBeLeft({ isVoid, calls, isInnermost }: Loop): boolean {
  return isVoid && !calls && isInnermost;
}

type LoopKind = 'plain' | 'calling';

/** After how many iterations the loops of a nest tick first. */
function first(kind: LoopKind, nest: Nest): number {
  return Math.max(1, Math.min(firstIterationsMax[kind], Math.floor(firstBytes / nest[kind])));
}

/** How a loop goes on: every how many iterations it ticks, and for how much work. */
interface Rhythm {
  readonly every: number;
  readonly work: number;
}

/** As many iterations as may run unticked, by the length of the nest's longest loop and of what its calls lead to. */
function later(kind: LoopKind, nest: Nest): Rhythm {
  const once = kind === 'plain' ? nest.plain : nest.calling + nest.called;
  const mostBytes = kind === 'plain' ? bytesPerFuel : untickedBytesMax;
  // Not at each: one that is left for its tick would never come to its code.
  const every = Math.max(2, Math.min(iterationsMax[kind], Math.floor(mostBytes / once)));
  return { every, work: every * once };
}

/** Memory comes from us alone, and an instance is made for every fault: it must not bring much of its own. */
function checkTables(module: ReadonlyMap<number, Uint8Array>): void {
  if (new Reader(module.get(sections.memory) ?? Uint8Array.of(0)).u32() > 0)
    throw new BundleRefused('policy.wasm defines a second memory');
  const tables = new Reader(module.get(sections.table) ?? Uint8Array.of(0));
  const count = tables.u32();
  if (count > 1) throw new BundleRefused(`policy.wasm has ${count} tables, and OPA's modules have one`);
  if (count === 0) return;
  readTableType(tables);
  const elements = readLimits(tables);
  if (elements > tableMax) throw new BundleRefused(`policy.wasm has a table of ${elements} elements`);
}

/** By function of the module itself: how many parameters come before its locals. */
function readParameterCounts(module: ReadonlyMap<number, Uint8Array>): readonly number[] {
  const types: number[] = [];
  const typeReader = new Reader(module.get(sections.type) ?? Uint8Array.of(0));
  for (let count = typeReader.u32(); count > 0; count -= 1) {
    if (typeReader.byte() !== 0x60) throw new BundleRefused('policy.wasm has a type that is not known here');
    const parameters = typeReader.u32();
    for (let left = parameters; left > 0; left -= 1) readValueType(typeReader);
    for (let left = typeReader.u32(); left > 0; left -= 1) readValueType(typeReader);
    types.push(parameters);
  }
  const functionReader = new Reader(module.get(sections.function) ?? Uint8Array.of(0));
  const counts: number[] = [];
  for (let count = functionReader.u32(); count > 0; count -= 1) counts.push(types[functionReader.u32()] ?? 0);
  return counts;
}
