// Tested by test/request/evaluate/builtin-faults.test.ts.
import type { DecisionLogRules, EventRule } from '../../domain/ports.ts';
import type { PolicyModule } from './policy-module.ts';

/** OPA's own names for them; no caller can ask these entrypoints. */
const entrypoints = { mask: 'system/log/mask', drop: 'system/log/drop' } as const;

/** @returns undefined for a policy without any, so that its events take the short way */
export function decisionLogRulesOf(policy: PolicyModule): DecisionLogRules | undefined {
  const ruleAt = (entrypoint: string): EventRule | undefined =>
    policy.entrypoints.has(entrypoint)
      ? (eventText, now, seed) => policy.evaluate(entrypoint, eventText, { now, seed })
      : undefined;
  const mask = ruleAt(entrypoints.mask);
  const drop = ruleAt(entrypoints.drop);
  return mask === undefined && drop === undefined ? undefined : { mask, drop };
}
