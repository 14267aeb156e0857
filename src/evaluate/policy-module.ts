import type { BundleRevision } from '../domain/bundle.ts';
import { BundleRefused, Undecided } from '../domain/errors.ts';
import { BuiltinHost, type EvaluationTime } from './builtin-host.ts';
import { builtinTable } from './builtin-table.ts';
import type { Builtin } from './builtins/builtin.ts';
import { compileModule } from './compile-module.ts';
import type { Nondeterminism } from './nondeterminism.ts';
import { PolicyInstance, pageBytes } from './policy-instance.ts';
import { jsonOfResult, NotOneResult } from './result-set.ts';

/** What an evaluation needs beside the data: the module's own statics, the input, intermediate values. */
const basePages = 32;
/** OPA's values take up to about ten times the JSON they were parsed from; growing page by page costs seconds on MiBs. */
const valueBytesPerJsonByte = 10;
/** An instance that grew by more than this in one evaluation is let go afterwards, and its memory with it. */
const retirePages = 512;
/** Past this a spare instance would double too much memory for what it saves. */
const spareDataBytesMax = 1_048_576;
/** About a second of the slowest builtins. */
const builtinUnitsMax = 2_000_000;

export interface PolicyLimits extends EvaluationTime {
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

export interface PolicyHost {
  /** Builtins beside OPA's own, or in their place, by name. */
  readonly builtins?: ReadonlyMap<string, Builtin>;
}

/** A compiled policy with its data, ready to answer. */
export class PolicyModule {
  readonly revision: BundleRevision;
  readonly entrypoints: ReadonlyMap<string, number>;
  readonly #module: WebAssembly.Module;
  readonly #data: ArrayBuffer;
  readonly #limits: PolicyLimits;
  readonly #host: BuiltinHost;
  #ready: PolicyInstance | undefined;
  #spare: PolicyInstance | undefined;
  #spareDue = false;

  private constructor(
    module: WebAssembly.Module,
    data: ArrayBuffer,
    revision: BundleRevision,
    limits: PolicyLimits,
    host: BuiltinHost,
  ) {
    this.#module = module;
    this.#data = data;
    this.#limits = limits;
    this.#host = host;
    this.revision = revision;
    this.#ready = this.#instantiate();
    this.entrypoints = this.#ready.entrypoints;
    this.#prepareSpare();
  }

  /**
   * @throws BundleRefused if the module does not compile, has another ABI, cannot take the data, or needs a builtin
   *   that is not to be had
   */
  static async load(source: PolicySource, limits: PolicyLimits, { builtins }: PolicyHost = {}): Promise<PolicyModule> {
    const module = await compileModule(source.wasm);
    const host = new BuiltinHost(builtinUnitsMax, limits);
    const data = new Uint8Array(Buffer.from(source.dataText, 'utf8'));
    let policy: PolicyModule;
    let needed: ReadonlyMap<string, number>;
    try {
      policy = new PolicyModule(module, data.buffer, source.revision, limits, host);
      needed = policy.#builtins();
    } catch (cause) {
      if (cause instanceof BundleRefused) throw cause;
      throw new BundleRefused(`policy.wasm does not start: ${messageOf(cause)}`, { cause });
    }
    host.serve(await builtinTable(needed, builtins ?? new Map()));
    return policy;
  }

  /**
   * Evaluates one entrypoint.
   *
   * @param input the policy's input as JSON text
   * @param given what the policy's builtins may know of time and chance; a policy that asks for either without it fails
   * @returns the entrypoint's value as JSON text; undefined where the policy defines none, or has no such entrypoint
   * @throws Undecided `policy_failed` for whatever leaves the module as an exception, `policy_result_invalid` for a
   *   result over the limit or one that is no single value, `policy_budget_spent` for work that did not end
   */
  evaluate(entrypoint: string, input: string, given?: Nondeterminism): string | undefined {
    const id = this.entrypoints.get(entrypoint);
    if (id === undefined) return undefined;
    try {
      return jsonOfResult(this.resultSet(id, input, given));
    } catch (cause) {
      if (cause instanceof NotOneResult) throw new Undecided('policy_result_invalid', cause.message, { cause });
      throw cause;
    }
  }

  /**
   * The whole result set, with sets as sets: `{{"<variable>": …}, …}`, as Rego text.
   *
   * @throws Undecided as `evaluate` does
   */
  resultSet(entrypoint: number, input: string, given?: Nondeterminism): string {
    const instance = this.#take();
    const text = this.#run(instance, entrypoint, input, given);
    // Not in a finally: an instance that threw has leaked its shadow stack and is never used again.
    if (instance.pagesGrown > retirePages) this.#prepareSpare();
    else this.#ready = instance;
    return text;
  }

  #run(instance: PolicyInstance, id: number, input: string, given: Nondeterminism | undefined): string {
    this.#host.begin(given);
    let result: { readonly start: number; readonly length: number };
    try {
      result = instance.evaluate(id, input, 'rego');
    } catch (cause) {
      this.#prepareSpare();
      if (cause instanceof Undecided) throw cause;
      throw new Undecided('policy_failed', `the policy module threw: ${messageOf(cause)}`, { cause });
    } finally {
      this.#host.end();
    }
    if (result.length > this.#limits.resultBytes) {
      this.#ready = instance;
      throw new Undecided('policy_result_invalid', `the result has ${result.length} bytes`);
    }
    return instance.text(result.start, result.length);
  }

  #builtins(): ReadonlyMap<string, number> {
    return this.#ready?.builtins() ?? new Map();
  }

  #take(): PolicyInstance {
    const instance = this.#ready ?? this.#spare;
    if (instance === undefined) return this.#instantiateOrFail();
    if (this.#ready === undefined) this.#spare = undefined;
    this.#ready = undefined;
    return instance;
  }

  #instantiateOrFail(): PolicyInstance {
    try {
      return this.#instantiate();
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
        this.#spare = this.#instantiate();
      } catch {
        // The next request tries again and reports what it meets.
      }
    });
  }

  #instantiate(): PolicyInstance {
    const pages = basePages + Math.ceil((this.#data.byteLength * valueBytesPerJsonByte) / pageBytes);
    const memory = { initial: pages, maximum: pages + this.#limits.memoryPages };
    return new PolicyInstance(this.#module, this.#data, memory, this.#host);
  }
}

/** The SDK throws strings and objects as well as errors. */
function messageOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message;
  if (typeof cause === 'object' && cause !== null && 'message' in cause) return String(cause.message);
  return String(cause);
}
