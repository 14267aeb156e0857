import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../../src/bundle/reading/read-bundle.ts';
import { PolicyModule } from '../../../src/request/evaluate/policy-module.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { archiveLimits, asked, policyLimits, type RecordedEvent, Testbed } from '../../support/testbed.ts';

const secret = 'CANARY-of-the-caller';
/** Where it stands in an event. */
const everyPlace = ['/input/context/secret', '/result/reasons/0/message'];
const budgetMs = 25;

let bundle: Uint8Array;
let bed: Testbed;

beforeAll(async () => {
  bundle = await compilePolicy('masking', ['authz/decision', 'system/log/mask', 'system/log/drop']);
}, 60_000);

beforeEach(async () => {
  const policyModule = await PolicyModule.load(await readBundle(bundle, archiveLimits), { ...policyLimits, budgetMs });
  bed = await Testbed.open({ policyModule, prints: true });
});

afterEach(() => bed.close());

/** Asks, with what the rules about events are to do, and gives back the event; undefined: there is none. */
async function eventOf(context: Readonly<Record<string, unknown>>): Promise<RecordedEvent | undefined> {
  const before = (await bed.recorded()).length;
  const answer = await bed.ask(asked({ context: { secret, ...context } }));
  expect(JSON.parse(answer.body)).toMatchObject({ decision: false });
  const event = (await bed.recorded())[before];
  if (event !== undefined) expect(event.decision_id).toBe(answer.headers['x-decision-id']);
  return event;
}

/** Told once, on all ways, or on none. */
async function everywhere(): Promise<string> {
  return [await bed.recordText(), ...bed.printed, bed.log.text(), await bed.ownSeries()].join('\n');
}

function steps(result: string): Promise<number> {
  return bed.counted('postern_journal_events_screened_total', { result });
}

describe('P12 a bundle’s mask', () => {
  it('P12 takes out what it names, wherever the event goes, and says so', async () => {
    const event = await eventOf({
      mask: [
        '/input/context/secret',
        '/result/reasons/0/message',
        '/input/no/such/path',
        '/nd_builtin_cache/rand.intn',
      ],
      left: 9007199254740993n.toString(),
    });
    expect(event?.['erased']).toEqual([
      '/input/context/secret',
      '/nd_builtin_cache/rand.intn',
      '/result/reasons/0/message',
    ]);
    expect(event?.['masked']).toBeUndefined();
    expect(event?.input?.['context']).toEqual({
      mask: [
        '/input/context/secret',
        '/result/reasons/0/message',
        '/input/no/such/path',
        '/nd_builtin_cache/rand.intn',
      ],
      left: '9007199254740993',
    });
    expect(event?.result).toMatchObject({ effect: 'deny', reasons: [{ code: 'told' }] });
    expect(event?.reasons).toEqual([{ code: 'told' }]);
    expect(event?.['nd_builtin_cache']).toEqual({});
    expect(event).toMatchObject({
      effect: 'deny',
      path: 'authz/decision',
      bundles: { test: { revision: 'test-masking' } },
    });
    expect(await everywhere()).not.toContain('CANARY');
    expect(bed.printed).toEqual([await bed.recordText()]);
    expect(await steps('masked')).toBe(1);
  });

  it('P12 puts in what it says, and makes the way there', async () => {
    const event = await eventOf({
      mask: [
        { op: 'upsert', path: '/input/context/secret', value: 'hidden' },
        { op: 'upsert', path: '/input/a/b', value: { n: 1.5 } },
        { op: 'remove', path: '/result' },
      ],
    });
    expect(event?.['erased']).toEqual(['/result']);
    expect(event?.['masked']).toEqual(['/input/a/b', '/input/context/secret']);
    expect(event?.input).toMatchObject({ a: { b: { n: 1.5 } }, context: { secret: 'hidden' } });
    expect(event?.result).toBeUndefined();
    expect(await everywhere()).not.toContain('CANARY');
  });

  it('P12 that has nothing to say leaves the event as it is', async () => {
    const event = await eventOf({});
    expect(event?.input).toMatchObject({ context: { secret } });
    expect(event).not.toHaveProperty('erased');
    expect(await steps('masked')).toBe(0);
    expect(await steps('mask_failed')).toBe(0);
  });

  it('P12 reaches events of requests that no policy saw', async () => {
    bed.bundle = undefined;
    await bed.ask(asked({ context: { secret, mask: everyPlace } }));
    const [event] = await bed.recorded();
    expect(event).toMatchObject({ reasons: [{ code: 'no_bundle' }], erased: ['/input/context/secret'] });
    expect(await everywhere()).not.toContain('CANARY');
  });

  it.each([
    ['names what says that there was a decision', ['/decision_id']],
    ['names all of it', ['/']],
    ['names none of it', ['']],
    ['names a part without its slash', ['input/context/secret']],
    ['names another part of it', ['/reasons']],
    ['holds a number', [7]],
    ['knows no such operation', [{ op: 'replace', path: '/input/context/secret' }]],
    ['has no operation', [{ path: '/input/context/secret' }]],
    ['has no path', [{ op: 'remove' }]],
    [
      'makes the event many times as long',
      [
        { op: 'upsert', path: '/input/long', value: 'x'.repeat(30_000) },
        ...Array.from({ length: 3 }, (_, n) => ({ op: 'upsert', path: `/input/l${n}`, value: 'x'.repeat(30_000) })),
      ],
    ],
  ])('P12 that %s withholds input and result; the event is kept', async (_, mask) => {
    const event = await eventOf({ mask: ['/input/action', ...mask] });
    expect(event).toMatchObject({
      path: 'authz/decision',
      effect: 'deny',
      reasons: [{ code: 'told' }],
      erased: ['/input', '/result', '/nd_builtin_cache'],
      mask_error: { code: 'policy_result_invalid' },
    });
    for (const member of ['input', 'result', 'nd_builtin_cache']) expect(event).not.toHaveProperty(member);
    expect(await everywhere()).not.toContain('CANARY');
    expect(await steps('mask_failed')).toBe(1);
    expect(bed.log.of('error')).toEqual(['the mask rule failed; input and result were withheld']);
    expect(bed.log.lines.at(-1)?.fields).toMatchObject({
      entrypoint: 'system/log/mask',
      code: 'policy_result_invalid',
    });
  });

  it.each([
    ['throws', 'policy_failed'],
    ['slow', 'policy_budget_spent'],
  ])('P12 that fails (%s) withholds input and result; decisions go on', async (fault, code) => {
    for (let count = 0; count < 3; count += 1) {
      expect(await eventOf({ mask_fault: fault })).toMatchObject({
        erased: ['/input', '/result', '/nd_builtin_cache'],
        mask_error: { code },
        reasons: [{ code: 'told' }],
      });
    }
    expect(await everywhere()).not.toContain('CANARY');
    expect(await steps('mask_failed')).toBe(3);
    expect(bed.overruns.persistent).toEqual(code === 'policy_budget_spent' ? ['system/log/mask'] : []);
    const canary = await eventOf({ mask: everyPlace });
    expect(canary?.['erased']).toEqual(everyPlace);
  });

  it('P12 leaves no text of a failed evaluation either', async () => {
    const event = await eventOf({ undecided: true, mask: everyPlace });
    expect(event?.error).toEqual({ code: 'policy_failed' });
    expect(await everywhere()).not.toContain('CANARY');
  });
});

describe('P12 a bundle’s drop', () => {
  it('P12 leaves no event, and counts it', async () => {
    expect(await eventOf({ drop: true })).toBeUndefined();
    expect(bed.printed).toEqual([]);
    expect(await steps('dropped')).toBe(1);
    expect(await bed.counted('postern_decisions_total', { effect: 'deny' })).toBe(1);
    expect(await bed.counted('postern_journal_events_dropped_total')).toBe(0);
    expect(await eventOf({})).toBeDefined();
  });

  it.each([false, null, 1, 'true', { yes: true }, []])('P12 that says %j keeps the event', async (drop) => {
    expect((await eventOf({ drop }))?.input).toMatchObject({ context: { secret } });
    expect(await steps('dropped')).toBe(0);
  });

  it.each(['throws', 'slow'])('P12 that fails (%s) keeps the event, masked as always', async (drop_fault) => {
    const event = await eventOf({ drop_fault, mask: everyPlace });
    expect(event?.['erased']).toEqual(everyPlace);
    expect(await steps('drop_failed')).toBe(1);
    expect(await steps('masked')).toBe(1);
    expect(bed.log.of('error')).toEqual(['the drop rule failed; the event was kept']);
    expect(await everywhere()).not.toContain('CANARY');
  });
});

describe('a bundle’s rules about events', () => {
  it('are asked once the answer is made', async () => {
    const answer = await bed.ask(asked({ context: { secret, mask_fault: 'slow' } }));
    expect(answer.status).toBe(200);
    expect(await steps('mask_failed')).toBe(0);
    await bed.recorded();
    expect(await steps('mask_failed')).toBe(1);
  });

  it('are asked in no request’s way when many wait', async () => {
    await Promise.all(Array.from({ length: 200 }, () => bed.ask(asked({ context: { secret, mask: everyPlace } }))));
    const events = await bed.recorded();
    expect(events).toHaveLength(200);
    expect(new Set(events.map(({ decision_id: id }) => id)).size).toBe(200);
    expect(await everywhere()).not.toContain('CANARY');
  });

  it('hold for what waits when the sidecar stops', async () => {
    await bed.ask(asked({ context: { secret, mask: everyPlace } }));
    const text = bed.recordText();
    await bed.closeLog();
    expect(await text).not.toContain('CANARY');
    expect((await text).split('\n')).toHaveLength(2);
  });

  it('are no routes', async () => {
    const port = await bed.listen();
    for (const rule of ['mask', 'drop']) {
      const answer = await fetch(`http://127.0.0.1:${port}/v1/data/system/log/${rule}`, {
        method: 'POST',
        body: '{}',
        headers: { 'content-type': 'application/json' },
      });
      expect(answer.status).toBe(404);
    }
  });
});
