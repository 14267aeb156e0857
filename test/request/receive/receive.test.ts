import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { RequestRefused } from '../../../src/domain/errors.ts';
import { type AuthzRequest, knownMembers, type RawRequest } from '../../../src/domain/request.ts';
import { receive } from '../../../src/request/receive/receive.ts';
import { decodeUtf8 } from '../../../src/text/decode-utf8.ts';
import { parseJson } from '../../../src/text/parse-json.ts';

const limits = { depthMax: 64 };
const digest = `sha256:${'0123456789abcdef'.repeat(4)}`;

function raw(body: string | Uint8Array, change: Partial<RawRequest> = {}): RawRequest {
  return {
    surface: 'authzen',
    entrypoint: 'authz/decision',
    body: typeof body === 'string' ? Buffer.from(body, 'utf8') : body,
    via: { method: 'configured', id: 'a' },
    remote: '127.0.0.1:1',
    ...change,
  };
}

function received(value: unknown, change: Partial<RawRequest> = {}): AuthzRequest {
  return receive(raw(typeof value === 'string' ? value : JSON.stringify(value), change), limits);
}

/** What it is refused with: code, and place if one is named. */
function refusal(value: unknown, change: Partial<RawRequest> = {}): string {
  try {
    received(value, change);
    return 'taken';
  } catch (cause) {
    if (!(cause instanceof RequestRefused)) throw cause;
    expect(cause.status).toBe(400);
    return cause.at === undefined ? cause.code : `${cause.code}: ${cause.at}`;
  }
}

const good = {
  subject: { type: 'agent', id: 'a', properties: { team: 'data' } },
  action: { name: 'query', properties: { dry_run: true } },
  resource: { type: 'database', id: 'payroll', properties: { classification: 'internal' } },
  context: { task: 'monthly-report' },
};
const opa = { surface: 'opa' } as const;

describe('an AuthZEN request', () => {
  it('becomes the caller’s half of the input, and nothing else of it does', () => {
    const request = received({ ...good, options: { x: 1 }, evaluations: [] });
    expect(JSON.parse(`{${request.askedText}}`)).toEqual(good);
    expect(request.asked).toEqual({
      subject: { type: 'agent', id: 'a', propertiesText: '{"team":"data"}' },
      action: { name: 'query', propertiesText: '{"dry_run":true}' },
      resource: { type: 'database', id: 'payroll', propertiesText: '{"classification":"internal"}' },
      contextText: '{"task":"monthly-report"}',
    });
  });

  it('may leave out properties and context, or send them as null', () => {
    const bare = { subject: { type: 't', id: 'i' }, action: { name: 'n' }, resource: { type: 't', id: 'i' } };
    expect(JSON.parse(`{${received(bare).askedText}}`)).toEqual(bare);
    const nulled = {
      subject: { ...bare.subject, properties: null },
      action: { ...bare.action, properties: null },
      resource: { ...bare.resource, properties: null },
      context: null,
    };
    expect(JSON.parse(`{${received(nulled).askedText}}`)).toEqual(bare);
  });

  it('drops members of an entity that the standard does not have', () => {
    const request = received({ ...good, subject: { ...good.subject, roles: ['admin'] } });
    expect(JSON.parse(`{${request.askedText}}`)).toEqual(good);
  });

  it('goes on in one line, whatever line breaks stood between its tokens', () => {
    const request = receive(raw(JSON.stringify(good, null, '\t').replaceAll('\n', '\r\n')), limits);
    expect(request.askedText).not.toMatch(/[\r\n\t]/);
    expect(JSON.parse(`{${request.askedText}}`)).toEqual(good);
  });

  it('keeps the digits of numbers as they were sent', () => {
    const request = received(
      `{"subject":{"type":"t","id":"i","properties":{"n":9007199254740993}},"action":{"name":"n","properties":{"n":1.50}},"resource":{"type":"t","id":"i","properties":{"n":1E2}},"context":{"n":-0}}`,
    );
    for (const digits of ['9007199254740993', '1.50', '1E2', '-0'])
      expect(request.askedText).toContain(`"n":${digits}`);
  });

  it('carries surface, entrypoint, way in and request id on as they came', () => {
    const via = { method: 'socket', id: 'b' } as const;
    expect(received(good, { via, requestId: 'r-1', entrypoint: 'x/decision' })).toMatchObject({
      surface: 'authzen',
      entrypoint: 'x/decision',
      via,
      requestId: 'r-1',
      remote: '127.0.0.1:1',
    });
    expect(received(good)).not.toHaveProperty('requestId');
  });
});

describe('A01 a required member', () => {
  const required = [
    ['subject', 'type'],
    ['subject', 'id'],
    ['action', 'name'],
    ['resource', 'type'],
    ['resource', 'id'],
  ] as const;

  it.each(required)('A01 that is missing is named: %s.%s', (entity, name) => {
    const { [name as string]: _gone, ...rest } = good[entity] as Record<string, unknown>;
    expect(refusal({ ...good, [entity]: rest })).toBe(`member_missing: ${entity}.${name}`);
  });

  it.each(required)('A01 that is no string is named: %s.%s', (entity, name) => {
    for (const value of [null, 1, true, [], {}, ['a'], { id: 'a' }]) {
      expect(refusal({ ...good, [entity]: { ...good[entity], [name]: value } })).toBe(
        `member_invalid: ${entity}.${name} must be a string`,
      );
    }
    expect(refusal({ ...good, [entity]: { ...good[entity], [name]: '' } })).toBe(
      `member_invalid: ${entity}.${name} must not be empty`,
    );
  });

  it.each(required)('A01 may have 4,096 characters and not one more: %s.%s', (entity, name) => {
    const long = (length: number): unknown => ({ ...good, [entity]: { ...good[entity], [name]: 'x'.repeat(length) } });
    expect(refusal(long(4_096))).toBe('taken');
    expect(refusal(long(4_097))).toBe(`member_invalid: ${entity}.${name} is longer than 4096 characters`);
    expect(refusal(long(1_000_000))).toBe(`member_invalid: ${entity}.${name} is longer than 4096 characters`);
  });

  it.each(['subject', 'action', 'resource'] as const)('A01 that is no object is named: %s', (entity) => {
    const { [entity]: _gone, ...rest } = good;
    expect(refusal(rest)).toBe(`member_missing: ${entity}`);
    for (const value of [null, [], 'a', 1, [{}]]) {
      expect(refusal({ ...good, [entity]: value })).toBe(`member_invalid: ${entity} must be an object`);
    }
  });

  it.each([
    ['context', { ...good, context: [] }],
    ['context', { ...good, context: 'x' }],
    ['subject.properties', { ...good, subject: { ...good.subject, properties: [] } }],
    ['action.properties', { ...good, action: { ...good.action, properties: 1 } }],
    ['resource.properties', { ...good, resource: { ...good.resource, properties: 'x' } }],
  ])('A01 that is optional has its type all the same: %s', (path, body) => {
    expect(refusal(body)).toBe(`member_invalid: ${path} must be an object`);
  });

  it('A01 any mutant of a good request is taken whole or refused with a place, never anything else', () => {
    const leaf = fc.oneof(fc.jsonValue({ maxDepth: 1 }), fc.constant('x'.repeat(5_000)));
    const entity = (keys: readonly string[]) =>
      fc.oneof(leaf, fc.dictionary(fc.constantFrom(...keys, 'properties', 'x'), leaf, { maxKeys: 3 }));
    const body = fc.record(
      { subject: entity(['type', 'id']), action: entity(['name']), resource: entity(['type', 'id']), context: leaf },
      { requiredKeys: [] },
    );
    fc.assert(
      fc.property(body, (value) => {
        expect(refusal(value)).toMatch(/^(taken|member_(missing|invalid): (subject|action|resource|context))/);
      }),
      { numRuns: 1_000 },
    );
  });
});

describe('an OPA client’s request', () => {
  it('hands its input on, as it came', () => {
    const request = received('{"input":{"user":"alice","n":1.50,"deep":{"a":[1]}},"unknowns":["x"]}', opa);
    expect(request.askedText).toBe('"user":"alice","n":1.50,"deep":{"a":[1]}');
    expect(request.asked).toEqual({});
  });

  it('may have no input, and no body', () => {
    for (const body of ['{}', '', '{"x":1}']) expect(received(body, opa)).toMatchObject({ askedText: '', asked: {} });
    expect(received('{"input":{}}', opa).askedText).toBe('');
  });

  it('has an object for input, or is refused', () => {
    for (const input of ['null', '[]', '"x"', '1', 'true']) {
      expect(refusal(`{"input":${input}}`, opa)).toBe('member_invalid: input must be an object');
    }
    expect(refusal('[]', opa)).toBe('body_not_object');
    expect(refusal(' ', opa)).toBe('body_not_json: character 2');
  });

  it('is understood as AuthZEN’s where it has that shape', () => {
    expect(received({ input: good }, opa).asked).toEqual({
      subject: { type: 'agent', id: 'a' },
      action: { name: 'query' },
      resource: { type: 'database', id: 'payroll' },
    });
    expect(received({ input: { subject: { id: 'a' }, resource: 'db', action: { name: 1 } } }, opa).asked).toEqual({
      subject: { type: '', id: 'a' },
    });
  });

  it('cannot write a member of the sidecar’s half, however its name is spelt in JSON', () => {
    for (const name of knownMembers) {
      const escaped = [...name].map((letter) => `\\u${letter.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
      expect(received(`{"input":{"a":1,"${name}":{"x":1},"b":2}}`, opa).askedText).toBe('"a":1,"b":2');
      expect(received(`{"input":{"${escaped}":{"x":1}}}`, opa).askedText).toBe('');
    }
  });
});

describe('what a request names', () => {
  it('is the device that a relay claims, if it is a string', () => {
    const claiming = (device: unknown): unknown => ({
      ...good,
      subject: { ...good.subject, properties: { device_id: device } },
    });
    expect(received(claiming('node-9')).claimedDevice).toBe('node-9');
    expect(received({ input: claiming('node-9') }, opa).claimedDevice).toBe('node-9');
    expect(received(good).claimedDevice).toBeUndefined();
    for (const device of [1, null, ['node-9'], { id: 'node-9' }]) {
      expect(received(claiming(device)).claimedDevice).toBeUndefined();
    }
  });

  it('is the digest of an artifact, in the resource, the action or the context, each once', () => {
    const other = digest.replace(/0/g, 'f');
    const request = received({
      ...good,
      resource: { ...good.resource, properties: { digest } },
      action: { ...good.action, properties: { digest } },
      context: { digest: other },
    });
    expect(request.digests).toEqual([digest, other]);
    expect(received({ input: { ...good, context: { digest } } }, opa).digests).toEqual([digest]);
  });

  it('is no digest where it is none', () => {
    for (const wrong of [digest.toUpperCase(), digest.slice(1), `${digest}0`, 'sha256:', 1, [digest], { digest }]) {
      expect(received({ ...good, context: { digest: wrong } }).digests).toEqual([]);
    }
    expect(received({ ...good, subject: { ...good.subject, properties: { digest } } }).digests).toEqual([]);
    expect(received({ ...good, context: { deeper: { digest } } }).digests).toEqual([]);
  });
});

describe('decodeUtf8', () => {
  it('reads back whatever UTF-8 encodes', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        fc.pre(!text.startsWith('\ufeff'));
        expect(decodeUtf8(new TextEncoder().encode(text))).toBe(text);
      }),
    );
  });

  it('refuses any bytes that a fatal decoder refuses, and a byte order mark', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 8 }), (bytes) => {
        let expected: string;
        try {
          expected = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
        } catch {
          expected = 'refused';
        }
        if (expected.startsWith('\ufeff')) expected = 'refused';
        let decoded: string;
        try {
          decoded = decodeUtf8(bytes);
        } catch {
          decoded = 'refused';
        }
        expect(decoded).toBe(expected);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('parseJson', () => {
  it('gives values where the same strict reading gives any', () => {
    expect(parseJson(Buffer.from('{"a":[1,"\u00e9"]}'), limits)).toEqual({ a: [1, '\u00e9'] });
    expect(() => parseJson(Buffer.from('{"a":1,"a":2}'), limits)).toThrow(RequestRefused);
    expect(() => parseJson(Buffer.from([0xff]), limits)).toThrow(RequestRefused);
  });
});
