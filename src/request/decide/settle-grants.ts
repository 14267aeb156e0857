import type { Decision, SettledDecision } from '../../domain/decision.ts';
import { Undecided } from '../../domain/errors.ts';
import type { Facts } from '../../domain/facts.ts';
import { type Attempt, covers } from '../../domain/grant.ts';
import type { GrantSpender } from '../../domain/ports.ts';
import type { Asked } from '../../domain/request.ts';

/**
 * Takes the uses that a permitting decision rests on, before the answer is sent. If a policy does not say which grants
 * it rests on, every grant that covers the action counts: this may take more uses than needed, never fewer. A grant
 * without a limit loses no use, but it must still be active: it may have been revoked while the decision waited for a
 * server.
 *
 * @throws Undecided `grant_not_usable` if one is used up, expired or revoked by now, or was not in the policy's input
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
