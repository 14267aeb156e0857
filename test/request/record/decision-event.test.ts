import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import type { Decision } from '../../../src/domain/decision.ts';
import { Undecided } from '../../../src/domain/errors.ts';
import type { Facts } from '../../../src/domain/facts.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { type EventContext, eventWriter } from '../../../src/request/record/decision-event.ts';

const write = eventWriter({ id: 'sidecar-1', labels: { region: 'local' }, version: '0.1.0' }, 'starter');
const input = '{"subject":{"type":"agent","id":"a"},"context":{"n":9007199254740993,"m":1.50}}';

const facts: Facts = {
  entrypoint: 'authz/decision',
  input,
  now: epochMs(0),
  caller: { id: 'a', method: 'configured', claims: {}, ageS: 0, relay: false, deviceId: undefined },
  grants: [],
  signalAgesS: { device: 12.5 },
};

const said = {
  revision: bundleRevision('r1'),
  policy: 'database_access',
  reasons: [{ code: 'risk_low', otherwise: 'step_up', message: 'risk is high', remedy: 'authenticate again' }],
  met: [],
  obligations: [],
  ttlS: undefined,
  labels: {},
  grants: undefined,
} as const;

function context(change: Partial<EventContext> = {}): EventContext {
  return {
    decisionId: 'd-1',
    raw: {
      surface: 'authzen',
      entrypoint: 'authz/decision',
      body: Buffer.alloc(0),
      via: { method: 'configured', id: 'a' },
      remote: '127.0.0.1:5022',
      requestId: 'q-1',
    },
    receivedAt: epochMs(Date.parse('2026-11-02T10:00:00.123Z')),
    decision: { kind: 'deny', ...said },
    request: undefined,
    facts,
    resultText: '{"effect":"deny"}',
    drawsText: undefined,
    durationNs: 91_234,
    ...change,
  };
}

function event(change: Partial<EventContext> = {}): Record<string, unknown> {
  const line = write(context(change));
  expect(line.endsWith('}\n')).toBe(true);
  expect(line.slice(0, -1)).not.toContain('\n');
  return JSON.parse(line) as Record<string, unknown>;
}

describe('a decision event', () => {
  it('is of OPA’s schema, with effect, reasons and signal ages beside it', () => {
    expect(event()).toEqual({
      labels: { region: 'local', id: 'sidecar-1', version: '0.1.0' },
      decision_id: 'd-1',
      path: 'authz/decision',
      bundles: { starter: { revision: 'r1' } },
      input: JSON.parse(input),
      result: { effect: 'deny' },
      requested_by: '127.0.0.1:5022',
      timestamp: '2026-11-02T10:00:00.123Z',
      metrics: { timer_server_handler_ns: 91_234 },
      request_id: 'q-1',
      effect: 'deny',
      reasons: [{ code: 'risk_low', otherwise: 'step_up', message: 'risk is high', remedy: 'authenticate again' }],
      signal_ages_s: { device: 12.5 },
    });
  });

  it('holds the very text that the policy read, to the digit', () => {
    expect(write(context())).toContain(`"input":${input},"result":{"effect":"deny"},`);
  });

  it('has no member for what there was not', () => {
    const { requestId: _none, ...raw } = context().raw;
    const bare = event({
      raw,
      facts: undefined,
      resultText: undefined,
      decision: { kind: 'undecided', revision: undefined, error: new Undecided('no_bundle', 'none') },
    });
    for (const member of ['bundles', 'input', 'result', 'request_id', 'signal_ages_s', 'nd_builtin_cache']) {
      expect(bare).not.toHaveProperty(member);
    }
    expect(bare).toMatchObject({
      effect: 'deny',
      reasons: [{ code: 'no_bundle', otherwise: 'deny' }],
      error: { code: 'no_bundle', message: 'none' },
    });
  });

  it('holds what was asked, where it came to no more than that', () => {
    const request = {
      surface: 'authzen',
      entrypoint: 'authz/decision',
      asked: {},
      askedText: '"subject":{"type":"agent","id":"b"}',
      digests: [],
      via: { method: 'configured', id: 'a' },
      remote: 'unix',
    } as const;
    expect(event({ facts: undefined, request })['input']).toEqual({ subject: { type: 'agent', id: 'b' } });
  });

  it('holds what builtins drew, as OPA names it', () => {
    expect(event({ drawsText: '{"time.now_ns":{"[]":1}}' })['nd_builtin_cache']).toEqual({
      'time.now_ns': { '[]': 1 },
    });
  });

  it.each([
    [{ kind: 'allow', ...said, reasons: [] }, 'allow', 0],
    [{ kind: 'constrain', ...said, constraints: { read_only: true } }, 'constrain', 1],
    [{ kind: 'step_up', ...said, acrValues: ['phr'], maxAgeS: undefined }, 'step_up', 1],
    [{ kind: 'deny', ...said }, 'deny', 1],
    [{ kind: 'queried', revision: bundleRevision('r1'), resultText: 'true' }, 'query', 0],
  ] as const)('says which effect it was, and why: %j', (decision, effect, reasons) => {
    const made = event({ decision: decision as Decision });
    expect(made['effect']).toBe(effect);
    expect(made['reasons']).toHaveLength(reasons);
  });

  it('holds all of a reason, whatever the caller was shown', () => {
    expect(write(context())).toContain('risk is high');
  });

  it('M03 is one line and one object of our members, whatever anybody writes into it', () => {
    const hostile = fc.oneof(
      fc.constantFrom(
        '\r\n',
        '\u001b[2J',
        '\u2028',
        '\u2029',
        '{"level":"info"}',
        '","effect":"allow","x":"',
        '\u0000',
        '\u007f',
        '\u0085',
        '\u202e',
        '\ufeff',
        '\\',
        '"',
      ),
      fc.string({ unit: 'binary', maxLength: 20 }),
    );
    const text = fc.array(hostile, { maxLength: 4 }).map((parts) => parts.join('').toWellFormed());
    fc.assert(
      fc.property(text, text, text, text, (id, path, remote, message) => {
        const line = write(
          context({
            raw: { ...context().raw, entrypoint: path, remote, requestId: id },
            facts: { ...facts, input: `{"subject":{"id":${JSON.stringify(id)}},"message":${JSON.stringify(message)}}` },
            resultText: JSON.stringify({ effect: 'deny', said: message }),
            decision: { kind: 'deny', ...said, reasons: [{ code: 'c', message }] },
          }),
        );
        // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
        expect(line.slice(0, -1)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\ufeff]/);
        const parsed = JSON.parse(line) as Record<string, unknown>;
        expect(parsed).toMatchObject({
          effect: 'deny',
          path,
          requested_by: remote,
          request_id: id,
          input: { subject: { id }, message },
          result: { effect: 'deny', said: message },
          reasons: [{ code: 'c', message }],
        });
        expect(Object.keys(parsed)).toEqual([
          'labels',
          'decision_id',
          'path',
          'bundles',
          'input',
          'result',
          'requested_by',
          'timestamp',
          'metrics',
          'request_id',
          'effect',
          'reasons',
          'signal_ages_s',
        ]);
      }),
      { numRuns: 2_000 },
    );
  });
});
