// Tested by test/request/evaluate/builtin-faults.test.ts.
import type { OutboundReply, OutboundRequest } from '../../domain/outbound.ts';
import type { EpochMs } from '../../domain/time.ts';

/**
 * The inputs of builtins that are not deterministic, fixed for one decision: the same clock reading, seed and replies give
 * the same answers again.
 */
export interface Draws {
  readonly now: EpochMs;
  /** Random values are derived from it, so callers must not be able to predict it. The decision's own id is enough. */
  readonly seed: string;
  /** Filled by the evaluation: by builtin, and by its operands as JSON text, the result as JSON text. */
  drawn?: Map<string, Map<string, string>>;
  /** Replies of servers, by `replyKey`. */
  replies?: Map<string, OutboundReply>;
  /** Whether a question without a reply ends the evaluation as `Unanswered`, to be asked; otherwise it stays out of reach. */
  readonly isAsking?: boolean;
  /** Questions that stayed out of reach, as a person would name them. */
  missed?: string[];
  /** Secrets that must not be recorded, numbered in order of use, so that two secrets never give one key. */
  withheld?: Map<string, number>;
  /** The part of the decision's budget that earlier evaluations used. */
  spent?: { readonly cpuMs: number; readonly units: number };
}

/** @param shownText the operands as JSON text, as the record shows them */
export function replyKey(name: string, shownText: string): string {
  return `${name} ${shownText}`;
}

/** Ends an evaluation that needs a reply first. Nothing is lost: with the reply it comes to the same point again. */
export class Unanswered extends Error {
  readonly key: string;
  readonly question: OutboundRequest;

  constructor(key: string, question: OutboundRequest) {
    super(`${key} was not answered yet`);
    this.key = key;
    this.question = question;
  }
}

/** @returns OPA's `nd_builtin_cache` as JSON text, or undefined where nothing was drawn */
export function ndBuiltinCacheText({ drawn }: Draws): string | undefined {
  if (drawn === undefined) return undefined;
  const builtins = Array.from(drawn, ([name, results]) => {
    const members = Array.from(results, ([operands, result]) => `${JSON.stringify(operands)}:${result}`);
    return `${JSON.stringify(name)}:{${members.join(',')}}`;
  });
  return `{${builtins.join(',')}}`;
}
