import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import type { JsonObject } from '../src/domain/json.ts';
import type { Answer, Surface } from '../src/domain/request.ts';
import type { AboutKind } from '../src/domain/signal.ts';
import { epochMs } from '../src/domain/time.ts';
import type { PolicyModule } from '../src/evaluate/policy-module.ts';
import { loadPolicy, Testbed } from './support/testbed.ts';

const root = new URL('..', import.meta.url).pathname;

interface Given {
  readonly device?: string;
  readonly subject?: string;
  readonly workload?: string;
  readonly attestation?: string;
  readonly grant?: string;
  readonly says?: JsonObject;
  readonly source?: string;
  readonly ago_s?: number;
  readonly builder?: string;
  readonly build_type?: string;
  readonly source_repository?: string;
  readonly actions?: readonly string[];
  readonly resources?: readonly string[];
  readonly max_uses?: number;
  readonly uses?: number;
}

interface Case {
  readonly says: string;
  readonly given: readonly Given[];
  readonly asks: {
    readonly as: string;
    readonly subject?: JsonObject;
    readonly action: JsonObject;
    readonly resource: JsonObject;
    readonly context?: JsonObject | null;
  };
  readonly wants: {
    readonly effect: string;
    readonly reasons: readonly string[];
    readonly constraints?: JsonObject;
    readonly acr_values?: readonly string[];
    readonly obligations?: readonly string[];
    readonly uses_left?: Readonly<Record<string, number>>;
  };
  readonly records: string;
}

const cases = parse(readFileSync(`${root}test/cases/starter.yaml`, 'utf8'), { merge: true }) as readonly Case[];
const surfaces: readonly Surface[] = ['authzen', 'http', 'opa'];

let policy: PolicyModule;

beforeAll(async () => {
  policy = await loadPolicy(await readFile(`${root}bundles/starter.tar.gz`));
}, 60_000);

/** Makes the sidecar know what a row says that it knows. */
function know(bed: Testbed, { device, subject, workload, attestation, grant, ...given }: Given): void {
  const at = epochMs(bed.clock.now() - (given.ago_s ?? 0) * 1_000);
  if (attestation !== undefined) {
    bed.attestations.push({
      type: 'https://slsa.dev/provenance/v1',
      digest: attestation,
      builder: given.builder ?? '',
      buildType: given.build_type ?? '',
      keyId: 'key-1',
      receivedAt: at,
      finishedAt: at,
      ...(given.source_repository !== undefined && { sourceRepository: given.source_repository }),
    });
  } else if (grant !== undefined) {
    bed.grants.give({
      id: grant,
      subject: subject ?? '',
      approvedAt: at,
      ...(given.actions !== undefined && { actions: given.actions }),
      ...(given.resources !== undefined && { resources: given.resources }),
      ...(given.max_uses !== undefined && { maxUses: given.max_uses }),
      ...(given.uses !== undefined && { uses: given.uses }),
    });
  } else {
    const about: readonly (readonly [AboutKind, string | undefined])[] = [
      ['device', device],
      ['subject', subject],
      ['workload', workload],
    ];
    const found = about.find(([, id]) => id !== undefined);
    if (found?.[1] === undefined) throw new Error('a row is about nothing');
    bed.signals.report({
      about: { kind: found[0], id: found[1] },
      attributes: given.says ?? {},
      observedAt: at,
      ...(given.source !== undefined && { source: given.source }),
    });
  }
}

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
      const { as, context, ...rest } = asks;
      const body = {
        subject: { type: 'workload', id: as },
        ...rest,
        ...(context !== undefined && context !== null && { context }),
      };
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
