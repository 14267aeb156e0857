// Tested by test/request/evaluate/builtin-faults.test.ts.
import type { PolicyResult } from '../../domain/decision.ts';
import type { Facts } from '../../domain/facts.ts';
import type { Outbound } from '../../domain/outbound.ts';
import { type Draws, Unanswered } from './draws.ts';
import type { PolicyModule } from './policy-module.ts';

/**
 * Facts to what the policy says of them, not yet trusted.
 *
 * @param draws its seed is what anything drawn at random follows from; it takes what builtins drew, for the record
 * @param outbound calls of servers; undefined: not allowed
 * @returns a promise only if a server is called
 */
export function evaluate(
  policy: PolicyModule,
  facts: Facts,
  draws: Draws,
  outbound: Outbound | undefined,
): PolicyResult | Promise<PolicyResult> {
  try {
    return resultOf(policy, facts, draws);
  } catch (cause) {
    if (!(cause instanceof Unanswered) || outbound === undefined) throw cause;
    return askedFor(cause, policy, facts, draws, outbound);
  }
}

/**
 * Waits for the reply, and evaluates again with it, until nothing is left to ask. An evaluation cannot be held where it is,
 * but clock, chance and replies are fixed for a decision, so the next one comes to the same point.
 */
async function askedFor(
  first: Unanswered,
  policy: PolicyModule,
  facts: Facts,
  draws: Draws,
  outbound: Outbound,
): Promise<PolicyResult> {
  const conversation = outbound.begin();
  try {
    draws.replies ??= new Map();
    for (let { key, question } = first; ; ) {
      draws.replies.set(key, await conversation.ask(question));
      try {
        return resultOf(policy, facts, draws);
      } catch (cause) {
        if (!(cause instanceof Unanswered)) throw cause;
        ({ key, question } = cause);
      }
    }
  } finally {
    conversation.end();
  }
}

function resultOf(policy: PolicyModule, facts: Facts, draws: Draws): PolicyResult {
  return { revision: policy.revision, text: policy.evaluate(facts.entrypoint, facts.input, draws) };
}
