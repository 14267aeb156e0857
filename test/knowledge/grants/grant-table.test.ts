import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Attempt, GrantRequest } from '../../../src/domain/grant.ts';
import { type EpochMs, epochMs } from '../../../src/domain/time.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { later, type TestStores, testStores } from '../stores.ts';

const second = 1000;
const hour = 60 * 60 * second;
const day = 24 * hour;
const subject = 'spiffe://acme.example/ci/payments-deploy';
const attempt: Attempt = { subject, action: 'deploy', resource: { type: 'environment', id: 'prod/payments' } };

function asked(changes: Partial<GrantRequest> = {}): GrantRequest {
  return {
    ...{ subject, actions: ['deploy'], resources: ['prod/*'], reason: 'release 42', ttlMs: hour, maxUses: 1 },
    requestedBy: 'ci',
    ...changes,
  };
}

/** @returns the id of a grant that is approved now */
async function granted({ grants }: TestStores, changes: Partial<GrantRequest> = {}): Promise<string> {
  const { grant } = await grants.request(asked(changes));
  await grants.approve(grant.id, 'ann');
  return grant.id;
}

const active = ({ grants, clock }: TestStores): readonly string[] =>
  grants.activeOf(subject, clock.now()).map(({ id }) => id);

const spend = ({ grants, clock }: TestStores, ...ids: string[]): Promise<boolean> =>
  grants.spend(ids, attempt, clock.now());

describe('a grant', () => {
  it('holds nothing before it is approved, and its clock starts then', async () => {
    const stores = await testStores();
    const { grant, standing } = await stores.grants.request(asked());
    expect(standing).toBe('requested');
    expect(active(stores)).toEqual([]);
    await expect(spend(stores, grant.id)).resolves.toBe(false);
    stores.clock.advance(hour / 2);
    const approved = await stores.grants.approve(grant.id, 'ann');
    expect(approved).toMatchObject({
      standing: 'active',
      grant: { approver: 'ann', expiresAt: later(stores.clock.now(), hour) },
    });
    expect(active(stores)).toEqual([grant.id]);
  });

  it('ends at its expiry, not a millisecond later', async () => {
    const stores = await testStores();
    const id = await granted(stores);
    stores.clock.advance(hour - 1);
    expect(active(stores)).toEqual([id]);
    stores.clock.advance(1);
    expect(active(stores)).toEqual([]);
    await expect(spend(stores, id)).resolves.toBe(false);
    expect(stores.grants.get(id)?.standing).toBe('expired');
  });

  it('begins at its not_before, not a millisecond earlier', async () => {
    const stores = await testStores();
    const id = await granted(stores, { notBefore: later(stores.clock.now(), second) });
    stores.clock.advance(second - 1);
    expect(active(stores)).toEqual([]);
    expect(stores.grants.get(id)?.standing).toBe('scheduled');
    await expect(spend(stores, id)).resolves.toBe(false);
    stores.clock.advance(1);
    await expect(spend(stores, id)).resolves.toBe(true);
  });

  it('is used as often as it says', async () => {
    const stores = await testStores();
    const id = await granted(stores, { maxUses: 2 });
    await expect(spend(stores, id)).resolves.toBe(true);
    await expect(spend(stores, id)).resolves.toBe(true);
    await expect(spend(stores, id)).resolves.toBe(false);
    expect(stores.grants.get(id)).toMatchObject({ standing: 'spent', grant: { uses: 2 } });
    expect(active(stores)).toEqual([]);
  });

  it('without a limit of uses is checked and nothing is written', async () => {
    const stores = await testStores();
    const { maxUses: _, ...unlimited } = asked();
    const { grant } = await stores.grants.request(unlimited);
    await stores.grants.approve(grant.id, 'ann');
    const { commits } = stores.disk;
    await expect(spend(stores, grant.id)).resolves.toBe(true);
    expect(stores.disk.commits).toBe(commits);
    await stores.grants.revoke(grant.id, 'ann');
    await expect(spend(stores, grant.id)).resolves.toBe(false);
  });

  it('does not count for another subject, action, type or resource', async () => {
    const stores = await testStores();
    const id = await granted(stores, { resourceType: 'environment', maxUses: 10 });
    const others: Attempt[] = [
      { ...attempt, subject: subject.toUpperCase() },
      { ...attempt, action: 'Deploy' },
      { ...attempt, resource: { type: 'database', id: 'prod/payments' } },
      ...['prod', 'prod/', 'prod/../x', 'PROD/a', 'prod%2fa', 'prod/a\u0000', 'prod/a/b', 'prod/%61'].map((id) => ({
        ...attempt,
        resource: { type: 'environment', id },
      })),
    ];
    for (const other of others) {
      await expect(stores.grants.spend([id], other, stores.clock.now())).resolves.toBe(false);
    }
    await expect(spend(stores, id)).resolves.toBe(true);
  });

  it('is taken together with others or not at all', async () => {
    const stores = await testStores();
    const [a, b, other] = [
      await granted(stores, { maxUses: 2 }),
      await granted(stores, { maxUses: 1 }),
      await granted(stores, { resources: ['stage'] }),
    ];
    await expect(spend(stores, a, b)).resolves.toBe(true);
    await expect(spend(stores, a, b)).resolves.toBe(false);
    await expect(spend(stores, a, other)).resolves.toBe(false);
    await expect(spend(stores, a, 'unknown')).resolves.toBe(false);
    expect(stores.grants.get(a)?.grant.uses).toBe(1);
    await expect(spend(stores, a, a)).resolves.toBe(true);
    expect(stores.grants.get(a)?.grant.uses).toBe(2);
  });

  it('resting on none spends none', async () => {
    await expect(spend(await testStores())).resolves.toBe(true);
  });
});

describe('G01 50 requests race for the last use', () => {
  it('one wins, in 1,000 rounds, whatever they race with', async () => {
    const stores = await testStores();
    for (let round = 0; round < 1000; round += 1) {
      const id = await granted(stores);
      const racers = Array.from({ length: 50 }, () => spend(stores, id));
      // In every third round a revocation comes in the middle: then at most those before it win.
      if (round % 3 === 0)
        racers.splice(
          25,
          0,
          stores.grants.revoke(id, 'ann').then(() => false),
        );
      const wins = (await Promise.all(racers)).filter((won) => won).length;
      expect(wins).toBe(1);
      expect(stores.grants.get(id)?.grant.uses).toBe(1);
      stores.clock.advance(100 * second);
    }
  });
});

describe('G02 the disk fails while a use is taken', () => {
  it.each(['refuses', 'takes it and says it failed'] as const)(
    'it %s: nobody is told yes, and the use is gone',
    async (how) => {
      const stores = await testStores();
      const id = await granted(stores);
      stores.disk.next = [how];
      await expect(spend(stores, id)).rejects.toMatchObject({ code: 'grant_store_failed' });
      expect(active(stores)).toEqual([]);
      await expect(spend(stores, id)).resolves.toBe(false);
      await stores.signals.put([]).catch(() => undefined);
      expect(stores.grants.get(id)?.standing).toBe('spent');
      await stores.close();
      expect((await stores.restart()).grants.get(id)?.standing).toBe('spent');
    },
  );

  it('the store is down: nothing is taken, and the grant is good when it is back', async () => {
    const stores = await testStores();
    const [id, victim] = [await granted(stores), await granted(stores)];
    stores.disk.next = ['refuses'];
    stores.disk.failingOpens = 1;
    await expect(spend(stores, victim)).rejects.toMatchObject({ code: 'grant_store_failed' });
    await expect(spend(stores, id)).rejects.toMatchObject({ code: 'grant_store_failed' });
    expect(stores.isReady()).toBe(false);
    while (!stores.isReady()) await new Promise((resolve) => setTimeout(resolve, 10));
    await expect(spend(stores, id)).resolves.toBe(true);
    await expect(spend(stores, victim)).resolves.toBe(false);
  });

  it('a revocation holds even if the write to disk failed, and reaches the disk later', async () => {
    const stores = await testStores();
    const id = await granted(stores);
    stores.disk.next = ['refuses'];
    await expect(stores.grants.revoke(id, 'ann')).rejects.toMatchObject({ code: 'store_failed', status: 503 });
    expect(active(stores)).toEqual([]);
    while (!stores.isReady()) await new Promise((resolve) => setTimeout(resolve, 1));
    expect((await stores.restart()).grants.get(id)?.standing).toBe('revoked');
  });

  it('an approval that the disk did not take grants nothing', async () => {
    const stores = await testStores();
    const { grant } = await stores.grants.request(asked());
    stores.disk.next = ['refuses'];
    await expect(stores.grants.approve(grant.id, 'ann')).rejects.toMatchObject({ code: 'store_failed', status: 503 });
    expect(active(stores)).toEqual([]);
  });

  it('an approval grants nothing before the disk has it', async () => {
    const stores = await testStores();
    const { grant } = await stores.grants.request(asked());
    stores.disk.next = ['hangs'];
    const approval = stores.grants.approve(grant.id, 'ann');
    await new Promise((resolve) => setImmediate(resolve));
    expect(active(stores)).toEqual([]);
    stores.disk.release();
    await approval;
    expect(active(stores)).toEqual([grant.id]);
  });
});

describe('L02 while a commit does not come back', () => {
  async function busy(stores: TestStores): Promise<void> {
    stores.disk.next = ['hangs'];
    const report = stores.signals.put([
      {
        about: { kind: 'device', id: 'd' },
        attributes: { a: 1 },
        observedAt: stores.clock.now(),
        source: 's',
        sequence: 0,
      },
    ]);
    report.catch(() => undefined); // it may have to wait longer than it does
    await new Promise((resolve) => setImmediate(resolve));
  }

  it('a revocation holds from when it is asked for, and reaches the disk', async () => {
    const stores = await testStores();
    const [id, used] = [await granted(stores), await granted(stores, { maxUses: 3 })];
    await busy(stores);
    const use = spend(stores, used);
    const revocations = [stores.grants.revoke(id, 'ann'), stores.grants.revoke(used, 'ann')];
    expect(active(stores)).toEqual([]);
    expect(stores.grants.activeCount()).toBe(0);
    expect(stores.grants.list({ standing: 'revoked' }, 10)).toHaveLength(2);
    await expect(spend(stores, id)).resolves.toBe(false);
    stores.disk.release();
    // It was asked for before the revocation, and went to disk before it.
    await expect(use).resolves.toBe(true);
    await Promise.all(revocations);
    expect(active(stores)).toEqual([]);
    expect((await stores.restart()).grants.list({ standing: 'revoked' }, 10)).toHaveLength(2);
  });

  it('no commit that comes back in between makes a grant active again that is being revoked', async () => {
    const stores = await testStores();
    const id = await granted(stores, { maxUses: 3 });
    stores.disk.next = ['hangs', 'hangs'];
    const use = spend(stores, id);
    await new Promise((resolve) => setImmediate(resolve));
    const revocation = stores.grants.revoke(id, 'ann');
    stores.disk.release();
    await use;
    await new Promise((resolve) => setImmediate(resolve));
    expect(stores.grants.get(id)).toMatchObject({ standing: 'revoked', grant: { state: 'active', uses: 1 } });
    expect(active(stores)).toEqual([]);
    stores.disk.release();
    await revocation;
    expect(stores.grants.get(id)).toMatchObject({ standing: 'revoked', grant: { state: 'revoked', uses: 1 } });
  });

  it('a use is refused at once where the disk is known to be slow, and not taken', async () => {
    const stores = await testStores();
    const limited = await granted(stores);
    const { maxUses: _, ...unending } = asked();
    const { grant: unlimited } = await stores.grants.request(unending);
    await stores.grants.approve(unlimited.id, 'ann');
    await busy(stores);
    stores.clock.advance(5_001);
    expect(stores.status().state).toBe('slow');
    await expect(spend(stores, limited)).rejects.toMatchObject({ code: 'grant_store_failed' });
    await expect(spend(stores, unlimited.id)).resolves.toBe(true);
    stores.disk.release();
    await new Promise((resolve) => setImmediate(resolve));
    expect(stores.status().state).toBe('ok');
    await expect(spend(stores, limited)).resolves.toBe(true);
  });
});

describe('G03 between the policy and the use', () => {
  it('a grant that expires, or is revoked, is not taken', async () => {
    const stores = await testStores();
    const [a, b] = [await granted(stores), await granted(stores)];
    const at = stores.clock.now();
    await stores.grants.revoke(b, 'ann');
    await expect(stores.grants.spend([b], attempt, at)).resolves.toBe(false);
    stores.clock.advance(hour);
    await expect(stores.grants.spend([a], attempt, at)).resolves.toBe(false);
  });

  it('an expiry while the use waits for the disk counts', async () => {
    const stores = await testStores();
    const id = await granted(stores);
    stores.disk.next = ['hangs'];
    const busy = stores.signals.put([
      {
        about: { kind: 'device', id: 'd' },
        attributes: { a: 1 },
        observedAt: stores.clock.now(),
        source: 's',
        sequence: 0,
      },
    ]);
    await new Promise((resolve) => setImmediate(resolve));
    const spending = spend(stores, id);
    stores.clock.advance(hour);
    stores.disk.release();
    await busy;
    await expect(spending).resolves.toBe(false);
    expect(stores.grants.get(id)?.grant.uses).toBe(0);
  });
});

describe('G04 the wall clock goes back', () => {
  it('an expired grant stays expired, after a restart too', async () => {
    const stores = await testStores();
    const id = await granted(stores);
    stores.clock.advance(hour);
    expect(active(stores)).toEqual([]);
    stores.clock.stepWall(-hour);
    expect(active(stores)).toEqual([]);
    await stores.tick();
    const restarted = await stores.restart();
    expect(restarted.grants.get(id)?.standing).toBe('expired');
    await expect(spend(restarted, id)).resolves.toBe(false);
    expect(restarted.status().grant_clock_ahead_s).toBe(3600);
  });

  it('an active grant lasts no longer for it', async () => {
    const stores = await testStores();
    await granted(stores);
    stores.clock.advance(hour / 2);
    stores.clock.stepWall(-day);
    stores.clock.advance(hour / 2 - 1);
    expect(active(stores)).toHaveLength(1);
    stores.clock.advance(1);
    expect(active(stores)).toEqual([]);
  });

  it('after it was set forward, a new grant lasts as long as it says', async () => {
    const stores = await testStores();
    stores.clock.stepWall(day);
    await granted(stores, { maxUses: 5 });
    stores.clock.stepWall(-day);
    await granted(stores, { maxUses: 5 });
    expect(active(stores)).toHaveLength(2);
    stores.clock.advance(hour);
    expect(active(stores)).toHaveLength(0);
  });

  it('a grant that has not begun does not begin by it', async () => {
    const stores = await testStores();
    stores.clock.stepWall(day);
    expect(stores.grants.aheadMs()).toBe(0);
    stores.clock.stepWall(-day);
    expect(stores.grants.aheadMs()).toBe(day);
    await granted(stores, { notBefore: later(stores.clock.now(), 10 * second) });
    expect(active(stores)).toEqual([]);
    stores.clock.advance(10 * second);
    expect(active(stores)).toHaveLength(1);
  });

  it('no run of steps makes a grant longer, or brings back a use', async () => {
    const step = fc.oneof(
      fc.record({ do: fc.constant('advance' as const), ms: fc.integer({ min: 0, max: 20 * 60 * second }) }),
      fc.record({ do: fc.constant('step' as const), ms: fc.integer({ min: -2 * hour, max: 2 * hour }) }),
      fc.record({ do: fc.constant('restart' as const), ms: fc.constant(0) }),
      fc.record({ do: fc.constant('spend' as const), ms: fc.constant(0) }),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
        let stores = await testStores();
        const id = await granted(stores, { maxUses: 2 });
        let elapsed = 0;
        let used = 0;
        let wasOver = false;
        for (const { do: what, ms } of steps) {
          if (what === 'advance') {
            stores.clock.advance(ms);
            elapsed += ms;
          } else if (what === 'step') stores.clock.stepWall(ms);
          else if (what === 'restart') {
            await stores.tick();
            stores = await stores.restart();
          } else if (await spend(stores, id)) used += 1;
          const isActive = active(stores).length > 0;
          expect(isActive && wasOver).toBe(false);
          wasOver = !isActive;
          if (elapsed >= hour && !steps.some((one) => one.do === 'restart')) expect(isActive).toBe(false);
          expect(used).toBeLessThanOrEqual(2);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe('G05 a request that does not end, or does not say what for', () => {
  const rows: readonly (readonly [string, Partial<GrantRequest>])[] = [
    ...[0, -1, 1.5, 1e308, Number.NaN, Number.POSITIVE_INFINITY, 1_000_001].map(
      (maxUses) => ['max_uses', { maxUses }] as const,
    ),
    ...[0, -1, 999, 0.5, 30 * day + 1, 100 * 365 * day, Number.NaN].map((ttlMs) => ['ttl_s', { ttlMs }] as const),
    ...[[], ['*'], ['deploy', ''], ['de*'], ['x'.repeat(257)], ['a', 'a'], ['\ud800']].map(
      (actions) => ['actions', { actions }] as const,
    ),
    ...[
      [],
      ['*'],
      ['/*'],
      ['**'],
      ['prod*'],
      ['*/x'],
      ['prod/*/x'],
      ['prod/../*'],
      ['prod//*'],
      ['prod/%2e/*'],
      ['a\\b/*'],
      ...['\u0000', '\u001f', '\u007f', '\u0080', '\u009f'].map((control) => [`a${control}b/*`]),
      ['p/**'],
      [''],
    ].map((resources) => ['resources', { resources }] as const),
    ['subject', { subject: '' }],
    ['reason', { reason: '' }],
    ['resource_type', { resourceType: '' }],
    ['not_before', { notBefore: epochMs(Date.parse('2036-01-01T00:00:00Z')) }],
  ];
  it.each(rows)('%s, row %#, is refused and named', async (member, changes) => {
    const { grants, disk } = await testStores();
    const request = grants.request(asked(changes));
    await expect(request).rejects.toMatchObject({ code: 'grant_invalid', status: 400 });
    await expect(request).rejects.toThrow(new RegExp(`^${member} `));
    expect(disk.commits).toBe(0);
  });

  it('takes the edges', async () => {
    const { grants } = await testStores();
    const edges = [
      { maxUses: 1 },
      { maxUses: 1_000_000 },
      { ttlMs: second },
      { ttlMs: 30 * day },
      { resources: ['a/b/*', 'x%y', 'a\u00a0b/*'] },
    ];
    for (const edge of edges) await expect(grants.request(asked(edge))).resolves.toBeDefined();
  });

  it('that would end before it begins is not approved', async () => {
    const { grants, clock } = await testStores();
    const { grant } = await grants.request(asked({ notBefore: later(clock.now(), hour) }));
    await expect(grants.approve(grant.id, 'ann')).rejects.toMatchObject({ code: 'grant_state', status: 409 });
  });
});

describe('G08 approval', () => {
  it('by the subject itself is refused, under either name', async () => {
    const { grants } = await testStores();
    const { grant } = await grants.request(asked());
    const refused = { code: 'grant_self_approval', status: 403 };
    await expect(grants.approve(grant.id, subject)).rejects.toMatchObject(refused);
    await expect(grants.approve(grant.id, 'ann', subject)).rejects.toMatchObject(refused);
    expect(grants.get(grant.id)?.standing).toBe('requested');
  });

  it('sent twice gives the same grant, and no new life', async () => {
    const stores = await testStores();
    const { grant } = await stores.grants.request(asked());
    const first = await stores.grants.approve(grant.id, 'ann', 'Ann of operations');
    stores.clock.advance(10 * second);
    const again = await stores.grants.approve(grant.id, 'bob');
    expect(again.grant).toEqual(first.grant);
    expect(again.grant).toMatchObject({ approver: 'ann', approverNamed: 'Ann of operations' });
  });

  it('of a request that waited too long is refused: 410', async () => {
    const { grants, clock } = await testStores();
    const [a, b] = [(await grants.request(asked())).grant, (await grants.request(asked())).grant];
    clock.advance(day - 1);
    await expect(grants.approve(a.id, 'ann')).resolves.toBeDefined();
    clock.advance(1);
    expect(grants.get(b.id)?.standing).toBe('lapsed');
    await expect(grants.approve(b.id, 'ann')).rejects.toMatchObject({ code: 'grant_state', status: 410 });
  });

  it('of a revoked or an unknown one is refused', async () => {
    const { grants } = await testStores();
    const { grant } = await grants.request(asked());
    await grants.revoke(grant.id, 'ann');
    await expect(grants.revoke(grant.id, 'bob')).resolves.toMatchObject({ grant: { revokedBy: 'ann' } });
    await expect(grants.approve(grant.id, 'ann')).rejects.toMatchObject({ code: 'grant_state', status: 409 });
    await expect(grants.approve('g-x', 'ann')).rejects.toMatchObject({ code: 'grant_unknown', status: 404 });
    await expect(grants.revoke('g-x', 'ann')).rejects.toMatchObject({ code: 'grant_unknown', status: 404 });
    await expect(grants.approve(grant.id, 'ann', '')).rejects.toMatchObject({ code: 'grant_invalid' });
  });
});

describe('the caps on grants', () => {
  it('bound them all, those of one subject, and those that are active', async () => {
    const caps = { devices: 1, subjects: 1, sessions: 1, workloads: 1, grants: 1200, attestations: 1 };
    const { grants, clock } = await testStores({ caps });
    const full = { code: 'store_full', status: 429 };
    const ids: string[] = [];
    for (let i = 0; i < 10; i += 1) {
      const made = await Promise.all(Array.from({ length: 100 }, () => grants.request(asked({ maxUses: 3 }))));
      ids.push(...made.map(({ grant }) => grant.id));
    }
    await expect(grants.request(asked())).rejects.toMatchObject(full);
    const others = await Promise.allSettled(
      Array.from({ length: 300 }, (_, i) => grants.request(asked({ subject: `s${i}` }))),
    );
    expect(others.filter(({ status }) => status === 'fulfilled')).toHaveLength(200);
    const approvals = await Promise.allSettled(ids.slice(0, 150).map((id) => grants.approve(id, 'ann')));
    expect(approvals.filter(({ status }) => status === 'fulfilled')).toHaveLength(100);
    expect(grants.activeOf(subject, clock.now())).toHaveLength(100);
    expect(grants.activeCount()).toBe(100);
  });

  it('count what can still be used: the oldest that is over makes way for a new request of its subject', async () => {
    const stores = await testStores();
    const { grants } = stores;
    const other = (await grants.request(asked({ subject: 'other' }))).grant.id;
    await grants.revoke(other, 'ann');
    const [spent, open, revoked, expired] = [
      await granted(stores),
      await granted(stores, { ttlMs: 3 * hour, maxUses: 9 }),
      await granted(stores),
      await granted(stores, { ttlMs: second }),
    ];
    await expect(spend(stores, spent)).resolves.toBe(true);
    await grants.revoke(revoked, 'ann');
    stores.clock.advance(second);
    while (grants.count < 1001) await Promise.all(Array.from({ length: 249 }, () => grants.request(asked())));
    // Two requests of one batch never take the place of the same grant.
    const more = await Promise.all([grants.request(asked()), grants.request(asked())]);
    const known = () => [spent, open, revoked, expired, other].map((id) => grants.get(id)?.standing);
    expect(known()).toEqual([undefined, 'active', undefined, 'expired', 'revoked']);
    await grants.request(asked());
    expect(known()).toEqual([undefined, 'active', undefined, undefined, 'revoked']);
    await expect(grants.request(asked())).rejects.toMatchObject({ code: 'store_full', status: 429 });
    expect(grants.count).toBe(1001);
    // So after a restart too, and a request that was not approved in time makes way like any that is over.
    const again = await stores.restart();
    await expect(again.grants.request(asked())).rejects.toMatchObject({ code: 'store_full' });
    again.clock.advance(day);
    await expect(again.grants.request(asked())).resolves.toMatchObject({ standing: 'requested' });
    expect(again.grants.get(more[0]?.grant.id ?? '')?.standing).toBe('lapsed');
  });

  it('G09 make room a day after a grant is over, never sooner, and never of one in use', async () => {
    const stores = await testStores();
    const [lasting, short, revoked] = [
      await granted(stores, { ttlMs: 3 * day, maxUses: 9 }),
      await granted(stores, { ttlMs: second }),
      await granted(stores),
    ];
    const { grant: waiting } = await stores.grants.request(asked());
    await stores.grants.revoke(revoked, 'ann');
    stores.clock.advance(day - 1);
    await stores.tick();
    expect(stores.grants.count).toBe(4);
    stores.clock.advance(second + 1);
    await stores.tick();
    expect([lasting, short, revoked, waiting.id].map((id) => stores.grants.get(id)?.standing)).toEqual([
      'active',
      undefined,
      undefined,
      'lapsed',
    ]);
    stores.clock.advance(day);
    await stores.tick();
    expect(stores.grants.get(waiting.id)).toBeUndefined();
    await expect(spend(stores, lasting)).resolves.toBe(true);
  });
});

describe('the list of grants', () => {
  it('is in order of request, over restarts, filtered and in pages', async () => {
    const stores = await testStores();
    const made: string[] = [];
    for (let i = 0; i < 7; i += 1) {
      made.push((await stores.grants.request(asked(i === 3 ? { subject: 'other' } : {}))).grant.id);
      stores.clock.advance(1);
    }
    await stores.grants.approve(made[5] ?? '', 'ann');
    const { grants } = await stores.restart();
    const ids = (...args: Parameters<typeof grants.list>): readonly string[] | undefined =>
      grants.list(...args)?.map(({ grant }) => grant.id);
    expect(ids({}, 100)).toEqual(made);
    expect(ids({ subject }, 3)).toEqual([made[0], made[1], made[2]]);
    expect(ids({ subject }, 3, made[2])).toEqual([made[4], made[5], made[6]]);
    expect(ids({ subject: 'other' }, 3)).toEqual([made[3]]);
    expect(ids({ standing: 'active' }, 3)).toEqual([made[5]]);
    expect(ids({}, 3, 'g-unknown')).toBeUndefined();
  });
});

describe('upkeep', () => {
  it('writes only when a grant has ended, or once a minute while one is active', async () => {
    const stores = await testStores();
    for (let i = 0; i < 100; i += 1) {
      stores.clock.advance(second);
      await stores.tick();
    }
    expect(stores.disk.commits).toBe(0);
    await granted(stores);
    const { commits } = stores.disk;
    for (let i = 0; i < 3600; i += 1) {
      stores.clock.advance(second);
      await stores.tick();
    }
    expect(stores.disk.commits - commits).toBeLessThanOrEqual(61);
    const after = stores.disk.commits;
    for (let i = 0; i < 600; i += 1) {
      stores.clock.advance(second);
      await stores.tick();
    }
    expect(stores.disk.commits).toBe(after);
  });

  it('does not reject when the disk fails', async () => {
    const stores = await testStores();
    await granted(stores);
    stores.clock.advance(hour);
    stores.disk.next = ['refuses'];
    await expect(stores.tick()).resolves.toBeUndefined();
  });
});

describe('a grant from the store', () => {
  it('counts only if it is whole: a limit that cannot be read is not none', async () => {
    const stores = await testStores();
    const id = await granted(stores);
    const entries = [...stores.disk.records].filter(([, text]) => text.includes(id));
    const [entry] = entries;
    if (entry === undefined) throw new Error('no record');
    const [key, text] = entry;
    const whole = JSON.parse(text);
    const broken: object[] = [
      ...[
        'id',
        'subject',
        'actions',
        'resources',
        'reason',
        'state',
        'requested_by',
        'requested_at',
        'ttl_ms',
        'uses',
      ].map((name) => ({ ...whole, [name]: null })),
      { ...whole, max_uses: '1' },
      { ...whole, not_before: 'x' },
      { ...whole, resource_type: 1 },
      { ...whole, state: 'ACTIVE' },
    ];
    for (const record of broken) {
      stores.disk.records.set(key, JSON.stringify(record));
      const restarted = await stores.restart();
      expect(active(restarted)).toEqual([]);
      expect(restarted.grants.get(id)).toBeUndefined();
    }
    const { expires_at: _, ...endless } = whole;
    stores.disk.records.set(key, JSON.stringify(endless));
    expect(active(await stores.restart())).toEqual([]);
  });
});

describe('J08 V12 subjects', () => {
  it('are compared byte for byte', async () => {
    const stores = await testStores({}, new FakeClock());
    const now: EpochMs = stores.clock.now();
    await granted(stores, { subject: 'alice' });
    for (const other of ['Alice', 'alice ', 'alice\u0000', 'ali\u200bce', '__proto__']) {
      expect(stores.grants.activeOf(other, now)).toEqual([]);
    }
    expect(stores.grants.activeOf('alice', now)).toHaveLength(1);
  });
});
