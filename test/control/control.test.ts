import { connect } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseJsonRounding } from '../../src/text/parse-json.ts';
import { envelope, signer, statement } from '../knowledge/attestations/attestations.ts';
import { RawConnection, speak } from '../support/raw-http.ts';
import { otherToken, type Reply, TestListener, token } from './listener.ts';

const key = signer('builder');
let listener: TestListener;

beforeAll(async () => {
  listener = await TestListener.start({
    attestations: { keys: [key.key], parseJson: (text) => parseJsonRounding(text, { depthMax: 64 }) },
  });
});

afterAll(() => listener.close());

beforeEach(() => {
  listener.rejected.length = 0;
  listener.logged.length = 0;
  listener.stores.counted.length = 0;
});

const now = '2026-11-02T10:00:00Z';
const device = (id: string, attributes: unknown = { compliant: true }) => ({
  about: { kind: 'device', id },
  attributes,
  observed_at: now,
  source: 'mdm',
});
const subject = 'spiffe://acme.example/ci/payments-deploy';
const wish = (changes: object = {}) => ({
  ...{ subject, actions: ['deploy'], resources: ['prod/*'], reason: 'CHG-1042', ttl_s: 900, max_uses: 1 },
  ...changes,
});

/** A refusal in RFC 9457's form that holds nothing of ours but its code and words. */
function expectProblem(reply: Reply, status: number, code: string): void {
  expect([reply.status, reply.json?.code]).toEqual([status, code]);
  expect(reply.headers['content-type']).toMatch(/^application\/problem\+json/);
  expect(reply.json).toMatchObject({ type: `urn:postern:problem:${code}`, status, title: expect.any(String) });
  expect(reply.text).not.toMatch(/CANARY|node_modules|\bat \w+ \(|postern-control-/);
  expect(reply.text).not.toContain(join(import.meta.dirname, '../..'));
}

describe('who may write', () => {
  it.each([
    ['nothing', null, undefined, 'Bearer realm="postern control"'],
    ['an empty token', '', undefined, 'Bearer realm="postern control", error="invalid_token"'],
    ['another token', 'CANARY-0123456789-guess', undefined, 'Bearer realm="postern control", error="invalid_token"'],
    ['a longer token', `${token}x`, undefined, 'Bearer realm="postern control", error="invalid_token"'],
    ['a shorter token', token.slice(0, -1), undefined, 'Bearer realm="postern control", error="invalid_token"'],
    ['a token in another scheme', null, `Basic ${token}`, 'Bearer realm="postern control", error="invalid_token"'],
    [
      'two tokens in one field',
      null,
      `Bearer ${token}, Bearer ${token}`,
      'Bearer realm="postern control", error="invalid_token"',
    ],
  ])(
    'S09 M06 with %s nothing is answered or changed, on any route, and each is counted',
    async (_name, sent, authorization, challenge) => {
      const before = listener.state();
      const headers = { 'user-agent': 'kube-probe/1.34', ...(authorization !== undefined && { authorization }) };
      const routes: [string, object | undefined][] = [
        ['/v1/signals', device('S09')],
        ['/v1/signals/device/S09', undefined],
        ['/v1/grants', wish()],
        ['/v1/grants/g-1/approve', {}],
        ['/v1/attestations', envelope(statement(), key)],
        ['/v1/status', undefined],
        ['/v1/store/acknowledge-loss', {}],
        ['/no/such/route', undefined],
      ];
      for (const [path, body] of routes) {
        const reply = await listener.ask(path, { token: sent, headers, ...(body !== undefined && { body }) });
        expectProblem(reply, 401, 'unauthenticated');
        expect(reply.headers['www-authenticate']).toBe(challenge);
      }
      expect(listener.rejected).toEqual(routes.map(() => 'unauthenticated'));
      expect(listener.state()).toBe(before);
    },
  );

  it('scheme in any case, token to the byte', async () => {
    const reply = await listener.ask('/v1/status', { token: null, headers: { authorization: `bEARER ${token}` } });
    expect(reply.status).toBe(200);
    const upper = await listener.ask('/v1/status', { token: token.toUpperCase() });
    expectProblem(upper, 401, 'unauthenticated');
  });

  it('H10 two Authorization fields are one too many, whichever is right', async () => {
    const headers = { authorization: [`Bearer ${token}`, 'Bearer x'] };
    expectProblem(await listener.ask('/v1/status', { token: null, headers }), 400, 'header_invalid');
  });

  it('H09 a page that was made to resolve here, and a cross-site request, get nothing, not even health', async () => {
    for (const path of ['/v1/status', '/metrics', '/health/ready']) {
      for (const host of ['evil.example', 'evil.example:8282', 'localhost.evil.example', '127.0.0.1.evil.example']) {
        expectProblem(await listener.ask(path, { headers: { host } }), 403, 'host_foreign');
      }
      expectProblem(await listener.ask(path, { headers: { origin: 'https://evil.example' } }), 403, 'origin_foreign');
      expectProblem(await listener.ask(path, { headers: { 'sec-fetch-site': 'cross-site' } }), 403, 'origin_foreign');
    }
    expect(await raw('GET /metrics HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n')).toMatch(/^HTTP\/1\.1 403 /);
    for (const host of ['localhost', 'LOCALHOST:1', '127.0.0.1', '[::1]:8282', '10.0.0.1:8282']) {
      expect((await listener.ask('/v1/status', { headers: { host } })).status).toBe(200);
    }
  });

  it('a Unix socket is out of reach of a browser, and may be called by any name', async () => {
    const headers = { host: 'postern', authorization: `Bearer ${token}` };
    expect((await listener.askSocket('/v1/status', headers)).status).toBe(200);
    expectProblem(await listener.askSocket('/v1/status', { host: 'postern' }), 401, 'unauthenticated');
  });
});

describe('signals', () => {
  it('are taken one by one, shown by source and attribute, and forgotten', async () => {
    const id = 'spiffe://acme.example/agent/report-bot';
    const path = `/v1/signals/subject/${encodeURIComponent(id)}`;
    const body = {
      ...{ about: { kind: 'subject', id }, attributes: { risk_level: 'low' }, observed_at: now, source: 'idp' },
      ...{ expires_at: '2026-11-02T11:00:00+00:00', sequence: 7 },
    };
    const put = await listener.ask('/v1/signals', { body });
    expect([put.status, put.json]).toEqual([200, { results: ['changed'] }]);
    expect((await listener.ask('/v1/signals', { method: 'PUT', body })).json).toEqual({ results: ['unchanged'] });
    expect((await listener.ask(path)).json).toEqual({
      about: { kind: 'subject', id },
      reports: [
        {
          ...{ attribute: 'risk_level', value: 'low', source: 'idp', sequence: 7 },
          ...{ observed_at: '2026-11-02T10:00:00.000Z', expires_at: '2026-11-02T11:00:00.000Z' },
        },
      ],
    });
    expect((await listener.ask(path, { method: 'DELETE' })).status).toBe(204);
    expectProblem(await listener.ask(path), 404, 'signal_unknown');
    expectProblem(await listener.ask(path, { method: 'DELETE' }), 404, 'signal_unknown');
  });

  it('are taken in a list, all or none, and the faulty one is named by its place', async () => {
    expect((await listener.ask('/v1/signals', { body: [device('a'), device('b')] })).json.results).toHaveLength(2);
    const before = listener.state();
    const reply = await listener.ask('/v1/signals', { body: [device('c'), device('d', { compliant: 'yes' })] });
    expectProblem(reply, 400, 'signal_invalid');
    expect(reply.json.detail).toBe('[1].attributes.compliant must be true or false');
    expect(listener.state()).toBe(before);
  });

  it('V13 are taken up to 1,000 at once; one more, and none is', async () => {
    const many = (count: number) => Array.from({ length: count }, (_, i) => device(`n${i % 50}`, { i }));
    const before = listener.state();
    expectProblem(await listener.ask('/v1/signals', { body: many(1001) }), 413, 'signal_invalid');
    expectProblem(await listener.ask('/v1/signals', { body: [] }), 400, 'signal_invalid');
    expect(listener.state()).toBe(before);
    expect((await listener.ask('/v1/signals', { body: many(1000) })).json.results).toHaveLength(1000);
  });

  it.each([
    [
      'unknown members, all of them',
      { ...device('x'), compliant: true, extra: 1 },
      'compliant is not a known member; extra is not a known member',
    ],
    [
      'an unknown member within',
      { ...device('x'), about: { kind: 'device', id: 'x', name: 'y' } },
      'about.name is not a known member',
    ],
    [
      'missing members, all of them',
      { about: { kind: 'device' } },
      'attributes is missing; observed_at is missing; source is missing; about.id is missing',
    ],
    [
      'another kind',
      { ...device('x'), about: { kind: 'user', id: 'x' } },
      'about.kind must be "device" or "subject" or "session" or "workload"',
    ],
    ['a kind that is no text', { ...device('x'), about: { kind: 7, id: 'x' } }, 'about.kind must be "device" or "su'],
    ['an id that is no text', { ...device('x'), about: { kind: 'device', id: 7 } }, 'about.id must be string'],
    ['attributes that are no object', { ...device('x'), attributes: [] }, 'attributes must be object'],
    ['a sequence that is text', { ...device('x'), sequence: '1' }, 'sequence must be integer'],
    ['a time that is a number', { ...device('x'), observed_at: 1762077600 }, 'observed_at must be string'],
    ['a day without a time', { ...device('x'), observed_at: '2026-11-02' }, 'observed_at must be an RFC 3339 time'],
    [
      'a time without an offset',
      { ...device('x'), observed_at: '2026-11-02T10:00:00' },
      'observed_at must be an RFC 3339 time',
    ],
    [
      'S01 a leap second',
      { ...device('x'), observed_at: '2026-12-31T23:59:60Z' },
      'observed_at must be an RFC 3339 time',
    ],
    ['an end before the beginning', { ...device('x'), expires_at: now }, 'expires_at must be after observed_at'],
    ["the sidecar's own source", { ...device('x'), source: 'host' }, 'source is reserved for the sidecar'],
    ["the store's own source", { ...device('x'), source: 'store' }, 'source is reserved for the sidecar'],
    ['a text', '"x"', 'the body must be object'],
    ['S05 a value of the wrong type', device('x', { risk_score: '12' }), 'attributes.risk_score must be a number'],
    ['S05 null', device('x', { compliant: null }), 'attributes.compliant is null'],
    [
      '__proto__ as a member',
      '{"about":{"kind":"device","id":"x"},"attributes":{"a":1},"observed_at":"2026-11-02T10:00:00Z","source":"s","__proto__":{}}',
      '__proto__ is not a known member',
    ],
  ])('%s: refused, named, unchanged', async (_name, body, detail) => {
    const before = listener.state();
    const reply = await listener.ask('/v1/signals', { body });
    expectProblem(reply, 400, 'signal_invalid');
    expect(reply.json.detail).toContain(detail);
    expect(listener.state()).toBe(before);
    expect(listener.rejected).toEqual(['signal_invalid']);
    expect(listener.stores.counted).toHaveLength(1);
    expect(listener.stores.counted[0]).toMatch(/^other (device|other) refused$/);
  });

  it('are counted once each where one is refused, by shape or by meaning, under a kind that is one', async () => {
    const subjectReport = { ...device('x', { revoked: true }), about: { kind: 'subject', id: 'x' } };
    for (const [body, counted] of [
      [{ ...device('x'), observed_at: 'yesterday' }, ['other device refused']],
      [device('x', { compliant: 'yes' }), ['other device refused']],
      [
        [subjectReport, { ...device('x'), source: 7 }],
        ['other subject refused', 'other device refused'],
      ],
      [
        [subjectReport, device('x', { compliant: 7 })],
        ['other subject refused', 'other device refused'],
      ],
      [{ ...device('x'), about: { kind: 'CANARY', id: 'x' } }, ['other other refused']],
      [
        [7, { about: 'device' }],
        ['other other refused', 'other other refused'],
      ],
      [[], []],
    ] as const) {
      listener.stores.counted.length = 0;
      expect((await listener.ask('/v1/signals', { body })).status).toBe(400);
      expect(listener.stores.counted).toEqual(counted);
    }
  });

  it('S01 from the future are kept as they are', async () => {
    await listener.ask('/v1/signals', { body: { ...device('future'), observed_at: '2027-11-02T10:00:00Z' } });
    expect((await listener.ask('/v1/signals/device/future')).json.reports[0].observed_at).toBe(
      '2027-11-02T10:00:00.000Z',
    );
  });

  it('about a kind that is none have no route', async () => {
    for (const kind of ['user', '__proto__', 'toString', 'Device']) {
      expectProblem(await listener.ask(`/v1/signals/${kind}/x`), 404, 'route_unknown');
    }
  });

  it('whatever is sent, is taken or refused, and the listener lives', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 4 }), async (value) => {
        const reply = await listener.ask('/v1/signals', { body: JSON.stringify(value) });
        expect([400, 413]).toContain(reply.status);
      }),
      { numRuns: 100 },
    );
    expect((await listener.ask('/v1/status')).status).toBe(200);
  });
});

describe('grants', () => {
  it('are asked for, approved by another, listed and revoked', async () => {
    const asked = await listener.ask('/v1/grants', { body: wish() });
    expect(asked.status).toBe(201);
    const { id } = asked.json;
    expect(asked.headers.location).toBe(`/v1/grants/${id}`);
    expect(asked.json).toMatchObject({
      state: 'requested',
      requested_by: 'ann',
      ttl_s: 900,
      max_uses: 1,
      uses: 0,
      uses_left: 1,
    });
    const approved = await listener.ask(`/v1/grants/${id}/approve`, { method: 'POST', token: otherToken });
    expect(approved.json).toMatchObject({ state: 'active', approver: 'bob', expires_at: '2026-11-02T10:15:00.000Z' });
    const again = await listener.ask(`/v1/grants/${id}/approve`, { body: { approver: 'Ann of operations' } });
    expect([again.status, again.json]).toEqual([200, approved.json]);
    expect((await listener.ask(`/v1/grants/${id}`)).json).toEqual(approved.json);
    const revoked = await listener.ask(`/v1/grants/${id}`, { method: 'DELETE' });
    expect(revoked.json).toMatchObject({ state: 'revoked', revoked_by: 'ann' });
    expectProblem(await listener.ask(`/v1/grants/${id}/approve`, { method: 'POST' }), 409, 'grant_state');
  });

  it('G08 are not approved by their own subject, under either name', async () => {
    const { id } = (await listener.ask('/v1/grants', { body: wish({ subject: 'ann' }) })).json;
    expectProblem(await listener.ask(`/v1/grants/${id}/approve`, { method: 'POST' }), 403, 'grant_self_approval');
    const named = { token: otherToken, body: { approver: 'ann' } };
    expectProblem(await listener.ask(`/v1/grants/${id}/approve`, named), 403, 'grant_self_approval');
    expect((await listener.ask(`/v1/grants/${id}`)).json.state).toBe('requested');
    const other = await listener.ask(`/v1/grants/${id}/approve`, { token: otherToken, body: { approver: 'Bob B.' } });
    expect(other.json).toMatchObject({ state: 'active', approver: 'bob', approver_named: 'Bob B.' });
  });

  it.each([
    ['max_uses', { max_uses: 0 }],
    ['max_uses', { max_uses: -1 }],
    ['max_uses', { max_uses: 1.5 }],
    ['max_uses', { max_uses: 1e300 }],
    ['max_uses must be number or "unlimited"', { max_uses: null }],
    ['max_uses must be number or "unlimited"', { max_uses: '1' }],
    ['max_uses is missing', { max_uses: undefined }],
    ['actions', { actions: [] }],
    ['actions', { actions: ['*'] }],
    ['actions', { actions: 'deploy' }],
    ['resources', { resources: ['*'] }],
    ['resources', { resources: ['/*'] }],
    ['ttl_s', { ttl_s: 0 }],
    ['ttl_s', { ttl_s: 3_153_600_000 }],
    ['ttl_s', { ttl_s: '900' }],
    ['not_before', { not_before: '2036-01-01T00:00:00Z' }],
    ['not_before', { not_before: 'tomorrow' }],
    ['subject', { subject: '' }],
    ['expires_at is not a known member', { expires_at: now }],
    ['approver is not a known member', { approver: 'ann' }],
  ])('G05 %s, row %#: refused and named', async (named, changes) => {
    const before = listener.state();
    const reply = await listener.ask('/v1/grants', { body: wish(changes) });
    expectProblem(reply, 400, 'grant_invalid');
    expect(reply.json.detail).toContain(named);
    expect(listener.state()).toBe(before);
  });

  it('without a limit of uses must say so', async () => {
    const { json } = await listener.ask('/v1/grants', { body: wish({ max_uses: 'unlimited' }) });
    expect(json).toMatchObject({ max_uses: 'unlimited', uses: 0 });
    expect(json).not.toHaveProperty('uses_left');
  });

  it('are listed in pages, filtered by subject and state', async () => {
    const made: string[] = [];
    for (let i = 0; i < 5; i += 1) {
      made.push((await listener.ask('/v1/grants', { body: wish({ subject: 'pages' }) })).json.id);
    }
    await listener.ask(`/v1/grants/${made[3]}/approve`, { method: 'POST' });
    const first = await listener.ask('/v1/grants?subject=pages&limit=2');
    expect(first.json.grants.map(({ id }: { id: string }) => id)).toEqual(made.slice(0, 2));
    const second = await listener.ask(`/v1/grants?subject=pages&limit=3&after=${first.json.after}`);
    expect(second.json.grants.map(({ id }: { id: string }) => id)).toEqual(made.slice(2));
    const active = await listener.ask('/v1/grants?subject=pages&state=active');
    expect(active.json.grants.map(({ id }: { id: string }) => id)).toEqual([made[3]]);
    expect(active.json).not.toHaveProperty('after');
  });

  it.each([
    'limit=0',
    'limit=1001',
    'limit=-1',
    'limit=1e2',
    'limit=',
    'state=open',
    'state=',
    'subject=a&subject=b',
    'after=g-x',
    'after=',
    'subject[x]=1&limit[y]=2&state[z]=3&after[q]=4&x=1&limit=x',
  ])('A07 are not listed by %j', async (query) => {
    const reply = await listener.ask(`/v1/grants?${query}`);
    expect(reply.status).toBe(400);
    expect(reply.headers['content-type']).toMatch(/problem/);
  });

  it('that are unknown are told so, whatever the id', async () => {
    for (const id of ['g-x', '__proto__', '..%2f..', '%00', 'x'.repeat(2000)]) {
      expectProblem(await listener.ask(`/v1/grants/${id}`), 404, 'grant_unknown');
      expectProblem(await listener.ask(`/v1/grants/${id}`, { method: 'DELETE' }), 404, 'grant_unknown');
      expectProblem(await listener.ask(`/v1/grants/${id}/approve`, { method: 'POST' }), 404, 'grant_unknown');
    }
  });
});

describe('attestations', () => {
  it('that verify are kept and shown by digest; others never', async () => {
    const kept = await listener.ask('/v1/attestations', { body: envelope(statement(), key) });
    expect(kept.status).toBe(201);
    expect(kept.json.attestations[0]).toMatchObject({ digest: `sha256:${'a'.repeat(64)}`, key_id: 'builder' });
    expect((await listener.ask(`/v1/attestations/sha256:${'a'.repeat(64)}`)).json).toEqual(kept.json);
    const before = listener.state();
    const forged = await listener.ask('/v1/attestations', { body: envelope(statement(), signer('builder')) });
    expectProblem(forged, 422, 'attestation_invalid');
    expect(listener.state()).toBe(before);
    expectProblem(await listener.ask(`/v1/attestations/sha256:${'b'.repeat(64)}`), 404, 'attestation_unknown');
  });

  it('J02 with a member twice in their payload are refused, though they verify', async () => {
    const text = JSON.stringify(statement()).replace('{', '{"_type":"https://in-toto.io/Statement/v1",');
    expectProblem(await listener.ask('/v1/attestations', { body: envelope(text, key) }), 422, 'attestation_invalid');
  });

  it('J05 that verify may hold any number, since none is read', async () => {
    const text = JSON.stringify(statement()).replace('{', '{"built_at_ns":1793613480123456789,');
    expect((await listener.ask('/v1/attestations', { body: envelope(text, key) })).status).toBe(201);
  });

  it('may be sent under the names that DSSE and in-toto have for them', async () => {
    for (const type of ['application/vnd.in-toto+json', 'application/vnd.dsse.envelope.v1+json']) {
      const reply = await listener.ask('/v1/attestations', {
        body: envelope(statement(), key),
        headers: { 'content-type': type },
      });
      expect(reply.status).toBe(201);
    }
  });
});

describe('bodies', () => {
  it.each([
    ['J01 an empty one', '', 400],
    ['J01 two documents', '{}{}', 400],
    ['J01 NaN', '{"a":NaN}', 400],
    ['J02 a member twice', '{"source":"a","source":"b"}', 400],
    ['J02 a member twice, spelled otherwise', '{"source":"a","s\\u006furce":"b"}', 400],
    ['J04 one nested too deeply', `${'['.repeat(65)}${']'.repeat(65)}`, 400],
    ['J05 a number that is none', '{"a":1e400}', 400],
    ['J06 half a surrogate pair', '{"a":"\\ud800"}', 400],
    ['J07 no UTF-8', Buffer.from([0x7b, 0xff, 0x7d]), 400],
    ['J07 a byte order mark', Buffer.from('\ufeff{}'), 400],
    ['H13 one too large', `"${'x'.repeat(1024 * 1024)}"`, 413],
  ])('%s: refused', async (_name, body, status) => {
    const before = listener.state();
    const reply = await listener.ask('/v1/signals', {
      body,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
    });
    expect(reply.status).toBe(status);
    expect(reply.headers['content-type']).toMatch(/problem/);
    expect(listener.rejected).toHaveLength(1);
    expect(listener.state()).toBe(before);
  });

  it.each(['9007199254740993', '0.12345678901234567', '1e400', '1e-400', '-9007199254740993'])(
    'J05 with the number %s are refused: another one would be held',
    async (number) => {
      const before = listener.state();
      for (const [path, body] of [
        ['/v1/signals', JSON.stringify(device('J05', { x: 'N' })).replace('"N"', number)],
        ['/v1/signals', JSON.stringify([device('J05', { x: { y: ['N'] } })]).replace('"N"', number)],
        ['/v1/grants', JSON.stringify(wish({ ttl_s: 'N' })).replace('"N"', number)],
      ] as const) {
        expectProblem(await listener.ask(path, { body }), 400, 'number_out_of_range');
      }
      expect(listener.rejected).toEqual(Array.from({ length: 3 }, () => 'number_out_of_range'));
      expect(listener.state()).toBe(before);
    },
  );

  it.each(['9007199254740992', '0.1', '1E2', '1.50', '-0', '1e-7'])(
    'J05 with the number %s are taken, and it is held',
    async (number) => {
      const body = JSON.stringify(device('J05', { [`x${number}`]: 'N' })).replace('"N"', number);
      expect((await listener.ask('/v1/signals', { body })).json).toEqual({ results: ['changed'] });
      const { reports } = (await listener.ask('/v1/signals/device/J05')).json;
      const held = reports.find(({ attribute }: { attribute: string }) => attribute === `x${number}`);
      expect(held.value).toBe(number === '-0' ? 0 : Number(number));
    },
  );

  it.each([
    'text/plain',
    '',
    'application/json; charset=utf-16',
    'application/vnd.in-toto+json',
    'application/vnd.dsse.envelope.v1+json',
    'application/x-www-form-urlencoded',
    'multipart/form-data; boundary=x',
  ])('H19 of type %j are refused', async (type) => {
    const headers = { 'content-type': type };
    for (const [path, body] of [
      ['/v1/signals', device('x')],
      ['/v1/grants', wish()],
      ['/v1/grants/g-1/approve', {}],
    ] as const) {
      expectProblem(await listener.ask(path, { body, headers }), 400, 'content_type_unsupported');
    }
  });

  it.each(['gzip', 'gzip, gzip', 'br', 'deflate', 'x'])('H14 encoded as %j are refused', async (encoding) => {
    const body = gzipSync(JSON.stringify(device('x')));
    const headers = { 'content-encoding': encoding, 'content-type': 'application/json' };
    expectProblem(await listener.ask('/v1/signals', { body, headers }), 415, 'content_encoding_unsupported');
  });

  it('H13 announced too large are refused before they are read, and the connection ends', async () => {
    const text = await raw(
      `POST /v1/signals HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\nContent-Type: application/json\r\nContent-Length: 5000000000\r\n\r\n`,
    );
    expect(text).toMatch(/^HTTP\/1\.1 413 /);
    expect(text).toMatch(/\r\nconnection: close\r\n/i);
  });

  it('H12 that never come end the connection', async () => {
    expect(await raw(`${posting('Content-Length: 10')}{`)).toMatch(/^HTTP\/1\.1 408 /);
    expect(listener.rejected).toEqual(['request_too_slow']);
  });

  it('H20 are let in only when nothing speaks against them', async () => {
    const body = JSON.stringify(device('H20'));
    const connection = await RawConnection.open({ port: listener.port });
    await connection.write(posting('Expect: 100-continue', `Content-Length: ${body.length}`));
    expect((await connection.responses(1)).responses.map(({ status }) => status)).toEqual([100]);
    await connection.write(body);
    expect((await connection.responses(2)).responses.map(({ status }) => status)).toEqual([100, 200]);
    connection.destroy();
    const large = ['Expect: 100-continue', 'Content-Length: 99999999'];
    for (const [bytes, status, code] of [
      [posting(...large), 413, 'body_too_large'],
      [posting(...large).replace(token, 'another-token-of-nobody'), 401, 'unauthenticated'],
      [posting(...large).replace(/Authorization.*\r\n/, ''), 401, 'unauthenticated'],
      [posting(...large).replace('application/json', 'text/plain'), 400, 'content_type_unsupported'],
      [posting(...large, 'Content-Encoding: gzip'), 415, 'content_encoding_unsupported'],
      [posting('Expect: banana', 'Content-Length: 1'), 417, 'header_invalid'],
    ] as const) {
      listener.rejected.length = 0;
      const said = await speak(listener.port, bytes);
      expect(said.closed).toBe(true);
      expect(said.responses.map((response) => response.status)).toEqual([status]);
      expect(listener.rejected).toEqual([code]);
    }
  });

  it.each([
    ['that are sent before the token is looked at', posting('Transfer-Encoding: chunked'), [400]],
    [
      'of a request that is refused anyway',
      posting('Transfer-Encoding: chunked').replace(token, 'another-token-of-nobody'),
      [401],
    ],
    [
      'of a request that reads none',
      posting('Transfer-Encoding: chunked').replace('POST /v1/signals', 'GET /v1/status'),
      [200, 400],
    ],
  ])('H02 in chunks that are none, %s, are refused once', async (_what, head, statuses) => {
    const said = await speak(listener.port, `${head}-2\r\n{}\r\n0\r\n\r\n`);
    expect(said.closed).toBe(true);
    expect(said.responses.map(({ status }) => status)).toEqual(statuses);
    expect(listener.rejected).toHaveLength(1);
  });

  it('H08 with more header fields than the cap are refused, the token among them or not', async () => {
    const headers = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`x-${i}`, '1']));
    expectProblem(await listener.ask('/v1/status', { headers }), 431, 'header_invalid');
  });
});

function getting(target: string): string {
  return `GET ${target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${token}\r\n\r\n`;
}

function posting(...headers: readonly string[]): string {
  const all = ['Host: localhost', `Authorization: Bearer ${token}`, 'Content-Type: application/json', ...headers];
  return `POST /v1/signals HTTP/1.1\r\n${all.join('\r\n')}\r\n\r\n`;
}

/** Sends bytes as they are. @returns what came back before the connection ended */
function raw(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(listener.port, '127.0.0.1', () => socket.write(bytes));
    let got = '';
    socket.on('data', (chunk) => {
      got += chunk;
    });
    socket.on('close', () => resolve(got));
    socket.on('error', () => undefined);
  });
}

describe('routes', () => {
  it.each([
    ['/v1/status', 'POST', 'GET'],
    ['/v1/status', 'FOO', 'GET'],
    ['/v1/signals', 'GET', 'POST, PUT'],
    ['/v1/signals', 'OPTIONS', 'POST, PUT'],
    ['/v1/signals/device/x', 'PATCH', 'GET, DELETE'],
    ['/v1/grants', 'DELETE', 'GET, POST'],
    ['/v1/grants/g', 'POST', 'GET, DELETE'],
    ['/v1/grants/g/approve', 'GET', 'POST'],
    ['/v1/attestations', 'GET', 'POST'],
    ['/v1/store/acknowledge-loss', 'GET', 'POST'],
  ])('H17 %s does not take %s, and says what it takes', async (path, method, allow) => {
    if (method === 'FOO') {
      expect(await raw(`FOO ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)).toMatch(/^HTTP\/1\.1 400 /);
      return;
    }
    const reply = await listener.ask(path, { method });
    expectProblem(reply, 405, 'method_not_allowed');
    expect(reply.headers.allow).toBe(allow);
  });

  it.each([
    '/v1/status/',
    '//v1/status',
    '/V1/status',
    '/v1/%73tatus',
    '/v1/../v1/status',
    '/v1/grants/a/b/c',
    '/',
    '/v1',
  ])('H18 %s is none', async (path) => {
    expectProblem(await listener.ask(path), 404, 'route_unknown');
  });

  it.each(['http://evil.example/v1/status', 'http://localhost/v1/status', '/v1/status#x', '/v1/status?a#x'])(
    'H09 %s is no target',
    async (target) => {
      const [reply] = (await speak(listener.port, getting(target), { responses: 1 })).responses;
      expect(reply?.status).toBe(400);
      expect(reply?.body).toContain('target_invalid');
      expect(listener.rejected).toEqual(['target_invalid']);
    },
  );

  it.each([
    ['H15 CONNECT', 'CONNECT 127.0.0.1:22 HTTP/1.1\r\nHost: localhost\r\n\r\n', 'target_invalid'],
    ['H15 HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'header_invalid'],
    ['H17 another method', getting('/v1/status').replace('GET', 'FOO'), 'header_invalid'],
    ['H03 another version', getting('/v1/status').replace('1.1', '2.0'), 'header_invalid'],
    ['H03 a blank before the colon', getting('/v1/status').replace('Host:', 'Host :'), 'header_invalid'],
    ['H01 two lengths', posting('Content-Length: 2', 'Content-Length: 3'), 'header_invalid'],
    ['H02 a coding before the chunks', posting('Transfer-Encoding: gzip, chunked'), 'header_invalid'],
    ['H09 no host', getting('/v1/status').replace('Host: localhost\r\n', ''), 'header_invalid'],
  ])('%s is refused, closed and counted once', async (_what, bytes, code) => {
    const said = await speak(listener.port, bytes);
    expect(said.closed).toBe(true);
    expect(said.responses.map(({ status }) => status)).toEqual([400]);
    expect(JSON.parse(said.responses[0]?.body ?? '')).toMatchObject({ code, status: 400 });
    expect(listener.rejected).toEqual([code]);
  });

  it('H07 a header that is too long is refused and counted once', async () => {
    const said = await speak(listener.port, getting(`/${'a'.repeat(20_000)}`));
    expect(said.responses.map(({ status }) => status)).toEqual([431]);
    expect(listener.rejected).toEqual(['header_invalid']);
  });

  it('H18 a path that cannot be decoded is refused', async () => {
    expectProblem(await listener.ask('/v1/grants/%zz'), 400, 'target_invalid');
  });

  it('are not told by what server they are, and are not to be stored', async () => {
    const { headers } = await listener.ask('/v1/status');
    expect(headers).not.toHaveProperty('x-powered-by');
    expect(headers).not.toHaveProperty('etag');
    expect(headers['cache-control']).toBe('no-store');
  });
});

describe('the status', () => {
  it('says how the store stands, and holds no secret', async () => {
    const { json, text } = await listener.ask('/v1/status');
    expect(json.store).toMatchObject({
      state: 'ok',
      unreadable: 0,
      grant_clock_ahead_s: 0,
      devices: expect.any(Number),
    });
    expect(text).not.toContain('CANARY');
  });
});

describe('what breaks inside', () => {
  it('M05 is answered without a word of why, and told to the log alone', async () => {
    listener.stores.disk.next = ['refuses'];
    const reply = await listener.ask('/v1/signals', { body: device('broken', { n: Math.random() }) });
    expectProblem(reply, 503, 'store_failed');
    expect(reply.headers['retry-after']).toBe('1');
    expect(reply.text).not.toContain('no space');
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect((await listener.ask('/v1/signals', { body: device('mended') })).status).toBe(200);
  });

  it('a fault that has no name of ours is "internal", with its cause in the log', async () => {
    const { stores } = listener;
    const get = stores.grants.get;
    Object.assign(stores.grants, {
      get: () => {
        throw new TypeError('CANARY-cause');
      },
    });
    const reply = await listener.ask('/v1/grants/g-1');
    Object.assign(stores.grants, { get });
    expectProblem(reply, 500, 'internal');
    expect(listener.logged).toHaveLength(1);
  });
});

describe('a loss', () => {
  it('is shown, keeps the sidecar from being ready, and ends when it is acknowledged', async () => {
    const lost = await TestListener.start();
    try {
      lost.stores.disk.damaged = true;
      const damaged = await lost.stores.restart();
      Object.assign(lost.stores, { acknowledgeLoss: damaged.acknowledgeLoss });
      expect(damaged.isReady()).toBe(false);
      await damaged.acknowledgeLoss();
      expect(damaged.isReady()).toBe(true);
      expect((await lost.ask('/v1/store/acknowledge-loss', { method: 'POST' })).status).toBe(204);
    } finally {
      await lost.close();
    }
  });
});

it('keeps its socket to its owner', async () => {
  const { statSync } = await import('node:fs');
  expect(statSync(join(listener.directory, 'control.sock')).mode & 0o777).toBe(0o600);
});
