import { createRequire } from 'node:module';
import { BundleRefused } from '../../domain/errors.ts';
import { compileModule } from './compile-module.ts';
import { bulkId, fuelSpentId } from './meter.ts';
import { ObjectReader } from './object-reader.ts';
import { withSharedMemory } from './shared-memory.ts';

// The SDK's ES module entry leaves some of its exports out; its CommonJS entry has them all.
const sdk: typeof import('@open-policy-agent/opa-wasm') = createRequire(import.meta.url)('@open-policy-agent/opa-wasm');

export const pageBytes = 65_536;
/** The compiler asks for two where a policy holds little text; one with little data gets by with these. */
const usualPages = 16;
/**
 * Memory for a document: its text twice, since it stays where it was put, and for each value OPA's own structures around
 * it. Measured over documents of many shapes; lists of small numbers are the worst, where each has a place that is a
 * number, too. Only the limit rests on this: memory grows as it is filled, which on shared memory costs nothing
 * (on memory of one thread Node 24 takes 13 s for what takes it 0.2 s here).
 */
const bytesPerTextByte = 2.5;
const bytesPerValue = { usual: 130, most: 195 };
/** Addresses are signed numbers at the module's border: past two gibibytes they would turn negative. */
const pagesMax = 32_768;
/** Ticks of the meter that loading may take: seconds at the most for little data, and many times what any data needs. */
const loadingFuel = { least: 2_000_000, perByte: 64, most: 2 ** 30 };
const stashMinorVersion = 3;
/** Entrypoints or builtins, far more than any policy has. Of some millions the process ends while V8 parses them. */
const tableBytesMax = 1_048_576;
const abortBytesMax = 1_024;
/** Room for variables besides the module's own texts; OPA's own variables take some 150 KB. */
const variableBytesMax = 1_048_576;
/** A memory that has to be copied for each new instance holds up requests if it is larger. */
const copiedBytesMax = 16_777_216;
/** The module keeps blocks of that size and more in one list (wasm/src/malloc.c). */
const largeBlockBytes = 128;

/**
 * A compiled policy and a memory that holds its data, parsed. It is plain data that goes from one thread to another: one
 * builds it, which takes seconds for large data, and another makes instances of it, each in well under a millisecond.
 * Only one thread at a time may make instances of it.
 */
export interface PolicyImage {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  /** Where the data document lies. */
  readonly dataAddress: number;
  /** Where the data ends, and each evaluation begins. */
  readonly heapStart: number;
  /** The module's own variables as they were when the data was whole: the lists of free blocks in it are among them. */
  readonly statics: Uint8Array;
  /** `heapStart` before any patch: the distance to it since says how much of the data is holes. */
  readonly firstHeapStart: number;
  /** How large the memory was when the data was whole. */
  readonly pages: number;
  /** Which of the module's variables holds the memory's size; undefined if that could not be told. */
  readonly heapTopAddress: number | undefined;
  /** Most pages that evaluations may add. */
  readonly memoryPages: number;
}

/** One change to an image's data. */
export interface DataPatch {
  readonly op: 'upsert' | 'replace' | 'remove';
  readonly path: readonly string[];
  /** JSON text; empty for `remove`. */
  readonly valueText: string;
}

/** The exports of a module that are called here. ABI 1.3. */
interface Exports {
  opa_malloc(bytes: number): number;
  opa_free(address: number): void;
  opa_json_parse(address: number, length: number): number;
  opa_json_dump(value: number): number;
  opa_heap_ptr_get(): number;
  opa_heap_ptr_set(address: number): void;
  opa_heap_blocks_stash(): void;
  opa_heap_blocks_restore(): void;
  opa_value_add_path(data: number, path: number, value: number): number;
  opa_value_remove_path(data: number, path: number): number;
  opa_value_free(value: number): void;
}

/**
 * @param data the data document, JSON in UTF-8
 * @param memoryPages what evaluations may have beyond the data
 * @throws BundleRefused if the module does not compile, does not start, or does not take the data
 */
export async function buildImage(
  wasm: Uint8Array,
  data: Uint8Array<ArrayBuffer>,
  memoryPages: number,
): Promise<PolicyImage> {
  const shared = withSharedMemory(wasm);
  if (shared.pages > usualPages + memoryPages) throw new BundleRefused('policy.wasm asks for more memory than allowed');
  const module = await compileModule(shared.wasm);
  const staticsMax = shared.wasm.length + variableBytesMax;
  const { basePages, heapTopAddress } = findHeapTop(
    module,
    Math.max(usualPages, shared.pages),
    memoryPages,
    staticsMax,
  );
  const values = countValues(data);
  const within = (perValue: number): PolicyImage => {
    const dataPages = Math.ceil((data.length * bytesPerTextByte + values * perValue) / pageBytes);
    const maximum = basePages + dataPages + memoryPages;
    return load(module, data, { basePages, heapTopAddress, memoryPages, maximum, staticsMax });
  };
  try {
    return within(bytesPerValue.usual);
  } catch {
    // Told by the second attempt, which has all that any data may need.
    return within(bytesPerValue.most);
  }
}

interface Room {
  readonly basePages: number;
  readonly heapTopAddress: number | undefined;
  readonly memoryPages: number;
  readonly maximum: number;
  /** Most bytes for the module's variables. */
  readonly staticsMax: number;
}

function load(module: WebAssembly.Module, data: Uint8Array<ArrayBuffer>, room: Room): PolicyImage {
  const { basePages, heapTopAddress, memoryPages, maximum, staticsMax } = room;
  const memory = sharedMemory(basePages, maximum);
  const instance = started(module, memory, data.length);
  const exports = instance.exports as unknown as Exports;
  const heapBase = heapBaseOf(instance, memory, staticsMax);
  // The SDK parses a table whatever its length.
  const dump = (value: number): number => {
    const address = exports.opa_json_dump(value);
    tableText(memory, address);
    return address;
  };
  try {
    const bounded = { exports: { ...instance.exports, opa_json_dump: dump } };
    const policy = new sdk.LoadedPolicy({ instance: bounded, module }, memory, 2);
    policy.setData(data.buffer);
    return imageOf({ module, memory, dataAddress: policy.dataAddr, memoryPages, heapTopAddress }, heapBase, instance);
  } catch (cause) {
    if (cause instanceof BundleRefused) throw cause;
    throw new BundleRefused(`policy.wasm does not take the data: ${messageOf(cause)}`, { cause });
  }
}

/**
 * Another image: this one's data with changes. The old one stays as it is, and may serve meanwhile; its data is copied
 * as it lies in memory, never read again.
 *
 * @throws BundleRefused if a change has nothing to change; what was made of the copy is lost then
 */
export function patchImage(image: PolicyImage, patches: readonly DataPatch[]): PolicyImage {
  const { heapStart, dataAddress, firstHeapStart } = image;
  const copy = copyImage(image);
  const instance = started(copy.module, copy.memory, copy.memory.buffer.byteLength);
  const exports = instance.exports as unknown as Exports;
  if (minorVersion(instance) < stashMinorVersion)
    throw new BundleRefused(
      'policy.wasm has an ABI older than 1.3, whose data cannot be changed: publish a whole bundle',
    );
  restoreStatics(copy);
  try {
    exports.opa_heap_ptr_set(heapStart);
    exports.opa_heap_blocks_restore();
    for (const patch of patches) apply(patch, dataAddress, copy.memory, exports);
    return { ...imageOf(copy, image.statics.length, instance), firstHeapStart };
  } catch (cause) {
    if (cause instanceof BundleRefused) throw cause;
    throw new BundleRefused(`policy.wasm does not take the changes: ${messageOf(cause)}`, { cause });
  }
}

/** The same again in a memory of its own, which has the size that the first one had before anybody evaluated on it. */
export function copyImage(image: PolicyImage): PolicyImage {
  const memory = sharedMemory(image.pages, image.pages + image.memoryPages);
  new Uint8Array(memory.buffer).set(new Uint8Array(image.memory.buffer, 0, image.heapStart));
  return { ...image, memory };
}

/** Whether instances can be made of it again and again: only if the module can be told how large its memory is by then. */
export function canStartAgain({ heapTopAddress }: Pick<PolicyImage, 'heapTopAddress'>): boolean {
  return heapTopAddress !== undefined;
}

/**
 * Sets the module's variables to what they were when the data was whole. Starting an instance on the memory of another
 * has reset some of them and left others, among them what a fault may have left half done.
 */
export function restoreStatics({ memory, statics, heapTopAddress }: PolicyImage): void {
  const bytes = Buffer.from(memory.buffer);
  bytes.set(statics, 0);
  if (heapTopAddress !== undefined) bytes.writeUInt32LE(memory.buffer.byteLength, heapTopAddress);
}

/**
 * The text of a table that `opa_json_dump` has written.
 *
 * @throws BundleRefused
 */
export function tableText({ buffer }: WebAssembly.Memory, address: number): string {
  const start = address >>> 0;
  const bytes = Buffer.from(buffer).subarray(start, start + tableBytesMax);
  const end = bytes.indexOf(0);
  if (end < 0) throw new BundleRefused(`policy.wasm has a table of more than ${tableBytesMax} bytes`);
  return bytes.toString('utf8', 0, end);
}

/** A module's message when it aborts. OPA's messages name a place in the policy; a longer text is not one of them. */
export function abortText({ buffer }: WebAssembly.Memory, address: number): string {
  const start = address >>> 0;
  const bytes = Buffer.from(buffer).subarray(start, start + abortBytesMax);
  const end = bytes.indexOf(0);
  return bytes.toString('utf8', 0, end < 0 ? bytes.length : end);
}

function apply({ op, path, valueText }: DataPatch, data: number, memory: WebAssembly.Memory, exports: Exports): void {
  const shown = `data.${path.join('.')}`.slice(0, 200);
  const { found, blocked } = new ObjectReader(memory).find(data, path);
  if (blocked) throw new BundleRefused(`${shown} leads through a value that is not an object: publish a whole bundle`);
  if (op !== 'upsert' && !found) throw new BundleRefused(`there is no ${shown} to ${op}`);
  const pathAddress = parsed(JSON.stringify(path), memory, exports);
  const code =
    op === 'remove'
      ? exports.opa_value_remove_path(data, pathAddress)
      : exports.opa_value_add_path(data, pathAddress, parsed(valueText, memory, exports));
  exports.opa_value_free(pathAddress);
  if (code !== 0) throw new BundleRefused(`${shown} cannot be changed: code ${code}`);
}

/** A value of the module's, made of JSON text. */
function parsed(text: string, memory: WebAssembly.Memory, exports: Exports): number {
  const length = Buffer.byteLength(text);
  const start = exports.opa_malloc(length);
  Buffer.from(memory.buffer).write(text, start);
  const value = exports.opa_json_parse(start, length);
  exports.opa_free(start);
  if (value === 0) throw new BundleRefused('policy.wasm does not take a value');
  return value;
}

function imageOf(
  made: Omit<PolicyImage, 'heapStart' | 'firstHeapStart' | 'statics' | 'pages'>,
  heapBase: number,
  instance: WebAssembly.Instance,
): PolicyImage {
  const exports = instance.exports as unknown as Exports;
  // Large blocks that patches have freed are counted among the free ones only when another large one is asked for.
  exports.opa_free(exports.opa_malloc(largeBlockBytes));
  // Evaluations reset the heap, and with it the lists of free blocks; put aside, they are there for the next patch.
  if (minorVersion(instance) >= stashMinorVersion) exports.opa_heap_blocks_stash();
  const heapStart = exports.opa_heap_ptr_get();
  if (heapStart > copiedBytesMax && !canStartAgain(made))
    throw new BundleRefused('policy.wasm does not say how large its memory is, and its data is large');
  const { buffer } = made.memory;
  return {
    ...made,
    heapStart,
    firstHeapStart: heapStart,
    statics: new Uint8Array(buffer).slice(0, heapBase),
    pages: buffer.byteLength / pageBytes,
  };
}

/** Commas and opening brackets are about as many as there are values; those inside strings make it a little more. */
function countValues(data: Uint8Array): number {
  let values = 1;
  for (const byte of data) if (byte === 0x2c || byte === 0x7b || byte === 0x5b) values += 1;
  return values;
}

/**
 * The one word in a started module's variables that is the size of its memory, whatever that size is. The module grows
 * its memory by itself and keeps account of it there, and would count wrong on a memory that has grown already.
 */
function findHeapTop(
  module: WebAssembly.Module,
  pages: number,
  memoryPages: number,
  staticsMax: number,
): Pick<Room, 'basePages' | 'heapTopAddress'> {
  const first = sizesIn(module, pages, memoryPages, staticsMax);
  const second = sizesIn(module, first.pages + 1, memoryPages, staticsMax);
  const both = first.addresses.filter((address) => second.addresses.includes(address));
  return { basePages: first.pages, heapTopAddress: both.length === 1 ? both[0] : undefined };
}

/** The size of a memory after the module has started on it, and the words that store that size. */
function sizesIn(
  module: WebAssembly.Module,
  pages: number,
  memoryPages: number,
  staticsMax: number,
): { readonly pages: number; readonly addresses: readonly number[] } {
  const memory = sharedMemory(pages, pages + memoryPages);
  const instance = started(module, memory, 0);
  const heapBase = heapBaseOf(instance, memory, staticsMax);
  const { byteLength } = memory.buffer;
  const words = new Uint32Array(memory.buffer, 0, Math.floor(heapBase / 4));
  const addresses: number[] = [];
  for (let at = words.indexOf(byteLength); at >= 0; at = words.indexOf(byteLength, at + 1)) addresses.push(at * 4);
  return { pages: byteLength / pageBytes, addresses };
}

/** Where a started module's variables end. They are put back for each new instance, between two requests. */
function heapBaseOf(instance: WebAssembly.Instance, { buffer }: WebAssembly.Memory, staticsMax: number): number {
  const heapBase = (instance.exports as unknown as Exports).opa_heap_ptr_get();
  if (heapBase < 0 || heapBase > Math.min(staticsMax, buffer.byteLength))
    throw new BundleRefused(`policy.wasm says that its variables take ${heapBase} bytes`);
  return heapBase;
}

function sharedMemory(initial: number, maximum: number): WebAssembly.Memory {
  if (initial > pagesMax) throw new BundleRefused('the data takes more than two gibibytes');
  return new WebAssembly.Memory({ initial, maximum: Math.min(maximum, pagesMax), shared: true });
}

/**
 * An instance that is never asked to decide: it holds the data while that is made.
 *
 * @param bytes of what it will be given
 */
function started(module: WebAssembly.Module, memory: WebAssembly.Memory, bytes: number): WebAssembly.Instance {
  let refuelled = false;
  const noBuiltin = (): never => {
    throw new Error('a builtin is called while data is loaded');
  };
  const refuel = (id: number): number => {
    if (id === bulkId) return 0;
    if (id !== fuelSpentId) return noBuiltin();
    if (refuelled) throw new BundleRefused('policy.wasm does not terminate while it takes its data');
    refuelled = true;
    return Math.min(loadingFuel.least + bytes * loadingFuel.perByte, loadingFuel.most);
  };
  const env = {
    memory,
    opa_abort: (address: number) => {
      throw new Error(abortText(memory, address));
    },
    opa_println: () => undefined,
    opa_builtin0: refuel,
    opa_builtin1: noBuiltin,
    opa_builtin2: noBuiltin,
    opa_builtin3: noBuiltin,
    opa_builtin4: noBuiltin,
  };
  try {
    return new WebAssembly.Instance(module, { env });
  } catch (cause) {
    throw new BundleRefused(`policy.wasm does not start: ${messageOf(cause)}`, { cause });
  }
}

function minorVersion(instance: WebAssembly.Instance): number {
  const version = instance.exports['opa_wasm_abi_minor_version'] as { readonly value?: unknown } | undefined;
  return typeof version?.value === 'number' ? version.value : 0;
}

/** The SDK throws strings and objects as well as errors. */
function messageOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message;
  if (typeof cause === 'object' && cause !== null && 'message' in cause) return String(cause.message);
  return String(cause);
}
