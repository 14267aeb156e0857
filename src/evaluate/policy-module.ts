import { createRequire } from 'node:module';
import type { LoadedPolicy } from '@open-policy-agent/opa-wasm';
import type { BundleRevision } from '../domain/bundle.ts';
import { BundleRefused, Undecided } from '../domain/errors.ts';

// The SDK's ES module entry leaves out loadPolicySync, which its types and its CommonJS entry have.
const sdk: typeof import('@open-policy-agent/opa-wasm') = createRequire(import.meta.url)('@open-policy-agent/opa-wasm');

const pageBytes = 65_536;
/** What an evaluation needs beside the data: the module's own statics, the input, intermediate values. */
const basePages = 32;
/** OPA's values take up to about ten times the JSON they were parsed from; growing page by page costs seconds on MiBs. */
const valueBytesPerJsonByte = 10;
/** An instance that grew by more than this in one evaluation is let go afterwards, and its memory with it. */
const retirePages = 512;
/** Past this a spare instance would double too much memory for what it saves. */
const spareDataBytesMax = 1_048_576;

export interface PolicyLimits {
  /** Beyond the data, in pages of 64 KiB; past it the module's own allocator fails and the decision stays closed. */
  readonly memoryPages: number;
  readonly resultBytes: number;
}

export interface PolicySource {
  readonly wasm: Uint8Array;
  /** The bundle's data document as JSON text. */
  readonly dataText: string;
  readonly revision: BundleRevision;
}

/** What the SDK leaves untyped, named once. */
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
}

interface Instance {
  readonly memory: WebAssembly.Memory;
  readonly exports: Exports;
  readonly dataAddress: number;
  readonly heapStart: number;
  readonly pagesAtStart: number;
  /** A view of `memory.buffer`, made anew whenever growing has detached it. */
  bytes: Buffer;
}

/**
 * A compiled policy with its data, ready to answer. It sits on the npm SDK for loading (imports, builtins, data) and
 * calls `opa_eval` itself: the input is text already, and the result is wanted as text too.
 *
 * @see OPA documentation, "WebAssembly", ABI 1.2 (`opa_eval`)
 */
export class PolicyModule {
  readonly revision: BundleRevision;
  readonly entrypoints: ReadonlyMap<string, number>;
  readonly #module: WebAssembly.Module;
  readonly #data: ArrayBuffer;
  readonly #limits: PolicyLimits;
  #ready: Instance | undefined;
  #spare: Instance | undefined;
  #spareDue = false;

  private constructor(module: WebAssembly.Module, data: ArrayBuffer, revision: BundleRevision, limits: PolicyLimits) {
    this.#module = module;
    this.#data = data;
    this.#limits = limits;
    this.revision = revision;
    const { instance, entrypoints } = this.#instantiate();
    this.#ready = instance;
    this.entrypoints = entrypoints;
    this.#prepareSpare();
  }

  /** @throws BundleRefused if the module does not compile, has another ABI, or cannot take the data */
  static async load(source: PolicySource, limits: PolicyLimits): Promise<PolicyModule> {
    let module: WebAssembly.Module;
    try {
      module = await WebAssembly.compile(new Uint8Array(source.wasm));
    } catch (cause) {
      throw new BundleRefused(`policy.wasm does not compile: ${messageOf(cause)}`, { cause });
    }
    checkModule(module);
    const data = new Uint8Array(Buffer.from(source.dataText, 'utf8'));
    try {
      return new PolicyModule(module, data.buffer, source.revision, limits);
    } catch (cause) {
      if (cause instanceof BundleRefused) throw cause;
      throw new BundleRefused(`policy.wasm does not start: ${messageOf(cause)}`, { cause });
    }
  }

  /**
   * Evaluates one entrypoint.
   *
   * @param input the policy's input as JSON text
   * @returns the entrypoint's value as JSON text; undefined where the policy defines none, or has no such entrypoint
   * @throws Undecided `policy_failed` for whatever leaves the module as an exception, `policy_result_invalid` for a
   *   result over the limit or one that is no single value
   */
  evaluate(entrypoint: string, input: string): string | undefined {
    const id = this.entrypoints.get(entrypoint);
    if (id === undefined) return undefined;
    const instance = this.#take();
    const result = this.#run(instance, id, input);
    // Not in a finally: an instance that threw has leaked its shadow stack and is never used again.
    if (instance.memory.buffer.byteLength / pageBytes - instance.pagesAtStart > retirePages) this.#prepareSpare();
    else this.#ready = instance;
    return result;
  }

  #run(instance: Instance, id: number, input: string): string | undefined {
    let start: number;
    try {
      const inputBytes = writeText(instance, instance.heapStart, input);
      const heap = instance.heapStart + inputBytes;
      start = instance.exports.opa_eval(0, id, instance.dataAddress, instance.heapStart, inputBytes, heap, 0);
    } catch (cause) {
      this.#prepareSpare();
      throw new Undecided('policy_failed', `the policy module threw: ${messageOf(cause)}`, { cause });
    }
    const bytes = view(instance);
    const end = bytes.indexOf(0, start);
    if (end - start > this.#limits.resultBytes) {
      throw new Undecided('policy_result_invalid', `the result has ${end - start} bytes`);
    }
    const text = bytes.toString('utf8', start, end);
    if (text === '[]') return undefined;
    // One value: `[{"result":…}]`. The planner writes nothing else for an entrypoint that is a reference.
    if (!text.startsWith('[{"result":') || !text.endsWith('}]')) {
      throw new Undecided('policy_result_invalid', 'the result set is not one value');
    }
    return text.slice(11, -2);
  }

  #take(): Instance {
    const instance = this.#ready ?? this.#spare;
    if (instance === undefined) return this.#instantiateOrFail();
    if (this.#ready === undefined) this.#spare = undefined;
    this.#ready = undefined;
    return instance;
  }

  #instantiateOrFail(): Instance {
    try {
      return this.#instantiate().instance;
    } catch (cause) {
      throw new Undecided('policy_failed', `no instance of the policy module could be made: ${messageOf(cause)}`, {
        cause,
      });
    }
  }

  /** Makes the next instance between requests, so that no request after a fault has to wait for one. */
  #prepareSpare(): void {
    if (this.#spareDue || this.#data.byteLength > spareDataBytesMax) return;
    this.#spareDue = true;
    setImmediate(() => {
      this.#spareDue = false;
      if (this.#spare !== undefined) return;
      try {
        this.#spare = this.#instantiate().instance;
      } catch {
        // The next request tries again and reports what it meets.
      }
    });
  }

  #instantiate(): { instance: Instance; entrypoints: ReadonlyMap<string, number> } {
    const pages = basePages + Math.ceil((this.#data.byteLength * valueBytesPerJsonByte) / pageBytes);
    const descriptor = { initial: pages, maximum: pages + this.#limits.memoryPages };
    const policy: LoadedPolicy = sdk.loadPolicySync(this.#module, descriptor);
    policy.setData(this.#data);
    const minor: unknown = policy.minorVersion;
    if (typeof minor !== 'number' || minor < 2) {
      throw new BundleRefused(`policy.wasm has ABI 1.${String(minor)}; 1.2 or newer is needed`);
    }
    const wasm = 'instance' in policy.wasmInstance ? policy.wasmInstance.instance : policy.wasmInstance;
    const entrypoints: unknown = policy.entrypoints;
    return {
      instance: {
        memory: policy.mem,
        exports: evalExports(wasm.exports),
        dataAddress: policy.dataAddr,
        heapStart: Number(policy.dataHeapPtr),
        pagesAtStart: policy.mem.buffer.byteLength / pageBytes,
        bytes: Buffer.from(policy.mem.buffer),
      },
      entrypoints: entrypointTable(entrypoints),
    };
  }
}

/** Refuses what could run on load or reach outside: a start function cannot be seen, but what it could call can. */
function checkModule(module: WebAssembly.Module): void {
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    if (from !== 'env' || !/^(memory|opa_abort|opa_println|opa_builtin[0-4])$/.test(name)) {
      throw new BundleRefused(`policy.wasm imports ${from}.${name}, which no OPA policy does`);
    }
  }
  const exported = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  for (const name of [
    'opa_eval',
    'opa_malloc',
    'opa_json_parse',
    'opa_json_dump',
    'opa_heap_ptr_get',
    'opa_heap_ptr_set',
    'builtins',
    'entrypoints',
  ]) {
    if (!exported.has(name)) throw new BundleRefused(`policy.wasm does not export ${name}`);
  }
}

function evalExports(exports: WebAssembly.Exports): Exports {
  const { opa_eval } = exports as { opa_eval?: unknown };
  if (typeof opa_eval !== 'function') throw new BundleRefused('policy.wasm does not export opa_eval');
  return { opa_eval: opa_eval as Exports['opa_eval'] };
}

function entrypointTable(entrypoints: unknown): ReadonlyMap<string, number> {
  if (typeof entrypoints !== 'object' || entrypoints === null)
    throw new BundleRefused('policy.wasm lists no entrypoints');
  const table = new Map<string, number>();
  for (const [name, id] of Object.entries(entrypoints)) {
    if (typeof id !== 'number') throw new BundleRefused('policy.wasm lists a malformed entrypoint');
    table.set(name, id);
  }
  return table;
}

/**
 * Writes text into the module's memory, growing it where needed.
 *
 * @returns bytes written, UTF-8; this is not `text.length`
 */
function writeText(instance: Instance, address: number, text: string): number {
  // Three bytes a UTF-16 unit is the most that UTF-8 takes.
  const missing = address + text.length * 3 - instance.memory.buffer.byteLength;
  if (missing > 0) instance.memory.grow(Math.ceil(missing / pageBytes));
  return view(instance).write(text, address, 'utf8');
}

function view(instance: Instance): Buffer {
  if (instance.bytes.buffer !== instance.memory.buffer) instance.bytes = Buffer.from(instance.memory.buffer);
  return instance.bytes;
}

/** The SDK throws strings and objects as well as errors. */
function messageOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message;
  if (typeof cause === 'object' && cause !== null && 'message' in cause) return String(cause.message);
  return String(cause);
}
