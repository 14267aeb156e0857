import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { AnsweredDecision } from '../../src/domain/answered-decision.ts';
import { Undecided } from '../../src/domain/errors.ts';
import type { Answer, Surface } from '../../src/domain/request.ts';
import { authorize, type Parts } from '../../src/request/authorize.ts';
import { Recorder } from '../../src/request/record/recorder.ts';
import { Overruns } from '../../src/telemetry/overruns.ts';
import { agent, asked, Testbed } from '../support/testbed.ts';

let bed: Testbed;

beforeEach(async () => {
  bed = await Testbed.open();
});

afterEach(() => bed.close());

function asking(parts: Parts, surface: Surface = 'authzen'): Promise<Answer> {
  const body = surface === 'opa' ? `{"input":${asked()}}` : asked();
  return authorize(
    { surface, entrypoint: 'authz/decision', body: Buffer.from(body), via: bed.via, remote: '127.0.0.1:1' },
    parts,
  );
}

/** What a step does whose own code is wrong. */
function broken(): never {
  throw new TypeError('CANARY: x is not a function');
}

describe('V20 a fault at any step of a decision', () => {
  const steps: readonly (readonly [string, (parts: Parts) => Parts, string])[] = [
    ['identify', (parts) => ({ ...parts, identify: broken }), 'internal'],
    ['the bundle', (parts) => ({ ...parts, servingBundle: broken }), 'internal'],
    [
      'the bundle’s age',
      (parts) => ({
        ...parts,
        servingBundle: () => {
          throw new Undecided('bundle_too_old', 'CANARY-bundle is old');
        },
      }),
      'bundle_too_old',
    ],
    ['enrich', (parts) => ({ ...parts, enrich: broken }), 'internal'],
    [
      'evaluate',
      (parts) => ({
        ...parts,
        servingBundle: (now) => ({ ...parts.servingBundle(now), policy: { evaluate: broken } as never }),
      }),
      'internal',
    ],
  ];

  it.each(steps)(
    'V20 closes, with one record, one count and no word of its cause: %s',
    async (_step, breaking, code) => {
      for (const surface of ['authzen', 'http', 'opa'] as const) {
        const before = {
          decisions: await bed.counted('postern_decisions_total'),
          events: (await bed.recorded()).length,
        };
        const answer = await asking(breaking(bed.parts), surface);
        expect(answer.status).toBe(surface === 'http' ? 403 : 200);
        expect(answer.body).toContain(`"code":"${code}"`);
        expect(answer.body).toContain('"effect":"deny"');
        expect(answer.body).not.toContain('CANARY');
        expect(await bed.counted('postern_decisions_total')).toBe(before.decisions + 1);
        expect(await bed.counted('postern_decisions_total', { effect: 'deny' })).toBe(before.decisions + 1);
        const events = await bed.recorded();
        expect(events).toHaveLength(before.events + 1);
        expect(events.at(-1)).toMatchObject({ effect: 'deny', reasons: [{ code }], error: { code } });
        expect(events.at(-1)?.decision_id).toBe(answer.headers['x-decision-id']);
        // A fault of ours is told with its cause, once, where operators look.
        const told = bed.log.lines.filter(({ fields }) => fields['decision_id'] === answer.headers['x-decision-id']);
        expect(told).toHaveLength(code === 'internal' ? 1 : 0);
      }
    },
  );

  it('V20 leaves the record with as much as was known by then', async () => {
    await asking({ ...bed.parts, identify: broken });
    await asking({ ...bed.parts, enrich: broken });
    const [unidentified, unenriched] = await bed.recorded();
    expect(unidentified?.input).toMatchObject({ subject: { id: agent } });
    expect(unidentified).not.toHaveProperty('bundles');
    expect(unenriched).toHaveProperty('bundles');
    expect(unenriched?.input).not.toHaveProperty('caller');
  });

  it('V20 in spending a grant closes, and the use counts as taken only where it was', async () => {
    bed.grants.give({ id: 'g-1', subject: agent, actions: ['read'], resources: ['payroll'], maxUses: 1 });
    bed.grants.failure = new Undecided('grant_store_failed', 'CANARY: the disk is gone');
    expect((await asking(bed.parts)).body).toContain('grant_store_failed');
    bed.grants.failure = undefined;
    expect(JSON.parse((await asking(bed.parts)).body)).toMatchObject({ decision: true });
    expect(bed.grants.left('g-1')).toBe(0);
    const events = await bed.recorded();
    expect(events.map(({ effect }) => effect)).toEqual(['deny', 'allow']);
    // What the policy said stays on record beside what became of it.
    expect(events[0]).toMatchObject({ result: { effect: 'allow' }, error: { code: 'grant_store_failed' } });
  });

  it('V20 in the record itself closes, and is counted once', async () => {
    const full = await Testbed.open({ pendingBytesMax: 10 });
    try {
      const answer = await full.ask(asked());
      expect(JSON.parse(answer.body)).toMatchObject({
        decision: false,
        context: { reasons: [{ code: 'audit_unavailable' }] },
      });
      expect(await full.counted('postern_decisions_total', { effect: 'deny' })).toBe(1);
      expect(await full.counted('postern_decisions_total')).toBe(1);
      expect(await full.counted('postern_undecided_total', { code: 'audit_unavailable' })).toBe(1);
      expect(await full.counted('postern_journal_events_dropped_total')).toBe(1);
      expect(await full.recordText()).toBe('');
      expect(full.log.of('error')).toEqual([]);
    } finally {
      await full.close();
    }
  });
});

describe('an event that cannot be written down', () => {
  it('closes the decision, and is told with its cause', async () => {
    const clock = { now: () => bed.clock.now(), monotonicMs: () => bed.clock.monotonicMs() };
    const recorder = new Recorder({
      clock,
      metrics: bed.metrics,
      decisionLog: { append: () => undefined } as never,
      overruns: new Overruns(bed.log),
      log: bed.log,
      writeEvent: broken,
    });
    const answer = await asking({ ...bed.parts, recorder });
    expect(JSON.parse(answer.body)).toMatchObject({
      decision: false,
      context: { reasons: [{ code: 'audit_unavailable' }] },
    });
    expect(answer.body).not.toContain('CANARY');
    expect(bed.log.of('error')).toEqual(['internal error in a decision']);
    expect(bed.log.text()).toContain('CANARY');
  });
});

describe('whoever looks on', () => {
  it('is shown what a policy was asked and what it said, beside the answer', async () => {
    const answered: AnsweredDecision[] = [];
    const onAnswered = (one: AnsweredDecision): void => {
      answered.push(one);
    };
    const answer = await asking({ ...bed.parts, onAnswered });
    expect(answered).toHaveLength(1);
    expect(answered[0]).toMatchObject({
      decisionId: answer.headers['x-decision-id'],
      entrypoint: 'authz/decision',
      revision: 'test-allow',
      now: bed.clock.now(),
    });
    const { text } = (answered[0]?.outcome ?? {}) as { text?: string };
    expect(JSON.parse(text ?? '')).toMatchObject({ effect: 'allow' });
    expect(JSON.parse(answered[0]?.input ?? '')).toMatchObject({ subject: { id: agent }, caller: { id: agent } });
  });

  it('is shown nothing where no policy was asked, and a code where one failed', async () => {
    const answered: AnsweredDecision[] = [];
    const onAnswered = (one: AnsweredDecision): void => {
      answered.push(one);
    };
    await asking({ ...bed.parts, onAnswered, identify: broken });
    await bed.ask('{}');
    await authorize(
      { surface: 'opa', entrypoint: 'app/query', body: Buffer.from('{}'), via: bed.via, remote: '127.0.0.1:1' },
      { ...bed.parts, onAnswered },
    );
    expect(answered).toEqual([]);
    const policy = {
      evaluate: () => {
        throw new Undecided('policy_failed', 'two values');
      },
    };
    await asking({
      ...bed.parts,
      onAnswered,
      servingBundle: (now) => ({ ...bed.parts.servingBundle(now), policy: policy as never }),
    });
    expect(answered.map(({ outcome }) => outcome)).toEqual([{ code: 'policy_failed' }]);
  });

  it('B13 has no say in the answer, not even by failing', async () => {
    const answer = await asking({ ...bed.parts, onAnswered: broken });
    expect(JSON.parse(answer.body)).toMatchObject({ decision: true });
    expect(await bed.recorded()).toHaveLength(1);
    expect(bed.log.of('error')).toEqual(['internal error in a decision']);
  });
});

describe('a request', () => {
  it('that is refused is counted, and neither decided nor recorded', async () => {
    const answer = await bed.ask('{}');
    expect(answer).toMatchObject({ status: 400 });
    expect(await bed.counted('postern_rejected_total', { why: 'member_missing' })).toBe(1);
    expect(await bed.counted('postern_decisions_total')).toBe(0);
    expect(await bed.recordText()).toBe('');
  });

  it('has spent its time in the stage that failed', async () => {
    const policy = {
      evaluate: () => {
        bed.clock.advance(250);
        throw new Undecided('policy_budget_spent', 'too long');
      },
    };
    await asking({
      ...bed.parts,
      servingBundle: (now) => ({ ...bed.parts.servingBundle(now), policy: policy as never }),
    });
    const spent = (stage: string) => bed.counted('postern_stage_duration_seconds_sum', { stage });
    expect([await spent('evaluate'), await spent('record')]).toEqual([0.25, 0]);
    expect(await bed.counted('postern_stage_duration_seconds_count', { stage: 'decide' })).toBe(0);
  });

  it('is judged by one reading of the clock', async () => {
    let readings = 0;
    const clock = {
      now: () => {
        readings += 1;
        return bed.clock.now();
      },
      monotonicMs: () => bed.clock.monotonicMs(),
    };
    await asking({ ...bed.parts, clock });
    expect(readings).toBe(1);
    const [event] = await bed.recorded();
    expect((event as unknown as { input: { environment: { now: string } } }).input.environment.now).toBe(
      event?.['timestamp'],
    );
  });

  it('sees one bundle to its end', async () => {
    let asks = 0;
    await asking({
      ...bed.parts,
      servingBundle: (now) => {
        asks += 1;
        return bed.parts.servingBundle(now);
      },
    });
    expect(asks).toBe(1);
  });

  it('closes where there is no bundle, on every surface', async () => {
    bed.bundle = undefined;
    for (const surface of ['authzen', 'http', 'opa'] as const) {
      const { body } = await asking(bed.parts, surface);
      expect(body).toContain('"code":"no_bundle"');
      expect(body).not.toMatch(/"decision":true|"effect":"(allow|constrain)"/);
    }
    const query = await bed.ask('{"input":{}}', { surface: 'opa', entrypoint: 'app/allow' });
    expect(JSON.parse(query.body)).not.toHaveProperty('result');
  });

  it('is answered under the id that it is recorded under, each under its own', async () => {
    const ids = new Set<string | undefined>();
    for (let count = 0; count < 5; count += 1) ids.add((await asking(bed.parts)).headers['x-decision-id']);
    expect(ids.size).toBe(5);
    expect(new Set((await bed.recorded()).map((event) => event.decision_id))).toEqual(ids);
  });

  it('spends no use of a grant where it is denied', async () => {
    const shut = await Testbed.open({ policy: 'deny' });
    try {
      shut.grants.give({ id: 'g-1', subject: agent, actions: ['read'], resources: ['payroll'], maxUses: 1 });
      await shut.ask(asked());
      expect(shut.grants.left('g-1')).toBe(1);
    } finally {
      await shut.close();
    }
  });
});
