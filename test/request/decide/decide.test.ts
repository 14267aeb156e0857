import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import type { Decision } from '../../../src/domain/decision.ts';
import { Undecided } from '../../../src/domain/errors.ts';
import { decide } from '../../../src/request/decide/decide.ts';

const revision = bundleRevision('r1');

function decided(document: unknown): Decision {
  return decide({ revision, text: JSON.stringify(document) }, 'authz/decision');
}

/** The code that it stays closed with, or the kind of decision that it gives. */
function outcome(text: string | undefined): string {
  try {
    return decide({ revision, text }, 'authz/decision').kind;
  } catch (cause) {
    if (cause instanceof Undecided) return cause.code;
    throw cause;
  }
}

const invalid = 'policy_result_invalid';

describe('what a policy says', () => {
  it('is taken as it stands, for each of the four effects', () => {
    const nothing = {
      revision,
      policy: undefined,
      reasons: [],
      met: [],
      obligations: [],
      ttlS: undefined,
      labels: {},
      grants: undefined,
    };
    expect(decided({ effect: 'allow' })).toEqual({ kind: 'allow', ...nothing });
    expect(decided({ effect: 'deny' })).toEqual({ kind: 'deny', ...nothing });
    expect(decided({ effect: 'constrain', constraints: { read_only: true } })).toEqual({
      kind: 'constrain',
      constraints: { read_only: true },
      ...nothing,
    });
    expect(decided({ effect: 'step_up', step_up: { acr_values: ['phr', 'phrh'], max_age: 300 } })).toEqual({
      kind: 'step_up',
      acrValues: ['phr', 'phrh'],
      maxAgeS: 300,
      ...nothing,
    });
  });

  it('keeps every member of the document', () => {
    expect(
      decided({
        effect: 'constrain',
        policy: 'database_access',
        reasons: [{ code: 'read_only_session', otherwise: 'constrain', message: 'm', remedy: 'r' }, { code: 'bare' }],
        met: ['workload_approved'],
        constraints: { read_only: true, max_rows: 100 },
        step_up: { acr_values: ['phr'] },
        obligations: [
          { id: 'o-1', type: 'notification', properties: { to: 'ops' } },
          { id: 'o-2', type: 'mask' },
        ],
        ttl_s: 30,
        labels: { team: 'data' },
        grants: ['g-1'],
      }),
    ).toEqual({
      kind: 'constrain',
      revision,
      policy: 'database_access',
      reasons: [{ code: 'read_only_session', otherwise: 'constrain', message: 'm', remedy: 'r' }, { code: 'bare' }],
      met: ['workload_approved'],
      constraints: { read_only: true, max_rows: 100 },
      obligations: [
        { id: 'o-1', type: 'notification', properties: { to: 'ops' } },
        { id: 'o-2', type: 'mask', properties: {} },
      ],
      ttlS: 30,
      labels: { team: 'data' },
      grants: ['g-1'],
    });
  });

  it('is handed back unread where the entrypoint is no decision', () => {
    for (const text of ['true', '{"effect":"allow"}', '1e400', undefined]) {
      expect(decide({ revision, text }, 'policies/entitlement_review/report')).toEqual({
        kind: 'queried',
        revision,
        resultText: text,
      });
    }
  });
});

describe('P07 a result that is no decision', () => {
  it('P07 stays closed when it is undefined', () => {
    expect(outcome(undefined)).toBe('policy_undefined');
  });

  it.each([
    ['an empty array', []],
    ['two results', [{ effect: 'allow' }, { effect: 'allow' }]],
    ['true', true],
    ['a string', 'allow'],
    ['a number', 1],
    ['null', null],
    ['an empty object', {}],
    ['an effect in capitals', { effect: 'ALLOW' }],
    ['an effect with a blank', { effect: 'allow ' }],
    ['an effect in a list', { effect: ['allow'] }],
    ['an effect that is true', { effect: true }],
    ['an unknown effect', { effect: 'permit' }],
    ['the name of an inherited member as effect', { effect: 'constructor' }],
    ['AuthZEN in place of a document', { decision: true }],
    ['AuthZEN beside a document', { effect: 'allow', decision: true }],
    ['OPA’s usual boolean', { allow: true }],
    ['an extra member', { effect: 'allow', efect: 'deny' }],
    ['an extra member with an odd name', JSON.parse('{"effect":"allow","__proto__":{}}')],
    ['reasons that are no list', { effect: 'deny', reasons: {} }],
    ['a reason that is a string', { effect: 'deny', reasons: ['no'] }],
    ['a reason without a code', { effect: 'deny', reasons: [{ remedy: 'r' }] }],
    ['a reason with an empty code', { effect: 'deny', reasons: [{ code: '' }] }],
    ['a reason against itself', { effect: 'deny', reasons: [{ code: 'c', otherwise: 'allow' }] }],
    ['a remedy that is no string', { effect: 'deny', reasons: [{ code: 'c', remedy: 1 }] }],
    ['a message that is null', { effect: 'deny', reasons: [{ code: 'c', message: null }] }],
    ['met that is no list', { effect: 'allow', met: 'all' }],
    ['met with a number', { effect: 'allow', met: [1] }],
    ['a policy that is no string', { effect: 'allow', policy: 1 }],
    ['a policy of 513 characters', { effect: 'allow', policy: 'p'.repeat(513) }],
    [
      'more reasons than anybody reads',
      { effect: 'deny', reasons: Array.from({ length: 1001 }, () => ({ code: 'c' })) },
    ],
    ['labels that hold no strings', { effect: 'allow', labels: { n: 1 } }],
    ['grants that are no list', { effect: 'allow', grants: 'g-1' }],
    ['allow with a reason against it', { effect: 'allow', reasons: [{ code: 'c', otherwise: 'deny' }] }],
  ])('P07 stays closed: %s', (_what, document) => {
    expect(outcome(JSON.stringify(document))).toBe(invalid);
  });

  it('P07 stays closed on text that is no JSON at all', () => {
    expect(outcome('{"effect":"allow"')).toBe(invalid);
    expect(outcome('')).toBe(invalid);
  });

  it('P07 stays closed past 64 levels of nesting, and takes 64', () => {
    const constraints = (levels: number): string => `${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`;
    expect(outcome(`{"effect":"constrain","constraints":${constraints(64)}}`)).toBe('constrain');
    expect(outcome(`{"effect":"constrain","constraints":${constraints(65)}}`)).toBe(invalid);
    expect(outcome(`{"effect":"constrain","constraints":${constraints(10_000)}}`)).toBe(invalid);
    expect(outcome(`{"effect":"deny","reasons":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)).toBe(invalid);
  });

  it('P07 stays closed for any JSON document that is not exactly of the one shape', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 4 }), (document) => {
        expect(outcome(JSON.stringify(document))).toBe(invalid);
      }),
      { numRuns: 2_000 },
    );
  });

  it('P07 permits only what a second, slower reading of the shape permits too', () => {
    const permitted = { allow: 0, constrain: 0 };
    fc.assert(
      fc.property(mutated, (document) => {
        const kind = outcome(JSON.stringify(document));
        if (kind !== 'allow' && kind !== 'constrain') return;
        permitted[kind] += 1;
        expect({ document, shaped: hasShape(document) }).toEqual({ document, shaped: true });
      }),
      { numRuns: 10_000 },
    );
    // The property would hold for a reader that refuses everything.
    expect(permitted.allow).toBeGreaterThan(100);
    expect(permitted.constrain).toBeGreaterThan(100);
  });
});

describe('P08 a permit whose terms cannot be read', () => {
  it.each([
    ['constrain without constraints', { effect: 'constrain' }],
    ['constrain with none in them', { effect: 'constrain', constraints: {} }],
    ['constraints that are a list', { effect: 'constrain', constraints: ['read_only'] }],
    ['constraints that are null', { effect: 'constrain', constraints: null }],
    ['constraints that are a string', { effect: 'constrain', constraints: 'read_only' }],
    ['allow with constraints', { effect: 'allow', constraints: { read_only: true } }],
    ['allow with constraints that cannot be read', { effect: 'allow', constraints: 'read_only' }],
    ['a negative ttl', { effect: 'allow', ttl_s: -1 }],
    ['a ttl in words', { effect: 'allow', ttl_s: '30' }],
    ['a ttl that is null', { effect: 'allow', ttl_s: null }],
    ['a ttl past a year', { effect: 'allow', ttl_s: 31_536_001 }],
    ['step_up that is a string', { effect: 'allow', step_up: 'phr' }],
    ['step_up without acr_values', { effect: 'allow', step_up: {} }],
    ['acr_values with a blank in one', { effect: 'step_up', step_up: { acr_values: ['a b'] } }],
    ['acr_values with a quote in one', { effect: 'step_up', step_up: { acr_values: ['a"'] } }],
    ['acr_values with a line break in one', { effect: 'step_up', step_up: { acr_values: ['a\r\nx: y'] } }],
    ['acr_values with an empty one', { effect: 'step_up', step_up: { acr_values: [''] } }],
    ['step_up with an empty list', { effect: 'step_up', step_up: { acr_values: [] } }],
    ['step_up with seventeen', { effect: 'step_up', step_up: { acr_values: Array.from({ length: 17 }, () => 'a') } }],
    ['a negative max_age', { effect: 'step_up', step_up: { acr_values: ['a'], max_age: -1 } }],
    ['a max_age with a fraction', { effect: 'step_up', step_up: { acr_values: ['a'], max_age: 1.5 } }],
    ['a max_age in words', { effect: 'step_up', step_up: { acr_values: ['a'], max_age: '300' } }],
    ['obligations that are no list', { effect: 'allow', obligations: {} }],
    ['an obligation without a type', { effect: 'allow', obligations: [{ id: 'o' }] }],
    ['an obligation without an id', { effect: 'allow', obligations: [{ type: 't' }] }],
    [
      'an obligation whose properties are a list',
      { effect: 'allow', obligations: [{ id: 'o', type: 't', properties: [] }] },
    ],
  ])('P08 stays closed: %s', (_what, document) => {
    expect(outcome(JSON.stringify(document))).toBe(invalid);
  });

  it.each([
    ['a ttl of 1e400', '{"effect":"allow","ttl_s":1e400}'],
    ['a constraint of 1e400', '{"effect":"constrain","constraints":{"max_rows":1e400}}'],
    ['a constraint deep down of -1e400', '{"effect":"constrain","constraints":{"a":[{"b":-1e400}]}}'],
    ['a constraint that a double would round', '{"effect":"constrain","constraints":{"max_rows":9007199254740993}}'],
    [
      'an obligation that a double would round',
      '{"effect":"allow","obligations":[{"id":"o","type":"t","properties":{"n":0.12345678901234567}}]}',
    ],
    ['a constraint too small for a double', '{"effect":"constrain","constraints":{"n":1e-400}}'],
  ])('P08 stays closed: %s', (_what, text) => {
    expect(outcome(text)).toBe(invalid);
  });

  it.each(['0', '1e2', '1.50', '-0', '0.1', '9007199254740992', '1e21', '12345678901234567000', '4.35', '-1.5e-7'])(
    'P08 takes the constraint %s, which a double holds as it is',
    (digits) => {
      const decision = decide(
        { revision, text: `{"effect":"constrain","constraints":{"n":${digits}}}` },
        'authz/decision',
      );
      expect(decision).toMatchObject({ kind: 'constrain', constraints: { n: Number(digits) } });
    },
  );

  it('P08 takes a ttl of nought and of a year', () => {
    expect(decided({ effect: 'allow', ttl_s: 0 })).toMatchObject({ ttlS: 0 });
    expect(decided({ effect: 'allow', ttl_s: 31_536_000 })).toMatchObject({ ttlS: 31_536_000 });
  });
});

// A valid document, with one of its places taken by something else, or with one more member.
const valid = fc.oneof(
  fc.record(
    {
      effect: fc.constantFrom('allow', 'constrain', 'deny', 'step_up'),
      policy: fc.string({ minLength: 1, maxLength: 8 }),
      reasons: fc.array(
        fc.record({ code: fc.string({ minLength: 1, maxLength: 8 }), remedy: fc.string() }, { requiredKeys: ['code'] }),
        { maxLength: 2 },
      ),
      met: fc.array(fc.string({ minLength: 1, maxLength: 8 }), { maxLength: 2 }),
      constraints: fc.dictionary(fc.string({ maxLength: 4 }), fc.jsonValue({ maxDepth: 1 }), { maxKeys: 2 }),
      ttl_s: fc.integer({ min: 0, max: 100 }),
      grants: fc.array(fc.string({ minLength: 1, maxLength: 4 }), { maxLength: 2 }),
      obligations: fc.array(fc.record({ id: fc.constant('o'), type: fc.constant('t') }), { maxLength: 1 }),
      step_up: fc.record({ acr_values: fc.constant(['phr']) }),
    },
    { requiredKeys: ['effect'] },
  ),
  fc.constant({ effect: 'allow' }),
  fc.constant({ effect: 'constrain', constraints: { read_only: true } }),
);
const memberNames = [
  'effect',
  'reasons',
  'met',
  'constraints',
  'step_up',
  'obligations',
  'ttl_s',
  'labels',
  'policy',
  'grants',
];
const mutated = fc
  .tuple(valid, fc.constantFrom(...memberNames, 'x', 'decision'), fc.jsonValue({ maxDepth: 2 }), fc.boolean())
  .map(([document, name, value, changes]) => (changes ? { ...document, [name]: value } : document));

/** The decision document of docs/decision.md once more, written without regard to speed. */
function hasShape(document: unknown): boolean {
  const of = (value: unknown, name: string): unknown => (value as Record<string, unknown>)[name];
  const isObject = (value: unknown): boolean => typeof value === 'object' && value !== null && !Array.isArray(value);
  const isName = (value: unknown): boolean => typeof value === 'string' && value.length >= 1 && value.length <= 512;
  const lists = (value: unknown, each: (item: unknown) => boolean): boolean =>
    value === undefined || (Array.isArray(value) && value.every(each));
  if (!isObject(document) || Object.keys(document as object).some((name) => !memberNames.includes(name))) return false;
  const effect = of(document, 'effect');
  const constraints = of(document, 'constraints');
  const ttl = of(document, 'ttl_s');
  const filled = isObject(constraints) && Object.keys(constraints as object).length > 0;
  return (
    (effect === 'allow'
      ? !filled && (constraints === undefined || isObject(constraints)) && lists(of(document, 'reasons'), () => false)
      : effect === 'constrain' && filled) &&
    lists(of(document, 'reasons'), (reason) => isObject(reason) && isName(of(reason, 'code'))) &&
    lists(of(document, 'met'), isName) &&
    lists(of(document, 'grants'), isName) &&
    lists(of(document, 'obligations'), (one) => isObject(one) && isName(of(one, 'id')) && isName(of(one, 'type'))) &&
    (ttl === undefined || (typeof ttl === 'number' && ttl >= 0 && ttl <= 31_536_000)) &&
    (of(document, 'policy') === undefined || isName(of(document, 'policy'))) &&
    (of(document, 'step_up') === undefined || Array.isArray(of(of(document, 'step_up'), 'acr_values'))) &&
    (of(document, 'labels') === undefined || isObject(of(document, 'labels')))
  );
}
