import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type JsonObject, type JsonValue, member } from '../../../src/domain/json-value.ts';
import { knownMembers, type RawRequest } from '../../../src/domain/request.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { receive } from '../../../src/request/receive/receive.ts';
import { scanJson } from '../../../src/text/scan-json.ts';
import { agent, Testbed } from '../../support/testbed.ts';

/** Says back what the policy was shown. */
let echo: Testbed;

beforeAll(async () => {
  echo = await Testbed.open({ policy: 'echo', entrypoints: ['authz/decision', 'echo/shown'] });
  const observedAt = epochMs(echo.clock.now() - 12_000);
  echo.signals.report({ about: { kind: 'device', id: 'node-7' }, attributes: { compliant: false }, observedAt });
  echo.signals.report({ about: { kind: 'device', id: 'node-9' }, attributes: { compliant: true }, observedAt });
  echo.signals.report({ about: { kind: 'subject', id: agent }, attributes: { risk_level: 'high' }, observedAt });
  echo.signals.report({ about: { kind: 'workload', id: agent }, attributes: { a: 1 }, observedAt });
  echo.grants.give({ id: 'g-1', subject: agent, actions: ['other'] });
}, 60_000);

afterAll(() => echo.close());

const base: JsonObject = {
  subject: { type: 'agent', id: agent, properties: {} },
  action: { name: 'read', properties: {} },
  resource: { type: 'database', id: 'payroll', properties: {} },
  context: {},
};

type Surface = 'authzen' | 'opa';

function raw(body: string, surface: Surface): RawRequest {
  return {
    surface,
    entrypoint: surface === 'opa' ? 'echo/shown' : 'authz/decision',
    body: Buffer.from(surface === 'opa' ? `{"input":${body}}` : body),
    via: echo.via,
    remote: '127.0.0.1:1',
  };
}

/** The text that the sidecar writes behind the caller's half; the whole has one reading. */
function knownHalf(body: string, surface: Surface): string {
  const { parts } = echo;
  const request = receive(raw(body, surface), parts.limits);
  const now = echo.clock.now();
  const { input } = parts.enrich(request, parts.identify(request), parts.servingBundle(now), now);
  // No member stands twice: neither the policy nor anybody who reads the record can take one for another.
  scanJson(input, { depthMax: 128 });
  expect(input.startsWith(`{${request.askedText},"caller":`)).toBe(true);
  return input.slice(1 + request.askedText.length);
}

const claims = {
  caller: { id: 'spiffe://acme.example/admin', method: 'jwt_svid', relay: true },
  device: { id: 'node-9', known: true, compliant: true, age_s: 0 },
  trust: { risk_level: 'low', session: { revoked: false }, age_s: 0 },
  workload: { id: agent, known: true, attributes: { transactions: {} } },
  grants: [{ id: 'g-9', actions: ['*'], resources: ['*'], uses_left: 9 }],
  attestations: [{ type: 'https://slsa.dev/provenance/v1', verified: true }],
  environment: { now: '1970-01-01T00:00:00Z', now_ns: 0 },
} as const;

const extraName = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom<string>(...knownMembers) },
  {
    weight: 1,
    arbitrary: fc.constantFrom(
      'device_id',
      'relay',
      'Device',
      'device ',
      '__proto__',
      'input',
      'evaluations',
      'options',
      '"',
      '},"device":{',
      '\u0000device',
    ),
  },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 8 }) },
);
const extraValue: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.constantFrom<JsonValue>(...(Object.values(claims) as unknown as JsonValue[])),
  fc.constantFrom<JsonValue>('node-9', '},"device":{"compliant":true}', '"}', '\\', '\u2028', null, true),
  fc.jsonValue({ maxDepth: 2 }) as fc.Arbitrary<JsonValue>,
);
const place = fc.constantFrom(
  'top',
  'subject',
  'subject.properties',
  'action',
  'action.properties',
  'resource',
  'resource.properties',
  'context',
);
const extras = fc.array(fc.tuple(place, extraName, extraValue), { minLength: 1, maxLength: 6 });

/** The base request with members put in, the ones that are needed left alone. */
function withExtras(list: readonly (readonly [string, string, JsonValue])[]): string {
  const body = structuredClone(base) as Record<string, unknown>;
  for (const [at, name, value] of list) {
    const path = at === 'top' ? [] : at.split('.');
    const target = path.reduce(
      (object, step) => object[step] as Record<string, unknown>,
      body as Record<string, unknown>,
    );
    if (
      Object.hasOwn(target, name) ||
      (at !== 'context' && !at.endsWith('properties') && name in { type: 1, id: 1, name: 1, properties: 1 })
    )
      continue;
    Object.defineProperty(target, name, { value, enumerable: true, configurable: true, writable: true });
  }
  return JSON.stringify(body);
}

describe('A02 members that only the sidecar writes', () => {
  it.each(['authzen', 'opa'] as const)('A02 are the same whatever else a caller sends, and wherever: %s', (surface) => {
    const before = knownHalf(JSON.stringify(base), surface);
    fc.assert(
      fc.property(extras, (list) => {
        expect(knownHalf(withExtras(list), surface)).toBe(before);
      }),
      { numRuns: 3_000 },
    );
  });

  it('A02 are what the policy sees under their names, also where the caller sent others', async () => {
    const shown = async (body: string): Promise<JsonObject> => {
      const answer = await echo.ask(raw(body, 'opa').body, { surface: 'opa', entrypoint: 'echo/shown' });
      return (JSON.parse(answer.body) as { result: JsonObject }).result;
    };
    const before = await shown(JSON.stringify(base));
    expect(before).toMatchObject({
      device: { id: 'node-7', compliant: false },
      trust: { risk_level: 'high' },
      grants: [{ id: 'g-1' }],
    });
    await fc.assert(
      fc.asyncProperty(extras, async (list) => {
        const seen = await shown(withExtras(list));
        for (const name of knownMembers) expect(member(seen, name)).toEqual(member(before, name));
      }),
      { numRuns: 300 },
    );
  });

  it('A02 cannot be sent twice, once for the reader and once for the policy', async () => {
    for (const name of knownMembers) {
      const twice = JSON.stringify(base).replace('{', `{"${name}":1,"${name}":2,`);
      for (const surface of ['authzen', 'opa'] as const) {
        const answer = await echo.ask(raw(twice, surface).body, { surface });
        expect(answer.status).toBe(400);
        expect(answer.body).toContain('member_repeated');
      }
    }
  });

  it('A02 leave the answer as it was', async () => {
    const before = await echo.ask(JSON.stringify(base));
    await fc.assert(
      fc.asyncProperty(extras, async (list) => {
        const answer = await echo.ask(withExtras(list));
        expect(answer.body).toBe(before.body);
      }),
      { numRuns: 200 },
    );
  });
});

describe('A03 the device of another', () => {
  it('A03 is ignored where the caller is no relay', () => {
    const claiming = JSON.stringify({
      ...base,
      subject: { type: 'agent', id: agent, properties: { device_id: 'node-9' } },
    });
    for (const surface of ['authzen', 'opa'] as const) {
      expect(knownHalf(claiming, surface)).toBe(knownHalf(JSON.stringify(base), surface));
    }
  });

  it('A03 closes where the subject is another too, on every way in', async () => {
    const other = JSON.stringify({
      ...base,
      subject: { type: 'agent', id: 'spiffe://acme.example/agent/other', properties: { device_id: 'node-9' } },
    });
    for (const [surface, entrypoint] of [
      ['authzen', 'authz/decision'],
      ['http', 'authz/decision'],
      ['opa', 'authz/decision'],
      ['opa', 'echo/shown'],
    ] as const) {
      const body = surface === 'opa' ? `{"input":${other}}` : other;
      const answer = await echo.ask(body, { surface, entrypoint });
      expect(answer.body).toContain('subject_not_caller');
      expect(answer.body).not.toContain('"decision":true');
      expect((await echo.recorded()).at(-1)).toMatchObject({
        effect: 'deny',
        reasons: [{ code: 'subject_not_caller' }],
      });
    }
  });

  it('A03 and the subject of another are a relay’s to name', async () => {
    const relay = await Testbed.open({
      policy: 'echo',
      entrypoints: ['authz/decision', 'echo/shown'],
      relays: ['spiffe://acme.example/gateway'],
      via: { method: 'socket', id: 'spiffe://acme.example/gateway' },
    });
    try {
      relay.signals.report({
        about: { kind: 'device', id: 'node-9' },
        attributes: { compliant: true },
        observedAt: relay.clock.now(),
      });
      const body = JSON.stringify({
        input: { ...base, subject: { type: 'agent', id: agent, properties: { device_id: 'node-9' } } },
      });
      const answer = await relay.ask(body, { surface: 'opa', entrypoint: 'echo/shown' });
      expect(JSON.parse(answer.body)).toMatchObject({
        result: {
          caller: { id: 'spiffe://acme.example/gateway', relay: true },
          device: { id: 'node-9', compliant: true },
        },
      });
    } finally {
      await relay.close();
    }
  });
});

describe('A06 a path of OPA’s API', () => {
  it.each([
    'a"]; true; x["',
    'a"]==1;b["',
    '..',
    '%2e',
    'x/y/z',
    'authz',
    'authz/decision/',
    'AUTHZ/DECISION',
    'echo/Shown',
    '__proto__',
    'constructor',
    'toString',
    '',
    '\u2028',
  ])('A06 that the bundle does not have is undefined: %j', async (entrypoint) => {
    const answer = await echo.ask('{"input":{}}', { surface: 'opa', entrypoint });
    expect(answer).toMatchObject({ status: 200, body: '{}' });
    expect((await echo.recorded()).at(-1)).toMatchObject({ path: entrypoint, effect: 'query', reasons: [] });
  });

  it('A06 that would be a decision is denied, with the reason', async () => {
    const answer = await echo.ask('{"input":{}}', { surface: 'opa', entrypoint: 'policies/unknown/decision' });
    expect(JSON.parse(answer.body)).toMatchObject({
      result: { effect: 'deny', reasons: [{ code: 'policy_undefined' }] },
    });
  });

  it('A06 is looked up and nothing else, whatever it is', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 30 }), async (entrypoint) => {
        fc.pre(!['authz/decision', 'echo/shown'].includes(entrypoint) && !/(^|\/)decision$/.test(entrypoint));
        const answer = await echo.ask('{"input":{}}', { surface: 'opa', entrypoint });
        expect(answer.body).toBe('{}');
      }),
      { numRuns: 300 },
    );
  });
});
