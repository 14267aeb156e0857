import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { listenOn, listenOnSocket } from '../../../src/http/bind.ts';
import type { BoundListener } from '../../../src/request/listen/decision-listener.ts';
import { post } from '../../support/both-gates.ts';
import { eventually } from '../../support/eventually.ts';
import { RawConnection, request } from '../../support/raw-http.ts';
import { asked, Testbed } from '../../support/testbed.ts';

const path = '/access/v1/evaluation';
const json = 'Content-Type: application/json';
const origin = (): string => 'http://127.0.0.1:8181';

let bed: Testbed;
let directory: string;

beforeEach(async () => {
  bed = await Testbed.open();
  directory = await mkdtemp(join(tmpdir(), 'listener-'));
});

afterEach(async () => {
  await bed.close();
  await rm(directory, { recursive: true });
});

/** Holds every request before it is judged, until it is let go. */
function hold(): () => void {
  const waiting: (() => void)[] = [];
  bed.beforeAuthorize = () =>
    new Promise<void>((resolve) => {
      waiting.push(resolve);
    });
  return () => {
    bed.beforeAuthorize = () => undefined;
    for (const release of waiting) release();
  };
}

describe('a bound listener', () => {
  it('gives its own identity to whoever comes through it, whatever they say', async () => {
    const other = bed.listener.bind({
      via: { method: 'socket', id: 'spiffe://acme.example/ci/job' },
      kind: 'socket',
      origin,
    });
    const socket = join(directory, 'ci.sock');
    await listenOnSocket(other.server, socket, 0o600);
    try {
      const connection = await RawConnection.open({ path: socket });
      await connection.write(
        request(
          `POST ${path}`,
          [json],
          asked({ subject: { type: 'job', id: 'spiffe://acme.example/ci/job' } }),
          'whatever.example',
        ),
      );
      await connection.write(request(`POST ${path}`, [json], asked()));
      const { responses } = await connection.responses(2);
      connection.destroy();
      expect(responses.map(({ body }) => (JSON.parse(body) as { decision: boolean }).decision)).toEqual([true, false]);
      const events = await bed.recorded();
      expect(events[0]).toMatchObject({
        requested_by: 'unix',
        input: { caller: { id: 'spiffe://acme.example/ci/job', method: 'socket' } },
      });
      expect(events[1]).toMatchObject({ reasons: [{ code: 'subject_not_caller' }] });
    } finally {
      await other.close();
    }
  });

  it('records who asked by address on TCP', async () => {
    const port = await bed.listen();
    await post(port, path, asked());
    expect((await bed.recorded()).at(-1)?.['requested_by']).toMatch(/^127\.0\.0\.1:\d+$/);
  });

  it('serves many requests on one connection', async () => {
    const port = await bed.listen();
    const connection = await RawConnection.open({ port });
    for (let count = 1; count <= 5; count += 1) {
      await connection.write(request(`POST ${path}`, [json], asked()));
      expect((await connection.responses(count)).responses).toHaveLength(count);
    }
    connection.destroy();
  });

  it('keeps answers out of caches', async () => {
    const port = await bed.listen();
    const answer = await post(port, path, asked());
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(answer.headers.get('x-decision-id')).toBe('decision-1');
  });

  it('answers 500 and tells the log where a request fails outside of its decision', async () => {
    const port = await bed.listen();
    bed.beforeAuthorize = () => {
      throw new Error('CANARY');
    };
    const answer = await post(port, path, asked());
    expect(answer.status).toBe(500);
    expect(answer.body).toContain('internal');
    expect(answer.body).not.toContain('CANARY');
    expect(bed.log.of('error')).toEqual(['internal error outside of a decision']);
  });
});

describe('a bound listener that closes', () => {
  let bound: BoundListener;
  let port: number;

  beforeEach(async () => {
    bound = bed.listener.bind({ via: bed.via, kind: 'tcp', origin });
    port = await listenOn(bound.server, '127.0.0.1', 0);
  });

  it('answers what is in flight first, and ends its connection with that', async () => {
    const release = hold();
    const connection = await RawConnection.open({ port });
    await connection.write(request(`POST ${path}`, [json], asked()));
    await eventually(() => bed.listener.inFlight === 1);
    let closed = false;
    const closing = bound.close().then(() => {
      closed = true;
    });
    await eventually(() =>
      RawConnection.open({ port }).then(
        () => false,
        (cause: NodeJS.ErrnoException) => cause.code === 'ECONNREFUSED',
      ),
    );
    expect(closed).toBe(false);
    release();
    const said = await connection.end();
    expect(said.responses.map(({ status }) => status)).toEqual([200]);
    expect(said.responses[0]?.headers.get('connection')).toBe('close');
    await closing;
    expect(await bed.recorded()).toHaveLength(1);
  });

  it('tells a request that comes behind to ask again', async () => {
    const release = hold();
    const connection = await RawConnection.open({ port });
    await connection.write(request(`POST ${path}`, [json], asked()));
    await eventually(() => bed.listener.inFlight === 1);
    const closing = bound.close();
    await connection.write(request(`POST ${path}`, [json], asked()));
    await eventually(async () => (await bed.counted('postern_rejected_total', { why: 'stopping' })) === 1);
    release();
    const said = await connection.end();
    expect(said.responses[0]?.status).toBe(200);
    await closing;
  });

  it('ends idle connections', async () => {
    const idle = await RawConnection.open({ port });
    await idle.write(request(`POST ${path}`, [json], asked()));
    await idle.responses(1);
    await bound.close();
    expect((await idle.end()).closed).toBe(true);
  });

  it('answers a request that was on its way to it when it was told to close', async () => {
    const busy = await RawConnection.open({ port });
    await busy.write(request(`POST ${path}`, [json], asked()));
    await busy.responses(1);
    const written = busy.write(request(`POST ${path}`, [json], asked()));
    // To this moment nobody has read it: its connection looks idle.
    const closing = bound.close();
    await written;
    const { responses } = await busy.end();
    expect(responses.map(({ status }) => status)).toEqual([200, 503]);
    expect(responses[1]?.headers.get('retry-after')).toBe('1');
    expect(responses[1]?.headers.get('connection')).toBe('close');
    await closing;
  });

  it('can be cut short', async () => {
    hold();
    const connection = await RawConnection.open({ port });
    await connection.write(request(`POST ${path}`, [json], asked()));
    await eventually(() => bed.listener.inFlight === 1);
    const closing = bound.close();
    bound.cut();
    await closing;
    expect((await connection.end()).closed).toBe(true);
  });
});

describe('A05 a request id', () => {
  let port: number;

  beforeEach(async () => {
    port = await bed.listen();
  });

  it('A05 comes back as it was sent, and stands in the record', async () => {
    for (const id of ['r-1', '!', '~', 'x'.repeat(128), 'a"b\\c']) {
      const answer = await post(port, path, asked(), [json, `X-Request-ID: ${id}`]);
      expect(answer.status).toBe(200);
      expect(answer.headers.get('x-request-id')).toBe(id);
      expect((await bed.recorded()).at(-1)?.request_id).toBe(id);
    }
  });

  it('A05 comes back with a refusal too', async () => {
    const answer = await post(port, path, '{}', [json, 'X-Request-ID: r-1']);
    expect(answer.status).toBe(400);
    expect(answer.headers.get('x-request-id')).toBe('r-1');
  });

  it('A05 that is absent is not invented', async () => {
    const answer = await post(port, path, asked());
    expect(answer.headers.has('x-request-id')).toBe(false);
    expect((await bed.recorded()).at(-1)).not.toHaveProperty('request_id');
  });

  it.each(['x'.repeat(129), 'x'.repeat(8_192), 'a b', 'a\tb', 'a\u00e9', ''])(
    'A05 that is no such id is refused, and not said back: %j',
    async (id) => {
      const before = await bed.counted('postern_rejected_total', { why: 'request_id_invalid' });
      const answer = await post(port, path, asked(), [json, `X-Request-ID: ${id}`]);
      expect(answer.status).toBe(400);
      expect(answer.headers.has('x-request-id')).toBe(false);
      expect(await bed.counted('postern_rejected_total', { why: 'request_id_invalid' })).toBe(before + 1);
    },
  );

  it('A05 cannot carry a line break into the answer', async () => {
    const connection = await RawConnection.open({ port });
    await connection.write(request(`POST ${path}`, [json, 'X-Request-ID: a\rSet-Cookie: b'], asked()));
    const said = await connection.end();
    expect(said.responses.map(({ status }) => status)).toEqual([400]);
    expect(said.text.toLowerCase()).not.toContain('set-cookie');
  });
});
