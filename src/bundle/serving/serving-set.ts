// Tested by test/bundle/serving/bundle-life.long.test.ts.
import type { BundleRevision } from '../../domain/bundle.ts';
import type { DecisionLogRules } from '../../domain/ports.ts';
import { type EpochMs, epochMs } from '../../domain/time.ts';
import { decisionLogRulesOf } from '../../request/evaluate/decision-log-rules.ts';
import type { PolicyModule } from '../../request/evaluate/policy-module.ts';
import type { ActiveBundle } from './bundle-state.ts';

/** What decides: the policy and every bundle that serves with it. */
export interface ServingSet {
  /** Of the bundle with the policy. */
  readonly revision: BundleRevision;
  readonly policy: PolicyModule;
  /** When all of it was last known to be current. */
  readonly currentAt: EpochMs;
  /** The moment past which it must not serve: too old, or a signature has ended. */
  readonly closesAt: number;
  /** Every bundle in it, by name. */
  readonly bundles: ReadonlyMap<string, { readonly revision: BundleRevision; readonly currentAt: EpochMs }>;
  /** Those of data, as a record has them: `,"<name>":{"revision":"…"}` for each. */
  readonly dataBundlesText: string;
  readonly decisionLogRules: DecisionLogRules | undefined;
}

/** One bundle of a set. */
export interface SetMember {
  readonly name: string;
  readonly maxAgeMs: number | undefined;
  readonly active: ActiveBundle;
}

/** @param members the one with the policy first */
export function servingSet(policy: PolicyModule, members: readonly SetMember[]): ServingSet {
  const forever = Number.POSITIVE_INFINITY;
  const [, ...data] = members;
  return {
    revision: policy.revision,
    policy,
    currentAt: epochMs(Math.min(...members.map(({ active }) => active.currentAt))),
    closesAt: Math.min(
      ...members.flatMap(({ maxAgeMs, active }) => [
        active.currentAt + (maxAgeMs ?? forever),
        active.facts.expiresAt ?? forever,
      ]),
    ),
    bundles: new Map(
      members.map(({ name, active }) => [name, { revision: active.facts.revision, currentAt: active.currentAt }]),
    ),
    dataBundlesText: data
      .map(({ name, active: { facts } }) => `,${JSON.stringify(name)}:${JSON.stringify({ revision: facts.revision })}`)
      .join(''),
    decisionLogRules: decisionLogRulesOf(policy),
  };
}

/** @returns why a set may not serve any more, for the log */
export function whyClosed(members: readonly SetMember[], now: EpochMs): string {
  for (const { name, maxAgeMs, active } of members) {
    if (maxAgeMs !== undefined && now - active.currentAt > maxAgeMs)
      return `bundle ${name} is ${now - active.currentAt} ms old`;
    if (active.facts.expiresAt !== undefined && now > active.facts.expiresAt)
      return `the signature of bundle ${name} has ended`;
  }
  return 'a bundle is too old';
}
