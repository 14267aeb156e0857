import { createServer, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { BundleStatus } from '../../../src/bundle/serving/bundle-state.ts';
import { StatusReport } from '../../../src/bundle/serving/status-report.ts';
import { HeldTimers } from '../../fakes/held-timers.ts';
import { KeptLog } from '../../fakes/kept-log.ts';
import { eventually } from '../../support/eventually.ts';

let server: Server;
let received: {
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: unknown;
}[];
let answers: number;
let timers: HeldTimers;
let log: KeptLog;
let status: BundleStatus;
let report: StatusReport;

beforeEach(async () => {
  received = [];
  answers = 200;
  timers = new HeldTimers();
  log = new KeptLog();
  status = { name: 'authz', active_revision: 'r1' };
  server = createServer(async (request, response) => {
    const body = JSON.parse(await text(request)) as unknown;
    received.push({ url: request.url, headers: request.headers, body });
    response.writeHead(answers).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  report = new StatusReport({
    url: new URL(`http://127.0.0.1:${port}/tenant/`),
    access: {
      bearerFile: undefined,
      caFile: undefined,
      certificateFile: undefined,
      keyFile: undefined,
      timeoutMs: 5_000,
    },
    intervalMs: 60_000,
    labels: { id: 'sidecar-1', region: 'eu' },
    statuses: () => new Map([['authz', status]]),
    isReady: () => status.active_revision !== undefined,
    timers,
    random: () => 0.5,
    log,
  });
});

afterEach(async () => {
  await report.close();
  server.close();
});

/** Waits until a report has gone and the next is due. */
async function sent(count: number): Promise<void> {
  await eventually(() => received.length === count && timers.pending.length === 1 && timers.pending[0] !== 5_000);
}

describe('a status report', () => {
  it('says what serves, as OPA’s status API has it', async () => {
    timers.advance(1_000);
    await sent(1);
    expect(received[0]).toMatchObject({ url: '/tenant/status', headers: { 'content-type': 'application/json' } });
    expect(received[0]?.body).toEqual({
      labels: { id: 'sidecar-1', region: 'eu' },
      bundles: { authz: { name: 'authz', active_revision: 'r1' } },
      plugins: { bundle: { state: 'OK' } },
    });
  });

  it('goes at an interval, and soon after a change; several changes are one', async () => {
    timers.advance(1_000);
    await sent(1);
    expect(timers.pending).toEqual([60_000]);
    timers.advance(59_999);
    report.changed();
    // It was about to go anyway.
    expect(timers.pending).toEqual([1_000]);
    report.changed();
    status = { name: 'authz', code: 'bundle_invalid', message: 'no' };
    timers.advance(1_000);
    await sent(2);
    expect(received[1]?.body).toMatchObject({
      bundles: { authz: { code: 'bundle_invalid', message: 'no' } },
      plugins: { bundle: { state: 'NOT_READY' } },
    });
    timers.advance(60_000);
    await sent(3);
  });

  it('that is not taken is told once, and the next one goes all the same', async () => {
    answers = 503;
    timers.advance(1_000);
    await sent(1);
    timers.advance(60_000);
    await sent(2);
    expect(log.of('warn')).toEqual(['the status could not be reported']);
    expect(log.text()).toContain('the server answered 503');
    answers = 204;
    timers.advance(60_000);
    await sent(3);
    expect(log.of('info')).toEqual(['the status is reported again']);
  });

  it('ends with the sidecar', async () => {
    await report.close();
    expect(timers.pending).toEqual([]);
  });
});
