import type { Decision, SettledDecision } from '../../domain/decision.ts';
import { Undecided } from '../../domain/errors.ts';
import type { Facts } from '../../domain/facts.ts';
import { type Attempt, covers } from '../../domain/grant.ts';
import type { GrantSpender } from '../../domain/ports.ts';
import type { Asked } from '../../domain/request.ts';

/**
 * Takes the uses that a permitting decision rests on, before anybody hears of it. A policy that does not say which
 * grants it rests on is taken to rest on every one that covers what is tried: more uses may go than it needed, never
 * fewer. Of one without a limit nothing is taken, but it must still stand: it may have been revoked while the decision
 * waited for somebody outside.
 *
 * @throws Undecided `grant_not_usable` if one is used up, over or revoked by now, or was never shown to the policy
 */
export function settleGrants(
  decision: Decision,
  facts: Facts,
  asked: Asked,
  spender: GrantSpender,
): SettledDecision | Promise<SettledDecision> {
  const settled = decision as SettledDecision;
  if (decision.kind !== 'allow' && decision.kind !== 'constrain') return settled;
  if ((decision.grants ?? facts.grants).length === 0) return settled;
  const attempt = attemptOf(facts, asked);
  if (attempt === undefined) {
    // There is nothing to take, and no grant covers what is not named.
    if (decision.grants === undefined && facts.grants.every(({ maxUses }) => maxUses === undefined)) return settled;
    throw new Undecided(
      'grant_not_usable',
      'the request names no action and resource to match a grant with, and the policy does not return an empty list of grants',
    );
  }
  const ids = decision.grants ?? facts.grants.filter((grant) => covers(grant, attempt)).map(({ id }) => id);
  if (ids.length === 0) return settled;
  if (ids.some((id) => !facts.grants.some((grant) => grant.id === id))) {
    throw new Undecided('grant_not_usable', 'the policy names a grant that was not in its input');
  }
  return spend(settled, [...new Set(ids)], attempt, facts, spender);
}

async function spend(
  settled: SettledDecision,
  ids: readonly string[],
  attempt: Attempt,
  facts: Facts,
  spender: GrantSpender,
): Promise<SettledDecision> {
  if (await spender.spend(ids, attempt, facts.now)) return settled;
  throw new Undecided('grant_not_usable', 'a grant was used up, expired or revoked between evaluation and use');
}

function attemptOf(facts: Facts, asked: Asked): Attempt | undefined {
  const subject = asked.subject?.id ?? facts.caller.id;
  const { action, resource } = asked;
  return subject === undefined || action === undefined || resource === undefined
    ? undefined
    : { subject, action: action.name, resource };
}
