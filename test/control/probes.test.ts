import { connect } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { listenOn } from '../../src/http/bind.ts';
import { TestListener } from './listener.ts';

let listener: TestListener;
let third: { readonly port: number; close(): Promise<void> };

beforeAll(async () => {
  listener = await TestListener.start();
  const server = listener.probes.server();
  const port = await listenOn(server, '127.0.0.1', 0);
  third = {
    port,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
});

afterAll(async () => {
  await third.close();
  await listener.close();
});

beforeEach(() => {
  listener.notReady = [];
});

const places = (): readonly (readonly [string, number])[] => [
  ['control', listener.port],
  ['third', third.port],
];

describe('probes, on the control listener and on their own address', () => {
  it('say that it lives, and whether it is ready, without a token', async () => {
    for (const [, port] of places()) {
      const url = `http://127.0.0.1:${port}`;
      listener.notReady = [];
      expect((await fetch(`${url}/health/live`)).status).toBe(200);
      expect(await (await fetch(`${url}/health/ready`)).json()).toEqual({ status: 'ready' });
      listener.notReady = ['store_failed'];
      const ready = await fetch(`${url}/health/ready`);
      expect([ready.status, await ready.json()]).toEqual([503, { status: 'not ready', reasons: ['store_failed'] }]);
      expect((await fetch(`${url}/health/live`)).status).toBe(200);
    }
  });

  it('give metrics as Prometheus wants them', async () => {
    for (const [, port] of places()) {
      const reply = await fetch(`http://127.0.0.1:${port}/metrics`);
      expect(reply.headers.get('content-type')).toBe('text/plain; version=0.0.4');
      expect(await reply.text()).toBe('# HELP x y\n');
      const head = await fetch(`http://127.0.0.1:${port}/metrics`, { method: 'HEAD' });
      expect([head.status, await head.text()]).toEqual([200, '']);
    }
  });

  it('take GET and HEAD only', async () => {
    for (const [, port] of places()) {
      const reply = await fetch(`http://127.0.0.1:${port}/metrics`, { method: 'POST', body: 'x' });
      expect([reply.status, reply.headers.get('allow')]).toEqual([405, 'GET, HEAD']);
    }
  });

  it('M06 serve nothing else on the third address, with a token or without', async () => {
    for (const path of [
      '/',
      '/v1/status',
      '/v1/signals',
      '/metrics/',
      '//metrics',
      '/access/v1/evaluation',
      '/health',
    ]) {
      const reply = await fetch(`http://127.0.0.1:${third.port}${path}`, { headers: { authorization: 'Bearer x' } });
      expect(reply.status).toBe(404);
    }
  });

  it('M05 say nothing of what broke in the metrics', async () => {
    const { metrics } = listener;
    listener.metrics = async () => {
      throw new Error('CANARY');
    };
    const reply = await fetch(`http://127.0.0.1:${third.port}/metrics`);
    expect([reply.status, await reply.text()]).toEqual([500, 'the metrics cannot be read\n']);
    listener.metrics = metrics;
  });

  it('M06 bound how many scrapes are read at once', async () => {
    const { metrics } = listener;
    const gate = Promise.withResolvers<void>();
    listener.metrics = async () => {
      await gate.promise;
      return { contentType: 'text/plain', text: 'x' };
    };
    const scrapes = Array.from({ length: 12 }, () => fetch(`http://127.0.0.1:${third.port}/metrics`));
    const refused = await Promise.all(
      scrapes.map((one) => Promise.race([one.then(({ status }) => status), pause(300)])),
    );
    expect(refused.filter((status) => status === 503)).toHaveLength(4);
    gate.resolve();
    const statuses = await Promise.all(scrapes.map((one) => one.then(({ status }) => status)));
    expect(statuses.filter((status) => status === 200)).toHaveLength(8);
    listener.metrics = metrics;
    expect((await fetch(`http://127.0.0.1:${third.port}/metrics`)).status).toBe(200);
  });

  it('close on what is no HTTP', async () => {
    const text = await new Promise<string>((resolve) => {
      const socket = connect(third.port, '127.0.0.1', () => socket.write('\x16\x03\x01\x02\x00\x01\r\n\r\n'));
      let got = '';
      socket.on('data', (chunk) => {
        got += chunk;
      });
      socket.on('close', () => resolve(got));
    });
    expect(text).toMatch(/^HTTP\/1\.1 400 /);
  });
});

function pause(ms: number): Promise<undefined> {
  return new Promise((resolve) => setTimeout(() => resolve(undefined), ms));
}
