import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { scanJson } from '../../src/text/scan-json.ts';
import { digest, envelope, signer, statement } from '../knowledge/attestations/attestations.ts';
import { asking, type Client, evaluation, type Reply, report } from './client.ts';
import { sum } from './exposition.ts';
import { agent, ciJob, Place, type SidecarProcess, token } from './sidecar-process.ts';

// An agent has the decision port and its socket, and knows all there is to know but the control token.
let place: Place;
let sidecar: SidecarProcess;
let control: Client;
let grant = '';
// One that was told nothing: what it leaves out of an input, a caller might fill in.
let ignorantPlace: Place;
let ignorant: SidecarProcess;

beforeAll(async () => {
  place = await Place.make();
  sidecar = await place.start();
  ignorantPlace = await Place.make();
  ignorant = await ignorantPlace.start();
  control = sidecar.control();
  const observed = { observed_at: new Date(Date.now() - 1_000).toISOString() };
  const signals = [
    report('device', 'node-7', { compliant: false, os_version: '13' }, observed),
    report('subject', agent, { risk_level: 'high' }, observed),
    report('session', 's-1', { revoked: true }, observed),
    report('workload', agent, { approved: false }, observed),
  ];
  expect(await control.post('/v1/signals', signals)).toMatchObject({ status: 200 });
  const asked = {
    subject: agent,
    actions: ['deploy'],
    resources: ['payroll'],
    reason: 'test',
    ttl_s: 3_600,
    max_uses: 3,
  };
  const made = await control.post('/v1/grants', asked);
  grant = JSON.parse(made.body).id;
  expect((await control.post(`/v1/grants/${grant}/approve`, { approver: 'ann' })).status).toBe(200);
}, 60_000);
afterAll(async () => {
  await place.remove();
  await ignorantPlace.remove();
});

/** All that the control listener tells of what is kept, but for what time alone changes. */
async function state(): Promise<string> {
  const paths = [
    ...['device/node-7', 'device/node-8', 'session/s-1'].map((about) => `/v1/signals/${about}`),
    ...['subject', 'workload'].map((kind) => `/v1/signals/${kind}/${encodeURIComponent(agent)}`),
    '/v1/grants?limit=1000',
    `/v1/attestations/sha256:${digest}`,
  ];
  const answers = await Promise.all(paths.map((path) => control.get(path)));
  const { store } = JSON.parse((await control.get('/v1/status')).body);
  return JSON.stringify([answers.map(({ status, body }) => [status, body]), store]);
}

async function rejected(why: string): Promise<number> {
  return sum((await sidecar.probes().get('/metrics')).body, 'postern_rejected_total', { why });
}

async function decisions(): Promise<number> {
  return sum((await sidecar.probes().get('/metrics')).body, 'postern_decisions_total');
}

/** Each way to write, with a body that the control listener would take. */
function writes(): readonly (readonly [method: string, path: string, body?: unknown])[] {
  return [
    ['POST', '/v1/signals', report('device', 'node-7', { compliant: true })],
    ['PUT', '/v1/signals', [report('device', 'node-8', { compliant: true })]],
    ['DELETE', '/v1/signals/session/s-1'],
    [
      'POST',
      '/v1/grants',
      { subject: agent, actions: ['*'], resources: ['*'], reason: 'mine', ttl_s: 60, max_uses: 1 },
    ],
    ['POST', `/v1/grants/${grant}/approve`, { approver: 'me' }],
    ['DELETE', `/v1/grants/${grant}`],
    ['POST', '/v1/attestations', envelope(statement(), signer('mine'))],
    ['POST', '/v1/store/acknowledge-loss', {}],
    ['GET', '/v1/signals/device/node-7'],
    ['GET', '/v1/grants'],
    ['GET', '/v1/status'],
  ];
}

describe('S09 an agent', () => {
  it.each(['its port', 'its socket'])(
    'S09 finds no control route at %s, whatever it brings',
    async (way) => {
      const client = way === 'its port' ? sidecar.decision() : sidecar.at(place.socket);
      const before = await state();
      const refusals = await rejected('route_unknown');
      let asked = 0;
      for (const authorization of [undefined, 'Bearer x', `Bearer ${token}`]) {
        for (const [method, path, body] of writes()) {
          const headers = authorization === undefined ? {} : { authorization };
          const reply = await client.call(method, path, body, headers);
          asked += 1;
          expect({ method, path, status: reply.status }).toEqual({ method, path, status: 404 });
          expect(reply.body).not.toContain('CANARY');
        }
      }
      expect(await rejected('route_unknown')).toBe(refusals + asked);
      expect(await state()).toBe(before);
    },
    30_000,
  );

  it('S09 is not let in at the control port without its token, and each try is counted', async () => {
    const before = await state();
    const refusals = await rejected('unauthenticated');
    let asked = 0;
    const credentials = [
      undefined,
      'Bearer',
      'Bearer x',
      `Bearer ${token.slice(0, -1)}`,
      `Bearer ${token} `.concat('x'),
      `Basic ${Buffer.from(`operator:${token}`).toString('base64')}`,
      // What it is on the decision side is nothing here.
      `Bearer ${agent}`,
      `Bearer ${ciJob}`,
    ];
    for (const authorization of credentials) {
      const client = sidecar.control(authorization ?? '');
      for (const [method, path, body] of writes()) {
        const headers = {
          'x-forwarded-for': '127.0.0.1',
          'x-original-url': '/health/live',
          'x-http-method-override': 'GET',
        };
        const reply = await client.call(method, path, body, { ...headers, 'user-agent': 'kube-probe/1.34' });
        asked += 1;
        expect({ method, path, status: reply.status }).toEqual({ method, path, status: 401 });
        expect(reply.headers['www-authenticate']).toMatch(/^Bearer realm=/);
        expect(reply.body).not.toContain('CANARY');
      }
    }
    expect(await rejected('unauthenticated')).toBe(refusals + asked);
    expect(await state()).toBe(before);
    expect(sidecar.output).not.toContain('CANARY');
  }, 30_000);

  it('M05 without a token learns nothing of what is there: the answer is the same', async () => {
    const stranger = sidecar.control('Bearer x');
    const pairs = [
      [`/v1/grants/${grant}`, '/v1/grants/none'],
      ['/v1/signals/device/node-7', '/v1/signals/device/none'],
      ['/v1/status', '/v1/no-such-route'],
    ];
    for (const [there = '', absent = ''] of pairs) {
      const [one, other] = [await stranger.get(there), await stranger.get(absent)];
      expect(one.status).toBe(401);
      expect({ status: one.status, body: one.body }).toEqual({ status: other.status, body: other.body });
    }
  }, 30_000);

  it('M05 that speaks for others learns nothing of who they are', async () => {
    const bodies: string[] = [];
    for (const subject of [ciJob, 'spiffe://acme.example/nobody']) {
      const reply = await sidecar.decision().post(evaluation, asking('canary', {}, subject));
      expect(JSON.parse(reply.body)).toMatchObject({
        decision: false,
        context: { reasons: [{ code: 'subject_not_caller' }] },
      });
      bodies.push(reply.body.replaceAll(/"decision_id":"[^"]*"/g, ''));
    }
    expect(bodies[0]).toBe(bodies[1]);
  }, 30_000);
});

const knownMembers = ['caller', 'device', 'trust', 'workload', 'grants', 'attestations', 'environment'];

/** The half of an input that only the sidecar writes, without what moves by itself. */
function knownHalf(input: Readonly<Record<string, unknown>>): unknown {
  const half = Object.fromEntries(knownMembers.map((name) => [name, input[name]]));
  return JSON.parse(JSON.stringify(half, (name, value) => (/^(now|now_ns|age_s)$/.test(name) ? typeof value : value)));
}

/** What an agent would like to be known. */
const lies = {
  caller: { id: ciJob, method: 'jwt_svid', claims: { admin: true }, relay: true },
  device: { id: 'node-8', known: true, compliant: true, age_s: 0 },
  trust: { risk_level: 'low', session: { revoked: false }, age_s: 0 },
  workload: { id: agent, known: true, attributes: { approved: true } },
  grants: [{ id: 'g', actions: ['*'], resources: ['*'], uses_left: 99 }],
  attestations: [{ type: 'https://slsa.dev/provenance/v1', verified: true, builder: 'me' }],
  environment: { now: '1999-01-01T00:00:00Z', now_ns: 0, sidecar: { id: 'mine' } },
};

const lie = fc
  .record({
    name: fc.constantFrom(...knownMembers),
    value: fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constantFrom(...Object.values(lies))),
  })
  .map(({ name, value }) => [name, value] as const);
const someLies = fc.array(lie, { minLength: 1, maxLength: 7 }).map((all) => Object.fromEntries(all));

describe('A02 what an agent says of what the sidecar knows', () => {
  /** In a place of an AuthZEN request. */
  const put: Readonly<Record<string, (said: object) => object>> = {
    'at top level': (said) => ({ ...asking('canary'), ...said }),
    'in context': (said) => asking('canary', { context: said }),
    'in the subject’s properties': (said) =>
      asking('canary', { subject: { type: 'agent', id: agent, properties: said } }),
    'in the resource’s properties': (said) =>
      asking('canary', { resource: { type: 'database', id: 'payroll', properties: said } }),
    'in the action’s properties': (said) => asking('canary', { action: { name: 'canary', properties: said } }),
    'in the subject itself': (said) => asking('canary', { subject: { type: 'agent', id: agent, ...said } }),
  };

  async function shown(body: object, of = sidecar): Promise<Readonly<Record<string, unknown>>> {
    const reply = await of.decision().post('/v1/data/echo/shown', { input: body });
    expect(reply).toMatchObject({ status: 200 });
    const { result } = JSON.parse(reply.body);
    expect(knownHalf(await inputOnRecord(reply, of))).toEqual(knownHalf(result));
    return result;
  }

  async function recorded(body: object, of = sidecar): Promise<Readonly<Record<string, unknown>>> {
    const reply = await of.decision().post(evaluation, body);
    expect(reply).toMatchObject({ status: 200 });
    return inputOnRecord(reply, of);
  }

  async function inputOnRecord({ headers }: Reply, of: SidecarProcess): Promise<Readonly<Record<string, unknown>>> {
    for (;;) {
      const line = readFileSync((of === sidecar ? place : ignorantPlace).record, 'utf8')
        .split(/(?<=\n)/)
        .find((one) => one.includes(`"decision_id":"${headers['x-decision-id']}"`) && one.endsWith('\n'));
      if (line !== undefined) {
        // Throws where a member stands twice: policy and auditor could each read another of the two.
        scanJson(line, { depthMax: 100 });
        return JSON.parse(line).input;
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  it('A02 the half that is known holds what the control listener was told, and nothing else', async () => {
    const known = knownHalf(await shown(asking('canary')));
    expect(known).toMatchObject({
      caller: { id: agent, method: 'configured', relay: false },
      device: { id: 'node-7', known: true, compliant: false },
      trust: { risk_level: 'high' },
      grants: [{ id: grant, uses_left: 3 }],
      attestations: [],
    });
    expect(knownHalf(await recorded(asking('canary')))).toEqual(known);
  }, 30_000);

  it.each(Object.keys(put))(
    'A02 %s never changes what the policy is shown, on any way in',
    async (where) => {
      for (const one of [sidecar, ignorant]) {
        const honest = knownHalf(await shown(asking('canary'), one));
        await fc.assert(
          fc.asyncProperty(someLies, async (said) => {
            const body = put[where]?.(said) ?? {};
            expect(knownHalf(await shown(body, one))).toEqual(honest);
            expect(knownHalf(await recorded(body, one))).toEqual(honest);
          }),
          { numRuns: 40 },
        );
        expect(knownHalf(await shown(put[where]?.(lies) ?? {}, one))).toEqual(honest);
      }
    },
    60_000,
  );

  it('A02 by members that stand twice is refused, whatever the spelling', async () => {
    const text = JSON.stringify(asking('canary')).slice(0, -1);
    const before = await decisions();
    const refusals = await rejected('member_repeated');
    let asked = 0;
    for (const [name, value] of Object.entries(lies)) {
      const spelt = `"\\u${name.charCodeAt(0).toString(16).padStart(4, '0')}${name.slice(1)}"`;
      const twice = `${text},"${name}":{},${spelt}:${JSON.stringify(value)}}`;
      for (const [path, body] of [
        [evaluation, twice],
        ['/v1/data/echo/shown', `{"input":${twice}}`],
        ['/v1/data/echo/shown', `{"input":${text}},"\\u0069nput":${twice}}`],
      ] as const) {
        expect(await sidecar.decision().post(path, body)).toMatchObject({ status: 400 });
        asked += 1;
      }
    }
    expect(await rejected('member_repeated')).toBe(refusals + asked);
    expect(await decisions()).toBe(before);
  }, 30_000);

  it('A02 in what names its request’s digest brings no attestation that was not verified', async () => {
    const digests = { digest: `sha256:${digest}`, verified: true };
    const input = await shown(asking('canary', { context: { ...digests, attestations: [digests] } }));
    expect(input['attestations']).toEqual([]);
  }, 30_000);
});
