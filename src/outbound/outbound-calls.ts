// Tested by test/outbound/as-opa.test.ts.
import { Undecided } from '../domain/errors.ts';
import type { Conversation, Outbound, OutboundBuiltin, OutboundReply, OutboundRequest } from '../domain/outbound.ts';
import type { Timers } from '../domain/time.ts';
import { exchange, type HttpRules } from './http-exchange.ts';
import { Names, type Resolve } from './names.ts';

export interface OutboundCallsOptions {
  /** Undefined: no server is asked. */
  readonly http: HttpRules | undefined;
  /** Undefined: no name is looked up. */
  readonly lookup: { readonly names: ReadonlySet<string>; readonly timeoutMs: number } | undefined;
  /** Of one decision. */
  readonly questionsMax: number;
  readonly waitMs: number;
  /** Decisions that wait at one time. */
  readonly inFlightMax: number;
  readonly timers: Timers;
  readonly resolve?: Resolve;
  readonly asked: (builtin: OutboundBuiltin, result: 'answered' | 'failed' | 'refused') => void;
}

/**
 * Asks servers and name servers what policies want to know of them, off the way of every other request: those that wait
 * are few, each waits for so long and no longer, and only whom configuration names is ever connected to.
 */
export class OutboundCalls implements Outbound {
  readonly #options: OutboundCallsOptions;
  readonly #names: Names;
  /** Of the decisions that wait. */
  readonly #waiting = new Set<AbortController>();
  #isCut = false;

  constructor(options: OutboundCallsOptions) {
    this.#options = options;
    this.#names = new Names(options.resolve);
  }

  get inFlight(): number {
    return this.#waiting.size;
  }

  begin(): Conversation {
    const { inFlightMax, questionsMax, waitMs, timers } = this.#options;
    if (this.#isCut) throw stopped();
    // Never a queue: who waits in one waits for others' servers.
    if (this.#waiting.size >= inFlightMax)
      throw new Undecided('outside_unavailable', `${inFlightMax} decisions already wait for another server`);
    const over = new AbortController();
    this.#waiting.add(over);
    const cancel = timers.after(waitMs, () => {
      over.abort(new Undecided('outside_unavailable', `the decision waited ${waitMs} ms for another server`));
    });
    let asked = 0;
    return {
      ask: async (question) => {
        asked += 1;
        if (asked > questionsMax)
          throw new Undecided(
            'policy_budget_spent',
            `the decision called other servers more than ${questionsMax} times`,
          );
        over.signal.throwIfAborted();
        return this.#ask(question, over.signal);
      },
      end: () => {
        cancel();
        this.#waiting.delete(over);
      },
    };
  }

  /** No call goes out any more, and decisions that wait go on without a reply. */
  cut(): void {
    this.#isCut = true;
    for (const over of this.#waiting) over.abort(stopped());
  }

  /** @throws what the decision's own end gives for a reason */
  async #ask(question: OutboundRequest, over: AbortSignal): Promise<OutboundReply> {
    const builtin = question.kind === 'http' ? 'http.send' : 'net.lookup_ip_addr';
    let result: 'answered' | 'failed' | 'refused' = 'failed';
    try {
      const reply = await this.#within(this.#timeoutMs(question), over, (signal) => this.#send(question, signal));
      if (reply.kind !== 'failed' || reply.why === 'not_found') result = 'answered';
      else if (reply.why === 'refused') result = 'refused';
      return reply;
    } finally {
      this.#options.asked(builtin, result);
    }
  }

  async #within(
    ms: number,
    over: AbortSignal,
    work: (signal: AbortSignal) => Promise<OutboundReply>,
  ): Promise<OutboundReply> {
    const late = new AbortController();
    const end = (): void => late.abort(over.reason);
    const cancel = this.#options.timers.after(ms, end);
    over.addEventListener('abort', end, { once: true });
    try {
      return await work(late.signal);
    } catch (cause) {
      over.throwIfAborted();
      if (!late.signal.aborted) throw cause;
      return { kind: 'failed', why: 'network', message: `no whole answer within ${ms} ms` };
    } finally {
      cancel();
      over.removeEventListener('abort', end);
    }
  }

  #timeoutMs(question: OutboundRequest): number {
    const { http, lookup } = this.#options;
    const allowedMs = (question.kind === 'http' ? http : lookup)?.timeoutMs ?? 0;
    return question.kind === 'http' ? Math.min(question.timeoutMs ?? allowedMs, allowedMs) : allowedMs;
  }

  async #send(question: OutboundRequest, signal: AbortSignal): Promise<OutboundReply> {
    const { http, lookup } = this.#options;
    if (question.kind === 'http')
      return http === undefined
        ? { kind: 'failed', why: 'refused', message: 'the configuration allows no server' }
        : exchange(question, http, this.#names, signal);
    if (lookup?.names.has(question.name.toLowerCase()) !== true)
      return {
        kind: 'failed',
        why: 'refused',
        message: 'the name is not among decision.builtins.lookup_ip_addr.names',
      };
    const looked = await this.#names.lookup(question.name, signal);
    if (looked.kind === 'failed') return looked;
    return { kind: 'addresses', addresses: [...new Set(looked.addresses.map(({ address }) => address))].sort() };
  }
}

function stopped(): Undecided {
  return new Undecided('outside_unavailable', 'the sidecar is stopping and does not wait for other servers');
}
