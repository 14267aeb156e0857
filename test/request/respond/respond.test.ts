import { describe, expect, it } from '@jest/globals';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import type { Decision } from '../../../src/domain/decision.ts';
import { InternalError, RequestRefused, Undecided } from '../../../src/domain/errors.ts';
import type { Answer, Surface } from '../../../src/domain/request.ts';
import { type RespondOptions, respond, respondRefusal } from '../../../src/request/respond/respond.ts';
import { asRecorded } from '../../support/as-recorded.ts';

const options: RespondOptions = { reasons: 'remedies', realm: 'agents' };

const said = {
  revision: bundleRevision('r1'),
  policy: 'database_access',
  reasons: [],
  met: ['workload_approved'],
  obligations: [],
  ttlS: 30,
  labels: { team: 'data' },
  grants: ['g-1'],
} as const;
const reasons = [
  { code: 'risk_low', otherwise: 'step_up', message: 'the risk level is CANARY-high', remedy: 'authenticate again' },
] as const;
const allow: Decision = { kind: 'allow', ...said };
const constrain: Decision = { kind: 'constrain', ...said, reasons, constraints: { read_only: true } };
const stepUp: Decision = { kind: 'step_up', ...said, reasons, acrValues: ['phr', 'phrh'], maxAgeS: 300 };
const deny: Decision = { kind: 'deny', ...said, reasons };
const undecided: Decision = {
  kind: 'undecided',
  revision: undefined,
  error: new Undecided('no_bundle', 'bundle CANARY-name has not been activated'),
};

function answered(
  decision: Decision,
  surface: Surface,
  change: Partial<RespondOptions> = {},
  entrypoint = 'authz/decision',
): Answer {
  return respond(asRecorded(decision), { surface, entrypoint }, 'd-1', { ...options, ...change });
}

function body(answer: Answer): unknown {
  return JSON.parse(answer.body);
}

describe('an AuthZEN answer', () => {
  it('is 200 with true for allow', () => {
    const answer = answered(allow, 'authzen');
    expect(answer.status).toBe(200);
    expect(answer.headers).toEqual({ 'content-type': 'application/json', 'x-decision-id': 'd-1' });
    expect(body(answer)).toEqual({
      decision: true,
      context: { effect: 'allow', met: ['workload_approved'], ttl_s: 30 },
    });
  });

  it('is 200 with true for constrain, its constraints and the obligation to keep them', () => {
    const answer = answered(constrain, 'authzen');
    expect(answer.status).toBe(200);
    expect(body(answer)).toEqual({
      decision: true,
      context: {
        effect: 'constrain',
        reasons: [{ code: 'risk_low', otherwise: 'step_up', remedy: 'authenticate again' }],
        met: ['workload_approved'],
        constraints: { read_only: true },
        obligations: [{ id: 'constrain', type: 'constrain', properties: { read_only: true } }],
        ttl_s: 30,
      },
    });
  });

  it('is 200 with false for step_up, what to authenticate with, and a step-up obligation for each', () => {
    const answer = answered(stepUp, 'authzen');
    expect(answer.status).toBe(200);
    expect(body(answer)).toEqual({
      decision: false,
      context: {
        effect: 'step_up',
        reasons: [{ code: 'risk_low', otherwise: 'step_up', remedy: 'authenticate again' }],
        acr_values: 'phr phrh',
        max_age: 300,
        obligations: [
          { id: 'step-up-1', type: 'step-up', properties: { acr_value: 'phr' } },
          { id: 'step-up-2', type: 'step-up', properties: { acr_value: 'phrh' } },
        ],
      },
    });
  });

  it('is 200 with false for deny, never 403', () => {
    const answer = answered(deny, 'authzen');
    expect(answer.status).toBe(200);
    expect(body(answer)).toEqual({
      decision: false,
      context: { effect: 'deny', reasons: [{ code: 'risk_low', otherwise: 'step_up', remedy: 'authenticate again' }] },
    });
  });

  it('is a deny with our code where no decision could be had, and says no more', () => {
    const answer = answered(undecided, 'authzen');
    expect(answer.status).toBe(200);
    expect(body(answer)).toEqual({
      decision: false,
      context: {
        effect: 'deny',
        reasons: [
          {
            code: 'no_bundle',
            otherwise: 'deny',
            message: 'no policy bundle is loaded',
            remedy: 'activate a policy bundle; the status page says why none is active',
          },
        ],
      },
    });
  });

  it('carries the policy’s own obligations beside ours, on permit and deny alike', () => {
    const obligations = [{ id: 'o-1', type: 'notification', properties: { to: 'ops' } }];
    for (const decision of [allow, constrain, stepUp, deny]) {
      const answer = body(answered({ ...decision, obligations } as Decision, 'authzen')) as {
        context: { obligations: readonly unknown[] };
      };
      expect(answer.context.obligations).toContainEqual(obligations[0]);
    }
  });
});

describe('the answer to a plain HTTP enforcement point', () => {
  it('is 200 for allow and for constrain', () => {
    expect(answered(allow, 'http')).toMatchObject({ status: 200, headers: { 'x-decision-id': 'd-1' } });
    expect(body(answered(constrain, 'http'))).toMatchObject({ effect: 'constrain', constraints: { read_only: true } });
    expect(answered(constrain, 'http').status).toBe(200);
  });

  it('is 401 with RFC 9470’s challenge for step_up', () => {
    const answer = answered(stepUp, 'http');
    expect(answer.status).toBe(401);
    expect(answer.headers['www-authenticate']).toBe(
      'Bearer realm="agents", error="insufficient_user_authentication", ' +
        'error_description="a stronger authentication is required", acr_values="phr phrh", max_age="300"',
    );
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(body(answer)).toMatchObject({ type: 'urn:postern:problem:step_up', status: 401, acr_values: 'phr phrh' });
  });

  it('leaves max_age out of the challenge where the policy gave none', () => {
    const answer = answered({ ...stepUp, maxAgeS: undefined } as Decision, 'http');
    expect(answer.headers['www-authenticate']).toMatch(/acr_values="phr phrh"$/);
    expect(body(answer)).not.toHaveProperty('max_age');
  });

  it('keeps a realm from breaking out of its quotes', () => {
    const answer = answered(stepUp, 'http', { realm: 'a"b\\c\r\nd' });
    expect(answer.headers['www-authenticate']).toMatch(/^Bearer realm="a_b_c__d", error=/);
  });

  it('is 403 with problem details for deny', () => {
    const answer = answered(deny, 'http');
    expect(answer.status).toBe(403);
    expect(answer.headers).toEqual({ 'content-type': 'application/problem+json', 'x-decision-id': 'd-1' });
    expect(body(answer)).toEqual({
      type: 'urn:postern:problem:denied',
      title: 'Denied by policy',
      status: 403,
      effect: 'deny',
      reasons: [{ code: 'risk_low', otherwise: 'step_up', remedy: 'authenticate again' }],
    });
  });

  it('is 403 with our code where no decision could be had', () => {
    const answer = answered(undecided, 'http');
    expect(answer.status).toBe(403);
    expect(body(answer)).toMatchObject({ type: 'urn:postern:problem:no_bundle', reasons: [{ code: 'no_bundle' }] });
  });
});

describe('the answer to an OPA client', () => {
  it('is the document of the decision as result', () => {
    expect(answered(allow, 'opa').status).toBe(200);
    expect(body(answered(allow, 'opa'))).toEqual({
      result: { effect: 'allow', reasons: [], met: ['workload_approved'], policy: 'database_access', ttl_s: 30 },
      decision_id: 'd-1',
    });
    expect(body(answered(constrain, 'opa'))).toMatchObject({
      result: { effect: 'constrain', constraints: { read_only: true } },
    });
    expect(body(answered(stepUp, 'opa'))).toMatchObject({
      result: { effect: 'step_up', step_up: { acr_values: ['phr', 'phrh'], max_age: 300 } },
    });
    expect(body(answered({ ...stepUp, maxAgeS: undefined } as Decision, 'opa'))).toMatchObject({
      result: { step_up: { acr_values: ['phr', 'phrh'] } },
    });
    expect(body(answered(deny, 'opa'))).toMatchObject({ result: { effect: 'deny', reasons: [{ code: 'risk_low' }] } });
  });

  it('is a deny document where no decision could be had', () => {
    expect(body(answered(undecided, 'opa'))).toMatchObject({
      result: { effect: 'deny', reasons: [{ code: 'no_bundle' }] },
    });
  });

  it('has no result where a query could not be had: its client may take any object for true', () => {
    const answer = answered(undecided, 'opa', {}, 'app/allow');
    expect(answer.status).toBe(200);
    expect(body(answer)).toEqual({
      decision_id: 'd-1',
      warning: { code: 'no_bundle', message: 'no policy bundle is loaded' },
    });
  });

  it('is a query’s result to the digit, and empty where it is undefined', () => {
    const queried = (resultText: string | undefined): Decision => ({
      kind: 'queried',
      revision: bundleRevision('r1'),
      resultText,
    });
    expect(answered(queried('[9007199254740993,1.50]'), 'opa').body).toBe('{"result":[9007199254740993,1.50]}');
    expect(answered(queried('false'), 'opa').body).toBe('{"result":false}');
    expect(answered(queried(undefined), 'opa')).toMatchObject({ status: 200, body: '{}' });
  });
});

describe('how much of a reason the caller sees', () => {
  const all = ['authzen', 'http', 'opa'] as const;

  it('is the code and what it leads to, where configured so', () => {
    for (const surface of all) {
      const { body: text } = answered(deny, surface, { reasons: 'codes' });
      expect(text).toContain('{"code":"risk_low","otherwise":"step_up"}');
      const { body: own } = answered(undecided, surface, { reasons: 'codes' });
      expect(own).toContain('"reasons":[{"code":"no_bundle","otherwise":"deny"}]');
    }
  });

  it('is code and remedy by default, and never the message, which holds values', () => {
    for (const surface of all) {
      for (const decision of [deny, stepUp, constrain]) {
        const { body: text } = answered(decision, surface);
        expect(text).toContain('"remedy":"authenticate again"');
        expect(text).not.toContain('CANARY');
      }
    }
  });

  it('is all of it, where configured so', () => {
    for (const surface of all) expect(answered(deny, surface, { reasons: 'full' }).body).toContain('CANARY-high');
  });

  it('never holds the inner message of a failure of ours, however it is configured', () => {
    for (const surface of all) {
      expect(answered(undecided, surface, { reasons: 'full' }).body).not.toContain('CANARY');
    }
  });

  it('leaves labels and grant ids to the record', () => {
    for (const surface of all) {
      const { body: text } = answered(allow, surface, { reasons: 'full' });
      expect(text).not.toContain('g-1');
      expect(text).not.toContain('team');
    }
  });
});

describe('a request that was not judged', () => {
  it('is told what is wrong with it, in the words of its surface', () => {
    const refused = new RequestRefused('member_missing', 400, 'subject.id');
    const text = 'member_missing: a required member is missing: subject.id';
    expect(respondRefusal(refused, 'authzen')).toEqual({
      status: 400,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(text),
    });
    expect(respondRefusal(refused, 'opa')).toEqual({
      status: 400,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ code: 'invalid_parameter', message: text }),
    });
    const http = respondRefusal(refused, 'http');
    expect(http).toMatchObject({ status: 400, headers: { 'content-type': 'application/problem+json' } });
    expect(body(http)).toEqual({
      type: 'urn:postern:problem:member_missing',
      title: 'a required member is missing: subject.id',
      status: 400,
      code: 'member_missing',
    });
  });

  it('may come again in a second where we had no room for it', () => {
    for (const surface of ['authzen', 'http', 'opa'] as const) {
      const answer = respondRefusal(new RequestRefused('overloaded', 503), surface);
      expect(answer).toMatchObject({ status: 503, headers: { 'retry-after': '1' } });
    }
    expect(body(respondRefusal(new RequestRefused('overloaded', 503), 'opa'))).toMatchObject({
      code: 'internal_error',
    });
    expect(body(respondRefusal(new RequestRefused('unauthenticated', 401), 'opa'))).toMatchObject({
      code: 'unauthorized',
    });
  });

  it('learns nothing of a failure that we did not name', () => {
    for (const surface of ['authzen', 'http', 'opa'] as const) {
      const answer = respondRefusal(new InternalError('CANARY', { cause: new Error('CANARY') }), surface);
      expect(answer.status).toBe(500);
      expect(answer.body).toContain('internal error');
      expect(answer.body).not.toContain('CANARY');
    }
  });
});
