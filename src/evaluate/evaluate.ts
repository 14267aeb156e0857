import type { PolicyResult } from '../domain/decision.ts';
import type { Facts } from '../domain/facts.ts';
import type { PolicyModule } from './policy-module.ts';

/** Facts to what the policy says of them, not yet trusted. */
export function evaluate(policy: PolicyModule, facts: Facts): PolicyResult {
  return { revision: policy.revision, text: policy.evaluate(facts.entrypoint, facts.input) };
}
