import { existsSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { asking, evaluation, report } from './client.ts';
import { sum } from './exposition.ts';
import { type Outcome, RawCaller, raw } from './load.ts';
import { Place, type SidecarProcess } from './sidecar-process.ts';

const megabyte = 1024 * 1024;
const open: Socket[] = [];

let place: Place;
beforeEach(async () => {
  place = await Place.make();
});
afterEach(async () => {
  for (const socket of open.splice(0)) socket.destroy();
  await place.remove();
});

function held(port: number, bytes = ''): Socket {
  const socket = connect({ host: '127.0.0.1', port });
  socket.on('error', () => undefined);
  if (bytes !== '') socket.write(bytes);
  open.push(socket);
  return socket;
}

async function answersRightly(sidecar: SidecarProcess): Promise<void> {
  const answer = await sidecar.at(place.socket).post(evaluation, asking('canary'));
  expect({ status: answer.status, decision: JSON.parse(answer.body).decision }).toEqual({
    status: 200,
    decision: true,
  });
}

describe('X03 descriptors used up', () => {
  it('X03 ends what cannot be served, keeps record and store, and serves again when there is room', async () => {
    const limited = existsSync('/usr/bin/prlimit')
      ? ['prlimit', '--nofile=64']
      : ['sh', '-c', 'ulimit -n 64; exec "$0" "$@"'];
    const sidecar = await place.start({ under: limited });
    const port = sidecar.port('decision');
    const control = sidecar.control();
    expect((await control.post('/v1/signals', report('device', 'node-7', { n: 1 }))).status).toBe(200);
    const connections = Array.from({ length: 120 }, () => held(port));
    const ended = () => connections.filter(({ destroyed, readableEnded }) => destroyed || readableEnded).length;
    for (const socket of connections) socket.resume();
    await eventually(() => ended() > 0, 10_000);
    // The control connection was there before; the store has its files.
    expect((await control.post('/v1/signals', report('device', 'node-7', { n: 2 }))).status).toBe(200);
    for (const socket of connections) socket.destroy();
    await eventually(async () => {
      const answer = await sidecar
        .at(place.socket)
        .post(evaluation, asking('canary'))
        .catch(() => undefined);
      return answer?.status === 200;
    }, 10_000);
    await answersRightly(sidecar);
    expect(await sidecar.stop()).toEqual({ code: 0, signal: null });
    expect((await place.events()).length).toBeGreaterThanOrEqual(2);
    const again = await place.start();
    expect((await again.control().get('/v1/signals/device/node-7')).body).toContain('"value":2');
  }, 60_000);
});

describe('X05 a heap that is too small', () => {
  it('X05 takes as many of the largest bodies as limits allow, and stays', async () => {
    await place.configure({ decision: { limits: { body_bytes: megabyte, in_flight: 8 } } });
    const sidecar = await place.start({ nodeFlags: ['--max-old-space-size=96'] });
    const outcomes = await flood(sidecar, 16, 4);
    expect(outcomes.filter(({ kind }) => kind !== 'answered')).toEqual([]);
    expect(permits(outcomes)).toEqual([]);
    await answersRightly(sidecar);
  }, 60_000);

  it('X05 if it dies of one that no limit fits, its callers see an end or a refusal, never a permit', async () => {
    await place.configure({ decision: { limits: { body_bytes: 16 * megabyte, in_flight: 64 } } });
    const sidecar = await startedInLeastHeap();
    const outcomes = await flood(sidecar, 16, 1, 15 * megabyte);
    expect(permits(outcomes)).toEqual([]);
    expect(outcomes.length).toBeGreaterThan(0);
    expect(await sidecar.exited).toMatchObject({ code: null });
    await answersRightly(await place.start());
  }, 60_000);

  /** How much a sidecar takes to start differs by machine and by version: as little as it can start in. */
  async function startedInLeastHeap(): Promise<SidecarProcess> {
    for (let heapMb = 16; heapMb <= 96; heapMb += 8) {
      const sidecar = place.spawn({ nodeFlags: [`--max-old-space-size=${heapMb}`] });
      const ready = await sidecar.ready().then(
        () => true,
        () => false,
      );
      if (ready) return sidecar;
    }
    throw new Error('it does not start in 96 MB either');
  }

  /** Bodies of many small values, as large as is taken, on an action that is denied. */
  async function flood(sidecar: SidecarProcess, callers: number, rounds: number, bytes = megabyte): Promise<Outcome[]> {
    const numbers = '7,'.repeat((bytes - 2_000) / 2);
    const body = JSON.stringify(asking('read', { context: { numbers: [] } })).replace(
      '"numbers":[]',
      `"numbers":[${numbers}7]`,
    );
    const bytesOut = raw(body);
    const outcomes: Outcome[] = [];
    await Promise.all(
      Array.from({ length: callers }, async () => {
        for (let round = 0; round < rounds; round += 1) {
          const caller = await RawCaller.open(sidecar.port('decision'));
          if (caller === undefined) return;
          outcomes.push(await caller.ask(bytesOut));
          caller.close();
        }
      }),
    );
    return outcomes;
  }

  function permits(outcomes: readonly Outcome[]): readonly Outcome[] {
    return outcomes.filter(
      (one) => one.kind === 'answered' && one.status === 200 && JSON.parse(one.body).decision !== false,
    );
  }
});

describe('H21 overload', () => {
  it('H21 more connections than the cap are ended and counted, and a quiet caller on its own socket is served', async () => {
    await place.configure({ decision: { limits: { connections: 32 } } });
    const sidecar = await place.start();
    const before = await sidecar.rss();
    const connections = Array.from({ length: 320 }, () => held(sidecar.port('decision')));
    for (const socket of connections) socket.resume();
    await eventually(
      () => connections.filter(({ destroyed, readableEnded }) => destroyed || readableEnded).length >= 288,
      20_000,
    );
    await answersRightly(sidecar);
    expect(sum((await sidecar.probes().get('/metrics')).body, 'postern_rejected_total', { why: 'overloaded' })).toBe(
      288,
    );
    for (const socket of connections) socket.destroy();
    await eventually(async () => {
      const answer = await sidecar
        .decision()
        .post(evaluation, asking('canary'))
        .catch(() => undefined);
      return answer?.status === 200;
    });
    expect(((await sidecar.rss()) - before) / megabyte).toBeLessThan(100);
  }, 60_000);

  it('H21 more requests than may be in flight are told to come again, counted, and served when there is room', async () => {
    // The TCP listener's half of it is four.
    await place.configure({ decision: { limits: { in_flight: 8 } } });
    const sidecar = await place.start();
    const bytes = raw(asking('canary'));
    const begun = Array.from({ length: 4 }, () => held(sidecar.port('decision'), bytes.slice(0, -10)));
    await sidecar.inFlight(4);
    const answers = await Promise.all(
      Array.from({ length: 40 }, () => sidecar.decision().post(evaluation, asking('canary'))),
    );
    expect(new Set(answers.map(({ status }) => status))).toEqual(new Set([503]));
    expect(answers.every(({ headers }) => headers['retry-after'] === '1')).toBe(true);
    expect(sum((await sidecar.probes().get('/metrics')).body, 'postern_rejected_total', { why: 'overloaded' })).toBe(
      40,
    );
    expect(sum((await sidecar.probes().get('/metrics')).body, 'postern_decisions_total')).toBe(0);
    for (const socket of begun) socket.write(bytes.slice(-10));
    await eventually(async () => (await sidecar.decision().post(evaluation, asking('canary'))).status === 200);
    await answersRightly(sidecar);
    // The record is written behind the answers.
    await eventually(async () => (await place.events()).length >= 5);
  }, 60_000);

  it('H21 one agent’s bodies that never come whole leave another on its own socket served', async () => {
    const sidecar = await place.start();
    const begun = raw(asking('canary')).slice(0, -10);
    const dawdling = Array.from({ length: 520 }, () => held(sidecar.port('decision'), begun));
    for (const socket of dawdling) socket.resume();
    await sidecar.inFlight(256);
    await eventually(() => dawdling.filter(({ readableEnded }) => readableEnded).length === 264);
    for (let asks = 0; asks < 20; asks += 1) await answersRightly(sidecar);
    expect((await sidecar.decision().post(evaluation, asking('canary'))).status).toBe(503);
    for (const socket of dawdling) socket.destroy();
    await sidecar.inFlight(0);
    expect((await sidecar.decision().post(evaluation, asking('canary'))).status).toBe(200);
  }, 60_000);

  it('H21 callers who ask ten times as much as can be served leave memory flat, and a quiet one right', async () => {
    const sidecar = await place.start();
    const bytes = raw(asking('canary'));
    let over = false;
    const outcomes: Outcome[] = [];
    const quiet = sidecar.at(place.socket);
    const flood = (callers: number): Promise<unknown> =>
      Promise.all(
        Array.from({ length: callers }, async () => {
          const caller = await RawCaller.open(sidecar.port('decision'));
          while (!over && caller !== undefined && !caller.isOver) outcomes.push(await caller.ask(bytes));
          caller?.close();
        }),
      );
    const warm = flood(8);
    await pause(1_500);
    over = true;
    await warm;
    const before = await sidecar.rss();
    over = false;
    const flooding = flood(80);
    const until = performance.now() + 4_000;
    let asked = 0;
    while (performance.now() < until) {
      const answer = await quiet.post(evaluation, asking('canary'));
      expect({ status: answer.status, decision: JSON.parse(answer.body).decision }).toEqual({
        status: 200,
        decision: true,
      });
      asked += 1;
    }
    over = true;
    await flooding;
    const after = await sidecar.rss();
    expect(asked).toBeGreaterThan(10);
    expect(new Set(outcomes.map((one) => (one.kind === 'answered' ? one.status : one.kind)))).toEqual(new Set([200]));
    expect((after - before) / megabyte).toBeLessThan(100);
    console.log(
      `H21: ${outcomes.length} answers to the flood, ${asked} to the quiet caller; memory ${(before / megabyte).toFixed(0)} MB, then ${(after / megabyte).toFixed(0)} MB`,
    );
  }, 60_000);
});
