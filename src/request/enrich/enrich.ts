import type { Attestation } from '../../domain/attestation.ts';
import type { BundleRevision } from '../../domain/bundle.ts';
import type { Facts } from '../../domain/facts.ts';
import { type Grant, usesLeft } from '../../domain/grant.ts';
import type { AttestationReader, GrantReader, SignalReader } from '../../domain/ports.ts';
import type { AuthzRequest, Caller } from '../../domain/request.ts';
import { type EpochMs, rfc3339Of } from '../../domain/time.ts';
import { KnownFacts, type Template } from './known-facts.ts';

export interface EnrichOptions {
  readonly signals: SignalReader;
  readonly grants: GrantReader;
  readonly attestations: AttestationReader;
  readonly sidecar: { readonly id: string; readonly labels: Readonly<Record<string, string>> };
}

/** The bundle that is going to answer, as the policy sees it. */
export interface ActiveBundle {
  readonly revision: BundleRevision;
  /** When what it holds was last known to be current. */
  readonly currentAt: EpochMs;
}

export type Enrich = (request: AuthzRequest, caller: Caller, bundle: ActiveBundle, now: EpochMs) => Facts;

/**
 * Writes the policy's input: the caller's half as the caller sent it, the known half from memory, every age against the
 * request's one reading of the clock. It is text from the start, since the policy module takes text and the record keeps
 * the same text; docs/decision.md has every member.
 */
export function enricher(options: EnrichOptions): Enrich {
  const known = new KnownFacts(options.signals);
  const sidecarText = `"sidecar":${JSON.stringify(options.sidecar)}`;
  return (request, caller, bundle, now) => {
    const subjectId = request.asked.subject?.id ?? caller.id;
    const device = known.device(caller.deviceId, now);
    const trust = known.trust(subjectId, caller.id, now);
    const workload = known.workload(caller.id, now);
    const grants = subjectId === undefined ? [] : options.grants.activeOf(subjectId, now);
    const input =
      `{${request.askedText}${request.askedText === '' ? '' : ','}"caller":${callerText(caller)}` +
      `,"device":${filled(device, now)},"trust":${filled(trust, now)},"workload":${filled(workload, now)}` +
      `,"grants":${grants.length === 0 ? '[]' : grantsText(grants, now)}` +
      `,"attestations":${request.digests.length === 0 ? '[]' : attestationsText(request, options.attestations, now)}` +
      `,"environment":{"now":"${rfc3339Of(now)}","now_ns":${now}000000` +
      `,"bundle":{"revision":${JSON.stringify(bundle.revision)},"age_s":${ageS(bundle.currentAt, now)}},${sidecarText}}}`;
    return {
      entrypoint: request.entrypoint,
      input,
      now,
      caller,
      grants,
      signalAgesS: {
        ...(device.oldestReportAt !== undefined && { device: ageS(device.oldestReportAt, now) }),
        ...(trust.oldestReportAt !== undefined && { trust: ageS(trust.oldestReportAt, now) }),
        ...(workload.oldestReportAt !== undefined && { workload: ageS(workload.oldestReportAt, now) }),
      },
    };
  };
}

/** Seconds, to the millisecond. Negative for a report from the future, which the library does not take for fresh. */
function ageS(observedAt: EpochMs, now: EpochMs): number {
  return (now - observedAt) / 1000;
}

function filled(template: Template, now: EpochMs): string {
  const { pieces, observed } = template;
  let text = pieces[0] ?? '';
  for (let index = 0; index < observed.length; index += 1) {
    text += ageS(observed[index] ?? now, now) + (pieces[index + 1] ?? '');
  }
  return text;
}

function callerText(caller: Caller): string {
  const id = caller.id === undefined ? '' : `"id":${JSON.stringify(caller.id)},`;
  return `{${id}"method":"${caller.method}","claims":${JSON.stringify(caller.claims)},"age_s":${caller.ageS},"relay":${caller.relay}}`;
}

function grantsText(grants: readonly Grant[], now: EpochMs): string {
  return JSON.stringify(
    grants.map((grant) => ({
      id: grant.id,
      actions: grant.actions,
      resources: grant.resources,
      ...(grant.resourceType !== undefined && { resource_type: grant.resourceType }),
      reason: grant.reason,
      ...(grant.approver !== undefined && { approver: grant.approver }),
      // Since its approval: a policy that wants a just-in-time right can tell it from one that has stood for weeks.
      ...(grant.approvedAt !== undefined && { age_s: ageS(grant.approvedAt, now) }),
      ...(grant.expiresAt !== undefined && { expires_at: rfc3339Of(grant.expiresAt) }),
      ...(grant.maxUses !== undefined && { uses_left: usesLeft(grant) }),
    })),
  );
}

function attestationsText(request: AuthzRequest, attestations: AttestationReader, now: EpochMs): string {
  return JSON.stringify(
    request.digests.flatMap((digest) => attestations.of(digest)).map((one) => attestationDocument(one, now)),
  );
}

function attestationDocument(one: Attestation, now: EpochMs): object {
  return {
    type: one.type,
    verified: true,
    builder: one.builder,
    build_type: one.buildType,
    digest: one.digest,
    key_id: one.keyId,
    ...(one.sourceRepository !== undefined && { source_repository: one.sourceRepository }),
    ...(one.finishedAt !== undefined && { finished_at: rfc3339Of(one.finishedAt), age_s: ageS(one.finishedAt, now) }),
  };
}
