import { connect, type Socket } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { asking, type Client, evaluation, type Reply, report } from './client.ts';
import { samples, series } from './exposition.ts';
import { Place, type SidecarProcess, token } from './sidecar-process.ts';

let place: Place;
let sidecar: SidecarProcess;
let decision: Client;
let relay: Client;
let stranger: Client;
let probes: Client;
const sockets: Socket[] = [];
beforeAll(async () => {
  place = await Place.make();
  sidecar = await place.start({ env: { CANARY_VARIABLE: 'CANARY-environment' } });
  decision = sidecar.decision();
  relay = sidecar.at(place.socket);
  stranger = sidecar.control('');
  probes = sidecar.probes();
}, 60_000);
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  await place.remove();
});

async function metrics(): Promise<string> {
  const reply = await probes.get('/metrics');
  expect(reply.status).toBe(200);
  return reply.body;
}

/** Node's own come as it meets each kind of collection or handle, of which it has a few. */
function ownSeries(text: string): ReadonlySet<string> {
  return new Set([...series(text)].filter((one) => one.startsWith('postern_')));
}

const methods = ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'HEAD', 'REPORT', 'PURGE'];

/** One request of each kind, distinct in all that a caller may choose. */
function kinds(n: number): readonly (() => Promise<unknown>)[] {
  const context = (document: unknown): { readonly context: object } => ({
    context: { document: JSON.stringify(document) },
  });
  const reasons = [{ code: `code_${n}`, otherwise: `other_${n}` }];
  return [
    () => relay.post(evaluation, asking('canary', { resource: { type: `t${n}`, id: `r${n}` } }, `subject-${n}`)),
    () => decision.post(evaluation, asking('canary', {}, `foreign-${n}`)),
    () => decision.post(evaluation, asking(`action-${n}`)),
    () => decision.post(`/v1/data/path/${n}`, { input: { n } }),
    () => decision.post('/v1/data/echo/shown', { input: { [`member_${n}`]: n } }),
    () => decision.post(`/none/${n}?q=${n}`, asking('canary')),
    () => decision.call(methods[n % methods.length] ?? 'GET', evaluation),
    () => decision.call('POST', evaluation, `{"broken-${n}`),
    () =>
      decision.call('POST', evaluation, asking('canary'), {
        'x-request-id': `id-${n}`,
        'user-agent': `agent-${n}`,
        [`x-${n}`]: '1',
      }),
    () => decision.call('POST', evaluation, asking('canary'), { host: `host-${n}.example` }),
    () => decision.post(evaluation, asking('say', context({ effect: 'deny', policy: `policy-${n}`, reasons }))),
    () => decision.post(evaluation, asking('say', context({ effect: `effect-${n}`, policy: `policy-${n}` }))),
    () => decision.post(evaluation, asking('say', context({ effect: 'allow', labels: { [`label-${n}`]: `${n}` } }))),
    () => stranger.call('GET', `/v1/path-${n}`, undefined, { authorization: `Bearer wrong-${n}` }),
  ];
}

describe('M01 whatever callers send', () => {
  it('M01 the series stay the same ones over more than ten thousand requests, each distinct', async () => {
    // Sources of signals are named by whoever holds the control token, and bounded too.
    const control = sidecar.control();
    const reports = (from: number): object[] =>
      Array.from({ length: 100 }, (_, n) =>
        report('device', `d-${from + n}`, { a: from + n }, { source: `source-${from + n}` }),
      );
    expect((await control.post('/v1/signals', reports(0))).status).toBe(200);
    for (let n = 0; n < methods.length; n += 1) for (const ask of kinds(n)) await ask();
    const before = ownSeries(await metrics());
    expect(before.size).toBeGreaterThan(100);
    expect((await control.post('/v1/signals', reports(100))).status).toBe(200);
    let asked = 0;
    for (let n = 100; asked < 10_000; n += 10) {
      await Promise.all(Array.from({ length: 10 }, (_, i) => kinds(n + i).map((ask) => ask())).flat());
      asked += 140;
    }
    const after = ownSeries(await metrics());
    expect([...after].filter((one) => !before.has(one))).toEqual([]);
    expect(after.size).toBe(before.size);
  }, 120_000);

  it('M02 a label’s value cannot leave its quotes', async () => {
    const other = await Place.make();
    try {
      const second = await other.start();
      const source = 'a"} 1 postern_forged_total{x="\\';
      const reply = await second.control().post('/v1/signals', report('device', 'node-7', { a: 1 }, { source }));
      const found = samples((await second.probes().get('/metrics')).body);
      expect(found.filter(({ name }) => name === 'postern_forged_total')).toEqual([]);
      const named = found.filter(
        ({ name, labels }) => name === 'postern_signals_received_total' && labels['source']?.startsWith('a'),
      );
      // Taken under its own name, with what would end the label escaped, or not taken at all.
      expect(named.map(({ labels }) => labels['source'])).toEqual(
        reply.status === 200 ? ['a\\"} 1 postern_forged_total{x=\\"\\\\'] : [],
      );
      const broken = await second
        .control()
        .post('/v1/signals', report('device', 'node-7', { a: 1 }, { source: 'a\n# HELP b' }));
      expect(broken.status).toBe(400);
      samples((await second.probes().get('/metrics')).body);
    } finally {
      await other.remove();
    }
  }, 60_000);
});

describe('M04 secrets', () => {
  it('M04 leave by no way: answers, metrics, status, log; the record holds of them what the policy read', async () => {
    const secret = 'CANARY-secret';
    const headers = {
      authorization: `Bearer ${secret}`,
      cookie: `session=${secret}`,
      'x-api-key': secret,
      'proxy-authorization': `Basic ${secret}`,
      'user-agent': secret,
      traceparent: secret,
    };
    const values = { context: { password: secret, text: secret, pattern: secret } };
    const answers: Reply[] = [
      await decision.call('POST', evaluation, asking('canary', values), headers),
      await decision.call('POST', evaluation, asking('none', values), headers),
      await decision.call('POST', evaluation, asking('conflict', values), headers),
      await decision.call('POST', evaluation, asking('deep', values), headers),
      await decision.call('POST', evaluation, asking('canary', {}, secret), headers),
      await decision.call('POST', evaluation, `{"subject": "${secret}"}`, headers),
      await decision.call('POST', evaluation, `{"${secret}": ${secret}`, headers),
      await decision.call('POST', evaluation, `{"${secret}": 1, "${secret}": 2}`, headers),
      await decision.call('POST', evaluation, asking('canary', { [secret]: secret }), headers),
      await decision.call('POST', `/${secret}?${secret}`, asking('canary'), headers),
      await decision.call('POST', `/v1/data/${secret}`, { input: values }, headers),
      await decision.call('POST', evaluation, asking('canary'), { ...headers, host: secret }),
      await decision.call('POST', evaluation, asking('canary'), { 'x-request-id': `${secret}${'x'.repeat(200)}` }),
      await decision.call('POST', evaluation, asking('canary'), { 'content-type': secret }),
      await decision.call('POST', evaluation, asking('canary'), { 'content-encoding': secret }),
    ];
    for (const authorization of [`Bearer ${secret}`, `Bearer ${token}`]) {
      const control = sidecar.control(authorization);
      answers.push(
        await control.get(`/v1/${secret}`),
        await control.call('POST', '/v1/signals', `{"${secret}": ${secret}`),
        await control.post('/v1/signals', { about: secret }),
        await control.post('/v1/grants', { subject: secret, ttl_s: secret }),
        await control.post('/v1/attestations', { payload: secret, payloadType: secret, signatures: [] }),
        await control.get('/v1/status'),
        await control.call('POST', '/v1/grants', '{}', { 'content-type': secret }),
      );
    }
    answers.push(await probes.get('/metrics'), await probes.get('/health/ready'));
    for (const [index, { headers: said, body }] of answers.entries()) {
      expect({ index, said: JSON.stringify(said) + body }).toEqual({
        index,
        said: expect.not.stringContaining('CANARY'),
      });
    }
    expect(sidecar.output).not.toContain('CANARY');

    const last = '"subject":{"type":"agent","id":"CANARY-secret"';
    await eventually(async () => (await place.recordLines()).some((line) => line.includes(last)));
    let read = 0;
    for (const line of await place.recordLines()) {
      const { input, result, path: _asked, ...rest } = JSON.parse(line);
      if (JSON.stringify([input, result]).includes('CANARY')) read += 1;
      expect(JSON.stringify(rest)).not.toContain('CANARY');
      expect(line).not.toContain('CANARY-control-token');
      expect(line).not.toContain('CANARY-environment');
    }
    expect(read).toBeGreaterThan(0);
  }, 60_000);
});

describe('M06 scrapers', () => {
  it('M06 that never read what they asked for are bounded, and leave decisions and probes alone', async () => {
    const port = sidecar.port('probes');
    const before = await sidecar.rss();
    for (let n = 0; n < 60; n += 1) {
      const socket = connect({ host: '127.0.0.1', port });
      socket.on('error', () => undefined);
      socket.pause();
      socket.write('GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(50));
      sockets.push(socket);
    }
    for (let n = 0; n < 20; n += 1) {
      expect((await relay.post(evaluation, asking('canary'))).body).toContain('"decision":true');
      expect((await sidecar.control().get('/health/live')).status).toBe(200);
    }
    expect(((await sidecar.rss()) - before) / 1024 / 1024).toBeLessThan(150);
    for (const socket of sockets.splice(0)) socket.destroy();
    await eventually(
      async () =>
        (
          await sidecar
            .probes()
            .get('/metrics')
            .catch(() => undefined)
        )?.status === 200,
    );
  }, 60_000);

  it('M06 no header of a probe opens what wants a token, and the probes’ address has nothing else', async () => {
    for (const headers of [
      { 'user-agent': 'kube-probe/1.34' },
      { 'user-agent': 'Prometheus/3.8', 'x-prometheus-scrape-timeout-seconds': '10' },
      { 'x-original-url': '/metrics', 'x-rewrite-url': '/health/live' },
      { 'x-forwarded-for': '127.0.0.1', forwarded: 'for=127.0.0.1' },
      { 'x-http-method-override': 'GET' },
    ]) {
      for (const path of [
        '/v1/status',
        '/v1/grants',
        '/v1/signals/device/d-1',
        '/metrics/../v1/status',
        '/health/live/v1/status',
      ]) {
        const reply = await stranger.call('GET', path, undefined, headers as Record<string, string>);
        expect({ path, status: reply.status }).toEqual({ path, status: 401 });
      }
      for (const path of ['/v1/status', '/v1/grants', evaluation, '/', '/metrics/']) {
        const reply = await probes.call('GET', path, undefined, headers as Record<string, string>);
        expect({ path, status: reply.status }).toEqual({ path, status: 404 });
      }
    }
  }, 30_000);
});
