import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { BundleRefused, Undecided } from '../../../src/domain/errors.ts';
import { decide } from '../../../src/request/decide/decide.ts';
import type { PolicyModule } from '../../../src/request/evaluate/policy-module.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { loadPolicy } from '../../support/testbed.ts';

let echo: PolicyModule;
let hostileBundle: Buffer;

beforeAll(async () => {
  echo = await loadPolicy(await compilePolicy('echo', ['authz/decision', 'echo/shown', 'echo/said']));
  hostileBundle = await compilePolicy('hostile', ['authz/decision']);
}, 60_000);

function hostile(): Promise<PolicyModule> {
  return loadPolicy(hostileBundle);
}

/** What a policy makes of an action: its result, `undefined`, or the code that the evaluation fails with. */
function outcome(policy: PolicyModule, action: string, context: unknown = {}): string {
  try {
    return policy.evaluate('authz/decision', JSON.stringify({ action: { name: action }, context })) ?? 'undefined';
  } catch (cause) {
    if (cause instanceof Undecided) return cause.code;
    throw cause;
  }
}

const canary = { effect: 'allow', policy: 'hostile', met: ['canary'] };

function expectCanary(policy: PolicyModule): void {
  expect(JSON.parse(outcome(policy, 'canary'))).toEqual(canary);
}

describe('a policy module', () => {
  it('answers by entrypoint, from its data and the input', () => {
    expect(JSON.parse(outcome(echo, 'read'))).toEqual({
      effect: 'constrain',
      policy: 'echo',
      constraints: { max_rows: 100 },
      met: ['reading'],
    });
    expect(JSON.parse(echo.evaluate('echo/said', '{"context":{"n":[1,"\u00e9",null]}}') ?? '')).toEqual([
      1,
      '\u00e9',
      null,
    ]);
    expect([...echo.entrypoints.keys()].sort()).toEqual(['authz/decision', 'echo/said', 'echo/shown']);
    expect(echo.revision).toBe('test-echo');
  });

  it('says nothing where the policy defines nothing, and where there is no such entrypoint', () => {
    expect(outcome(echo, 'nothing')).toBe('undefined');
    for (const name of ['', 'authz', 'echo/other', '__proto__', 'toString', 'constructor']) {
      expect(echo.evaluate(name, '{}')).toBeUndefined();
    }
  });

  it('tells apart false, null and undefined', () => {
    expect(echo.evaluate('echo/said', '{"context":{"n":false}}')).toBe('false');
    expect(echo.evaluate('echo/said', '{"context":{"n":null}}')).toBe('null');
    expect(echo.evaluate('echo/said', '{"context":{}}')).toBeUndefined();
  });

  it('takes inputs of any size that its memory holds, one after the other', () => {
    for (const length of [10, 1_000_000, 10, 10_000_000, 10]) {
      expect(JSON.parse(outcome(echo, 'read', { text: 'x'.repeat(length) }))).toMatchObject({ effect: 'constrain' });
    }
  });
});

describe('P03 memory', () => {
  it('P03 that a policy asks for past its maximum closes, and is there for the next that asks: no round takes more', async () => {
    const policy = await hostile();
    expect(JSON.parse(outcome(policy, 'hoard', { n: 1_000 }))).toMatchObject({ labels: { n: '1000' } });
    const before = process.memoryUsage().rss;
    let most = 0;
    for (let round = 0; round < 30; round += 1) {
      expect(outcome(policy, 'hoard', { n: 1_000_000 })).toBe('policy_budget_spent');
      expectCanary(policy);
      // A turn of the event loop, as between two requests.
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, process.memoryUsage().rss - before);
    }
    // 64 MiB, once, and what the engine needs of its own.
    expect(most).toBeLessThan(120_000_000);
  });

  it('P03 an input that does not fit closes', async () => {
    const policy = await hostile();
    expect(outcome(policy, 'canary', { text: 'x'.repeat(80_000_000) })).toBe('policy_failed');
    expectCanary(policy);
  });
});

describe('P04 an evaluation that throws', () => {
  it('P04 leaves no trace in ten thousand rounds: the next one is right', async () => {
    const policy = await hostile();
    const deep = `${'['.repeat(2_000)}${']'.repeat(2_000)}`;
    const faults = [
      () => outcome(policy, 'conflict'),
      () => outcome(policy, 'conflict'),
      () => outcome(policy, 'conflict'),
      () => outcome(policy, 'glob', { pattern: '{'.repeat(3_200) }),
      () => outcome(policy, 'unmarshal', { text: deep }),
    ];
    const before = process.memoryUsage().rss;
    const seen = new Map<string, number>();
    for (let round = 0; round < 10_000; round += 1) {
      const result = (faults[round % faults.length] as () => string)();
      const code = result.startsWith('{') ? 'result' : result;
      seen.set(code, (seen.get(code) ?? 0) + 1);
      if (round % 100 === 0) {
        expectCanary(policy);
        // A turn of the event loop, as between two requests.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    expectCanary(policy);
    expect(seen.get('policy_failed')).toBeGreaterThanOrEqual(6_000);
    expect(process.memoryUsage().rss - before).toBeLessThan(400_000_000);
  }, 120_000);

  it('P04 a rule that has two values closes, whichever of them would have permitted', async () => {
    const policy = await hostile();
    for (let round = 0; round < 600; round += 1) expect(outcome(policy, 'conflict')).toBe('policy_failed');
    expectCanary(policy);
  }, 30_000);

  it('P04 a document deeper than the module’s own stack closes or is undefined', async () => {
    const policy = await hostile();
    for (let round = 0; round < 20; round += 1) {
      const result = outcome(policy, 'unmarshal', { text: `${'['.repeat(100_000)}${']'.repeat(100_000)}` });
      expect(['policy_failed', 'undefined', 'policy_result_invalid', 'policy_budget_spent']).toContain(result);
      expectCanary(policy);
    }
  }, 60_000);
});

describe('P05 a pattern that the caller wrote', () => {
  it('P05 of 3,200 braces costs nobody else an answer', async () => {
    const policy = await hostile();
    for (let round = 0; round < 20; round += 1) {
      const result = outcome(policy, 'glob', { pattern: '{'.repeat(3_200) });
      expect(['policy_failed', 'undefined', 'policy_budget_spent']).toContain(result);
      expectCanary(policy);
    }
    expect(JSON.parse(outcome(policy, 'glob', { pattern: '*' }))).toEqual({ effect: 'allow' });
    expect(outcome(policy, 'glob', { pattern: 'y' })).toBe('undefined');
  });
});

describe('P07 a result over the limit', () => {
  it('P07 closes, and at the limit is taken', async () => {
    const policy = await hostile();
    expect(outcome(policy, 'long', { n: 6_000 })).toContain('0123456789');
    expect(outcome(policy, 'long', { n: 7_000 })).toBe('policy_result_invalid');
    expectCanary(policy);
  });
});

describe('P10 two evaluations', () => {
  it('P10 share nothing: what one was told the other does not know, in any order', async () => {
    const policy = await hostile();
    const told = fc.string({ minLength: 1, maxLength: 200 }).map((text) => `CANARY-${text}`);
    fc.assert(
      fc.property(fc.array(fc.option(told), { minLength: 1, maxLength: 20 }), (secrets) => {
        for (const secret of secrets) {
          const result = outcome(policy, 'tell', secret === null ? {} : { secret });
          if (secret === null) expect(result).toBe('undefined');
          else expect(JSON.parse(result)).toEqual({ effect: 'deny', reasons: [{ code: 'told', message: secret }] });
          // Nothing of it stands in what the next one is answered either.
          expect(outcome(policy, 'canary')).not.toContain('CANARY');
        }
      }),
      { numRuns: 1_000 },
    );
  }, 60_000);

  it('P10 share nothing after a fault between them', async () => {
    const policy = await hostile();
    for (const fault of ['conflict', 'canary']) {
      outcome(policy, 'tell', { secret: 'CANARY' });
      outcome(policy, fault);
      expect(outcome(policy, 'tell', {})).toBe('undefined');
    }
  });
});

describe('V10 two inputs that differ anywhere', () => {
  it('V10 have an evaluation each: there is no cache to collide in', () => {
    const delimiters = fc.constantFrom('a', 'b', ',', '"', '|', ':', '/', '\\', '\u0000', ' ', '[', ']', '{', '}');
    const text = fc.string({ unit: delimiters, maxLength: 6 });
    const value = fc.oneof(
      text,
      fc.array(text, { maxLength: 3 }),
      fc.array(fc.array(text, { maxLength: 2 }), { maxLength: 2 }),
      fc.dictionary(text, text, { maxKeys: 2 }),
    );
    fc.assert(
      fc.property(value, value, (first, second) => {
        const said = (n: unknown): unknown =>
          JSON.parse(echo.evaluate('echo/said', JSON.stringify({ context: { n } })) ?? '');
        expect(said(first)).toEqual(first);
        expect(said(second)).toEqual(second);
        expect(said(first)).toEqual(first);
      }),
      { numRuns: 500 },
    );
  });

  it('V10 ["a","b"] is not ["a,b"], nor [["a"],"b"]', () => {
    for (const n of [['a', 'b'], ['a,b'], [['a'], 'b'], [['a', 'b']], 'a,b', { a: 'b' }]) {
      expect(JSON.parse(echo.evaluate('echo/said', JSON.stringify({ context: { n } })) ?? '')).toEqual(n);
    }
  });
});

describe('a caller’s own text as decision', () => {
  it('P07 is no more trusted for having come out of a policy', () => {
    const said = (document: string): string => {
      try {
        const text = echo.evaluate(
          'authz/decision',
          JSON.stringify({ action: { name: 'write' }, context: { document } }),
        );
        return decide({ revision: echo.revision, text }, 'authz/decision').kind;
      } catch (cause) {
        return (cause as Undecided).code;
      }
    };
    expect(said('{"effect":"deny"}')).toBe('deny');
    expect(said('{"effect":"ALLOW"}')).toBe('policy_result_invalid');
    expect(said('[{"effect":"allow"}]')).toBe('policy_result_invalid');
    expect(said('{"effect":"constrain","constraints":{"n":1e400}}')).not.toBe('constrain');
    expect(said('{"effect":"constrain","constraints":{"n":9007199254740993}}')).toBe('policy_result_invalid');
    expect(said(`{"effect":"constrain","constraints":${'{"a":'.repeat(65)}1${'}'.repeat(65)}}`)).toBe(
      'policy_result_invalid',
    );
  });
});

describe('a bundle whose module does not run', () => {
  it('is refused where the module does not compile', async () => {
    const { PolicyModule: Policy } = await import('../../../src/request/evaluate/policy-module.ts');
    const { policyLimits } = await import('../../support/testbed.ts');
    await expect(
      Policy.load({ wasm: Buffer.from('\0asm garbage'), dataText: '{}', revision: echo.revision }, policyLimits),
    ).rejects.toThrow(BundleRefused);
  });
});
