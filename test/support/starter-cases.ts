import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import type { JsonObject } from '../../src/domain/json-value.ts';
import type { AboutKind } from '../../src/domain/signal.ts';
import { epochMs } from '../../src/domain/time.ts';
import type { Testbed } from './testbed.ts';

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

/** A row of test/cases/starter.yaml. */
export interface Case {
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

export const cases = parse(readFileSync(new URL('../cases/starter.yaml', import.meta.url), 'utf8'), {
  merge: true,
}) as readonly Case[];
/** Makes the sidecar know what a row says that it knows. */
export function know(bed: Testbed, { device, subject, workload, attestation, grant, ...given }: Given): void {
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

/** What a row asks, as AuthZEN has it. */
export function bodyOf({ as, context, ...rest }: Case['asks']): JsonObject {
  return {
    subject: { type: 'workload', id: as },
    ...rest,
    ...(context !== undefined && context !== null && { context }),
  };
}
