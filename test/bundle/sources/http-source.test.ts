import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';
import { createServer as createRawServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { HttpAccess } from '../../../src/bundle/sources/bundle-exchange.ts';
import { HttpSource, type HttpSourceOptions } from '../../../src/bundle/sources/http-source.ts';
import type { Wanted } from '../../../src/bundle/sources/source.ts';
import { realTimers } from '../../../src/system/real-timers.ts';
import { HeldTimers } from '../../fakes/held-timers.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { makeCertificate } from '../../support/certificates.ts';
import { eventually } from '../../support/eventually.ts';

const bundle = Buffer.from('a bundle, as far as this test goes');
const first: Wanted = { etags: [], deltas: true, asked: false };
const never = new AbortController().signal;

let directory: string;
let closers: (() => void)[];
let requests: IncomingMessage[];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'http-source-'));
  closers = [];
  requests = [];
});

afterEach(async () => {
  for (const close of closers) close();
  await rm(directory, { recursive: true });
});

function access(change: Partial<HttpAccess> = {}): HttpAccess {
  return {
    bearerFile: undefined,
    caFile: undefined,
    certificateFile: undefined,
    keyFile: undefined,
    timeoutMs: 5_000,
    ...change,
  };
}

function source(url: string, change: Partial<HttpSourceOptions> = {}): HttpSource {
  return new HttpSource({
    url: new URL(url),
    access: access(),
    bytesMax: 1_000_000,
    minDelayMs: 60_000,
    maxDelayMs: 120_000,
    longPollMs: undefined,
    clock: new TestClock(),
    timers: realTimers,
    random: () => 0.5,
    ...change,
  });
}

async function listening(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => sockets.add(socket));
  closers.push(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

/** A server that answers as told, and remembers what it was asked. */
async function serving(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<string> {
  const listener: RequestListener = (request, response) => {
    requests.push(request);
    answer(request, response);
  };
  return `http://${await listening(createServer(listener))}`;
}

function giving(response: ServerResponse, headers: Readonly<Record<string, string>> = {}, body = bundle): void {
  response.writeHead(200, { 'Content-Type': 'application/gzip', ...headers }).end(body);
}

async function file(name: string, content: string): Promise<string> {
  const path = join(directory, name);
  await writeFile(path, content);
  return path;
}

describe('a bundle server', () => {
  it('is asked as OPA asks one, and its bundle taken with its ETag', async () => {
    const url = await serving((_, response) => giving(response, { ETag: '"one"' }));
    const fetched = await source(`${url}/bundles/authz?tenant=a`).fetch(first, never);
    expect(fetched).toMatchObject({ kind: 'bundle', etag: '"one"', currentAt: Date.parse('2026-11-02T10:00:00Z') });
    expect(fetched.kind === 'bundle' && Buffer.from(fetched.bytes).toString()).toBe(bundle.toString());
    const [request] = requests;
    expect(request?.url).toBe('/bundles/authz?tenant=a');
    expect(request?.headers).toMatchObject({ prefer: 'modes=snapshot,delta', 'accept-encoding': 'identity' });
    expect(request?.headers).not.toHaveProperty('if-none-match');
    expect(request?.headers).not.toHaveProperty('authorization');
    expect(source(`${url}/bundles/authz?token=CANARY`).shown).not.toContain('CANARY');
  });

  it('says that nothing changed, to a list of what is held', async () => {
    const url = await serving((_, response) => response.writeHead(304).end());
    const fetched = await source(url).fetch({ etags: ['"b"', 'W/"a"'], deltas: false, asked: false }, never);
    expect(fetched).toEqual({ kind: 'unchanged', isHeld: true });
    expect(requests[0]?.headers).toMatchObject({ 'if-none-match': '"b", W/"a"', prefer: 'modes=snapshot' });
  });

  it('gets the token that the file holds at that moment', async () => {
    const url = await serving((_, response) => giving(response));
    const bearerFile = await file('token', 'first-token\n');
    const from = source(url, { access: access({ bearerFile }) });
    await from.fetch(first, never);
    await writeFile(bearerFile, 'second-token');
    await from.fetch(first, never);
    expect(requests.map(({ headers }) => headers.authorization)).toEqual(['Bearer first-token', 'Bearer second-token']);
    await writeFile(bearerFile, 'CANARY token\r\nX: y');
    await expect(from.fetch(first, never)).rejects.toThrow(/^the bearer token file holds no token$/);
    await rm(bearerFile);
    await expect(from.fetch(first, never)).rejects.toThrow('token cannot be read: ENOENT');
    expect(requests).toHaveLength(2);
  });

  it('may hold a request open, if it shows that it can', async () => {
    const type = 'application/vnd.openpolicyagent.bundles';
    const url = await serving((_, response) => giving(response, { 'Content-Type': type }));
    const from = source(url, { longPollMs: 30_000 });
    await from.fetch(first, never);
    await from.fetch({ ...first, etags: ['"a"'] }, never);
    expect(requests.map(({ headers }) => headers['prefer'])).toEqual([
      'modes=snapshot,delta;wait=30',
      'modes=snapshot,delta;wait=30',
    ]);
    expect(from.pauseMs({ outcome: 'new', failures: 0, tookMs: 5 })).toBe(100);
    expect(from.pauseMs({ outcome: 'unchanged', failures: 0, tookMs: 30_000 })).toBe(100);
    // One that answers at once and says that it held the request would be asked without end.
    expect(from.pauseMs({ outcome: 'unchanged', failures: 0, tookMs: 5 })).toBe(90_000);
  });

  it('is polled where it does not', async () => {
    const url = await serving((_, response) => giving(response));
    const from = source(url, { longPollMs: 30_000 });
    await from.fetch(first, never);
    await from.fetch({ ...first, etags: ['"a"'] }, never);
    expect(requests[1]?.headers['prefer']).toBe('modes=snapshot,delta');
    expect(from.pauseMs({ outcome: 'new', failures: 0, tookMs: 5 })).toBe(90_000);
  });

  it('says by a 304, too, whether it holds requests; one without a type says nothing', async () => {
    const answers = [
      { status: 200, type: 'application/gzip' },
      { status: 304, type: undefined },
      { status: 304, type: 'application/vnd.openpolicyagent.bundles' },
      { status: 304, type: undefined },
      { status: 304, type: 'application/gzip' },
      { status: 304, type: undefined },
    ];
    const url = await serving((_, response) => {
      const { status, type } = answers[requests.length - 1] ?? { status: 500, type: undefined };
      response.writeHead(status, type === undefined ? {} : { 'Content-Type': type });
      response.end(status === 200 ? bundle : undefined);
    });
    const from = source(url, { longPollMs: 30_000 });
    for (const _ of answers) await from.fetch({ ...first, etags: ['"a"'] }, never);
    expect(requests.map(({ headers }) => String(headers['prefer']).includes('wait=30'))).toEqual([
      true,
      false,
      false,
      true,
      true,
      false,
    ]);
  });
});

describe('B15 the pause after a failure', () => {
  const from = source('http://127.0.0.1:1', { random: () => 0 });
  const late = source('http://127.0.0.1:1', { random: () => 1 });
  const pauses = (of: HttpSource) =>
    [1, 2, 3, 4, 12, 1_000].map((failures) => of.pauseMs({ outcome: 'failed', failures, tookMs: 0 }));

  it('grows to the most that is configured, jittered so that a fleet does not come back as one', () => {
    expect(pauses(from)).toEqual([250, 500, 1_000, 2_000, 60_000, 60_000]);
    expect(pauses(late)).toEqual([500, 1_000, 2_000, 4_000, 120_000, 120_000]);
  });

  it('is as long as the server asks, and no longer than configured', async () => {
    let after = '7';
    const url = await serving((_, response) => response.writeHead(503, { 'Retry-After': after }).end());
    const busy = source(url, { random: () => 0 });
    await expect(busy.fetch(first, never)).rejects.toThrow('the server answered 503');
    expect(busy.pauseMs({ outcome: 'failed', failures: 1, tookMs: 0 })).toBe(7_000);
    after = '86400';
    await expect(busy.fetch(first, never)).rejects.toThrow('503');
    expect(busy.pauseMs({ outcome: 'failed', failures: 1, tookMs: 0 })).toBe(120_000);
    after = 'never';
    await expect(busy.fetch(first, never)).rejects.toThrow('503');
    expect(busy.pauseMs({ outcome: 'failed', failures: 1, tookMs: 0 })).toBe(250);
  });
});

describe('B15 a server that misbehaves', () => {
  it.each([401, 403, 404, 500, 502, 204, 206, 304, 100_000])('answers %d', async (status) => {
    const url = await serving((_, response) => {
      response.socket?.end(`HTTP/1.1 ${status} X\r\nContent-Length: 0\r\n\r\n`);
    });
    const failure = source(url).fetch(first, never);
    await (status > 999
      ? expect(failure).rejects.toThrow('the server cannot be reached: HPE_')
      : expect(failure).rejects.toMatchObject({ message: `the server answered ${status}`, httpStatus: status }));
  });

  it.each([
    ['text/html; charset=utf-8', 'the server answered 200 with text/html, which is no bundle'],
    ['application/json', 'the server answered 200 with application/json, which is no bundle'],
  ])('answers 200 with %s', async (type, why) => {
    const url = await serving((_, response) => giving(response, { 'Content-Type': type }));
    await expect(source(url).fetch(first, never)).rejects.toMatchObject({ code: 'bundle_invalid', message: why });
  });

  it('answers 200 with nothing', async () => {
    const url = await serving((_, response) => giving(response, {}, Buffer.alloc(0)));
    await expect(source(url).fetch(first, never)).rejects.toThrow('200 without a body');
  });

  it('announces too much, or sends it unannounced: no more than the limit is ever read', async () => {
    let sent = 0;
    let announced = true;
    const url = await serving((_, response) => {
      response.writeHead(200, announced ? { 'Content-Length': '100000000' } : {});
      const more = (): void => {
        while (sent < 100_000_000 && !response.destroyed) {
          sent += 65_536;
          if (!response.write(Buffer.alloc(65_536))) {
            response.once('drain', more);
            return;
          }
        }
      };
      more();
    });
    const from = source(url, { bytesMax: 200_000 });
    await expect(from.fetch(first, never)).rejects.toThrow('announces 100000000 bytes; at most 200000 are read');
    announced = false;
    sent = 0;
    await expect(from.fetch(first, never)).rejects.toThrow('more than 200000 bytes');
    expect(sent).toBeLessThan(20_000_000);
  });

  it('sends an error page of 100 MB: none of it is read', async () => {
    let sent = 0;
    const url = await serving((_, response) => {
      response.writeHead(500, { 'Content-Length': '100000000' });
      const more = (): void => {
        sent += 65_536;
        if (response.destroyed || sent > 100_000_000) return;
        if (response.write(Buffer.alloc(65_536))) setImmediate(more);
        else response.once('drain', more);
      };
      more();
    });
    await expect(source(url).fetch(first, never)).rejects.toThrow('the server answered 500');
    await eventually(() => sent < 20_000_000);
    const before = sent;
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(sent - before).toBeLessThan(5_000_000);
  });

  it.each([1, 17, bundle.length - 1])('cuts the body off after %d bytes', async (length) => {
    const url = await serving((_, response) => {
      response.writeHead(200, { 'Content-Length': String(bundle.length) });
      response.write(bundle.subarray(0, length), () => response.socket?.destroy());
    });
    await expect(source(url).fetch(first, never)).rejects.toThrow('the answer was cut short');
  });

  it('never answers, or drips a byte a second: it has its time and no more', async () => {
    const timers = new HeldTimers();
    let dripping: ServerResponse | undefined;
    let isSilent = true;
    const url = await serving((_, response) => {
      if (isSilent) return;
      response.writeHead(200, { 'Content-Length': '100000' });
      response.write('x');
      dripping = response;
    });
    const from = source(url, { timers });
    const silent = from.fetch(first, never);
    silent.catch(() => undefined);
    await eventually(() => requests.length === 1);
    timers.advance(4_999);
    expect(timers.pending).toEqual([1]);
    timers.advance(1);
    await expect(silent).rejects.toThrow('the server did not answer within 5000 ms');
    isSilent = false;
    const slow = from.fetch(first, never);
    slow.catch(() => undefined);
    await eventually(() => dripping !== undefined && timers.pending.length === 1);
    for (let second = 0; second < 4; second += 1) {
      dripping?.write('x');
      timers.advance(1_000);
    }
    timers.advance(1_000);
    await expect(slow).rejects.toThrow('the answer was not whole after 5000 ms');
    expect(timers.pending).toEqual([]);
  });

  it('hangs in a long poll: for as long as it may, and the time for an answer', async () => {
    const timers = new HeldTimers();
    const url = await serving(() => undefined);
    const polling = source(url, { timers, longPollMs: 30_000 }).fetch({ ...first, etags: ['"a"'] }, never);
    polling.catch(() => undefined);
    await eventually(() => requests.length === 1);
    expect(timers.pending).toEqual([35_000]);
    timers.advance(35_000);
    await expect(polling).rejects.toThrow('did not answer within 35000 ms');
  });

  it('is given up when the sidecar is', async () => {
    const abort = new AbortController();
    const url = await serving(() => undefined);
    const polling = source(url).fetch(first, abort.signal);
    polling.catch(() => undefined);
    await eventually(() => requests.length === 1);
    abort.abort();
    await expect(polling).rejects.toThrow('given up');
  });

  it('is not there', async () => {
    await expect(source('http://127.0.0.1:1/a').fetch(first, never)).rejects.toThrow(
      'the server cannot be reached: ECONNREFUSED',
    );
  });

  it('speaks no HTTP', async () => {
    const raw = createRawServer((socket) => socket.end('SSH-2.0-OpenSSH\r\n'));
    await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
    closers.push(() => raw.close());
    const { port } = raw.address() as AddressInfo;
    await expect(source(`http://127.0.0.1:${port}`).fetch(first, never)).rejects.toThrow(
      /the server cannot be reached: HPE_/,
    );
  });
});

describe('B15 X11 a redirect', () => {
  it.each([301, 302, 303, 307, 308])(
    '%d to another origin is not followed, so no credentials go there',
    async (status) => {
      const elsewhere = await serving((_, response) => giving(response));
      const url = await serving((_, response) => response.writeHead(status, { Location: `${elsewhere}/stolen` }).end());
      requests = [];
      const bearerFile = await file('token', 'secret');
      await expect(source(url, { access: access({ bearerFile }) }).fetch(first, never)).rejects.toThrow(
        `the server redirects to ${elsewhere}, and another origin is not followed`,
      );
      expect(requests.map(({ url: path }) => path)).toEqual(['/']);
    },
  );

  it('within the origin is followed, three times', async () => {
    let redirects = 3;
    const url = await serving((request, response) => {
      redirects -= 1;
      if (redirects < 0) giving(response);
      else response.writeHead(302, { Location: `${request.url}a` }).end();
    });
    const bearerFile = await file('token', 'secret');
    const from = source(`${url}/x`, { access: access({ bearerFile }) });
    await expect(from.fetch(first, never)).resolves.toMatchObject({ kind: 'bundle' });
    expect(requests.map((request) => [request.url, request.headers.authorization])).toEqual(
      ['/x', '/xa', '/xaa', '/xaaa'].map((path) => [path, 'Bearer secret']),
    );
    redirects = 4;
    await expect(from.fetch(first, never)).rejects.toThrow('redirects without end');
  });

  it('to nowhere is a failure', async () => {
    const url = await serving((_, response) => response.writeHead(302, { Location: 'http://[' }).end());
    await expect(source(url).fetch(first, never)).rejects.toThrow('redirects to nowhere');
  });
});

describe('B15 TLS', () => {
  const authority = makeCertificate({ name: 'test authority' });
  const other = makeCertificate({ name: 'another authority' });
  const peers: string[] = [];

  async function tlsServing(options: Parameters<typeof makeCertificate>[0], mutual = false): Promise<string> {
    const { certificate, key } = makeCertificate({ issuer: authority, ...options });
    const server = createTlsServer(
      { cert: certificate, key, ...(mutual && { requestCert: true, ca: authority.certificate }) },
      (request, response) => {
        peers.push(String((request.socket as TLSSocket).getPeerCertificate().subject?.CN));
        giving(response);
      },
    );
    return `https://${await listening(server)}`;
  }

  it('is believed with the authority that is configured, and no other', async () => {
    const url = await tlsServing({ name: 'server', hosts: ['127.0.0.1'] });
    const caFile = await file('ca.pem', authority.certificate);
    await expect(source(url, { access: access({ caFile }) }).fetch(first, never)).resolves.toMatchObject({
      kind: 'bundle',
    });
    const otherFile = await file('other.pem', other.certificate);
    await expect(source(url, { access: access({ caFile: otherFile }) }).fetch(first, never)).rejects.toThrow(
      'the server cannot be reached: UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    );
    await expect(source(url).fetch(first, never)).rejects.toThrow('UNABLE_TO_VERIFY_LEAF_SIGNATURE');
    // The authority changes while the sidecar runs.
    await writeFile(otherFile, authority.certificate);
    await expect(source(url, { access: access({ caFile: otherFile }) }).fetch(first, never)).resolves.toBeDefined();
  });

  it('is refused for another name, and past its end', async () => {
    const caFile = await file('ca.pem', authority.certificate);
    const named = await tlsServing({ name: 'server', hosts: ['bundles.acme.example'] });
    await expect(source(named, { access: access({ caFile }) }).fetch(first, never)).rejects.toThrow(
      'ERR_TLS_CERT_ALTNAME_INVALID',
    );
    const expired = await tlsServing({ name: 'server', hosts: ['127.0.0.1'], expired: true });
    await expect(source(expired, { access: access({ caFile }) }).fetch(first, never)).rejects.toThrow(
      'CERT_HAS_EXPIRED',
    );
  });

  it('is mutual where a certificate is configured', async () => {
    const url = await tlsServing({ name: 'server', hosts: ['127.0.0.1'] }, true);
    const client = makeCertificate({ name: 'sidecar-7', issuer: authority });
    const caFile = await file('ca.pem', authority.certificate);
    const certificateFile = await file('client.pem', client.certificate);
    const keyFile = await file('client.key', client.key);
    await source(url, { access: access({ caFile, certificateFile, keyFile }) }).fetch(first, never);
    expect(peers.at(-1)).toBe('sidecar-7');
    await expect(source(url, { access: access({ caFile }) }).fetch(first, never)).rejects.toThrow();
  });
});
