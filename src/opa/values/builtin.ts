// Tested by test/request/evaluate/builtin-faults.test.ts.
import type { OutboundBuiltin, OutboundReply, OutboundRequest } from '../../domain/outbound.ts';
import type { Charge } from './charge.ts';
import type { Value } from './value.ts';

/**
 * One of OPA's builtin functions, for what the WebAssembly module leaves to its host.
 *
 * @returns undefined where the call is undefined without being an error
 * @throws BuiltinError where OPA's function returns an error: the call is then undefined too, as OPA has it unless it
 *   runs with strict builtin errors. Anything else that is thrown ends the evaluation, closed.
 */
export type Builtin = (context: BuiltinContext, ...operands: Value[]) => Value | undefined;

export class BuiltinError extends Error {}

/** The context of a builtin's call, besides its operands. */
export interface BuiltinContext {
  /** The one reading of the clock that the decision rests on. */
  readonly nowNs: bigint;
  /** 32 unpredictable bytes that stay the same for one decision and purpose. */
  random(purpose: string): Buffer;
  /** An object made from a text (a compiled pattern, a parsed schema), cached for a while. */
  kept<T>(kind: string, text: string, make: () => T): T;
  readonly charge: Charge;
  /**
   * The reply of a server; within one decision the same question has the same reply.
   *
   * @param shownText the operands as JSON text, as the record may show them
   * @throws Unanswered where the reply has to be waited for
   */
  reply(name: OutboundBuiltin, shownText: string, question: OutboundRequest): OutboundReply;
  /** For `nd_builtin_cache`: what the call came to, a failure too, so that a replay comes to the same. */
  record(name: OutboundBuiltin, shownText: string, result: Value): void;
  /** The replacement in the record for a secret text: the same for the same text, within one decision. */
  withheld(secret: string): string;
}

/** All builtins of one family by the names OPA gives them. */
export type BuiltinFamily = Readonly<Record<string, Builtin>>;

/** A builtin as a module calls it. */
export interface HostedBuiltin {
  readonly name: string;
  readonly builtin: Builtin;
  /** Its result rests on more than its operands and belongs into the record. */
  readonly recorded: boolean;
}
