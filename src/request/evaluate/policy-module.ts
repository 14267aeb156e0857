import type { BundleRevision } from '../../domain/bundle.ts';
import { BundleRefused, Undecided } from '../../domain/errors.ts';
import type { OutboundBuiltin } from '../../domain/outbound.ts';
import { type Builtin, builtinTable } from '../../opa/opa.ts';
import { BuiltinHost, type EvaluationTime } from './builtin-host.ts';
import { namingRules } from './calling-rules.ts';
import { type Draws, Unanswered } from './draws.ts';
import { buildImage, canStartAgain, copyImage, type PolicyImage } from './policy-image.ts';
import { PolicyAborted, PolicyInstance } from './policy-instance.ts';
import { jsonOfResult, NotOneResult } from './result-set.ts';

/** About a second of the slowest builtins. */
const builtinUnitsMax = 2_000_000;

export interface PolicyLimits extends EvaluationTime {
  /** Beyond the data, in pages of 64 KiB; past it the module's own allocator fails: `policy_budget_spent`. */
  readonly memoryPages: number;
  readonly resultBytes: number;
  /** Allowed builtins that call servers; left out: none, and a policy that needs one is refused. */
  readonly outside?: readonly OutboundBuiltin[];
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

/**
 * A compiled policy with its data, ready to answer.
 *
 * All of its instances, one after the other, live on one memory. It cannot shrink, and goes on as large as evaluations have
 * grown it: the next large one takes the same pages again. One in its place would be a second beside it, for as long as
 * the collector takes to meet the first, and with each large request one more.
 */
export class PolicyModule {
  readonly revision: BundleRevision;
  readonly entrypoints: ReadonlyMap<string, number>;
  readonly #limits: PolicyLimits;
  readonly #host: BuiltinHost;
  #image: PolicyImage;
  #ready: PolicyInstance | undefined;
  #spare: PolicyInstance | undefined;
  #started = false;
  #closed = false;
  #spareDue = false;

  private constructor(image: PolicyImage, revision: BundleRevision, limits: PolicyLimits, host: BuiltinHost) {
    this.#image = image;
    this.#limits = limits;
    this.#host = host;
    this.revision = revision;
    this.#ready = this.#instantiate();
    this.entrypoints = this.#ready.entrypoints();
    this.#prepareSpare();
  }

  /**
   * @throws BundleRefused if the module does not compile, has another ABI, cannot take the data, or needs a builtin
   *   that is not to be had
   */
  static async load(source: PolicySource, limits: PolicyLimits, host?: PolicyHost): Promise<PolicyModule> {
    const data = new Uint8Array(Buffer.from(source.dataText, 'utf8'));
    const image = await buildImage(source.wasm, data, limits.memoryPages);
    return namingRules(source.wasm, () => PolicyModule.of(image, source.revision, limits, host));
  }

  /**
   * A policy whose data was loaded before, maybe by another thread; the image is this one's from here on.
   *
   * @throws BundleRefused if it has another ABI, or needs a builtin that is not to be had
   */
  static async of(
    image: PolicyImage,
    revision: BundleRevision,
    limits: PolicyLimits,
    { builtins }: PolicyHost = {},
  ): Promise<PolicyModule> {
    const host = new BuiltinHost(builtinUnitsMax, limits);
    let policy: PolicyModule;
    let needed: ReadonlyMap<string, number>;
    try {
      policy = new PolicyModule(image, revision, limits, host);
      needed = policy.#builtins();
    } catch (cause) {
      if (cause instanceof BundleRefused) throw cause;
      throw new BundleRefused(`policy.wasm does not start: ${messageOf(cause)}`, { cause });
    }
    host.serve(await builtinTable(needed, builtins ?? new Map(), limits.outside ?? []));
    return policy;
  }

  /**
   * Evaluates one entrypoint.
   *
   * @param input the policy's input as JSON text
   * @param draws what the policy's builtins may know of time and chance; a policy that asks for either without it fails
   * @returns the entrypoint's value as JSON text; undefined where the policy defines none, or has no such entrypoint
   * @throws Undecided `policy_failed` for whatever leaves the module as an exception, `policy_result_invalid` for a
   *   result over the limit or one that is no single value, `policy_budget_spent` for work that did not end, or that took too much memory
   * @throws Unanswered for a question outside that has no reply yet, if that is what `draws` says of such
   */
  evaluate(entrypoint: string, input: string, draws?: Draws): string | undefined {
    const id = this.entrypoints.get(entrypoint);
    if (id === undefined) return undefined;
    return this.#read(id, input, draws, (text) => jsonOfResult(text, this.#host.charge));
  }

  /**
   * The whole result set, with sets as sets: `{{"<variable>": …}, …}`, as Rego text.
   *
   * @throws Undecided as `evaluate` does
   */
  resultSet(entrypoint: number, input: string, draws?: Draws): string {
    return this.#read(entrypoint, input, draws, (text) => text);
  }

  /** @param meaning makes of the result set what is asked for, in the same budget */
  #read<T>(entrypoint: number, input: string, draws: Draws | undefined, meaning: (text: string) => T): T {
    const instance = this.#take();
    this.#host.begin(draws);
    try {
      const { start, length } = this.#run(instance, entrypoint, input);
      // Not in a finally: an instance that threw has leaked its shadow stack and is never used again. One that has come
      // to an end is as good as before, whatever its result is.
      this.#ready = instance;
      // What it did since the last look is spent, too.
      this.#host.checkTime();
      if (length > this.#limits.resultBytes)
        throw new Undecided('policy_result_invalid', `the result has ${length} bytes`);
      return meaning(instance.text(start, length));
    } catch (cause) {
      if (cause instanceof NotOneResult || cause instanceof SyntaxError)
        throw new Undecided('policy_result_invalid', cause.message, { cause });
      throw cause;
    } finally {
      this.#host.end();
    }
  }

  #run(instance: PolicyInstance, id: number, input: string): { readonly start: number; readonly length: number } {
    try {
      return instance.evaluate(id, input, 'rego');
    } catch (cause) {
      this.#prepareSpare();
      if (cause instanceof Undecided || cause instanceof Unanswered) throw cause;
      if (cause instanceof PolicyAborted && cause.isOutOfMemory)
        throw new Undecided('policy_budget_spent', 'the evaluation exceeded its memory limit', { cause });
      throw new Undecided('policy_failed', `the policy module threw: ${messageOf(cause)}`, { cause });
    }
  }

  /** Lets go of the image, so that another thread may take it; nothing is evaluated here any more. */
  close(): void {
    this.#closed = true;
    this.#ready = undefined;
    this.#spare = undefined;
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
    if (this.#spareDue) return;
    this.#spareDue = true;
    setImmediate(() => {
      this.#spareDue = false;
      if (this.#spare !== undefined || this.#closed) return;
      try {
        this.#spare = this.#instantiate();
      } catch {
        // The next request tries again and reports what it meets.
      }
    });
  }

  #instantiate(): PolicyInstance {
    if (this.#closed) throw new Error('the policy was already released');
    if (this.#started && !canStartAgain(this.#image)) this.#image = copyImage(this.#image);
    this.#started = true;
    return new PolicyInstance(this.#image, this.#host);
  }
}

/** The SDK throws strings and objects as well as errors. */
function messageOf(cause: unknown): string {
  if (cause instanceof Error) return cause.message;
  if (typeof cause === 'object' && cause !== null && 'message' in cause) return String(cause.message);
  return String(cause);
}
