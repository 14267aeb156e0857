import { asking, type Question } from '../pep/answer.ts';
import { EntitlementsPep, type Right } from '../pep/entitlements.ts';
import { shortId } from '../play.ts';
import { identities, node } from '../sidecar-process.ts';
import type { Stage } from './stage.ts';

const asked: Question = {
  subject: { type: 'user', id: identities.operator },
  action: { name: 'review' },
  resource: { type: 'entitlements', id: 'all' },
};

export async function entitlementsCase({ play, sidecar, control }: Stage): Promise<void> {
  const pep = new EntitlementsPep(asking({ socket: sidecar.socketOf('operator') }));
  await control.report('mdm', 'device', node, { compliant: true });

  play.tell('The operator has logged in with a password alone.');
  await control.report('idp', 'subject', identities.operator, {
    risk_level: 'low',
    assurance: { namespace: 'NIST-AAL', current_level: 'nist-aal1' },
  });
  const weak = await pep.review(asked);
  play.answered(asked, weak.answer, { effect: 'step_up', codes: ['assurance_strong'] });
  play.expect('no review is handed out', 'refused' in weak.outcome && weak.answer.obligations.every(isStepUp));

  play.tell('The operator authenticates again, phishing-resistant.');
  await control.report('idp', 'subject', identities.operator, {
    risk_level: 'low',
    assurance: { namespace: 'NIST-AAL', current_level: 'nist-aal3' },
  });
  const { answer, outcome } = await pep.review(asked);
  play.answered(asked, answer, { effect: 'constrain', codes: ['changes_allowed'] });
  if ('refused' in outcome) {
    play.expect(`the review is handed out, not ${outcome.refused}`, false);
    return;
  }
  const { overprivileged, in_use: inUse, not_judged: notJudged, window_days: days } = outcome.review;
  for (const { identity, granted, narrowed, unused, kept } of overprivileged) {
    play.show(`${shortId(identity)} holds more than it used in ${days} days`);
    play.show(`  holds      ${rights(granted)}`);
    play.show(`  narrow to  ${rights(narrowed)}`);
    if (unused.length > 0) play.show(`  unused     ${rights(unused)}`);
    for (const right of kept) play.show(`  kept       ${rights([right])}: ${right.because}`);
  }
  for (const identity of inUse) play.show(`${shortId(identity)} uses all that it holds`);
  for (const { identity, because } of notJudged) play.show(`${shortId(identity)} cannot be judged: ${because}`);
  play.expect(
    'the agent and the CI job hold more than they used',
    names(overprivileged, [identities.agent, identities.ci]),
  );
  const agent = overprivileged.find(({ identity }) => identity === identities.agent);
  play.expect(
    'a pattern is narrowed to what was used under it',
    agent?.narrowed.some(({ resource }) => resource === 'warehouse/sales') === true &&
      agent.narrowed.every(({ resource }) => !resource.includes('*')),
  );
  play.expect('evidence that is too short judges nobody', notJudged.length > 0);
}

function isStepUp({ type }: { readonly type: string }): boolean {
  return type === 'step-up';
}

function names(found: readonly { readonly identity: string }[], all: readonly string[]): boolean {
  return all.every((id) => found.some(({ identity }) => identity === id));
}

function rights(list: readonly Right[]): string {
  return list.map(({ action, resource }) => `${action} ${resource}`).join(', ');
}
