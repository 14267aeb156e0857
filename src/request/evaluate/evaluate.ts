import type { PolicyResult } from '../../domain/decision.ts';
import type { Facts } from '../../domain/facts.ts';
import type { Outside } from '../../domain/outside.ts';
import { type Nondeterminism, Unanswered } from './nondeterminism.ts';
import type { PolicyModule } from './policy-module.ts';

/**
 * Facts to what the policy says of them, not yet trusted.
 *
 * @param given its seed is what anything drawn at random follows from; it takes what builtins drew, for the record
 * @param outside whom policies may ask; undefined: nobody
 * @returns a promise only where somebody is asked
 */
export function evaluate(
  policy: PolicyModule,
  facts: Facts,
  given: Nondeterminism,
  outside: Outside | undefined,
): PolicyResult | Promise<PolicyResult> {
  try {
    return resultOf(policy, facts, given);
  } catch (cause) {
    if (!(cause instanceof Unanswered) || outside === undefined) throw cause;
    return askedFor(cause, policy, facts, given, outside);
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
  given: Nondeterminism,
  outside: Outside,
): Promise<PolicyResult> {
  const conversation = outside.begin();
  try {
    given.replies ??= new Map();
    for (let { key, question } = first; ; ) {
      given.replies.set(key, await conversation.ask(question));
      try {
        return resultOf(policy, facts, given);
      } catch (cause) {
        if (!(cause instanceof Unanswered)) throw cause;
        ({ key, question } = cause);
      }
    }
  } finally {
    conversation.end();
  }
}

function resultOf(policy: PolicyModule, facts: Facts, given: Nondeterminism): PolicyResult {
  return { revision: policy.revision, text: policy.evaluate(facts.entrypoint, facts.input, given) };
}
