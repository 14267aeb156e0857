import { describe, expect, it } from '@jest/globals';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import type { Decision } from '../../../src/domain/decision.ts';
import { Undecided } from '../../../src/domain/errors.ts';
import type { Facts } from '../../../src/domain/facts.ts';
import type { Grant } from '../../../src/domain/grant.ts';
import type { Asked } from '../../../src/domain/request.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { settleGrants } from '../../../src/request/decide/settle-grants.ts';
import { HeldGrants } from '../../fakes/held-grants.ts';

const job = 'spiffe://acme.example/ci/payments-deploy';
const now = epochMs(1_000);
const asked: Asked = {
  subject: { type: 'job', id: job },
  action: { name: 'deploy' },
  resource: { type: 'environment', id: 'prod/payments' },
};

function said(kind: 'allow' | 'deny' | 'constrain' | 'step_up', grants?: readonly string[]): Decision {
  const common = {
    revision: bundleRevision('r1'),
    policy: undefined,
    reasons: [],
    met: [],
    obligations: [],
    ttlS: undefined,
    labels: {},
    grants,
  };
  if (kind === 'constrain') return { kind, constraints: { read_only: true }, ...common };
  if (kind === 'step_up') return { kind, acrValues: ['phr'], maxAgeS: undefined, ...common };
  return { kind, ...common };
}

function facts(grants: readonly Grant[]): Facts {
  return {
    entrypoint: 'authz/decision',
    input: '{}',
    now,
    caller: { id: job, method: 'configured', claims: {}, ageS: 0, relay: false, deviceId: undefined },
    grants,
    signalAgesS: {},
  };
}

/** What became of it: the decision's kind, or the code it stays closed with. */
async function settled(
  decision: Decision,
  held: HeldGrants,
  request: Asked = asked,
  shown = held.activeOf(job, now),
): Promise<string> {
  try {
    return (await settleGrants(decision, facts(shown), request, held)).kind;
  } catch (cause) {
    if (cause instanceof Undecided) return cause.code;
    throw cause;
  }
}

describe('a permit that rests on a grant', () => {
  it('takes one use of each limited grant that the policy names, and no other', async () => {
    const held = new HeldGrants();
    held.give({ id: 'g-1', subject: job, maxUses: 2 });
    held.give({ id: 'g-2', subject: job, maxUses: 2 });
    expect(await settled(said('allow', ['g-1']), held)).toBe('allow');
    expect([held.left('g-1'), held.left('g-2')]).toEqual([1, 2]);
  });

  it('takes one use where the policy names the same grant twice', async () => {
    const held = new HeldGrants();
    held.give({ id: 'g-1', subject: job, maxUses: 2 });
    expect(await settled(said('constrain', ['g-1', 'g-1']), held)).toBe('constrain');
    expect(held.left('g-1')).toBe(1);
  });

  it('is given for the last use and not for the one after it', async () => {
    const held = new HeldGrants();
    const grant = held.give({ id: 'g-1', subject: job, maxUses: 1 });
    expect(await settled(said('allow', ['g-1']), held)).toBe('allow');
    // The policy was shown the grant before the other request took its last use.
    expect(await settled(said('allow', ['g-1']), held, asked, [grant])).toBe('grant_not_usable');
    expect(held.left('g-1')).toBe(0);
  });

  it('is not given once the grant was revoked between evaluation and use', async () => {
    const held = new HeldGrants();
    const grant = held.give({ id: 'g-1', subject: job });
    held.revoke('g-1');
    expect(await settled(said('allow', ['g-1']), held, asked, [grant])).toBe('grant_not_usable');
  });

  it('is not given on a grant that the policy was never shown', async () => {
    const held = new HeldGrants();
    held.give({ id: 'g-1', subject: job });
    expect(await settled(said('allow', ['g-1', 'g-9']), held)).toBe('grant_not_usable');
    expect(held.asked).toEqual([]);
  });

  it('is not given on a grant for something else', async () => {
    const held = new HeldGrants();
    held.give({ id: 'g-1', subject: job, resources: ['prod/billing'], maxUses: 1 });
    expect(await settled(said('allow', ['g-1']), held)).toBe('grant_not_usable');
    expect(held.left('g-1')).toBe(1);
  });

  it('fails with the store’s own code where the use cannot be kept', async () => {
    const held = new HeldGrants();
    held.give({ id: 'g-1', subject: job, maxUses: 1 });
    held.failure = new Undecided('grant_store_failed', 'the disk is gone');
    expect(await settled(said('allow', ['g-1']), held)).toBe('grant_store_failed');
  });
});

describe('a permit that does not say what it rests on', () => {
  it('takes one use of every limited grant that covers the attempt', async () => {
    const held = new HeldGrants();
    held.give({ id: 'covers', subject: job, maxUses: 3 });
    held.give({ id: 'covers too', subject: job, resources: ['prod/*'], maxUses: 3 });
    held.give({ id: 'other resource', subject: job, resources: ['prod/billing'], maxUses: 3 });
    held.give({ id: 'other type', subject: job, resourceType: 'secret', maxUses: 3 });
    held.give({ id: 'other action', subject: job, actions: ['read'], maxUses: 3 });
    expect(await settled(said('allow'), held)).toBe('allow');
    expect(held.asked).toEqual([['covers', 'covers too']]);
  });

  it('is left alone where no grant was shown, and where none that was covers the attempt', async () => {
    const held = new HeldGrants();
    expect(await settled(said('allow'), held)).toBe('allow');
    held.give({ id: 'other resource', subject: job, resources: ['prod/billing'] });
    expect(await settled(said('allow'), held)).toBe('allow');
    expect(held.asked).toEqual([]);
  });

  it('G03 takes nothing of one without a limit that covers the attempt, and is not given once that was revoked', async () => {
    const held = new HeldGrants();
    const grant = held.give({ id: 'unlimited', subject: job });
    expect(await settled(said('allow'), held)).toBe('allow');
    expect(held.left('unlimited')).toBeUndefined();
    held.revoke('unlimited');
    expect(await settled(said('allow'), held, asked, [grant])).toBe('grant_not_usable');
    expect(await settled(said('allow', []), held, asked, [grant])).toBe('allow');
  });

  it('is left alone where those shown have no limit and the request has no action or resource', async () => {
    const held = new HeldGrants();
    held.give({ id: 'unlimited', subject: job });
    expect(await settled(said('allow'), held, {})).toBe('allow');
    expect(held.asked).toEqual([]);
  });

  it('stays closed where a limited grant was shown and the request has no action or resource to hold it against', async () => {
    const held = new HeldGrants();
    held.give({ id: 'g-1', subject: job, maxUses: 1 });
    expect(await settled(said('allow'), held, {})).toBe('grant_not_usable');
    expect(await settled(said('allow', ['g-1']), held, {})).toBe('grant_not_usable');
    expect(await settled(said('allow', []), held, {})).toBe('allow');
    expect(held.left('g-1')).toBe(1);
  });

  it('counts the caller as the subject where the request names none', async () => {
    const held = new HeldGrants();
    held.give({ id: 'g-1', subject: job, maxUses: 1 });
    const { subject: _left, ...withoutSubject } = asked;
    expect(await settled(said('allow'), held, withoutSubject)).toBe('allow');
    expect(held.left('g-1')).toBe(0);
  });
});

describe('G07 a decision that does not permit', () => {
  it('G07 spends nothing, whatever grants it names', async () => {
    const held = new HeldGrants();
    held.give({ id: 'g-1', subject: job, maxUses: 1 });
    expect(await settled(said('deny', ['g-1']), held)).toBe('deny');
    expect(await settled(said('step_up', ['g-1']), held)).toBe('step_up');
    expect(await settled({ kind: 'queried', revision: bundleRevision('r1'), resultText: 'true' }, held)).toBe(
      'queried',
    );
    expect(held.asked).toEqual([]);
  });
});
