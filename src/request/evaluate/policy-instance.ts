// Tested by test/request/evaluate/policy-image.long.test.ts.
import { BundleRefused } from '../../domain/errors.ts';
import { bytesOf, type Charge, textOf } from '../../opa/opa.ts';
import type { BuiltinHost, ModuleValues } from './builtin-host.ts';
import { abortText, type PolicyImage, pageBytes, restoreStatics, tableText } from './policy-image.ts';

/** Between two looks at the clock: tens of microseconds for what policies do, some milliseconds at the very worst. */
const fuelSlice = 256;
/** OPA's tag of a string value, and the offsets of its length and of its bytes' address (wasm/src/value.h). */
const stringTag = 4;
const stringLengthOffset = 4;
const stringBytesOffset = 8;
/** Entrypoints or builtins, far more than any policy has. */
const tableNamesMax = 10_000;

/** The module's exports, which the SDK leaves untyped. All of them are in ABI 1.2. */
interface Exports {
  opa_eval(
    reserved: number,
    entrypoint: number,
    data: number,
    input: number,
    inputLength: number,
    heap: number,
    format: number,
  ): number;
  opa_malloc(bytes: number): number;
  opa_free(address: number): void;
  opa_value_parse(address: number, length: number): number;
  opa_value_dump(value: number): number;
  opa_json_dump(value: number): number;
  opa_heap_ptr_set(address: number): void;
  builtins(): number;
  entrypoints(): number;
}

/** How the result leaves the module: JSON makes arrays of sets, in no certain order; Rego's own text keeps them apart. */
export type ResultForm = 'json' | 'rego';

/** The module called `opa_abort`: its own way of saying that it cannot go on, e.g. when two rules contradict each other. */
export class PolicyAborted extends Error {
  /** Whether it had no memory left (OPA's wasm/src/malloc.c). */
  get isOutOfMemory(): boolean {
    return this.message === 'opa_malloc: failed';
  }
}

/**
 * One instance of a policy module on a memory that holds its data. The npm SDK has loaded the data and set the heap's
 * marks; calls in and out are made here, because the SDK passes values as JSON, in which a set is an array and 2^53 + 1
 * is not.
 *
 * An instance out of which anything was thrown has leaked its shadow stack and is not to be used again; the next one is
 * made on the same memory, whose data no evaluation writes to.
 *
 * @see OPA documentation, "WebAssembly", ABI 1.2
 */
export class PolicyInstance implements ModuleValues {
  readonly #memory: WebAssembly.Memory;
  readonly #exports: Exports;
  readonly #image: PolicyImage;
  /** A view of the memory's buffer, made anew whenever it has grown. */
  #bytes: Buffer;

  /** @throws BundleRefused if the module has another ABI; whatever the module throws */
  constructor(image: PolicyImage, host: BuiltinHost) {
    // Starting the module is not part of an evaluation and has a budget of its own.
    host.end();
    this.#image = image;
    this.#memory = image.memory;
    this.#bytes = Buffer.from(this.#memory.buffer);
    const instance = new WebAssembly.Instance(image.module, {
      env: {
        memory: this.#memory,
        opa_abort: (address: number) => {
          throw new PolicyAborted(abortText(this.#memory, address));
        },
        // The compiler emits no call of it.
        opa_println: () => undefined,
        opa_builtin0: (id: number, _context: number) => {
          if (id >= 0) return host.call(this, id, []);
          // The meter asks (meter.ts).
          host.checkTime();
          return fuelSlice;
        },
        opa_builtin1: (id: number, _context: number, a: number) => host.call(this, id, [a]),
        opa_builtin2: (id: number, _context: number, a: number, b: number) => host.call(this, id, [a, b]),
        opa_builtin3: (id: number, _context: number, a: number, b: number, c: number) => host.call(this, id, [a, b, c]),
        opa_builtin4: (id: number, _context: number, a: number, b: number, c: number, d: number) =>
          host.call(this, id, [a, b, c, d]),
      },
    });
    this.#exports = instance.exports as unknown as Exports;
    checkAbi(instance.exports);
    restoreStatics(image);
    // Whatever is allocated from here on lies behind the data.
    this.#exports.opa_heap_ptr_set(image.heapStart);
  }

  entrypoints(): ReadonlyMap<string, number> {
    return this.#table(this.#exports.entrypoints(), 'entrypoints');
  }

  /** The builtins that the module needs from its host, by name. */
  builtins(): ReadonlyMap<string, number> {
    return this.#table(this.#exports.builtins(), 'builtins');
  }

  /**
   * @param input the policy's input as JSON text, or as Rego's
   * @returns where the result set's text starts in the module's memory, and how long it is
   */
  evaluate(entrypoint: number, input: string, form: ResultForm): { readonly start: number; readonly length: number } {
    const { dataAddress, heapStart } = this.#image;
    const inputBytes = this.#writeText(heapStart, input);
    const start = this.#exports.opa_eval(
      0,
      entrypoint,
      dataAddress,
      heapStart,
      inputBytes,
      heapStart + inputBytes,
      form === 'rego' ? 1 : 0,
    );
    return { start, length: this.#view().indexOf(0, start) - start };
  }

  text(start: number, length: number): string {
    return this.#view().toString('utf8', start, start + length);
  }

  /** The text of one of the module's values; see `read-value.ts`. */
  dumpValue(address: number, charge: Charge): string {
    const start = this.#exports.opa_value_dump(address);
    const bytes = this.#view();
    const text = textOf(bytes.subarray(start, bytes.indexOf(0, start)), charge);
    // The heap is only reset with the evaluation: without this, a loop of calls would fill the memory.
    this.#exports.opa_free(start);
    return text;
  }

  /** Makes a value from its text; see `write-value.ts`. */
  parseValue(text: string): number {
    const length = Buffer.byteLength(text, 'utf8');
    const start = this.#exports.opa_malloc(length);
    this.#view().write(text, start, 'utf8');
    const address = this.#exports.opa_value_parse(start, length);
    this.#exports.opa_free(start);
    if (address === 0) throw new Error('the module does not take the value that a builtin returned');
    return address;
  }

  /**
   * Makes a string value of bytes that need be no UTF-8, which `opa_value_parse` would abort on: a place-holder of the
   * same length is parsed, and its bytes are replaced where they lie.
   */
  parseBytes(text: string): number {
    const bytes = bytesOf(text);
    const address = this.parseValue(`"${'.'.repeat(bytes.length)}"`);
    const memory = this.#view();
    const held = memory.readUInt32LE(address + stringBytesOffset);
    const asExpected =
      memory[address] === stringTag &&
      memory.readUInt32LE(address + stringLengthOffset) === bytes.length &&
      memory.subarray(held, held + bytes.length).every((byte) => byte === 0x2e);
    if (!asExpected) throw new Error('the module lays strings out in a way that is not known here');
    bytes.copy(memory, held);
    return address;
  }

  #table(address: number, what: string): ReadonlyMap<string, number> {
    return numbersByName(JSON.parse(tableText(this.#memory, this.#exports.opa_json_dump(address))) as unknown, what);
  }

  /**
   * Writes text into the module's memory, growing it where needed.
   *
   * @returns bytes written, UTF-8; this is not `text.length`
   */
  #writeText(address: number, text: string): number {
    // Three bytes a UTF-16 unit is the most that UTF-8 takes.
    const missing = address + text.length * 3 - this.#memory.buffer.byteLength;
    if (missing > 0) this.#memory.grow(Math.ceil(missing / pageBytes));
    return this.#view().write(text, address, 'utf8');
  }

  #view(): Buffer {
    if (this.#bytes.buffer !== this.#memory.buffer) this.#bytes = Buffer.from(this.#memory.buffer);
    return this.#bytes;
  }
}

function checkAbi(exports: WebAssembly.Exports): void {
  const major = globalIn(exports, 'opa_wasm_abi_version');
  const minor = globalIn(exports, 'opa_wasm_abi_minor_version');
  if (major !== 1 || minor === undefined || minor < 2) {
    throw new BundleRefused(`policy.wasm has ABI ${major ?? '?'}.${minor ?? '?'}; 1.2 or newer is needed`);
  }
}

function globalIn(exports: WebAssembly.Exports, name: string): number | undefined {
  const { value } = (exports[name] ?? {}) as { readonly value?: unknown };
  return typeof value === 'number' ? value : undefined;
}

function numbersByName(table: unknown, what: string): ReadonlyMap<string, number> {
  if (typeof table !== 'object' || table === null) throw new BundleRefused(`policy.wasm lists no ${what}`);
  const entries = Object.entries(table);
  if (entries.length > tableNamesMax) throw new BundleRefused(`policy.wasm lists more than ${tableNamesMax} ${what}`);
  const numbers = new Map<string, number>();
  for (const [name, id] of entries) {
    if (typeof id !== 'number') throw new BundleRefused(`policy.wasm lists malformed ${what}`);
    numbers.set(name, id);
  }
  return numbers;
}
