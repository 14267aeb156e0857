import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Explained, explainText } from '../../src/cli/explain-text.ts';
import { bundleRevision } from '../../src/domain/bundle.ts';
import type { Decision } from '../../src/domain/decision.ts';
import { Undecided } from '../../src/domain/errors.ts';
import type { JsonObject } from '../../src/domain/json-value.ts';

const said = {
  revision: bundleRevision('starter-1'),
  policy: 'database_access',
  reasons: [],
  met: [],
  obligations: [],
  ttlS: undefined,
  labels: {},
  grants: undefined,
};

const input: JsonObject = {
  subject: { type: 'agent', id: 'spiffe://acme.example/agent/report-bot' },
  action: { name: 'query' },
  resource: { type: 'database', id: 'payroll' },
  context: { task: 'monthly-report' },
  caller: { id: 'spiffe://acme.example/agent/report-bot', method: 'configured', claims: {}, age_s: 0, relay: true },
  device: {
    id: 'node-7',
    known: true,
    compliant: false,
    attributes: { os_version: '12', secure_boot: true, disk_encrypted: false, kernel_version: '6.1', boot_time: 1 },
    observed_at: '2026-11-02T10:00:00Z',
    age_s: 412.5,
    source: 'mdm',
    sources: {},
  },
  trust: {
    risk_level: 'medium',
    risk_score: 40,
    credential_compromised: false,
    session: { revoked: false },
    assurance: { acr: 'phr' },
    attributes: {},
    age_s: -3,
    sources: ['idp', 'edr'],
  },
  workload: { id: 'report-bot', known: true, attributes: { transactions: { 'tx-1': 1 } }, age_s: 2 },
  grants: [
    {
      id: 'g-1',
      actions: ['deploy'],
      resources: ['prod/*'],
      reason: 'x',
      approver: 'ann',
      expires_at: 'soon',
      uses_left: 1,
    },
    { id: 'g-2', actions: ['read'], resources: ['a', 'b'], reason: 'x' },
  ],
  attestations: [{ type: 't', verified: true, builder: 'b', digest: 'sha256:9f', age_s: 60 }],
  environment: { now: '2026-11-02T10:00:00.000Z', now_ns: 0, bundle: { revision: 'starter-1', age_s: 9 }, sidecar: {} },
};

function text(decision: Decision, more: Partial<Explained> = {}, color = false): string {
  return explainText({ decision, entrypoint: 'authz/decision', input, notes: [], ...more }, color);
}

describe('explainText', () => {
  it('tells the whole of a deny', () => {
    const decision: Decision = {
      kind: 'deny',
      ...said,
      reasons: [
        { code: 'device_compliant', otherwise: 'deny', remedy: 'bring the node back', message: 'secure boot is off' },
        { code: 'risk_low', otherwise: 'step_up' },
        { code: 'plain' },
      ],
      met: ['task_assigned'],
      labels: { data: 'internal' },
    };
    expect(text(decision, { notes: ['a note'] })).toBe(`a note

DENY  by policy database_access (authz/decision), bundle starter-1
  agent spiffe://acme.example/agent/report-bot asks to query database payroll, with context {"task":"monthly-report"}

requirements
  ✗ device_compliant  else deny
      remedy: bring the node back
      secure boot is off
  ✗ risk_low          else step_up
  ✗ plain             else deny
  ✓ task_assigned

known
  caller        spiffe://acme.example/agent/report-bot, known by configured, may speak for others
  device        node-7: not compliant, says mdm, 412.5 s ago
                os_version 12, secure_boot true, disk_encrypted false, kernel_version 6.1
                boot_time 1
  trust         risk medium (40), session not revoked, credential_compromised false, dated 3 s into the future
                assurance {"acr":"phr"}
                from idp, edr
  workload      report-bot, 2 s ago
                transactions {"tx-1":1}
  grants        g-1: deploy on prod/*, 1 use left, until soon, approved by ann
                g-2: read on a, b
  attestations  sha256:9f, built by b, 60 s ago
  environment   at 2026-11-02T10:00:00.000Z, bundle starter-1, 9 s ago

label data  internal
`);
  });

  it.each([
    [
      'allow',
      { kind: 'allow', ...said, ttlS: 30, grants: ['g-1'] },
      ['ALLOW', 'rests on   grant g-1', 'holds for  30 s'],
    ],
    [
      'constrain',
      {
        kind: 'constrain',
        ...said,
        constraints: { read_only: true, max_rows: 10 },
        obligations: [{ id: 'log', type: 'audit', properties: { to: 'siem' } }],
      },
      [
        'CONSTRAIN',
        'only with read_only  true',
        'only with max_rows   10',
        'obliged: log         audit {"to":"siem"}',
        'holds for            this one action',
      ],
    ],
    [
      'step_up',
      { kind: 'step_up', ...said, acrValues: ['phr', 'phrh'], maxAgeS: 60 },
      ['STEP_UP', 'after step-up  phr or phrh, at most 60 s ago'],
    ],
    [
      'undecided',
      {
        kind: 'undecided',
        error: new Undecided('policy_undefined', 'authz/decision is undefined'),
        revision: bundleRevision(''),
      },
      [
        'DENY  by authz/decision\n',
        'not decided, so the answer is deny: policy_undefined: the policy gave no result\n  authz/decision is undefined',
      ],
    ],
    [
      'query',
      { kind: 'queried', revision: bundleRevision('r'), resultText: '[1]' },
      ['QUERY  by authz/decision, bundle r', 'result: [1]'],
    ],
  ] as readonly (readonly [string, Decision, readonly string[]])[])(
    'tells what follows from: %s',
    (_, decision, parts) => {
      for (const part of parts) expect(text(decision)).toContain(part);
      expect(text(decision).includes('holds for')).toBe(decision.kind === 'allow' || decision.kind === 'constrain');
    },
  );

  it('calls unknown what nobody said', () => {
    const nothing = text(
      { kind: 'deny', ...said, policy: undefined },
      { input: { device: { id: 'n', known: false } } },
    );
    expect(nothing).toContain('an unnamed subject asks to do something something');
    expect(nothing).toMatch(
      /caller {8}unknown\n {2}device {8}n: nothing known of it\n {2}trust {9}unknown\n {2}workload {6}unknown\n {2}grants {8}none\n/,
    );
    expect(text({ kind: 'deny', ...said }, { input: { trust: {}, device: { id: 'n', known: true } } })).toMatch(
      /n: compliance unknown\n {2}trust {9}risk unknown, session revoked\n/,
    );
    expect(text({ kind: 'deny', ...said }, { input: undefined })).toBe(
      'DENY  by policy database_access (authz/decision), bundle starter-1\n',
    );
  });

  it('colours by effect where it may, and says the same', () => {
    const decision: Decision = {
      kind: 'step_up',
      ...said,
      acrValues: ['phr'],
      maxAgeS: undefined,
      reasons: [{ code: 'risk_low', otherwise: 'step_up' }],
    };
    const coloured = text(decision, {}, true);
    expect(coloured).toContain('\u001b[33m');
    // biome-ignore lint/suspicious/noControlCharactersInRegex: the colours themselves
    expect(coloured.replace(/\u001b\[\d+m/g, '')).toBe(text(decision));
  });

  it('lets nobody who is quoted steer the terminal or write lines of their own', () => {
    const hostile = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\u001b[2J', '\r\nALLOW', '\u202e', '\u009b31m'),
    );
    const value = fc.oneof(hostile, fc.dictionary(hostile, hostile), fc.jsonValue());
    const part = fc.dictionary(
      fc.oneof(fc.constantFrom('id', 'type', 'known', 'attributes', 'source', 'risk_level'), hostile),
      value,
    );
    fc.assert(
      fc.property(part, part, hostile, (one, other, word) => {
        const decision: Decision = {
          kind: 'constrain',
          ...said,
          policy: word,
          reasons: [{ code: word, otherwise: 'deny', message: word, remedy: word }],
          met: [word],
          constraints: { [word]: word },
          obligations: [{ id: word, type: word, properties: {} }],
          labels: { [word]: word },
          grants: [word],
        };
        const attack = {
          subject: one,
          resource: other,
          device: { ...one, known: true },
          trust: other,
          grants: [one],
          environment: other,
        };
        const told = text(decision, { input: attack as JsonObject, notes: [word], entrypoint: word });
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
        expect(told).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/);
        for (const line of told.split('\n')) expect(line).not.toMatch(/^ALLOW/);
      }),
    );
  });
});
