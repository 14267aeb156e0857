import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../../src/bundle/reading/read-bundle.ts';
import { type Flip, Shadow, type ShadowOptions } from '../../../src/bundle/shadow/shadow.ts';
import type { AnsweredDecision } from '../../../src/domain/answered-decision.ts';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import type { OutboundReply } from '../../../src/domain/outbound.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { buildImage, type PolicyImage } from '../../../src/request/evaluate/policy-image.ts';
import { HeldTimers } from '../../fakes/held-timers.ts';
import { KeptLog } from '../../fakes/kept-log.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { eventually } from '../../support/eventually.ts';
import { limits, listed } from '../archives.ts';

const entrypoint = 'authz/decision';
const served = bundleRevision('served');
const shadowed = bundleRevision('shadow');

let flips: Flip[];
let results: string[];
let timers: HeldTimers;
let log: KeptLog;
let shadow: Shadow;

beforeEach(() => {
  flips = [];
  results = [];
  timers = new HeldTimers();
  log = new KeptLog();
  shadow = shadowWith();
});

afterEach(() => shadow.close());

function shadowWith(change: Partial<ShadowOptions> = {}): Shadow {
  return new Shadow({
    share: 1,
    limits: { memoryPages: 1_024, resultBytes: 65_536, budgetMs: 25 },
    judge: (outcome) => {
      if ('code' in outcome) return { effect: 'deny', explanation: outcome.code };
      const { effect, ...explanation } = JSON.parse(outcome.text ?? '{"effect":"deny"}') as { effect: string };
      return { effect, explanation };
    },
    flipped: (flip) => flips.push(flip),
    compared: (result) => results.push(result),
    timers,
    random: () => 0,
    log,
    ...change,
  });
}

async function imageOf(bytes: Uint8Array): Promise<PolicyImage> {
  const { wasm, dataText } = await readBundle(bytes, limits);
  return buildImage(wasm, new TextEncoder().encode(dataText), 1_024);
}

function answered(id: string, effect: string, change: Partial<AnsweredDecision> = {}): AnsweredDecision {
  return {
    decisionId: `decision-${id}`,
    entrypoint,
    input: JSON.stringify({ subject: { id } }),
    now: epochMs(1_000),
    seed: id,
    revision: served,
    outcome: { text: JSON.stringify({ effect }) },
    isMasked: false,
    ...change,
  };
}

describe('a shadow bundle', () => {
  it('sees what was decided, and tells where it would answer otherwise, with both explanations', async () => {
    shadow.use(await imageOf(await listed({ agents: { a: { tier: 'one' } } })), shadowed);
    shadow.onAnswered(answered('a', 'allow'));
    shadow.onAnswered(answered('b', 'allow'));
    shadow.onAnswered(answered('c', 'deny'));
    await eventually(() => results.length === 3);
    expect(results.toSorted()).toEqual(['flip', 'same', 'same']);
    expect(flips).toEqual([
      {
        decisionId: 'decision-b',
        entrypoint,
        from: { effect: 'allow', explanation: {}, revision: served },
        to: { effect: 'deny', explanation: { reasons: [{ code: 'agent_not_listed' }] }, revision: shadowed },
      },
    ]);
  });

  it('sees its share', async () => {
    const drawn = [0.1, 0.49, 0.5, 0.9];
    await shadow.close();
    shadow = shadowWith({ share: 0.5, random: () => drawn.shift() ?? 1 });
    shadow.use(await imageOf(await listed()), shadowed);
    for (const id of ['a', 'b', 'c', 'd']) shadow.onAnswered(answered(id, 'allow'));
    await eventually(() => flips.length === 2);
    expect(flips.map(({ decisionId }) => decisionId)).toEqual(['decision-a', 'decision-b']);
    await shadow.close();
    shadow = shadowWith({ share: 0 });
    shadow.use(await imageOf(await listed()), shadowed);
    shadow.onAnswered(answered('e', 'allow'));
    expect(flips).toHaveLength(2);
  });

  it('sees nothing before there is one', () => {
    shadow.onAnswered(answered('a', 'allow'));
    expect(results).toEqual([]);
  });

  it('compares what failed, too', async () => {
    shadow.use(await imageOf(await listed({ agents: { a: { tier: 'one' } } })), shadowed);
    shadow.onAnswered(answered('a', '', { outcome: { code: 'policy_failed' } }));
    await eventually(() => flips.length === 1);
    expect(flips[0]).toMatchObject({ from: { effect: 'deny', explanation: 'policy_failed' }, to: { effect: 'allow' } });
  });

  it('gives way to the next one', async () => {
    shadow.use(await imageOf(await listed()), shadowed);
    shadow.onAnswered(answered('a', 'allow'));
    await eventually(() => flips.length === 1);
    shadow.use(await imageOf(await listed({ agents: { a: { tier: 'one' } } })), bundleRevision('next'));
    shadow.onAnswered(answered('a', 'deny'));
    await eventually(() => flips.length === 2);
    expect(flips[1]?.to).toMatchObject({ effect: 'allow', revision: 'next' });
  });
});

describe('a shadow bundle that asks outside', () => {
  const url = 'http://192.0.2.1/';
  const input = JSON.stringify({ context: { requests: [{ method: 'get', url }] } });
  const key = `http.send ${JSON.stringify([{ method: 'get', url }])}`;
  const reply = (body: string): OutboundReply => ({
    kind: 'response',
    status: '200 OK',
    statusCode: 200,
    headers: { 'content-type': ['application/json'] },
    body: Buffer.from(body),
  });

  beforeEach(async () => {
    await shadow.close();
    shadow = shadowWith({
      limits: {
        memoryPages: 1_024,
        resultBytes: 65_536,
        budgetMs: 1_000,
        outside: ['http.send', 'net.lookup_ip_addr'],
      },
    });
    shadow.use(await imageOf(await compilePolicy('outside', ['authz/decision'])), shadowed);
  });

  it('is told what the decision was told, and asks nobody', async () => {
    const allowed = { outcome: { text: '{"effect":"allow"}' } };
    shadow.onAnswered(answered('a', '', { input, ...allowed, replies: new Map([[key, reply('{"yes":true}')]]) }));
    shadow.onAnswered(answered('b', '', { input, ...allowed, replies: new Map([[key, reply('{"yes":false}')]]) }));
    await eventually(() => results.length === 2);
    expect(results).toEqual(['same', 'flip']);
    expect(flips[0]).toMatchObject({ decisionId: 'decision-b', to: { effect: 'deny' } });
  });

  it('is not compared where it asks what the decision did not', async () => {
    shadow.onAnswered(answered('a', 'allow', { input }));
    shadow.onAnswered(answered('b', 'allow', { input, replies: new Map([['http.send []', reply('')]]) }));
    await eventually(() => results.length === 2);
    expect([results, flips]).toEqual([['dropped', 'dropped'], []]);
  });

  it('takes no more replies than it has room for', () => {
    const large = new Map([[key, reply(' '.repeat(9_000_000))]]);
    shadow.onAnswered(answered('a', 'allow', { input, replies: large }));
    expect(results).toEqual(['dropped']);
  });
});

describe('B13 a shadow that fails', () => {
  it('delays nothing and answers nothing: its work is on another thread, and what it cannot hold is dropped', async () => {
    shadow.use(await imageOf(await listed()), shadowed);
    for (let index = 0; index < 3_000; index += 1) shadow.onAnswered(answered(`${index}`, 'deny'));
    // Nothing has come back yet: seeing is handing over.
    expect(results.filter((result) => result === 'dropped')).toHaveLength(2_000);
    expect(results).toHaveLength(2_000);
    await eventually(() => results.length === 3_000, 20_000);
    expect(results.filter((result) => result === 'same')).toHaveLength(1_000);
    shadow.onAnswered(answered('large', 'deny', { input: JSON.stringify({ subject: { id: 'x'.repeat(9_000_000) } }) }));
    expect(results.at(-1)).toBe('dropped');
  });

  it('has room for eight mebibytes of answers that wait to be compared, and no more', async () => {
    shadow.use(await imageOf(await listed()), shadowed);
    const outcome = { text: JSON.stringify({ effect: 'deny', labels: { large: 'x'.repeat(1_000_000) } }) };
    for (let index = 0; index < 20; index += 1) shadow.onAnswered(answered(`${index}`, 'deny', { outcome }));
    expect(results).toEqual(Array.from({ length: 12 }, () => 'dropped'));
    await eventually(() => results.length === 20);
    // What has been compared makes room again.
    shadow.onAnswered(answered('later', 'deny', { outcome }));
    await eventually(() => results.length === 21);
    expect(results.slice(12)).toEqual(Array.from({ length: 9 }, () => 'same'));
  });

  it('spends its own budget', async () => {
    shadow.use(await imageOf(await compilePolicy('hostile', ['authz/decision'])), shadowed);
    const input = JSON.stringify({ action: { name: 'hoard' }, context: { n: 1e12 } });
    shadow.onAnswered(answered('a', 'allow', { input }));
    await eventually(() => results.length === 1, 20_000);
    expect(flips[0]?.to).toEqual({
      effect: 'deny',
      explanation: expect.stringMatching(/^policy_/),
      revision: shadowed,
    });
    // And the next one is answered.
    shadow.onAnswered(answered('b', 'deny', { input: JSON.stringify({ action: { name: 'canary' } }) }));
    await eventually(() => flips.length === 2);
  });

  it('is started again with a growing pause when its thread ends, and what was lost with it is counted', async () => {
    await shadow.close();
    let started = 0;
    shadow = shadowWith({
      thread: () => {
        started += 1;
        const script = `require('node:worker_threads').parentPort.on('message', ({ kind }) => kind === 'ask' && process.exit(1))`;
        return new Worker(script, { eval: true });
      },
    });
    shadow.use(await imageOf(await listed()), shadowed);
    for (const pauseMs of [1_000, 2_000, 4_000]) {
      shadow.onAnswered(answered('a', 'allow'));
      await eventually(() => timers.pending.length === 1);
      expect(timers.pending).toEqual([pauseMs]);
      // Until it is back there is nobody to ask.
      shadow.onAnswered(answered('b', 'allow'));
      timers.advance(pauseMs);
    }
    expect(started).toBe(4);
    expect(results).toEqual(['failed', 'dropped', 'failed', 'dropped', 'failed', 'dropped']);
    expect(flips).toEqual([]);
  });

  it('is started again with a growing pause when no thread is to be had', async () => {
    await shadow.close();
    // What cannot be given to a thread keeps it from starting, as a machine does that has none left.
    const workerData = new WebAssembly.Memory({ initial: 1 });
    shadow = shadowWith({ thread: () => new Worker('', { eval: true, workerData }) });
    shadow.use(await imageOf(await listed()), shadowed);
    for (const pauseMs of [1_000, 2_000, 4_000]) {
      expect(timers.pending).toEqual([pauseMs]);
      shadow.onAnswered(answered('a', 'allow'));
      timers.advance(pauseMs);
    }
    expect(results).toEqual(['dropped', 'dropped', 'dropped']);
  });

  it('never lets a fault of the comparison out', async () => {
    await shadow.close();
    shadow = shadowWith({
      judge: () => {
        throw new Error('out of order');
      },
    });
    shadow.use(await imageOf(await listed()), shadowed);
    shadow.onAnswered(answered('a', 'allow'));
    await eventually(() => log.of('error').length === 1);
    expect(results).toEqual(['failed']);
  });

  it('never lets a fault of whoever is told of a flip out, and counts one result for each decision', async () => {
    await shadow.close();
    shadow = shadowWith({
      flipped: () => {
        throw new Error('out of order');
      },
    });
    shadow.use(await imageOf(await listed()), shadowed);
    shadow.onAnswered(answered('a', 'allow'));
    await eventually(() => log.of('error').length === 1);
    expect(results).toEqual(['failed']);
  });
});
