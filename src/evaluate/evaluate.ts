import type { PolicyResult } from '../domain/decision.ts';
import type { Facts } from '../domain/facts.ts';
import { type Nondeterminism, ndBuiltinCacheText } from './nondeterminism.ts';
import type { PolicyModule } from './policy-module.ts';

/**
 * Facts to what the policy says of them, not yet trusted.
 *
 * @param seed what anything drawn at random follows from: the decision's own id, so that a replay draws the same
 */
export function evaluate(policy: PolicyModule, facts: Facts, seed: string): PolicyResult {
  const given: Nondeterminism = { now: facts.now, seed };
  const text = policy.evaluate(facts.entrypoint, facts.input, given);
  const drawnText = ndBuiltinCacheText(given);
  return drawnText === undefined ? { revision: policy.revision, text } : { revision: policy.revision, text, drawnText };
}
