import { METHODS } from 'node:http';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BothGates, permits, post } from '../../support/both-gates.ts';
import { eventually } from '../../support/eventually.ts';
import { RawConnection, type RawResponse, request, speak } from '../../support/raw-http.ts';
import { asked } from '../../support/testbed.ts';

const path = '/access/v1/evaluation';
const json = 'Content-Type: application/json';
const good = request(`POST ${path}`, [json], asked());
/** What would be asked if a second reader found a second request in the bytes. */
const smuggled = request(`POST ${path}`, [json, 'X-Request-ID: CANARY-smuggled'], asked()).toString('latin1');

let gates: BothGates;
/** With limits small enough to be met. */
let tight: BothGates;

beforeAll(async () => {
  gates = await BothGates.stand();
  tight = await BothGates.stand({
    limits: { headerTimeoutMs: 300, bodyTimeoutMs: 300, requestsPerSocket: 50, inFlight: 8, connections: 400 },
  });
}, 60_000);

afterAll(async () => {
  await gates.close();
  await tight.close();
});

/** Says all of it at once and hears what comes back until the connection is closed, which it has to be. */
function saying(bytes: string | Uint8Array): (port: number) => Promise<readonly RawResponse[]> {
  return async (port) => {
    const said = await speak(port, bytes);
    expect({ closed: said.closed, text: said.text }).toEqual({ closed: true, text: said.text });
    return said.responses;
  };
}

function withHeaders(...headers: readonly string[]): string {
  return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${json}\r\n${headers.map((header) => `${header}\r\n`).join('')}\r\n`;
}

const invalid = { status: 400, code: 'header_invalid' };

describe('H01 a body whose length has two readings', () => {
  it.each([
    ['a length and chunks', `${withHeaders('Content-Length: 5', 'Transfer-Encoding: chunked')}0\r\n\r\n${smuggled}`],
    ['chunks and a length', `${withHeaders('Transfer-Encoding: chunked', 'Content-Length: 5')}0\r\n\r\n${smuggled}`],
    ['two lengths that differ', `${withHeaders('Content-Length: 2', 'Content-Length: 3')}{}${smuggled}`],
    ['two lengths that are equal', `${withHeaders('Content-Length: 2', 'Content-Length: 2')}{}${smuggled}`],
    ['a length with a sign', `${withHeaders('Content-Length: +2')}{}${smuggled}`],
    ['a negative length', withHeaders('Content-Length: -1') + smuggled],
    ['a list of lengths', `${withHeaders('Content-Length: 2, 2')}{}${smuggled}`],
    ['a length of twenty digits', `${withHeaders('Content-Length: 99999999999999999999')}{}${smuggled}`],
    ['a length in hexadecimal', `${withHeaders('Content-Length: 0x2')}{}${smuggled}`],
    ['an empty length', `${withHeaders('Content-Length: ')}{}${smuggled}`],
  ])('H01 is refused, and no second request is seen: %s', async (_what, bytes) => {
    await gates.refuses(saying(bytes), invalid);
  });
});

describe('H02 chunks that are not quite chunks', () => {
  const body = (text: string): string => withHeaders('Transfer-Encoding: chunked') + text + smuggled;

  it.each([
    ['xchunked', `${withHeaders('Transfer-Encoding: xchunked')}0\r\n\r\n${smuggled}`],
    ['a coding before them', `${withHeaders('Transfer-Encoding: gzip, chunked')}0\r\n\r\n${smuggled}`],
    ['chunked, chunked', `${withHeaders('Transfer-Encoding: chunked, chunked')}0\r\n\r\n${smuggled}`],
    ['HTTP/1.0', `${withHeaders('Transfer-Encoding: chunked').replace('1.1', '1.0')}0\r\n\r\n${smuggled}`],
    ['chunked, identity', `${withHeaders('Transfer-Encoding: chunked, identity')}0\r\n\r\n${smuggled}`],
    ['two fields', `${withHeaders('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')}0\r\n\r\n${smuggled}`],
    ['a folded field', `${withHeaders('Transfer-Encoding:\r\n chunked', 'Content-Length: 5')}0\r\n\r\n${smuggled}`],
    ['a size in hexadecimal notation', body('0x2\r\n{}\r\n0\r\n\r\n')],
    ['a size that overflows', body('fffffffffffffffff\r\n{}\r\n0\r\n\r\n')],
    ['a bare line feed', body('2\n{}\n0\n\n')],
    ['a chunk longer than it says', body('2\r\n{}}\r\n0\r\n\r\n')],
    ['a negative size', body('-2\r\n{}\r\n0\r\n\r\n')],
    ['no size', body('\r\n{}\r\n0\r\n\r\n')],
  ])('H02 are refused: %s', async (_what, bytes) => {
    await gates.refuses(saying(bytes), invalid);
  });

  it('H02 are served in any case', async () => {
    const size = asked().length.toString(16);
    const bytes = `${withHeaders('Transfer-Encoding: CHUNKED')}${size}\r\n${asked()}\r\n0\r\n\r\n`;
    const [answer] = await asking(bytes)(gates.ports.open);
    expect(answer?.status).toBe(200);
  });

  it('H02 behind a request that reads no body are refused after its answer', async () => {
    const target = '/.well-known/authzen-configuration';
    const bytes = `GET ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\n${smuggled}`;
    const before = await gates.open.counted('postern_rejected_total', { why: 'header_invalid' });
    const said = await speak(gates.ports.open, bytes);
    expect(said.responses.map(({ status }) => status)).toEqual([200, 400]);
    expect(await gates.open.counted('postern_rejected_total', { why: 'header_invalid' })).toBe(before + 1);
  });
});

describe('H03 a header that is not quite a header', () => {
  it.each([
    ['a blank before the colon', `${withHeaders('Content-Length : 2')}{}`],
    ['a leading blank', `POST ${path} HTTP/1.1\r\n Host: 127.0.0.1\r\n\r\n`],
    ['bare line feeds', withHeaders().replaceAll('\r\n', '\n')],
    ['a lone carriage return', withHeaders('X-A: b\rX-B: c')],
    ['a NUL', withHeaders('X-A: b\u0000c')],
    ['a byte past ASCII in the target', `POST ${path}\u00ff HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`],
    ['a name with a bracket', withHeaders('X[A]: b')],
    ['no name', withHeaders(': b')],
    ['another version', `POST ${path} HTTP/1.2\r\nHost: 127.0.0.1\r\n\r\n`],
    ['version 2.0', withHeaders(`Content-Length: ${asked().length}`).replace('1.1', '2.0') + asked()],
    ['version 2.0 and no host', `POST ${path} HTTP/2.0\r\n${json}\r\nContent-Length: 2\r\n\r\n{}`],
    ['version 0.9', withHeaders(`Content-Length: ${asked().length}`).replace('1.1', '0.9') + asked()],
  ])('H03 is refused: %s', async (_what, bytes) => {
    await gates.refuses(saying(bytes + smuggled), invalid);
  });
});

describe('H04 chunks that cost more than they carry', () => {
  it('H04 an extension of 20 kB is refused', async () => {
    const bytes = `${withHeaders('Transfer-Encoding: chunked')}2;${'a'.repeat(20_000)}\r\n{}\r\n0\r\n\r\n`;
    await gates.refuses(saying(bytes), { status: 413, code: 'body_too_large' });
  });

  it('H04 a megabyte of one byte each is served, within bounds', async () => {
    const body = asked().padEnd(1_000_000, ' ');
    const chunks = Buffer.alloc(6 * body.length + 5);
    for (let index = 0; index < body.length; index += 1) chunks.write(`1\r\n${body[index]}\r\n`, 6 * index, 'latin1');
    chunks.write('0\r\n\r\n', 6 * body.length, 'latin1');
    const cpu = process.cpuUsage();
    const memory = process.memoryUsage().rss;
    const said = await speak(
      gates.ports.open,
      Buffer.concat([Buffer.from(withHeaders('Transfer-Encoding: chunked'), 'latin1'), chunks]),
      { responses: 1, withinMs: 30_000 },
    );
    expect(said.responses.map(({ status }) => status)).toEqual([200]);
    const { user, system } = process.cpuUsage(cpu);
    // Both ends of the connection are this process.
    expect((user + system) / 1e6).toBeLessThan(10);
    expect(process.memoryUsage().rss - memory).toBeLessThan(250_000_000);
    await gates.expectAlive();
  }, 40_000);
});

describe('H05 trailers', () => {
  const chunked = (trailers: string): string =>
    `${withHeaders('Transfer-Encoding: chunked')}${asked().length.toString(16)}\r\n${asked()}\r\n0\r\n${trailers}\r\n`;

  it('H05 are never read', async () => {
    const trailers = ['Authorization: Bearer CANARY', 'X-Role: CANARY', 'X-Request-ID: CANARY', 'traceparent: CANARY'];
    for (const { name, bed, port } of gates.each()) {
      const said = await speak(port, chunked(trailers.map((trailer) => `${trailer}\r\n`).join('')), { responses: 1 });
      const [answer] = said.responses;
      expect(answer?.status).toBe(200);
      expect(permits(answer as RawResponse)).toBe(name === 'open');
      expect(said.text).not.toContain('CANARY-');
      expect(answer?.headers.has('x-request-id')).toBe(false);
      expect((await bed.recorded()).at(-1)).not.toHaveProperty('request_id');
    }
  });

  it('H05 of 100 kB are refused', async () => {
    await gates.refuses(saying(chunked(`X-A: ${'a'.repeat(100_000)}\r\n`)), { status: 431, code: 'header_invalid' });
  });
});

describe('H06 requests that follow each other unasked', () => {
  const numbered = (index: number): Buffer => request(`POST ${path}`, [json, `X-Request-ID: n-${index}`], asked());

  it('H06 are answered in order, and after a broken one the connection ends', async () => {
    for (const { name, bed, port } of gates.each()) {
      const before = (await bed.recorded()).length;
      const said = await speak(
        port,
        Buffer.concat([numbered(1), numbered(2), Buffer.from('BROKEN\r\n\r\n'), numbered(3)]),
      );
      expect(said.closed).toBe(true);
      expect(said.responses.map(({ status }) => status)).toEqual([200, 200, 400]);
      expect(said.responses.map(({ headers }) => headers.get('x-request-id'))).toEqual(['n-1', 'n-2', undefined]);
      expect(said.responses.slice(0, 2).map(permits)).toEqual(name === 'open' ? [true, true] : [false, false]);
      expect((await bed.recorded()).length).toBe(before + 2);
    }
    await gates.expectAlive();
  });

  it('H06 the answer to a broken one waits for a decision that is still under way', async () => {
    const bed = gates.open;
    let release = (): void => undefined;
    bed.beforeAuthorize = () =>
      new Promise<void>((resolve) => {
        release = resolve;
      });
    const connection = await RawConnection.open({ port: gates.ports.open });
    await connection.write(Buffer.concat([numbered(1), Buffer.from('BROKEN\r\n\r\n')]));
    await eventually(() => bed.listener.inFlight === 1);
    await connection.until(() => false, 50);
    expect(connection.conversation.text).toBe('');
    bed.beforeAuthorize = () => undefined;
    release();
    const said = await connection.end();
    expect(said.responses.map(({ status }) => status)).toEqual([200, 400]);
  });

  it('H06 a broken one on a connection that was used before is answered too', async () => {
    const connection = await RawConnection.open({ port: gates.ports.open });
    await connection.write(numbered(1));
    await connection.responses(1);
    await connection.write('BROKEN\r\n\r\n');
    const said = await connection.end();
    expect(said.responses.map(({ status }) => status)).toEqual([200, 400]);
    expect(said.closed).toBe(true);
  });

  it('H06 ten thousand are answered in order', async () => {
    const connection = await RawConnection.open({ port: gates.ports.open });
    const memory = process.memoryUsage().rss;
    void connection.write(Buffer.concat(Array.from({ length: 10_000 }, (_, index) => numbered(index))));
    const said = await connection.until(({ text }) => text.includes('x-request-id: n-9999\r\n'), 30_000);
    connection.destroy();
    const ids = said.text.match(/x-request-id: n-\d+/g)?.map((id) => Number(id.slice(16)));
    expect(ids).toEqual(Array.from({ length: 10_000 }, (_, index) => index));
    expect(process.memoryUsage().rss - memory).toBeLessThan(150_000_000);
    await gates.expectAlive();
  }, 40_000);

  it('H06 are capped for each connection, which ends', async () => {
    for (const { bed, port } of tight.each()) {
      const before = await bed.counted('postern_rejected_total', { why: 'overloaded' });
      const said = await speak(port, Buffer.concat(Array.from({ length: 51 }, (_, index) => numbered(index))));
      expect(said.closed).toBe(true);
      expect(said.responses.map(({ status }) => status).slice(0, 50)).toEqual(Array.from({ length: 50 }, () => 200));
      expect(said.responses.length).toBeLessThanOrEqual(51);
      expect(await bed.counted('postern_rejected_total', { why: 'overloaded' })).toBeLessThanOrEqual(before + 1);
    }
    await tight.expectAlive();
  });
});

describe('H07 a header that is too long', () => {
  it('H07 is refused past 16 KiB', async () => {
    await gates.refuses(saying(withHeaders(`X-A: ${'a'.repeat(16_384)}`)), { status: 431, code: 'header_invalid' });
  });

  it('H07 is refused when the target alone is as long', async () => {
    const bytes = `POST /${'a'.repeat(16_384)} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`;
    await gates.refuses(saying(bytes), { status: 431, code: 'header_invalid' });
  });
});

describe('H08 a header of many fields', () => {
  it('H08 is refused whole, not cut where a token would be lost', async () => {
    const fields = Array.from({ length: 1_500 }, (_, index) => `x${index}:`);
    const bytes = request(`POST ${path}`, [json, ...fields, 'Authorization: Bearer CANARY'], asked());
    await gates.refuses(saying(bytes), { status: 431, code: 'header_invalid' });
  });

  it('H08 is served with a hundred and refused with a hundred and one', async () => {
    const fields = (count: number): string[] => Array.from({ length: count - 3 }, (_, index) => `x${index}: y`);
    const [answer] = (
      await speak(gates.ports.open, request(`POST ${path}`, [json, ...fields(100)], asked()), { responses: 1 })
    ).responses;
    expect(answer?.status).toBe(200);
    await gates.refuses(
      async (port) =>
        (await speak(port, request(`POST ${path}`, [json, ...fields(101)], asked()), { responses: 1 })).responses,
      {
        status: 431,
        code: 'header_invalid',
      },
    );
  });
});

/** One request on its own connection, which may stay open. */
function asking(bytes: Uint8Array | string): (port: number) => Promise<readonly RawResponse[]> {
  return async (port) => (await speak(port, bytes, { responses: 1 })).responses;
}

describe('H09 a request meant for somebody else', () => {
  it('H09 is refused with two hosts, equal or not', async () => {
    for (const second of ['127.0.0.1', 'evil.example']) {
      await gates.refuses(asking(request(`POST ${path}`, [json, `Host: ${second}`], asked())), invalid);
    }
  });

  it('H09 is refused without a host, by HTTP/1.1', async () => {
    await gates.refuses(asking(`POST ${path} HTTP/1.1\r\n${json}\r\nContent-Length: 2\r\n\r\n{}`), invalid);
    const [old] = await asking(
      `POST ${path} HTTP/1.0\r\n${json}\r\nContent-Length: ${asked().length}\r\n\r\n${asked()}`,
    )(gates.ports.open);
    expect(old?.status).toBe(200);
  });

  it.each([
    'http://127.0.0.1/access/v1/evaluation',
    'http://evil.example/access/v1/evaluation',
    '/access/v1/evaluation#x',
    '*',
  ])('H09 is refused with the target %s', async (target) => {
    await gates.refuses(asking(request(`POST ${target}`, [json], asked())), { status: 400, code: 'target_invalid' });
  });

  it.each(['#', 'access/v1/evaluation', 'evil.example:80', 'javascript:0'])(
    'H09 is refused as no request with the target %s',
    async (target) => {
      await gates.refuses(asking(request(`POST ${target}`, [json], asked())), invalid);
    },
  );

  it.each([
    'evil.example',
    'evil.example:8181',
    '127.0.0.1.evil.example',
    'localhost.evil.example:8181',
    '127.0.0.1@evil.example',
    '127.0.0.2',
    '0.0.0.0',
    '[::2]',
    '[::1',
    '127.0.0.1:80:evil.example',
    'localhost.',
    '',
    '127.0.0.1, evil.example',
    '127.0.0.1:8181x',
  ])('H09 is refused with the host %j', async (host) => {
    await gates.refuses(asking(request(`POST ${path}`, [json], asked(), host)), { status: 403, code: 'host_foreign' });
  });

  it.each(['127.0.0.1', '127.0.0.1:8181', 'localhost', 'LocalHost:1', '[::1]', '[::1]:8181'])(
    'H09 is served with the host %s',
    async (host) => {
      const [answer] = await asking(request(`POST ${path}`, [json], asked(), host))(gates.ports.open);
      expect(answer?.status).toBe(200);
    },
  );

  it.each(['http://evil.example', 'http://127.0.0.1:8181', 'null', ''])(
    'H09 is refused with the origin %j: no page is to ask',
    async (origin) => {
      await gates.refuses(asking(request(`POST ${path}`, [json, `Origin: ${origin}`], asked())), {
        status: 403,
        code: 'origin_foreign',
      });
    },
  );
});

describe('H10 header fields with odd names, or sent twice', () => {
  it('H10 with names that objects inherit are ignored', async () => {
    const odd = ['__proto__: x', 'constructor: x', 'toString: x', 'hasOwnProperty: x'];
    const [answer] = await asking(request(`POST ${path}`, [json, ...odd], asked()))(gates.ports.open);
    expect(answer?.status).toBe(200);
    expect(({} as { x?: unknown }).x).toBeUndefined();
  });

  it.each([
    'Authorization: Bearer CANARY',
    'X-Request-ID: r-1',
    'traceparent: 00-1',
    'Content-Encoding: identity',
    'Content-Type: application/json',
    'Origin: x',
  ])('H10 are refused when they count once and stand twice: %s', async (field) => {
    const name = field.split(':')[0] ?? '';
    for (const other of [field, `${name.toUpperCase()}: y`]) {
      await gates.refuses(
        asking(request(`POST ${path}`, [json, field, other].slice(name === 'Content-Type' ? 1 : 0), asked())),
        invalid,
      );
    }
  });

  it('H10 with underscores are other fields, and ignored', async () => {
    const [answer] = await asking(
      request(
        `POST ${path}`,
        [json, 'X_Request_ID: CANARY', 'content_type: text/plain', 'X_Forwarded_For: CANARY'],
        asked(),
      ),
    )(gates.ports.open);
    expect(answer?.status).toBe(200);
    expect([...(answer?.headers ?? [])].join()).not.toContain('CANARY');
  });
});

describe('H11 headers that come a byte at a time', () => {
  it('H11 end at the time limit, and good requests are served meanwhile', async () => {
    const { open, ports } = tight;
    const before = await open.counted('postern_rejected_total', { why: 'request_too_slow' });
    const slow = await Promise.all(Array.from({ length: 300 }, () => RawConnection.open({ port: ports.open })));
    for (const [index, connection] of slow.entries())
      void connection.write(index % 2 === 0 ? 'POST /' : `POST ${path} HTTP/1.1\r\nHost: 12`);
    const drip = setInterval(() => {
      for (const connection of slow) void connection.write('0');
    }, 50);
    try {
      await tight.expectAlive();
      await Promise.all(slow.map((connection) => connection.end(5_000)));
    } finally {
      clearInterval(drip);
    }
    expect(slow.map(({ closed }) => closed)).toEqual(slow.map(() => true));
    expect(await open.counted('postern_rejected_total', { why: 'request_too_slow' })).toBe(before + 300);
    await tight.expectAlive();
  }, 20_000);

  it('H11 a connection that says nothing ends too', async () => {
    const silent = await RawConnection.open({ port: tight.ports.open });
    expect((await silent.end(5_000)).closed).toBe(true);
  });
});

describe('H12 a body that does not come', () => {
  const cut = good.subarray(0, good.length - 10);

  it('H12 in time is answered 408', async () => {
    await tight.refuses(saying(cut), { status: 408, code: 'request_too_slow' });
  });

  it('H12 whole, because its caller has gone, is counted and not recorded', async () => {
    await gates.refuses(
      async (port, bed) => {
        const before = await bed.counted('postern_rejected_total', { why: 'body_cut_short' });
        const connection = await RawConnection.open({ port });
        await connection.write(cut);
        await eventually(() => bed.listener.inFlight === 1);
        connection.destroy();
        await eventually(
          async () => (await bed.counted('postern_rejected_total', { why: 'body_cut_short' })) === before + 1,
        );
        return [];
      },
      { status: 400, code: 'body_cut_short', answers: 0 },
    );
  });

  it('H12 a caller that goes while we decide leaves one record', async () => {
    for (const { name, bed, port } of gates.each()) {
      const before = (await bed.recorded()).length;
      let release = (): void => undefined;
      bed.beforeAuthorize = () =>
        new Promise<void>((resolve) => {
          release = resolve;
        });
      const connection = await RawConnection.open({ port });
      await connection.write(good);
      await eventually(() => bed.listener.inFlight === 1);
      connection.destroy();
      await new Promise((resolve) => connection.socket.once('close', resolve));
      bed.beforeAuthorize = () => undefined;
      release();
      await eventually(() => bed.listener.inFlight === 0);
      const events = await bed.recorded();
      expect(events).toHaveLength(before + 1);
      expect(events.at(-1)).toMatchObject({ effect: name === 'open' ? 'allow' : 'deny' });
      expect(bed.log.of('error')).toEqual([]);
    }
    await gates.expectAlive();
  });
});

describe('H13 a body over the limit', () => {
  it('H13 is served at the limit, and refused one byte past it, announced or not', async () => {
    const body = asked().padEnd(1_048_576, ' ');
    const [answer] = await asking(request(`POST ${path}`, [json], body))(gates.ports.open);
    expect(answer?.status).toBe(200);
    await gates.refuses(saying(request(`POST ${path}`, [json], `${body} `)), { status: 413, code: 'body_too_large' });
    const chunk = `${(body.length + 1).toString(16)}\r\n${body} \r\n0\r\n\r\n`;
    await gates.refuses(saying(withHeaders('Transfer-Encoding: chunked') + chunk), {
      status: 413,
      code: 'body_too_large',
    });
  });

  it('H13 is refused unread where it is announced', async () => {
    await gates.refuses(saying(withHeaders('Content-Length: 5368709120')), { status: 413, code: 'body_too_large' });
  });

  it('H13 is refused at the limit where it has no end', async () => {
    const memory = process.memoryUsage().rss;
    await gates.refuses(
      async (port) => {
        const connection = await RawConnection.open({ port });
        await connection.write(withHeaders('Transfer-Encoding: chunked'));
        const chunk = `10000\r\n${' '.repeat(65_536)}\r\n`;
        let sent = 0;
        while (!connection.closed && sent < 200_000_000 && connection.conversation.responses.length === 0) {
          await connection.write(chunk);
          sent += chunk.length;
        }
        // What the two kernels' buffers hold is on its way beyond the limit.
        expect(sent).toBeLessThan(30_000_000);
        const said = await connection.end();
        expect(said.closed).toBe(true);
        return said.responses;
      },
      { status: 413, code: 'body_too_large' },
    );
    expect(process.memoryUsage().rss - memory).toBeLessThan(100_000_000);
  });
});

describe('H14 a body in another coding', () => {
  const encoded = (coding: string, body: Uint8Array): Buffer =>
    request(`POST ${path}`, [json, `Content-Encoding: ${coding}`], body);
  const packed = gzipSync(asked());

  it('H14 is served where it is gzip, or none', async () => {
    for (const [coding, body] of [
      ['gzip', packed],
      ['GZIP', packed],
      ['identity', Buffer.from(asked())],
    ] as const) {
      const [answer] = await asking(encoded(coding, body))(gates.ports.open);
      expect(answer?.status).toBe(200);
    }
  });

  it('H14 is refused by what it becomes, not by what it says', async () => {
    // 400 MB, of which the body is a thousandth: what a run's own garbage comes to is well below it.
    const bomb = Buffer.concat(Array.from({ length: 8 }, () => gzipSync(Buffer.alloc(50_000_000, 0x20))));
    expect(bomb.length).toBeLessThan(480_000);
    const memory = process.memoryUsage().rss;
    await gates.refuses(asking(encoded('gzip', bomb)), { status: 413, code: 'body_too_large' });
    const forged = Buffer.from(packed);
    forged.writeUInt32LE(0xffff_ffff, forged.length - 4);
    await gates.refuses(asking(encoded('gzip', forged)), { status: 400, code: 'content_encoding_invalid' });
    const modest = Buffer.from(bomb);
    modest.writeUInt32LE(10, modest.length - 4);
    await gates.refuses(asking(encoded('gzip', modest)), { status: 413, code: 'body_too_large' });
    expect(process.memoryUsage().rss - memory).toBeLessThan(100_000_000);
  });

  it('H14 is refused cut short, damaged, or as something else', async () => {
    for (const body of [
      packed.subarray(0, -1),
      packed.subarray(0, 20),
      Buffer.from(asked()),
      Buffer.concat([packed.subarray(0, 12), Buffer.from([0xff, 0xff]), packed.subarray(14)]),
    ]) {
      await gates.refuses(asking(encoded('gzip', body)), { status: 400, code: 'content_encoding_invalid' });
    }
  });

  it.each([
    'br',
    'deflate',
    'zstd',
    'x-gzip',
    'gzip, gzip',
    'gzip,identity',
    Array.from({ length: 1_000 }, () => 'gzip').join(', '),
    'gzip;q=1',
    '',
  ])('H14 is refused in a coding that is not known, or in several: %j', async (coding) => {
    await gates.refuses(asking(encoded(coding, packed)), { status: 415, code: 'content_encoding_unsupported' });
  });
});

describe('H15 another protocol', () => {
  it.each([
    ['HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['TLS', Buffer.from('16030100c8010000c40303', 'hex')],
    ['SOCKS', Buffer.from([5, 1, 0])],
    ['a PROXY header', `PROXY TCP4 10.0.0.1 10.0.0.2 1 2\r\n${smuggled}`],
  ])('H15 is refused: %s', async (_what, bytes) => {
    await gates.refuses(saying(bytes), invalid);
  });

  it('H15 HTTP/0.9 gets nothing, at the latest at the time limit', async () => {
    for (const { bed, port } of tight.each()) {
      const before = await bed.counted('postern_decisions_total');
      const said = await speak(port, `GET ${path}\r\n`);
      expect(said.closed).toBe(true);
      expect(said.responses.map(({ status }) => status).filter((status) => status < 400)).toEqual([]);
      expect(await bed.counted('postern_decisions_total')).toBe(before);
    }
  });

  const tunnel = 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: 127.0.0.1\r\n';

  it.each([
    ['alone', `${tunnel}\r\n`],
    ['with a request inside', `${tunnel}\r\n${smuggled}`],
    ['with a body', `${tunnel}Content-Length: 5\r\n\r\n{`],
    ['with chunks', `${tunnel}Transfer-Encoding: chunked\r\n\r\nzz\r\n`],
  ])('H15 CONNECT is refused and ends the connection: %s', async (_what, bytes) => {
    await gates.refuses(saying(bytes), { status: 400, code: 'target_invalid' });
  });

  it('H15 CONNECT waits for the answer to what was asked before it', async () => {
    const bed = gates.open;
    let release = (): void => undefined;
    bed.beforeAuthorize = () =>
      new Promise<void>((resolve) => {
        release = resolve;
      });
    const connection = await RawConnection.open({ port: gates.ports.open });
    await connection.write(Buffer.concat([good, Buffer.from(`${tunnel}\r\n`)]));
    await eventually(() => bed.listener.inFlight === 1);
    bed.beforeAuthorize = () => undefined;
    release();
    expect((await connection.end()).responses.map(({ status }) => status)).toEqual([200, 400]);
  });

  it('H15 CONNECT of a caller who resets the connection harms nobody', async () => {
    for (let round = 0; round < 20; round += 1) {
      const connection = await RawConnection.open({ port: gates.ports.open });
      await connection.write(`${tunnel}\r\n`);
      connection.socket.resetAndDestroy();
    }
    await gates.expectAlive();
  });

  it('H15 what is wrong is said', async () => {
    for (const [bytes, said] of [
      ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'the request line must end in HTTP/1.0 or HTTP/1.1'],
      [`POST ${path} HTTP/3.0\r\nHost: 127.0.0.1\r\n\r\n`, 'the request line must end in HTTP/1.0 or HTTP/1.1'],
      [`POST ${path} HTTP/2.0\r\nHost: 127.0.0.1\r\n\r\n`, 'the request line must end in HTTP/1.0 or HTTP/1.1'],
      [`FOO ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`, 'the method is not an HTTP method'],
      [withHeaders('Transfer-Encoding: gzip, chunked'), 'Transfer-Encoding may be chunked alone'],
      [`POST ${path} HTTP/1.1\r\n\r\n`, 'Host is missing'],
    ] as const) {
      const [answer] = await saying(bytes)(gates.ports.open);
      expect(answer?.body).toContain(said);
    }
  });

  it.each(['h2c', 'websocket'])('H15 an upgrade to %s is ignored, and its body judged as always', async (protocol) => {
    for (const { name, port } of gates.each()) {
      const [answer] = await asking(
        request(
          `POST ${path}`,
          [json, 'Connection: Upgrade', `Upgrade: ${protocol}`, 'HTTP2-Settings: AAMAAABkAAQAAP__'],
          asked(),
        ),
      )(port);
      expect(answer?.status).toBe(200);
      expect(permits(answer as RawResponse)).toBe(name === 'open');
    }
  });
});

describe('H17 a method that a route does not take', () => {
  it('H17 is refused with what it takes, whichever it is', async () => {
    for (const [target, takes] of [
      [path, 'POST'],
      ['/http/v1/evaluation', 'POST'],
      ['/v1/data/authz/decision', 'POST'],
      ['/.well-known/authzen-configuration', 'GET'],
    ] as const) {
      for (const method of METHODS.filter((one) => one !== takes && one !== 'CONNECT' && one !== 'HEAD')) {
        const [answer] = await asking(request(`${method} ${target}`))(gates.ports.open);
        expect({ method, status: answer?.status, allow: answer?.headers.get('allow') }).toEqual({
          method,
          status: 405,
          allow: takes,
        });
      }
    }
    await gates.refuses(asking(request(`PUT ${path}`, [json], asked())), { status: 405, code: 'method_not_allowed' });
  }, 20_000);

  it('H17 HEAD is refused like the others, without a body', async () => {
    const connection = await RawConnection.open({ port: gates.ports.open });
    await connection.write(request(`HEAD ${path}`));
    const { text } = await connection.until((said) => said.text.includes('\r\n\r\n'));
    connection.destroy();
    expect(text).toMatch(/^HTTP\/1\.1 405 /);
    expect(text).toMatch(/\r\nallow: POST\r\n/);
  });

  it.each(['post', 'Post', 'FOO', 'POSTX', '', 'PO ST'])('H17 is refused as no method at all: %j', async (method) => {
    await gates.refuses(saying(request(`${method} ${path}`)), invalid);
  });

  it('H17 a body on GET changes nothing', async () => {
    const target = '/.well-known/authzen-configuration';
    const [bare] = await asking(request(`GET ${target}`))(gates.ports.open);
    const [bodied] = await asking(request(`GET ${target}`, [json], asked()))(gates.ports.open);
    expect(bodied?.status).toBe(200);
    expect(bodied?.body).toBe(bare?.body);
    expect(JSON.parse(bare?.body ?? '')).toEqual({
      policy_decision_point: 'http://127.0.0.1:8181',
      access_evaluation_endpoint: 'http://127.0.0.1:8181/access/v1/evaluation',
    });
  });
});

describe('H18 a path that might be read as another', () => {
  it.each([
    '//access/v1/evaluation',
    '/access/v1/evaluation/',
    '/access//v1/evaluation',
    '/access%2fv1%2fevaluation',
    '/access/v1/%65valuation',
    '/access/v1/../v1/evaluation',
    '/./access/v1/evaluation',
    '/access/v1/evaluation%00',
    '/access/v1/evaluation;x=y',
    '/ACCESS/v1/evaluation',
    '/access/v1/evaluation%',
    '/v1/data/authz%2fdecision',
    '/v1/data/system/log/mask',
    '/v1/data/%73ystem',
    '/v1/datax',
    '/',
  ])('H18 is no route: %s', async (target) => {
    await gates.refuses(asking(request(`POST ${target}`, [json], asked())), { status: 404, code: 'route_unknown' });
  });

  it.each(['/v1/data/%', '/v1/data/%zz', '/v1/data/%ff', '/v1/data/a%00b', '/v1/data/a%0d%0ab', '/v1/data/%c0%af'])(
    'H18 is no path: %s',
    async (target) => {
      await gates.refuses(asking(request(`POST ${target}`, [json], '{}')), { status: 400, code: 'target_invalid' });
    },
  );

  it('H18 is decoded once, and router and record see the same', async () => {
    for (const [target, entrypoint] of [
      ['/v1/data/%61uthz/decision', 'authz/decision'],
      ['/v1/data/%2561uthz/decision', '%61uthz/decision'],
      ['/v1/data/a/../b', 'a/../b'],
      ['/v1/data/', ''],
      ['/v1/data', ''],
      ['/v1/data/a%3Fb?pretty', 'a?b'],
    ] as const) {
      const answer = await post(gates.ports.open, target, `{"input":${asked()}}`);
      expect(answer.status).toBe(200);
      expect((await gates.open.recorded()).at(-1)).toMatchObject({ path: entrypoint });
    }
  });

  it('H18 a query changes nothing', async () => {
    const answer = await post(gates.ports.shut, `${path}?decision=true&explain=full`, asked());
    expect(permits(answer)).toBe(false);
  });

  it('H18 no other path than the one decides', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.constantFrom('/', 'access', 'v1', 'evaluation', '%2f', '.', '..', ';', '%00', 'data', '//', '%', 'A', '?'),
          { maxLength: 8 },
        ),
        async (parts) => {
          const target = `/${parts.join('')}`;
          fc.pre(target.split('?')[0] !== path && !target.startsWith('/v1/data'));
          const [answer] = await asking(request(`POST ${target}`, [json], asked()))(gates.ports.open);
          expect([400, 404]).toContain(answer?.status);
        },
      ),
    );
  }, 20_000);
});

describe('H19 a content type', () => {
  it.each([
    'application/json',
    'application/json; charset=utf-8',
    'application/json;charset=UTF-8',
    'Application/JSON ; charset="utf-8"',
  ])('H19 passes: %s', async (type) => {
    const answer = await post(gates.ports.open, path, asked(), [`Content-Type: ${type}`]);
    expect(answer.status).toBe(200);
  });

  it.each([
    'text/plain',
    'text/json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
    'application/json; charset=utf-16',
    'application/json; charset=iso-8859-1',
    'application/jsonx',
    'application/json, text/plain',
    'application/json; profile=x',
    'application/problem+json',
    '',
  ])('H19 is refused: %j', async (type) => {
    for (const target of [path, '/v1/data/authz/decision']) {
      await gates.refuses(asking(request(`POST ${target}`, [`Content-Type: ${type}`], asked())), {
        status: 400,
        code: 'content_type_unsupported',
      });
    }
  });

  it('H19 is required, except by OPA’s API, whose clients send none', async () => {
    await gates.refuses(asking(request(`POST ${path}`, [], asked())), {
      status: 400,
      code: 'content_type_unsupported',
    });
    const answer = await post(gates.ports.open, '/v1/data/authz/decision', `{"input":${asked()}}`, []);
    expect(permits(answer)).toBe(true);
  });
});

describe('H20 a request that waits for leave to go on', () => {
  it('H20 gets it, and is served', async () => {
    const connection = await RawConnection.open({ port: gates.ports.open });
    await connection.write(withHeaders('Expect: 100-continue', `Content-Length: ${asked().length}`));
    expect((await connection.responses(1)).responses.map(({ status }) => status)).toEqual([100]);
    await connection.write(asked());
    expect((await connection.responses(2)).responses.map(({ status }) => status)).toEqual([100, 200]);
    connection.destroy();
  });

  it('H20 does not get it for a body that is too large', async () => {
    await gates.refuses(saying(withHeaders('Expect: 100-continue', 'Content-Length: 5368709120')), {
      status: 413,
      code: 'body_too_large',
    });
  });

  it('H20 does not get it where it is refused anyway', async () => {
    await gates.refuses(saying(withHeaders('Expect: 100-continue', 'Content-Length: 10', 'Origin: x')), {
      status: 403,
      code: 'origin_foreign',
    });
  });

  it('H20 does not get it for a body in a coding that is not known', async () => {
    await gates.refuses(saying(withHeaders('Expect: 100-continue', 'Content-Length: 10', 'Content-Encoding: br')), {
      status: 415,
      code: 'content_encoding_unsupported',
    });
  });

  it('H20 is refused where it waits for anything else', async () => {
    await gates.refuses(saying(withHeaders('Expect: banana', 'Content-Length: 10')), {
      status: 417,
      code: 'header_invalid',
    });
  });
});

describe('H21 more than there is room for', () => {
  it('H21 in flight is told to come again, and served when there is room', async () => {
    const { open, ports } = tight;
    const waiting: (() => void)[] = [];
    open.beforeAuthorize = () =>
      new Promise<void>((resolve) => {
        waiting.push(resolve);
      });
    const held = Array.from({ length: 8 }, () => post(ports.open, path, asked()));
    await eventually(() => waiting.length === 8);
    const before = await open.counted('postern_rejected_total', { why: 'overloaded' });
    const ninth = await post(ports.open, path, asked());
    expect(ninth.status).toBe(503);
    expect(ninth.headers.get('retry-after')).toBe('1');
    expect(ninth.body).toContain('overloaded');
    expect(await open.counted('postern_rejected_total', { why: 'overloaded' })).toBe(before + 1);
    open.beforeAuthorize = () => undefined;
    for (const release of waiting) release();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual(held.map(() => 200));
    await tight.expectAlive();
  });

  it('H21 of connections are closed as they come, counted, and taken again when there is room', async () => {
    const { open, ports } = tight;
    const before = await open.counted('postern_rejected_total', { why: 'overloaded' });
    const connections = await Promise.all(Array.from({ length: 420 }, () => RawConnection.open({ port: ports.open })));
    await eventually(() => connections.filter(({ closed }) => closed).length >= 20);
    expect(await open.counted('postern_rejected_total', { why: 'overloaded' })).toBeGreaterThanOrEqual(before + 20);
    for (const connection of connections) connection.destroy();
    await eventually(async () => (await post(ports.open, path, asked()).catch(() => undefined))?.status === 200);
    await tight.expectAlive();
  }, 20_000);

  it('H21 one caller’s flood leaves a quiet one served, and memory where it was', async () => {
    const { ports } = gates;
    const memory = process.memoryUsage().rss;
    const burst = Buffer.concat(Array.from({ length: 100 }, () => good));
    const flood = await Promise.all(Array.from({ length: 20 }, () => RawConnection.open({ port: ports.open })));
    const flooding = Promise.all(
      flood.map(async (connection) => {
        for (let round = 0; round < 3; round += 1) await connection.write(burst);
      }),
    );
    for (let asks = 0; asks < 20; asks += 1) {
      const answer = await post(ports.open, path, asked(), [json], 30_000);
      expect(answer.status).toBe(200);
    }
    await flooding;
    for (const connection of flood) connection.destroy();
    expect(process.memoryUsage().rss - memory).toBeLessThan(200_000_000);
    await gates.expectAlive();
  }, 60_000);
});

describe('M06 metrics and health', () => {
  it.each([
    '/metrics',
    '/health/live',
    '/health/ready',
    '/health',
    '/v1/status',
    '/v1/signals',
    '/v1/grants',
    '/v1/policies',
    '/v1/config',
  ])('M06 are not to be had at the decision port: %s', async (target) => {
    for (const headers of [
      [],
      ['User-Agent: kube-probe/1.34'],
      ['User-Agent: Prometheus/3.8', 'Authorization: Bearer x'],
    ]) {
      for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
        const [answer] = await asking(request(`${method} ${target}`, headers))(gates.ports.open);
        expect(answer?.status).toBe(404);
      }
    }
  });
});
