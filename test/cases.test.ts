import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Answer, Surface } from '../src/domain/request.ts';
import type { PolicyModule } from '../src/request/evaluate/policy-module.ts';
import { bodyOf, cases, know } from './support/starter-cases.ts';
import { loadPolicy, Testbed } from './support/testbed.ts';

const root = new URL('..', import.meta.url).pathname;

const surfaces: readonly Surface[] = ['authzen', 'http', 'opa'];

let policy: PolicyModule;

beforeAll(async () => {
  policy = await loadPolicy(await readFile(`${root}bundles/starter.tar.gz`));
}, 60_000);

/** What an answer says, whichever way it came. */
interface Said {
  readonly effect: string;
  readonly permits: boolean;
  readonly reasons: readonly string[];
  readonly constraints: unknown;
  readonly acrValues: readonly string[] | undefined;
  readonly obligations: readonly string[];
}

interface Document {
  readonly effect: string;
  readonly reasons?: readonly { readonly code: string }[];
  readonly constraints?: unknown;
  readonly acr_values?: string;
  readonly step_up?: { readonly acr_values: readonly string[] };
  readonly obligations?: readonly { readonly type: string }[];
}

function said(answer: Answer, surface: Surface): Said {
  const body = JSON.parse(answer.body) as Document & { decision?: boolean; context?: Document; result?: Document };
  const document = (surface === 'authzen' ? body.context : surface === 'opa' ? body.result : body) ?? body;
  const permits = {
    authzen: body.decision === true,
    http: answer.status === 200,
    opa: ['allow', 'constrain'].includes(document.effect),
  }[surface];
  return {
    effect: document.effect,
    permits,
    reasons: (document.reasons ?? []).map(({ code }) => code).toSorted(),
    constraints: document.constraints,
    acrValues: document.step_up?.acr_values ?? document.acr_values?.split(' '),
    obligations: (document.obligations ?? []).map(({ type }) => type),
  };
}

describe.each(surfaces)('asked by %s', (surface) => {
  it.each(cases.map((row) => [row.says, row] as const))('%s', async (_says, { given, asks, wants, records }) => {
    const bed = await Testbed.open({ policyModule: policy, via: { method: 'socket', id: asks.as } });
    try {
      for (const one of given) know(bed, one);
      const body = bodyOf(asks);
      const answer = await bed.ask(JSON.stringify(surface === 'opa' ? { input: body } : body), { surface });
      const got = said(answer, surface);
      expect({ effect: got.effect, reasons: got.reasons, permits: got.permits }).toEqual({
        effect: wants.effect,
        reasons: wants.reasons.toSorted(),
        permits: ['allow', 'constrain'].includes(wants.effect),
      });
      if (wants.constraints !== undefined) expect(got.constraints).toEqual(wants.constraints);
      if (wants.acr_values !== undefined) expect(got.acrValues).toEqual(wants.acr_values);
      // The obligation to keep the constraints is AuthZEN's form; an OPA client has them as they are.
      for (const type of wants.obligations ?? []) {
        if (surface !== 'opa' || type !== 'constrain') expect(got.obligations).toContain(type);
      }
      for (const [id, uses] of Object.entries(wants.uses_left ?? {}))
        expect([id, bed.grants.left(id)]).toEqual([id, uses]);
      const events = await bed.recorded();
      expect(
        events.map(({ effect, reasons }) => [effect, ...reasons.map(({ code }) => code).toSorted()].join(' ')),
      ).toEqual([records]);
      expect(await bed.counted('postern_decisions_total', { effect: wants.effect })).toBe(1);
    } finally {
      await bed.close();
    }
  });
});
