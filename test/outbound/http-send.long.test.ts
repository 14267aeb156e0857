import { connect } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../src/bundle/reading/read-bundle.ts';
import type { Facts } from '../../src/domain/facts.ts';
import type { OutboundReply } from '../../src/domain/outbound.ts';
import { epochMs } from '../../src/domain/time.ts';
import { OutboundCalls, type OutboundCallsOptions } from '../../src/outbound/outbound-calls.ts';
import { type Draws, Unanswered } from '../../src/request/evaluate/draws.ts';
import { evaluate } from '../../src/request/evaluate/evaluate.ts';
import { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { realTimers } from '../../src/system/real-timers.ts';
import { type AskedServer, askedServer, json, type Serve } from '../support/asked-server.ts';
import { type Certificate, makeCertificate } from '../support/certificates.ts';
import { compilePolicy } from '../support/compile-policy.ts';
import { eventually } from '../support/eventually.ts';
import { archiveLimits, asked, policyLimits, Testbed } from '../support/testbed.ts';

const entrypoints = ['authz/decision', 'blocked/decision', 'outside/answer', 'outside/twice', 'outside/chain'];
const opened: { close(): Promise<void> }[] = [];

let server: AskedServer;
let bed: Testbed;
let calls: OutboundCalls;
let results: string[];

/** What the server does; a test puts its own here. */
let serve: Serve;
/** Requests that the server has and does not answer yet. */
let held: (() => void)[];

beforeEach(async () => {
  held = [];
  serve = (_request, response) => json(response, { yes: true, blocked: true });
  server = await serving((...args) => serve(...args));
  await open();
});

afterEach(async () => {
  for (const one of opened.splice(0)) await one.close();
});

async function serving(how: Serve, tls?: Parameters<typeof askedServer>[1]): Promise<AskedServer> {
  const one = await askedServer(how, tls);
  opened.push(one);
  return one;
}

async function open(change: Partial<OutboundCallsOptions> = {}, origins: readonly string[] = []): Promise<void> {
  results = [];
  calls = new OutboundCalls({
    http: { origins: new Set([server.origin, ...origins]), timeoutMs: 20_000, responseBytes: 65_536 },
    lookup: undefined,
    questionsMax: 4,
    waitMs: 20_000,
    timers: realTimers,
    inFlightMax: 8,
    asked: (_builtin, result) => results.push(result),
    ...change,
  });
  bed = await Testbed.open({ policy: 'outside', entrypoints: [...entrypoints, 'outside/quiet'], outside: calls });
  opened.push(bed);
}

function http(change: Partial<NonNullable<OutboundCallsOptions['http']>>): Pick<OutboundCallsOptions, 'http'> {
  return { http: { origins: new Set([server.origin]), timeoutMs: 20_000, responseBytes: 65_536, ...change } };
}

/** `authz/decision` on these requests. */
async function decided(...requests: readonly object[]): Promise<{ decision: boolean; code: string | undefined }> {
  const { body } = await bed.ask(asked({ context: { requests } }));
  const { decision, context } = JSON.parse(body) as {
    decision: boolean;
    context: { reasons?: readonly { code: string }[] };
  };
  return { decision, code: context.reasons?.[0]?.code };
}

/** What one of the policy's rules that is no decision gives. */
async function queried(rule: string, context: object): Promise<unknown> {
  const body = JSON.stringify({ input: JSON.parse(asked({ context })) as object });
  const answer = await bed.ask(body, { surface: 'opa', entrypoint: `outside/${rule}` });
  return (JSON.parse(answer.body) as { result?: unknown }).result;
}

function get(path: string, more: object = {}): object {
  return { method: 'get', url: `${server.origin}${path}`, ...more };
}

async function lastEvent() {
  const event = (await bed.recorded()).at(-1);
  if (event === undefined) throw new Error('nothing was recorded');
  return event;
}

const closedForServer = { decision: false, code: 'outside_unavailable' };

describe('http.send, allowed', () => {
  it('gives what the server says, in OPA’s form', async () => {
    serve = (_request, response) => {
      response.writeHead(201, 'Made', { 'Content-Type': 'application/vnd.x+json; charset=utf-8', 'X-Two': ['a', 'b'] });
      response.end('{"n": 12345678901234567890, "é": [1.50]}');
    };
    expect(await queried('answer', { request: get('/a?b=c#d') })).toMatchObject({
      status: '201 Made',
      status_code: 201,
      raw_body: '{"n": 12345678901234567890, "é": [1.50]}',
      headers: { 'content-type': ['application/vnd.x+json; charset=utf-8'], 'x-two': ['a', 'b'] },
    });
    expect(await bed.recordText()).toContain('"body":{"n":12345678901234567890,"é":[1.50]}');
    expect(server.requests).toMatchObject([{ method: 'GET', url: '/a?b=c', body: '' }]);
  });

  it('sends method, headers and body as told', async () => {
    const request = {
      method: 'post',
      headers: { 'X-Key': 'k', 'content-type': 'application/json' },
      body: { b: [1, '<'], a: null },
    };
    await queried('answer', { request: get('/', request) });
    await queried('answer', { request: get('/', { ...request, raw_body: 'as it is' }) });
    await queried('answer', { request: get('/', { method: 'PUT' }) });
    expect(server.requests).toMatchObject([
      {
        method: 'POST',
        body: '{"a":null,"b":[1,"\\u003c"]}',
        headers: { 'x-key': 'k', 'content-length': '27', 'user-agent': 'postern' },
      },
      { method: 'POST', body: 'as it is' },
      { method: 'PUT', body: '', headers: { 'content-length': '0' } },
    ]);
  });

  it.each([
    ['text/plain', '{"a":1}', {}, null],
    ['text/plain', '{"a":1}', { force_json_decode: true }, { a: 1 }],
    ['application/json', 'no json', {}, null],
    // OPA takes the first of two documents.
    ['application/json', '{"yes":true} {}', {}, null],
    ['application/x-yaml', 'a: [1, b]', {}, { a: [1, 'b'] }],
    ['text/plain', 'a: 1', { force_yaml_decode: true }, { a: 1 }],
    ['application/yaml', '{a', {}, null],
    ['application/jsonp', '{}', {}, null],
  ])('reads a body of %s: %s with %j', async (type, text, more, body) => {
    serve = (_request, response) => response.writeHead(200, { 'content-type': type }).end(text);
    expect(await queried('answer', { request: get('/', more) })).toMatchObject({ body, raw_body: text });
  });

  it('rests a decision on it', async () => {
    expect(await decided(get('/a'), get('/b'))).toEqual({ decision: true, code: undefined });
    serve = (request, response) => json(response, { yes: request.url === '/a' });
    expect(await decided(get('/a'), get('/b'))).toEqual({ decision: false, code: 'not_everybody_says_yes' });
    serve = (_request, response) => json(response, { yes: true }, 500);
    expect(await decided(get('/a'))).toEqual({ decision: false, code: 'not_everybody_says_yes' });
    expect(results).toEqual(Array.from({ length: 5 }, () => 'answered'));
    expect(calls.inFlight).toBe(0);
  });

  it('asks one question once, and clock and chance stay as they were meanwhile', async () => {
    let asks = 0;
    serve = (_request, response) => {
      asks += 1;
      json(response, { asks });
    };
    const { first, second, drawn } = (await queried('twice', { request: get('/') })) as Record<string, unknown>;
    expect([first, second, asks]).toEqual([{ asks: 1 }, { asks: 1 }, 1]);
    expect((await lastEvent())['nd_builtin_cache']).toMatchObject({
      'time.now_ns': { '[]': (drawn as number[])[0] },
      'rand.intn': { '["between",1000000]': (drawn as number[])[1] },
      'uuid.rfc4122': { '["between"]': (drawn as string[])[2] },
    });
  });

  it('goes on from answer to answer', async () => {
    serve = (request, response) => json(response, { next: `${server.origin}${request.url}x` });
    expect(await queried('chain', { url: `${server.origin}/` })).toEqual({ next: `${server.origin}/xxx` });
    expect(server.requests.map(({ url }) => url)).toEqual(['/', '/x', '/xx']);
  });

  it('leaves whoever asks nobody on the way without a wait', async () => {
    const evaluated = bed.ask(`{"input":${asked()}}`, { surface: 'opa', entrypoint: 'outside/quiet' });
    expect(calls.inFlight).toBe(0);
    expect((await evaluated).body).toContain('nobody');
  });
});

describe('P09 a server that does not answer as it should', () => {
  const faults: readonly (readonly [string, Serve])[] = [
    ['closes', (_request, response) => response.destroy()],
    [
      'cuts its answer short',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
        response.write('{"yes":true}', () => response.destroy());
      },
    ],
    [
      'announces too much',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(`{"yes":true,"x":"${'x'.repeat(70_000)}"}`);
      },
    ],
    [
      'never ends',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        const more = (): void => {
          while (response.write('x'.repeat(16_384)));
          response.once('drain', more);
        };
        more();
      },
    ],
    ['sends no HTTP', (_request, response) => response.socket?.end('CANARY no http\r\n\r\n')],
    [
      'sends a header without end',
      (_request, response) => response.socket?.write(`HTTP/1.1 200 OK\r\nx: ${'x'.repeat(40_000)}`),
    ],
    [
      'changes protocols',
      (_request, response) => response.socket?.write('HTTP/1.1 101 X\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n'),
    ],
  ];

  it.each(faults)('P09 closes the decision if it %s, also where undefined would open', async (_fault, how) => {
    serve = how;
    expect(await decided(get('/'))).toEqual(closedForServer);
    const { body } = await bed.ask(asked({ context: { request: get('/') } }), { entrypoint: 'blocked/decision' });
    expect(JSON.parse(body)).toMatchObject({
      decision: false,
      context: { reasons: [{ code: 'outside_unavailable' }] },
    });
    expect(results).toEqual(['failed', 'failed']);
    expect(await bed.recordText()).not.toContain('CANARY');
    expect(calls.inFlight).toBe(0);
  });

  it('P09 is told from one that opens', async () => {
    const entrypoint = 'blocked/decision';
    serve = (request, response) => json(response, { blocked: request.url === '/blocked' });
    for (const [path, decision] of [
      ['/', true],
      ['/blocked', false],
    ] as const) {
      const { body } = await bed.ask(asked({ context: { request: get(path) } }), { entrypoint });
      expect(JSON.parse(body)).toMatchObject({ decision });
    }
  });

  it('P09 closes if nobody listens', async () => {
    await server.close();
    expect(await decided(get('/'))).toEqual(closedForServer);
    expect((await lastEvent()).error?.message).toContain('ECONNREFUSED');
  });

  it('P09 tells the policy that asked to be told', async () => {
    serve = (_request, response) => response.destroy();
    expect(await queried('answer', { request: get('/', { raise_error: false }) })).toEqual({
      status_code: 0,
      error: { code: 'eval_http_send_network_error', message: expect.stringContaining('ECONNRESET') },
    });
    expect(await decided(get('/', { raise_error: false }))).toMatchObject({ code: 'not_everybody_says_yes' });
  });

  it('P09 takes an answer of as many bytes as may be, and none of one more', async () => {
    await open(http({ responseBytes: 12 }));
    serve = (request, response) =>
      response
        .writeHead(200, { 'content-type': 'application/json' })
        .end(`{"yes":true}${request.url === '/more' ? ' ' : ''}`);
    expect(await decided(get('/'))).toMatchObject({ decision: true });
    expect(await decided(get('/more'))).toEqual(closedForServer);
  });

  it('P09 takes an answer that comes a byte at a time, and remembers its bytes, not its pieces', async () => {
    const bytes = 2 * 1024 * 1024;
    await open(http({ responseBytes: bytes }));
    const body = '{"yes":true}';
    const pieces = Buffer.alloc(6 * bytes, '1\r\n \r\n', 'latin1');
    for (let index = 0; index < body.length; index += 1) pieces.write(body[index] ?? '', 6 * index + 3, 'latin1');
    serve = (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json', 'transfer-encoding': 'chunked' }).flushHeaders();
      response.socket?.write(pieces, () => response.end());
    };
    const memory = process.memoryUsage().rss;
    expect(await decided(get('/'))).toMatchObject({ decision: true });
    // 57 MB with both ends in this process; 890 MB where each piece was kept.
    expect(process.memoryUsage().rss - memory).toBeLessThan(200_000_000);
  }, 40_000);
});

describe('P09 a server that is slow', () => {
  const drips: Serve = (_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json' });
    const timer = setInterval(() => response.write(' '), 10);
    response.on('close', () => clearInterval(timer));
  };
  const never: Serve = (_request, response) => {
    held.push(() => json(response, { yes: true }));
  };

  it.each([
    ['says nothing', never],
    ['drips', drips],
  ])('P09 is given up after the time for one answer, if it %s', async (_how, how) => {
    await open(http({ timeoutMs: 60 }));
    serve = how;
    expect(await decided(get('/'))).toEqual(closedForServer);
    expect((await lastEvent()).error?.message).toContain('no whole answer within 60 ms');
    expect(await queried('answer', { request: get('/', { raise_error: false }) })).toMatchObject({ status_code: 0 });
  });

  it('P09 is given up earlier where the policy says so', async () => {
    serve = never;
    for (const timeout of ['50ms', 50_000_000, '50000000']) {
      await decided(get('/', { timeout }));
      expect((await lastEvent()).error?.message).toContain('no whole answer within 50 ms');
    }
  });

  it('P09 is given up at the decision’s deadline, whatever the policy would make of an error', async () => {
    await open({ waitMs: 60 });
    serve = drips;
    expect(await decided(get('/', { raise_error: false }))).toEqual(closedForServer);
    expect((await lastEvent()).error?.message).toContain('waited 60 ms');
  });

  it('P09 shares the deadline with those asked before', async () => {
    await open({ waitMs: 400 });
    serve = (_request, response) => void setTimeout(() => json(response, { yes: true }), 150);
    expect(await decided(get('/a'), get('/b'), get('/c'), get('/d'))).toEqual(closedForServer);
    expect(server.requests.length).toBeLessThan(4);
  });

  it('P09 keeps nobody else waiting: others are decided while one waits', async () => {
    const port = await bed.listen();
    serve = never;
    const slow = decided(get('/slow'));
    await eventually(() => held.length === 1);
    const others = Array.from({ length: 50 }, () => throughListener(port));
    for (const answer of await Promise.all(others)) expect(answer).toContain('not_everybody_says_yes');
    expect(calls.inFlight).toBe(1);
    for (const release of held) release();
    expect(await slow).toEqual({ decision: true, code: undefined });
  });

  it('P09 keeps only so many waiting; more are closed at once', async () => {
    await open({ inFlightMax: 2 });
    serve = never;
    const waiting = [decided(get('/a')), decided(get('/b'))];
    await eventually(() => held.length === 2);
    expect(await decided(get('/c'))).toEqual(closedForServer);
    expect(server.requests).toHaveLength(2);
    for (const release of held) release();
    expect(await Promise.all(waiting)).toMatchObject([{ decision: true }, { decision: true }]);
    serve = (_request, response) => json(response, { yes: true });
    expect(await decided(get('/c'))).toMatchObject({ decision: true });
  });

  it('P09 answers a decision by the policy and the facts that it began with', async () => {
    serve = never;
    const waiting = decided(get('/'));
    await eventually(() => held.length === 1);
    const before = bed.bundle;
    bed.bundle = undefined;
    bed.clock.advance(60_000);
    for (const release of held) release();
    expect(await waiting).toMatchObject({ decision: true });
    bed.bundle = before;
    expect((await lastEvent())['bundles']).toEqual({ test: { revision: 'test-outside' } });
  });
});

function throughListener(port: number): Promise<string> {
  return new Promise((resolve, reject) => {
    const body = asked({ context: { requests: [] } });
    const socket = connect({ host: '127.0.0.1', port });
    let text = '';
    socket.on('data', (piece) => {
      text += piece.toString();
    });
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
    socket.write(
      `POST /access/v1/evaluation HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
    );
  });
}

describe('P09 a policy that asks too much', () => {
  it('P09 spends its budget of questions', async () => {
    const requests = ['/1', '/2', '/3', '/4'].map((path) => get(path));
    expect(await decided(...requests)).toMatchObject({ decision: true });
    expect(await decided(...requests, get('/5'))).toEqual({ decision: false, code: 'policy_budget_spent' });
    expect(server.requests).toHaveLength(8);
  });
});

describe('P09 a policy that asks for much', () => {
  it('P09 sends a mebibyte, and no more', async () => {
    const size = 1_048_576 - `${server.origin}/`.length;
    const request = (length: number) => get('/', { method: 'post', raw_body: 'x'.repeat(length) });
    expect(await decided(request(size))).toMatchObject({ decision: true });
    expect(await decided(request(size + 1))).toEqual({ decision: false, code: 'policy_budget_spent' });
    expect(server.requests).toHaveLength(1);
  });

  it('P09 has one budget for all its evaluations', async () => {
    const requests = ['/1', '/2', '/3', '/4'].map((path) => get(path));
    const input = JSON.stringify({ context: { requests } });
    const bundle = await readBundle(await compilePolicy('outside', ['authz/decision']), archiveLimits);
    // Each look at the clocks takes its time.
    let cpuMs = 0;
    let wallMs = 0;
    const clocks = {
      monotonicMs: () => {
        wallMs += 1_000_000_000;
        return wallMs;
      },
      threadCpuMs: () => {
        cpuMs += 1;
        return cpuMs;
      },
    };
    const within = (budgetMs: number) =>
      PolicyModule.load(bundle, {
        ...policyLimits,
        ...clocks,
        budgetMs,
        outside: ['http.send', 'net.lookup_ip_addr'],
      });
    const facts = { entrypoint: 'authz/decision', input, now: epochMs(0) } as Facts;
    const asking: Draws = { now: epochMs(0), seed: 's', isAsking: true };
    const patient = await within(1_000_000);
    const replies = new Map<string, OutboundReply>();
    const whole: Draws = { now: epochMs(0), seed: 's', isAsking: true, replies };
    let onceMs = 0;
    for (let missing = true; missing; ) {
      const beganMs = cpuMs;
      try {
        expect(patient.evaluate('authz/decision', input, { ...whole })).toContain('allow');
        onceMs = cpuMs - beganMs;
        missing = false;
      } catch (cause) {
        if (!(cause instanceof Unanswered)) throw cause;
        const body = Buffer.from('{"yes":true}');
        const headers = { 'content-type': ['application/json'] };
        replies.set(cause.key, { kind: 'response', status: '200 OK', statusCode: 200, headers, body });
      }
    }
    expect(replies.size).toBe(4);
    // Time for the one evaluation that has all replies is none for the four before it as well.
    const policy = await within(onceMs);
    expect(policy.evaluate('authz/decision', input, { ...whole })).toContain('allow');
    await expect(evaluate(policy, facts, asking, calls)).rejects.toMatchObject({ code: 'policy_budget_spent' });
  });
});

describe('X11 whom a policy may ask', () => {
  it('is whom configuration names, by scheme, host and port', async () => {
    const other = await serving((_request, response) => json(response, { yes: true }));
    for (const url of [
      other.origin,
      `https://127.0.0.1:${server.port}`,
      `http://localhost:${server.port}`,
      `http://127.0.0.1:${server.port}@127.0.0.2:${server.port}/`,
      'http://169.254.169.254/latest/meta-data/',
      'http://[::ffff:169.254.169.254]/',
      'http://2852039166/',
      'unix://localhost/x?socket=%2Ftmp%2Fx.sock',
      'file:///etc/passwd',
    ]) {
      expect(await decided({ method: 'get', url })).toEqual({ decision: false, code: 'policy_failed' });
      expect(await decided({ method: 'get', url, raise_error: false })).toMatchObject({ decision: false });
    }
    expect([server.requests, other.requests]).toEqual([[], []]);
  });

  it('may be named by a name, which leads to no machine nearby', async () => {
    await open({}, [`http://localhost:${server.port}`]);
    expect(await decided({ method: 'get', url: `http://LOCALHOST:${server.port}/` })).toMatchObject({ decision: true });
  });

  it('may be an address as another text writes it', async () => {
    expect(await decided({ method: 'get', url: `http://2130706433:${server.port}/` })).toMatchObject({
      decision: true,
    });
  });
});

describe('X11 a redirect', () => {
  const secret = { headers: { Authorization: 'Bearer CANARY', 'X-Api-Key': 'CANARY', Accept: 'application/json' } };
  const to =
    (target: () => string, status = 302): Serve =>
    (request, response) =>
      request.url === '/from'
        ? void response.writeHead(status, { location: target() }).end()
        : json(response, { yes: true });

  it('is an answer unless the policy wants it followed', async () => {
    serve = to(() => '/to');
    expect(await queried('answer', { request: get('/from') })).toMatchObject({ status_code: 302 });
    expect(await decided(get('/from', { enable_redirect: true, ...secret }))).toMatchObject({ decision: true });
    expect(server.requests.map(({ url }) => url)).toEqual(['/from', '/from', '/to']);
    expect(server.requests[2]?.headers).toMatchObject({ authorization: 'Bearer CANARY' });
  });

  it('leads to nobody who is not named', async () => {
    const other = await serving((_request, response) => json(response, { yes: true }));
    for (const target of [`${other.origin}/`, 'http://169.254.169.254/', 'http://u:p@127.0.0.1/', 'gopher://x']) {
      serve = to(() => target);
      expect(await decided(get('/from', { enable_redirect: true }))).toMatchObject({ decision: false });
    }
    expect(other.requests).toEqual([]);
  });

  it('takes no secret along to another origin, and no body', async () => {
    const other = await serving((_request, response) => json(response, { yes: true }));
    await open({}, [other.origin]);
    serve = to(() => `${other.origin}/`);
    expect(
      await decided(get('/from', { enable_redirect: true, ...secret, body: { a: 1 }, method: 'post' })),
    ).toMatchObject({ decision: true });
    expect(other.requests).toMatchObject([{ method: 'GET', body: '', headers: { accept: 'application/json' } }]);
    expect(JSON.stringify(other.requests)).not.toContain('CANARY');
    serve = to(() => `${other.origin}/`, 307);
    expect(await decided(get('/from', { enable_redirect: true, body: { a: 1 }, method: 'post' }))).toEqual(
      closedForServer,
    );
    expect(other.requests).toHaveLength(1);
  });

  it('keeps method and body where the server says so', async () => {
    serve = to(() => '/to', 308);
    expect(await decided(get('/from', { enable_redirect: true, body: { a: 1 }, method: 'post' }))).toMatchObject({
      decision: true,
    });
    expect(server.requests[1]).toMatchObject({ method: 'POST', body: '{"a":1}' });
  });

  it('comes to an end', async () => {
    serve = to(() => '/from');
    expect(await decided(get('/from', { enable_redirect: true }))).toEqual(closedForServer);
    expect(server.requests).toHaveLength(11);
  });
});

describe('TLS', () => {
  const authority = makeCertificate({ name: 'ca' });
  const good = makeCertificate({ name: 'good', issuer: authority, hosts: ['127.0.0.1', 'server.example'] });
  const options = ({ certificate, key }: Certificate) => ({ cert: certificate, key });
  const yes: Serve = (_request, response) => json(response, { yes: true });

  async function decidedBy(one: AskedServer, more: object = {}): Promise<unknown> {
    await open({}, [one.origin]);
    return decided({ method: 'get', url: one.origin, ...more });
  }

  it('trusts whom the policy trusts, and nobody else', async () => {
    const one = await serving(yes, options(good));
    const stranger = makeCertificate({ name: 'stranger' });
    expect(await decidedBy(one, { tls_ca_cert: authority.certificate })).toMatchObject({ decision: true });
    const escaped = authority.certificate.replaceAll('\n', '\\n');
    expect(await decidedBy(one, { tls_ca_cert: escaped, tls_use_system_certs: true })).toMatchObject({
      decision: true,
    });
    expect(await decidedBy(one)).toEqual(closedForServer);
    expect(await decidedBy(one, { tls_ca_cert: stranger.certificate })).toEqual(closedForServer);
    expect(await decidedBy(one, { tls_ca_cert: 'no certificate' })).toMatchObject({ decision: false });
    expect(one.requests).toHaveLength(2);
  });

  it('wants the name that was asked for, or the one that the policy names', async () => {
    const other = makeCertificate({ name: 'other', issuer: authority, hosts: ['server.example'] });
    const one = await serving(yes, options(other));
    const trusting = { tls_ca_cert: authority.certificate };
    expect(await decidedBy(one, trusting)).toEqual(closedForServer);
    expect(await decidedBy(one, { ...trusting, tls_server_name: 'server.example' })).toMatchObject({ decision: true });
    expect(await decidedBy(one, { ...trusting, tls_server_name: 'another.example' })).toEqual(closedForServer);
  });

  it('refuses a certificate whose time is over', async () => {
    const over = makeCertificate({ name: 'over', issuer: authority, hosts: ['127.0.0.1'], expired: true });
    const one = await serving(yes, options(over));
    expect(await decidedBy(one, { tls_ca_cert: authority.certificate })).toEqual(closedForServer);
  });

  it('shows the policy’s own certificate, to the server that was asked alone', async () => {
    const client = makeCertificate({ name: 'client', issuer: authority });
    const one = await serving(yes, { ...options(good), ca: authority.certificate, requestCert: true });
    const trusting = { tls_ca_cert: authority.certificate };
    const showing = { ...trusting, tls_client_cert: client.certificate, tls_client_key: client.key };
    expect(await decidedBy(one, showing)).toMatchObject({ decision: true });
    const recorded = JSON.stringify((await lastEvent())['nd_builtin_cache']);
    expect(recorded).toContain('withheld 1');
    expect(recorded).not.toContain('PRIVATE KEY');
    expect(await decidedBy(one, trusting)).toEqual(closedForServer);
    expect(await decidedBy(one, { ...trusting, tls_client_cert: client.certificate })).toMatchObject({
      code: 'policy_failed',
    });
  });
});

describe('a request that is not done here', () => {
  it.each([
    [{ tls_insecure_skip_verify: true }, 'tls_insecure_skip_verify'],
    [{ tls_ca_cert_file: '/etc/x' }, 'tls_ca_cert_file'],
    [{ tls_client_key_env_variable: 'HOME' }, 'tls_client_key_env_variable'],
    [{ max_retry_attempts: 1 }, 'max_retry_attempts'],
    [{ headers: { Host: 'other' } }, 'header host'],
    [{ headers: { 'Transfer-Encoding': 'chunked' } }, 'header transfer-encoding'],
    [{ headers: { Upgrade: 'x' } }, 'header upgrade'],
  ])('closes the decision and says why, whatever the policy makes of errors: %j', async (more, why) => {
    expect(await decided(get('/', { ...more, raise_error: false }))).toMatchObject({ code: 'policy_failed' });
    expect((await lastEvent()).error?.message).toContain(why);
    expect(server.requests).toEqual([]);
  });

  it.each([
    [{ method: 'CONNECT' }],
    [{ method: 'GET / HTTP/1.1' }],
    [{ method: 3 }],
    [{ url: 'http://' }],
    [{ url: `http://user:CANARY@127.0.0.1/` }],
    [{ headers: { 'x\r\ny': 'z' } }],
    [{ headers: { x: 'a\r\nCANARY: b' } }],
    [{ headers: { x: 1 } }],
    [{ headers: [] }],
    [{ timeout: 'soon' }],
    [{ timeout: -1 }],
    [{ enable_redirect: 'yes' }],
    [{ raise_error: 'no' }],
    [{ unknown: 1 }],
  ])('closes the decision where OPA leaves it undefined, which could open: %j', async (more) => {
    const { body } = await bed.ask(asked({ context: { request: get('/', more) } }), { entrypoint: 'blocked/decision' });
    expect(JSON.parse(body)).toMatchObject({ decision: false, context: { reasons: [{ code: 'policy_failed' }] } });
    expect(server.requests).toEqual([]);
  });

  it('takes what says no more than is done anyway', async () => {
    const more = {
      tls_insecure_skip_verify: false,
      max_retry_attempts: 0,
      cache: true,
      force_cache: true,
      force_cache_duration_seconds: 60,
      caching_mode: 'deserialized',
      cache_ignored_headers: ['x'],
      timeout: 0,
    };
    expect(await decided(get('/', more))).toMatchObject({ decision: true });
    expect(await decided(get('/', more))).toMatchObject({ decision: true });
    // Nothing is kept from one decision to the next.
    expect(server.requests).toHaveLength(2);
  });
});

describe('the record of what was asked', () => {
  it('holds question and answer, and of headers only what is no secret', async () => {
    await decided(get('/', { headers: { Authorization: 'Bearer CANARY', 'X-Key': 'CANARY-2', Accept: 'text/plain' } }));
    const { 'http.send': sent } = (await lastEvent())['nd_builtin_cache'] as { 'http.send': Record<string, unknown> };
    expect(Object.keys(sent).map((operands) => JSON.parse(operands) as unknown)).toEqual([
      [get('/', { headers: { Accept: 'text/plain', Authorization: 'withheld 1', 'X-Key': 'withheld 2' } })],
    ]);
    expect(Object.values(sent)).toMatchObject([{ status_code: 200, body: { yes: true } }]);
    expect(server.requests[0]?.headers).toMatchObject({ authorization: 'Bearer CANARY', 'x-key': 'CANARY-2' });
  });

  it('keeps apart what differs in a secret alone', async () => {
    serve = (request, response) => json(response, { yes: request.headers['x-key'] === 'a' });
    const keyed = (key: string) => get('/', { headers: { 'X-Key': key } });
    expect(await decided(keyed('a'), keyed('b'))).toMatchObject({ decision: false });
    const { 'http.send': sent } = (await lastEvent())['nd_builtin_cache'] as { 'http.send': object };
    expect(Object.values(sent)).toMatchObject([{ body: { yes: true } }, { body: { yes: false } }]);
  });

  it('holds what a decision asked that did not come to an end', async () => {
    serve = (request, response) => (request.url === '/b' ? response.destroy() : json(response, { yes: true }));
    expect(await decided(get('/a'), get('/b'))).toEqual(closedForServer);
    const { 'http.send': sent } = (await lastEvent())['nd_builtin_cache'] as { 'http.send': object };
    expect(Object.values(sent)).toMatchObject([
      { status_code: 200 },
      { status_code: 0, error: { code: 'eval_http_send_network_error' } },
    ]);
  });
});
