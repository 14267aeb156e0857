// Tested by test/request/evaluate/builtin-faults.test.ts.
import { createHmac } from 'node:crypto';
import { BundleRefused, Undecided } from '../../domain/errors.ts';
import type { OutboundBuiltin, OutboundReply, OutboundRequest } from '../../domain/outbound.ts';
import {
  type Builtin,
  type BuiltinContext,
  BuiltinError,
  type Charge,
  type HostedBuiltin,
  readValue,
  type Value,
  writeJson,
  writeValue,
} from '../../opa/opa.ts';
import { type Draws, replyKey, Unanswered } from './draws.ts';
import { LruCache } from './lru-cache.ts';

/** Patterns and schemas of one bundle; what callers send beside them passes through. */
const keptEntriesMax = 256;
const keptTextMax = 65_536;
/** Enough to say what is missing. */
const missedMax = 8;
/** Reading the clock costs about as much as this much work is worth. */
const unitsPerCheck = 256;
/** Processor time for what a module does while nothing is evaluated, a hundred times what any needs. */
const idleMsMax = 100;

export interface EvaluationTime {
  /** Of processor time: a thread that was not let run has not spent any. */
  readonly budgetMs: number;
  readonly monotonicMs: () => number;
  /** Processor time of this thread, in milliseconds. */
  readonly threadCpuMs: () => number;
}

/** A module's values, as far as a builtin's operands and result need them. */
export interface ModuleValues {
  dumpValue(address: number, charge: Charge): string;
  parseValue(text: string): number;
  parseBytes(text: string): number;
}

/** Answers the calls that a policy module leaves to its host, with OPA's meaning. One evaluation at a time. */
export class BuiltinHost implements BuiltinContext {
  readonly #unitsMax: number;
  readonly #time: EvaluationTime;
  readonly #kept = new LruCache(keptEntriesMax, keptTextMax);
  #table: ReadonlyMap<number, HostedBuiltin> = new Map();
  #draws: Draws | undefined;
  #units = 0;
  /** Units at which the time is looked at next. */
  #checkAt = 0;
  #endsMs = Number.POSITIVE_INFINITY;
  #beganCpuMs = 0;
  /** Of processor time; undefined until the module has first looked at the clock. */
  #idleSinceMs: number | undefined;

  /**
   * @param unitsMax work that builtins may do for one evaluation: see `BuiltinContext.charge`
   * @param time how long one evaluation may take, and the clock that says so
   */
  constructor(unitsMax: number, time: EvaluationTime) {
    this.#unitsMax = unitsMax;
    this.#time = time;
  }

  /** @param table by the number that the module gives each builtin */
  serve(table: ReadonlyMap<number, HostedBuiltin>): void {
    this.#table = table;
  }

  begin(draws: Draws | undefined): void {
    this.#draws = draws;
    const spent = draws?.spent;
    this.#units = spent?.units ?? 0;
    this.#checkAt = this.#units + unitsPerCheck;
    this.#endsMs = this.#time.monotonicMs() + this.#time.budgetMs;
    this.#beganCpuMs = this.#time.threadCpuMs();
    if (spent === undefined) return;
    this.#endsMs -= spent.cpuMs;
    this.#beganCpuMs -= spent.cpuMs;
  }

  /**
   * Nothing is evaluated from here on. What a module does meanwhile, as when it starts or lists its tables, has time of
   * its own, from its first look at the clock: the work of others is not counted.
   */
  end(): void {
    this.#endsMs = Number.POSITIVE_INFINITY;
    this.#idleSinceMs = undefined;
  }

  /**
   * @throws Undecided `policy_budget_spent`
   * @throws BundleRefused for a module that does not come to an end although nothing is evaluated
   */
  checkTime(): void {
    const { budgetMs, monotonicMs, threadCpuMs } = this.#time;
    if (this.#endsMs === Number.POSITIVE_INFINITY) {
      const nowMs = threadCpuMs();
      this.#idleSinceMs ??= nowMs;
      if (nowMs - this.#idleSinceMs > idleMsMax) throw new BundleRefused('policy.wasm does not terminate');
      return;
    }
    // The wall clock is the cheaper one to read, and never behind the processor's.
    if (monotonicMs() > this.#endsMs && threadCpuMs() - this.#beganCpuMs > budgetMs) {
      throw new Undecided('policy_budget_spent', `the evaluation took more than ${budgetMs} ms`);
    }
  }

  /** @returns the address of the result in the instance's memory; 0 where the call is undefined */
  call(instance: ModuleValues, id: number, addresses: readonly number[]): number {
    const hosted = this.#table.get(id);
    if (hosted === undefined) throw new Error(`the module calls builtin ${id}, which it does not list`);
    const operands = addresses.map((address) => readValue(instance.dumpValue(address, this.charge), this.charge));
    const result = this.#resultOf(hosted.builtin, operands);
    if (result instanceof Promise) {
      // The evaluation does not wait for this promise; without a handler its rejection would end the process.
      result.catch(() => undefined);
      throw new Error(`the builtin ${hosted.name} returns a promise, which a policy cannot wait for`);
    }
    this.checkTime();
    if (hosted.recorded && result !== undefined) this.record(hosted.name, writeJson(operands), result);
    if (result === undefined) return 0;
    return typeof result === 'string' && !result.isWellFormed()
      ? instance.parseBytes(result)
      : instance.parseValue(writeValue(result));
  }

  #resultOf(builtin: Builtin, operands: readonly Value[]): Value | undefined {
    try {
      return builtin(this, ...operands);
    } catch (cause) {
      if (cause instanceof BuiltinError) return undefined;
      throw cause;
    }
  }

  record(name: string, shownText: string, result: Value): void {
    const draws = this.#draws;
    if (draws === undefined) return;
    draws.drawn ??= new Map();
    let results = draws.drawn.get(name);
    if (results === undefined) {
      results = new Map();
      draws.drawn.set(name, results);
    }
    results.set(shownText, writeJson(result));
  }

  reply(name: OutboundBuiltin, shownText: string, question: OutboundRequest): OutboundReply {
    const draws = this.#known();
    const key = replyKey(name, shownText);
    const reply = draws.replies?.get(key);
    if (reply !== undefined) return reply;
    if (draws.isAsking === true) {
      draws.spent = { cpuMs: this.#time.threadCpuMs() - this.#beganCpuMs, units: this.#units };
      throw new Unanswered(key, question);
    }
    draws.missed ??= [];
    if (draws.missed.length < missedMax)
      draws.missed.push(`${name} ${question.kind === 'http' ? `${question.method} ${question.url}` : question.name}`);
    return { kind: 'failed', why: 'network', message: 'servers are not called here, and the record has no reply' };
  }

  withheld(secret: string): string {
    const draws = this.#known();
    draws.withheld ??= new Map();
    const number = draws.withheld.get(secret) ?? draws.withheld.size + 1;
    draws.withheld.set(secret, number);
    return `withheld ${number}`;
  }

  get nowNs(): bigint {
    return BigInt(this.#known().now) * 1_000_000n;
  }

  random(purpose: string): Buffer {
    return createHmac('sha256', this.#known().seed).update(purpose).digest();
  }

  kept<T>(kind: string, text: string, make: () => T): T {
    return this.#kept.get(kind, text, make);
  }

  readonly charge = (units: number, aheadUs = 0): void => {
    this.#units += units;
    if (this.#units > this.#unitsMax) {
      throw new Undecided('policy_budget_spent', `builtins did more than ${this.#unitsMax} units of work`);
    }
    if (this.#units >= this.#checkAt) {
      this.#checkAt = this.#units + unitsPerCheck;
      this.checkTime();
    }
    if (aheadUs > 1_000) this.#requireUs(aheadUs);
  };

  #requireUs(aheadUs: number): void {
    const { budgetMs, threadCpuMs } = this.#time;
    if (this.#endsMs === Number.POSITIVE_INFINITY || threadCpuMs() - this.#beganCpuMs + aheadUs / 1_000 <= budgetMs)
      return;
    throw new Undecided('policy_budget_spent', `the next step of a builtin would have exceeded ${budgetMs} ms`);
  }

  #known(): Draws {
    // Closed: nothing here reads a clock of its own, and a decision that cannot be replayed is none.
    if (this.#draws === undefined)
      throw new Error('the policy asks for the time or for a random value outside of a decision');
    return this.#draws;
  }
}
