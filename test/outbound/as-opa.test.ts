import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { OutboundCalls } from '../../src/outbound/outbound-calls.ts';
import { realTimers } from '../../src/system/real-timers.ts';
import { type AskedServer, askedServer } from '../support/asked-server.ts';
import { type Certificate, makeCertificate } from '../support/certificates.ts';
import { opaCommand } from '../support/compile-policy.ts';
import { opaMs } from '../support/opa.ts';
import { asked, Testbed } from '../support/testbed.ts';

const run = promisify(execFile);
const authority = makeCertificate({ name: 'ca' });
const certificate: Certificate = makeCertificate({ name: 'good', issuer: authority, hosts: ['127.0.0.1'] });

let directory: string;
let opa: string;
let plain: AskedServer;
let secure: AskedServer;
let bed: Testbed;

/** What a path of the server answers: status, content type and body. */
const answers: Readonly<Record<string, readonly [status: number, type: string, body: string | Buffer]>> = {
  '/json': [200, 'application/json', '{"a": [1, 1.50, 12345678901234567890, 1e3, "é\\u2028<"], "b": null, "b": {}}'],
  '/problem': [403, 'application/problem+json; charset=utf-8', '{"title":"no"}'],
  '/text': [200, 'text/plain', '{"a": 1}'],
  '/broken': [200, 'application/json', '{"a": 1'],
  '/empty': [204, 'application/json', ''],
  '/yaml': [200, 'application/yaml', 'a: [1, yes, 2.50]\nb: {c: ~}\n'],
  '/x-yaml': [200, 'application/x-yaml; x=y', '- 1\n- two\n'],
  '/bad-yaml': [200, 'application/yaml', 'a: [1'],
  '/teapot': [418, 'application/json', '"short and stout"'],
  '/failed': [500, 'application/json', '{"error": true}'],
  '/plus': [200, 'text/x+json', '{}'],
  '/json-seq': [200, 'application/json-seq', '{}'],
  '/bytes': [200, 'application/octet-stream', Buffer.from([0x41, 0xff, 0x00, 0x42])],
};

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'as-opa-'));
  opa = await opaCommand();
  const serve: Parameters<typeof askedServer>[0] = (request, response, body) => {
    response.sendDate = false;
    const [path = ''] = (request.url ?? '').split('?');
    if (path === '/moved') return void response.writeHead(302, { location: '/echo' }).end();
    if (path === '/kept') return void response.writeHead(307, { location: '/echo' }).end();
    if (path === '/echo') {
      const { accept, authorization, 'content-type': type, 'x-own': own } = request.headers;
      const said = { method: request.method, url: request.url, accept, authorization, type, own, body };
      response.writeHead(200, { 'content-type': 'application/json' });
      return void response.end(JSON.stringify(said));
    }
    const [status, contentType, text] = answers[path] ?? [404, 'text/plain', 'no'];
    response.writeHead(status, { 'content-type': contentType, 'x-many': ['a', 'b'] }).end(text);
  };
  plain = await askedServer(serve);
  secure = await askedServer(serve, { cert: certificate.certificate, key: certificate.key });
  bed = await Testbed.open({
    policy: 'outside',
    entrypoints: ['authz/decision', 'outside/answer'],
    outside: new OutboundCalls({
      http: {
        origins: new Set([plain.origin, secure.origin, 'http://127.0.0.1:1']),
        timeoutMs: 20_000,
        responseBytes: 65_536,
      },
      lookup: undefined,
      questionsMax: 4,
      waitMs: 20_000,
      timers: realTimers,
      inFlightMax: 8,
      asked: () => undefined,
    }),
  });
}, opaMs);

afterAll(async () => {
  await bed.close();
  await plain.close();
  await secure.close();
  await rm(directory, { recursive: true });
});

async function byOpa(request: object): Promise<unknown> {
  const file = join(directory, 'input.json');
  await writeFile(file, JSON.stringify(request));
  const { stdout } = await run(opa, ['eval', '--format', 'json', '--input', file, 'http.send(input)']);
  const { result } = JSON.parse(stdout) as { result?: readonly { expressions: readonly { value: unknown }[] }[] };
  return result?.[0]?.expressions[0]?.value;
}

async function byOurs(request: object): Promise<unknown> {
  const body = JSON.stringify({ input: JSON.parse(asked({ context: { request } })) as object });
  const answer = await bed.ask(body, { surface: 'opa', entrypoint: 'outside/answer' });
  return (JSON.parse(answer.body) as { result?: unknown }).result;
}

describe('http.send answers as OPA’s does', () => {
  it.each(Object.keys(answers))(
    'for %s, read as the server says or as the policy wants',
    async (path) => {
      for (const more of [{}, { force_json_decode: true }, { force_yaml_decode: true }]) {
        const request = { method: 'get', url: `${plain.origin}${path}`, ...more };
        const expected = await byOpa(request);
        expect(expected).toMatchObject({ status_code: answers[path]?.[0] });
        expect(withoutFraming(await byOurs(request))).toEqual(withoutFraming(expected));
      }
    },
    60_000,
  );

  it.each([
    { method: 'POST', body: { b: 1, a: ['<&>', 'é'] }, headers: { 'Content-Type': 'application/json' } },
    { method: 'post', raw_body: '"quoted"', headers: { 'x-own': 'a b', Authorization: 'Bearer x' } },
    { method: 'put', body: { a: 1 }, raw_body: 'raw' },
    { method: 'delete' },
    { method: 'GET', body: [1, null] },
    { method: 'head' },
    { method: 'patch', headers: {} },
  ])('for what arrives of %j', async (more) => {
    const request = { url: `${plain.origin}/echo?a=%20b&c`, ...more };
    const expected = await byOpa(request);
    expect(expected).toMatchObject({ status_code: 200 });
    expect(withoutFraming(await byOurs(request))).toEqual(withoutFraming(expected));
  });

  it.each([
    { path: '/moved' },
    { path: '/moved', enable_redirect: true },
    { path: '/moved', enable_redirect: true, method: 'post', body: {}, headers: { Authorization: 'x', 'x-own': 'y' } },
    { path: '/moved', enable_redirect: true, method: 'head' },
    { path: '/kept', enable_redirect: true, method: 'post', body: { a: 1 }, headers: { 'content-type': 'text/plain' } },
  ])('for redirects: %j', async ({ path, ...more }) => {
    const request = { method: 'get', url: `${plain.origin}${path}`, ...more };
    expect(withoutFraming(await byOurs(request))).toEqual(withoutFraming(await byOpa(request)));
  });

  it('for servers with TLS', async () => {
    const request = { method: 'get', url: `${secure.origin}/json`, tls_ca_cert: authority.certificate };
    const expected = await byOpa(request);
    expect(expected).toMatchObject({ status_code: 200 });
    expect(withoutFraming(await byOurs(request))).toEqual(withoutFraming(expected));
  });

  it('for errors that the policy asked for, but for their words', async () => {
    for (const request of [
      { method: 'get', url: 'http://127.0.0.1:1/', raise_error: false },
      { method: 'get', url: secure.origin, raise_error: false },
      { method: 'get', raise_error: false },
      { method: 'get', url: plain.origin, unknown: true, raise_error: false },
    ]) {
      const ours = await byOurs(request);
      const theirs = await byOpa(request);
      expect(wordless(ours)).toEqual(wordless(theirs));
      expect(wordless(theirs)).toMatchObject({ status_code: 0 });
    }
  });
});

/** How an answer was brought, which is left out here, and for `HEAD` how long it would have been. */
function withoutFraming(answer: unknown): unknown {
  const { headers, ...rest } = answer as { headers: Record<string, unknown> };
  const { connection: _, 'keep-alive': __, 'content-length': ___, ...others } = headers;
  return { ...rest, headers: others };
}

function wordless(answer: unknown): unknown {
  const { error, ...rest } = answer as { error?: { code: string } };
  return { ...rest, code: error?.code };
}
