import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../src/bundle/reading/read-bundle.ts';
import { type Decision, effectOf } from '../../src/domain/decision.ts';
import { asSidecarError } from '../../src/domain/errors.ts';
import type { JsonObject, JsonValue } from '../../src/domain/json-value.ts';
import { decide } from '../../src/request/decide/decide.ts';
import type { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { bodyOf, cases, know } from '../support/starter-cases.ts';
import { starterPolicy } from '../support/starter-policy.ts';
import { archiveLimits, loadPolicy, Testbed } from '../support/testbed.ts';
import { repository } from './policy-files.ts';
import { changed, everyPathIn, type Path, requests, valueAt } from './requests.ts';

const openness = { deny: 0, step_up: 1, constrain: 2, allow: 3, query: 0 } as const;
/** One of each kind that JSON has. */
const kinds: readonly JsonValue[] = [null, true, 7, 'text', ['text'], { text: 'text' }];
/**
 * What the sidecar writes only once somebody reported it: that nobody did is the normal case, and no door left open.
 * Anything but an explicit `false` closes.
 */
const eventsAlone = ['trust.identity_disabled', 'trust.credential_compromised'];

let policy: PolicyModule;
let requirements: ReadonlyMap<string, readonly string[]>;
/** Inputs by what they are: the ones written by hand, as open as it gets, and what a sidecar wrote for the rows of cases. */
const inputs = new Map<string, JsonObject>(Object.entries(requests));

beforeAll(async () => {
  policy = await starterPolicy();
  const file = readFileSync(join(repository, 'bundles/starter.tar.gz'));
  requirements = (await readBundle(file, archiveLimits)).catalogue.policies;
  const served = await loadPolicy(file);
  for (const { says, given, asks } of cases) {
    // These are mistyped as they stand: the right kind would mend them.
    if (says.startsWith('V19')) continue;
    const bed = await Testbed.open({ policyModule: served, via: { method: 'socket', id: asks.as } });
    try {
      for (const one of given) know(bed, one);
      await bed.ask(JSON.stringify(bodyOf(asks)));
      const [event] = await bed.recorded();
      if (event?.result !== undefined) inputs.set(says, event.input as JsonObject);
    } finally {
      await bed.close();
    }
  }
}, 60_000);

interface Judged {
  readonly opens: number;
  readonly policy: string | undefined;
  /** Requirements that are not met, with what each leads to. */
  readonly unmet: ReadonlyMap<string, string | undefined>;
}

function judged(input: JsonValue): Judged {
  const text = policy.evaluate('authz/decision', JSON.stringify(input));
  let decision: Decision;
  try {
    decision = decide({ revision: policy.revision, text }, 'authz/decision');
  } catch (cause) {
    expect(asSidecarError(cause).code).toMatch(/^policy_/);
    return { opens: openness.deny, policy: undefined, unmet: new Map() };
  }
  const reasons = 'reasons' in decision ? decision.reasons : [];
  return {
    opens: openness[effectOf(decision)],
    policy: 'policy' in decision ? decision.policy : undefined,
    unmet: new Map(reasons.map(({ code, otherwise }) => [code, otherwise])),
  };
}

function kindOf(value: JsonValue | undefined): string {
  return value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value;
}

interface Mutation {
  readonly how: 'missing' | 'mistyped';
  readonly path: Path;
  readonly input: JsonValue;
}

/** Each member left out, and in place of each a value of each other kind. */
function* mutationsOf(input: JsonObject): Generator<Mutation> {
  for (const path of everyPathIn(input)) {
    yield { how: 'missing', path, input: changed(input, path, undefined) };
    const kind = kindOf(valueAt(input, path));
    for (const other of kinds) {
      if (kindOf(other) !== kind) yield { how: 'mistyped', path, input: changed(input, path, other) };
    }
  }
}

describe('V19 a member that is missing, or of another kind', () => {
  it('V19 opens no request further than it was, wherever it stands', () => {
    const opened: unknown[] = [];
    let tried = 0;
    for (const [says, input] of inputs) {
      const before = judged(input).opens;
      for (const { how, path, input: tampered } of mutationsOf(input)) {
        tried += 1;
        if (judged(tampered).opens <= before) continue;
        if (how === 'missing' && eventsAlone.includes(path.join('.'))) continue;
        opened.push({ says, how, path: path.join('.') });
      }
    }
    expect(opened).toEqual([]);
    expect(inputs.size).toBeGreaterThan(Object.keys(requests).length + 20);
    expect(tried).toBeGreaterThan(10_000);
  }, 60_000);

  it('V19 P11 leaves every requirement of every policy unmet somewhere, and it then leads to what it says', () => {
    const found = new Map<string, Set<string>>();
    for (const input of inputs.values()) {
      const before = judged(input);
      for (const { how, input: tampered } of mutationsOf(input)) {
        const after = judged(tampered);
        if (after.policy === undefined || after.policy !== before.policy) continue;
        for (const [code, otherwise] of after.unmet) {
          if (before.unmet.has(code)) continue;
          const id = `${after.policy} ${code}`;
          found.set(id, (found.get(id) ?? new Set()).add(how));
          const most = { deny: openness.deny, step_up: openness.step_up, constrain: openness.constrain }[
            otherwise ?? 'deny'
          ];
          expect({ id, how, closed: after.opens <= (most ?? openness.deny) }).toEqual({ id, how, closed: true });
        }
      }
    }
    const every = [...requirements].flatMap(([name, ids]) => ids.map((id) => `${name} ${id}`));
    expect(every.length).toBeGreaterThan(30);
    expect(every.filter((id) => found.get(id)?.size !== 2)).toEqual([]);
  }, 60_000);
});
