import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { UsageFault } from '../../src/cli/arguments.ts';
import { health } from '../../src/cli/health.ts';
import { fakeEffects, soundYaml } from './fake-effects.ts';

const servers: Server[] = [];
afterEach(() => {
  for (const server of servers.splice(0)) server.close().closeAllConnections();
});

/** A real server that answers as a sidecar would. */
async function listening(answer: RequestListener, where: object = { host: '127.0.0.1', port: 0 }): Promise<number> {
  const server = createServer(answer);
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(where, resolve));
  return (server.address() as AddressInfo).port;
}

async function ask(env: Record<string, string>, args: readonly string[] = []) {
  const { effects, said } = fakeEffects({ 'postern.yaml': soundYaml }, { env });
  return { code: await health(args, effects), ...said };
}

describe('postern health', () => {
  it('asks the probes address whether the sidecar is ready, through loopback where it is bound to all', async () => {
    const asked: (string | undefined)[] = [];
    const port = await listening((request, response) => {
      asked.push(request.url);
      response.end();
    });
    expect(await ask({ POSTERN_PROBES__LISTEN: `0.0.0.0:${port}` })).toEqual({
      code: 0,
      out: '/health/ready: 200\n',
      err: '',
    });
    expect(await ask({ POSTERN_PROBES__LISTEN: `127.0.0.1:${port}` }, ['--live'])).toMatchObject({
      out: '/health/live: 200\n',
    });
    expect(asked).toEqual(['/health/ready', '/health/live']);
  });

  it('fails where it is not ready', async () => {
    const port = await listening((_, response) => response.writeHead(503).end());
    expect(await ask({ POSTERN_PROBES__LISTEN: `127.0.0.1:${port}` })).toMatchObject({
      code: 1,
      out: '/health/ready: 503\n',
    });
  });

  it('follows no redirect', async () => {
    const port = await listening((_, response) => response.writeHead(302, { location: '/health/live' }).end());
    expect(await ask({ POSTERN_PROBES__LISTEN: `127.0.0.1:${port}` })).toMatchObject({ code: 1 });
  });

  it('asks the control listener where there are no probes, and its socket where there is no other', async () => {
    const port = await listening((_, response) => response.end());
    const env = { POSTERN_PROBES__LISTEN: 'null', POSTERN_CONTROL__LISTEN: `127.0.0.1:${port}` };
    expect(await ask(env)).toMatchObject({ code: 0 });
    const directory = mkdtempSync(join(tmpdir(), 'postern-health-'));
    try {
      const path = join(directory, 'control.sock');
      await listening((_, response) => response.end(), { path });
      expect(await ask({ ...env, POSTERN_CONTROL__LISTEN: 'null', POSTERN_CONTROL__SOCKET__PATH: path })).toMatchObject(
        { code: 0 },
      );
    } finally {
      rmSync(directory, { recursive: true });
    }
  });

  it('fails where nobody listens, or nothing could', async () => {
    const port = await listening(() => {});
    servers.pop()?.close();
    expect(await ask({ POSTERN_PROBES__LISTEN: `127.0.0.1:${port}` })).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(/^postern health: no answer \(.*ECONNREFUSED/),
    });
    expect(
      await ask({
        POSTERN_PROBES__LISTEN: '127.0.0.1:0',
        POSTERN_CONTROL__LISTEN: 'null',
        POSTERN_CONTROL__SOCKET: 'null',
      }),
    ).toMatchObject({ code: 1, err: expect.stringMatching(/neither a fixed probes\.listen address/) });
  });

  it('waits no longer than it is told, for an answer that never comes or never ends', async () => {
    const silent = await listening(() => {});
    const { code, err } = await ask({ POSTERN_PROBES__LISTEN: `127.0.0.1:${silent}` }, ['--timeout-ms', '50']);
    expect([code, err]).toEqual([1, 'postern health: no answer (none within 50 ms)\n']);
    const endless = await listening((_, response) => {
      response.writeHead(200).flushHeaders();
    });
    expect(await ask({ POSTERN_PROBES__LISTEN: `127.0.0.1:${endless}` }, ['--timeout-ms', '5000'])).toMatchObject({
      code: 0,
    });
  });

  it.each(['0', '-1', '60001', '1e3', 'soon', ''])('takes no %j for a time', async (text) => {
    await expect(ask({}, [`--timeout-ms=${text}`])).rejects.toThrow(UsageFault);
  });
});
