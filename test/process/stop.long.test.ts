import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { asking, evaluation, report } from './client.ts';
import { type Outcome, RawCaller, raw } from './load.ts';
import { Place, type SidecarProcess, token } from './sidecar-process.ts';

let place: Place;
beforeEach(async () => {
  place = await Place.make();
});
afterEach(() => place.remove());

/**
 * Sixteen callers, each asking again as soon as it has its answer, until its connection ends after the stop. None opens
 * another then: one that the kernel has taken and the sidecar has not yet is reset when the port closes, and to its
 * caller that looks like a request that was dropped.
 */
class Callers {
  readonly outcomes: Outcome[] = [];
  readonly over: Promise<unknown>;
  #stopping = false;

  constructor(sidecar: SidecarProcess) {
    const port = sidecar.port('decision');
    const bytes = raw(asking('canary'));
    this.over = Promise.all(
      Array.from({ length: 16 }, async () => {
        while (!this.#stopping) {
          const caller = await RawCaller.open(port);
          while (caller?.isOver === false) this.outcomes.push(await caller.ask(bytes));
        }
      }),
    );
  }

  openNoMore(): void {
    this.#stopping = true;
  }
}

describe('X01 SIGTERM', () => {
  it('X01 under load answers or refuses every request that was sent, and every answer is on record', async () => {
    const sidecar = await place.start();
    const callers = new Callers(sidecar);
    await pause(1_000);
    callers.openNoMore();
    expect(await sidecar.stop()).toEqual({ code: 0, signal: null });
    await callers.over;

    const { outcomes } = callers;
    const answered = outcomes.filter((one) => one.kind === 'answered');
    const decided = answered.filter(({ status }) => status === 200);
    expect(decided.length).toBeGreaterThan(100);
    expect(decided.every(({ body }) => JSON.parse(body).decision === true)).toBe(true);
    expect(new Set(answered.map(({ status }) => status))).toEqual(
      new Set(decided.length < answered.length ? [200, 503] : [200]),
    );
    expect(outcomes.filter(({ kind }) => kind === 'cut' || kind === 'unanswered')).toEqual([]);
    const recorded = (await place.events()).map(({ decision_id: id }) => id);
    expect(new Set(recorded).size).toBe(recorded.length);
    expect(new Set(recorded)).toEqual(new Set(decided.map(({ decisionId }) => decisionId)));
    console.log(`X01: ${decided.length} decided, ${answered.length - decided.length} refused`);
  }, 60_000);

  it('X01 waits for a request that has begun, decides it, and ends its connection', async () => {
    const sidecar = await place.start();
    const bytes = raw(asking('canary'));
    const begun = connect({ host: '127.0.0.1', port: sidecar.port('decision') });
    let said = '';
    begun.on('data', (chunk) => {
      said += chunk;
    });
    const over = once(begun, 'close');
    begun.write(bytes.slice(0, -20));
    await sidecar.inFlight(1);
    sidecar.signal('SIGTERM');
    await sidecar.says('shutting down');
    begun.write(bytes.slice(-20));
    await over;
    expect(said).toContain('HTTP/1.1 200 OK');
    expect(said).toContain('"decision":true');
    expect(said.toLowerCase()).toContain('connection: close');
    expect(await sidecar.exited).toEqual({ code: 0, signal: null });
    expect(await place.events()).toHaveLength(1);
  }, 30_000);

  it('X01 a second one does not wait for callers that dawdle, and still writes what was decided', async () => {
    await place.configure({ decision: { limits: { body_timeout_ms: 300_000, header_timeout_ms: 300_000 } } });
    const sidecar = await place.start();
    const dawdling = connect({ host: '127.0.0.1', port: sidecar.port('decision') });
    dawdling.on('error', () => undefined);
    dawdling.write(raw(asking('canary')).slice(0, -20));
    await sidecar.inFlight(1);
    expect((await sidecar.decision().post(evaluation, asking('canary'))).status).toBe(200);
    sidecar.signal('SIGTERM');
    await sidecar.says('shutting down');
    sidecar.signal('SIGTERM');
    expect(await sidecar.exited).toEqual({ code: 0, signal: null });
    expect(sidecar.output).toContain('second signal: shutting down now');
    expect(await place.events()).toHaveLength(1);
    dawdling.destroy();
  }, 30_000);

  it('X01 waits for a control request that has begun, and keeps what it brought', async () => {
    const sidecar = await place.start();
    const body = JSON.stringify(report('device', 'node-7', { compliant: true }));
    const begun = connect({ host: '127.0.0.1', port: sidecar.port('control') });
    let said = '';
    begun.on('data', (chunk) => {
      said += chunk;
    });
    const over = once(begun, 'close');
    begun.write(
      `POST /v1/signals HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\n` +
        `Content-Length: ${body.length}\r\n\r\n${body.slice(0, 10)}`,
    );
    await eventually(async () => (await sidecar.control().get('/v1/status')).status === 200);
    sidecar.signal('SIGTERM');
    await sidecar.says('shutting down');
    begun.write(body.slice(10));
    await over;
    expect(said).toContain('HTTP/1.1 200 OK');
    expect(await sidecar.exited).toEqual({ code: 0, signal: null });
    const again = await place.start();
    expect((await again.control().get('/v1/signals/device/node-7')).status).toBe(200);
  }, 30_000);

  it('X01 ends while nobody reads the log, with every decision on record, and tells how much of the log is lost', async () => {
    await place.configure({ record: { file: place.record, console: true } });
    const sidecar = await place.start();
    sidecar.child.stdout?.pause();
    const answers = 600;
    for (let asked = 0; asked < answers; asked += 1) {
      expect((await sidecar.decision().post(evaluation, asking('canary'))).status).toBe(200);
    }
    const ended = once(sidecar.child, 'exit');
    sidecar.signal('SIGTERM');
    expect(await ended).toEqual([0, null]);
    expect(await place.recordLines()).toHaveLength(answers);
    sidecar.child.stdout?.resume();
    await sidecar.exited;
    const lost = Number(/(\d+) lines of the log were not written/.exec(sidecar.output)?.[1]);
    expect(lost).toBeGreaterThan(0);
    expect(lost).toBeLessThan(answers + 10);
  }, 60_000);

  it('X01 while it starts, and hangs, ends it', async () => {
    // Opened by a thread that then waits for somebody to write; the process itself could not end it.
    await rm(join(place.directory, 'token'));
    execFileSync('mkfifo', [join(place.directory, 'token')]);
    const sidecar = place.spawn();
    await sidecar.says('"starting"');
    sidecar.signal('SIGTERM');
    await sidecar.says('shutting down');
    sidecar.signal('SIGTERM');
    expect(await sidecar.exited).toEqual({ code: null, signal: 'SIGKILL' });
    expect(sidecar.output).toContain('the sidecar could not close in time');
  }, 30_000);

  it('X01 while it starts ends it, and the next one starts on what it left', async () => {
    for (let round = 0; round < 8; round += 1) {
      const sidecar = place.spawn();
      await Promise.race([pause(100 + round * 60), sidecar.exited]);
      // Before the program has been read, there is nobody who could take the signal.
      expect([
        { code: 0, signal: null },
        { code: null, signal: 'SIGTERM' },
      ]).toContainEqual(await sidecar.stop());
    }
    const sidecar = await place.start();
    expect((await sidecar.decision().post(evaluation, asking('canary'))).body).toContain('"decision":true');
    expect(await sidecar.stop()).toEqual({ code: 0, signal: null });
  }, 60_000);
});
