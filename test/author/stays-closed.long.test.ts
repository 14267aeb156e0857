import { beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { effectOf } from '../../src/domain/decision.ts';
import { asSidecarError } from '../../src/domain/errors.ts';
import type { JsonObject, JsonValue } from '../../src/domain/json-value.ts';
import { decide } from '../../src/request/decide/decide.ts';
import type { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { starterPolicy } from '../support/starter-policy.ts';
import { changed, overlap, type Path, pathsIn, requests } from './requests.ts';

let policy: PolicyModule;
beforeAll(async () => {
  policy = await starterPolicy();
});

const openness = { deny: 0, step_up: 1, constrain: 2, allow: 3, query: 0 } as const;

/** How far the compiled policy and the sidecar's reading of it open, together. */
function opens(input: JsonValue): number {
  const text = policy.evaluate('authz/decision', JSON.stringify(input));
  try {
    return openness[effectOf(decide({ revision: policy.revision, text }, 'authz/decision'))];
  } catch (cause) {
    expect(asSidecarError(cause).code).toMatch(/^policy_/);
    return openness.deny;
  }
}

/** Left out, or of every kind: Rego orders null and booleans before numbers, and texts and containers after them. */
const oddities: readonly (JsonValue | undefined)[] = [
  ...[undefined, null, false, true, -1, -0.001, 0, 1e300, '', '0', 'nothing', 'LOW'],
  ...[[], [null], {}, { a: null }],
];

interface Tampering {
  readonly path: Path;
  readonly to: JsonValue | undefined;
}

function tampered(input: JsonValue, tamperings: readonly Tampering[]): JsonValue {
  return tamperings.reduce((value, { path, to }) => changed(value, path, to), input);
}

/** A member whose true or false answers a question: the other word is another answer, not an oddity. */
function isAnswer({ path, to }: Tampering): boolean {
  return typeof to === 'boolean' && ['relay', 'revoked', 'verified', 'compliant'].includes(String(path.at(-1)));
}

describe.each(Object.entries(requests))('P11 %s', (_, base) => {
  it('opens as it stands', () => {
    expect(opens(base)).toBeGreaterThanOrEqual(openness.constrain);
  });

  it('opens no further with any member left out or odd', () => {
    const before = opens(base);
    for (const path of pathsIn(base)) {
      for (const to of oddities) {
        if (isAnswer({ path, to })) continue;
        expect({ path, to, opens: opens(changed(base, path, to)) <= before }).toEqual({ path, to, opens: true });
      }
    }
  });

  it('opens no further with one more, whatever was left out or odd before', () => {
    const paths = pathsIn(base);
    const tampering = fc.record({ path: fc.constantFrom(...paths), to: fc.constantFrom(...oddities) });
    fc.assert(
      fc.property(fc.array(tampering, { minLength: 1, maxLength: 4 }), tampering, (before, last) => {
        fc.pre(!isAnswer(last) && before.every(({ path }) => !overlap(path, last.path)));
        // Taking one element out of a list moves those behind it into another's place.
        fc.pre(![...before, last].some(({ path, to }) => to === undefined && typeof path.at(-1) === 'number'));
        const shut = tampered(base, before);
        expect(opens(changed(shut, last.path, last.to))).toBeLessThanOrEqual(opens(shut));
      }),
      { numRuns: 1500 },
    );
  });

  it('is shut to everybody else', () => {
    const { caller, subject } = base as { readonly caller: JsonObject; readonly subject: JsonObject };
    const other = 'spiffe://acme.example/agent/other';
    expect(opens({ ...base, caller: { ...caller, id: other } })).toBe(openness.deny);
    expect(opens({ ...base, subject: { ...subject, id: other } })).toBe(openness.deny);
    expect(opens({ ...base, caller: { ...caller, id: other }, subject: { ...subject, id: other } })).toBe(
      openness.deny,
    );
  });
});

describe('any input at all', () => {
  it('is denied unless it is a whole question', () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.constantFrom('database', 'environment', 'secret', 'entitlements', 'decision_log'),
        (junk, type) => {
          expect(opens(junk as JsonValue)).toBe(openness.deny);
          expect(opens({ resource: { type }, context: junk as JsonValue, device: junk as JsonValue })).toBe(
            openness.deny,
          );
        },
      ),
    );
  });
});
