// Tested by test/cases.test.ts.
import type { JsonObject } from './json-value.ts';

/** How an answer leaves: AuthZEN 1.0, a plain HTTP enforcement point that reads only the status, or OPA's Data API. */
export type Surface = 'authzen' | 'http' | 'opa';

/** Who a listener says its callers are. One listener, one identity: Node shows no peer credentials. */
export interface CallerBinding {
  readonly method: 'configured' | 'socket' | 'none';
  readonly id?: string;
}

/** Bytes as they came off a decision listener, framed but unparsed. */
export interface RawRequest {
  readonly surface: Surface;
  /** The policy entrypoint that is asked, e.g. `authz/decision`; for OPA's API the path as it was decoded. */
  readonly entrypoint: string;
  readonly body: Uint8Array;
  readonly via: CallerBinding;
  /** `ip:port`, or the listener's name for a Unix socket. */
  readonly remote: string;
  /** A valid `X-Request-ID`, echoed back (AuthZEN 1.0, "Request Identification"). */
  readonly requestId?: string;
}

export interface Entity {
  readonly type: string;
  readonly id: string;
  /** As JSON text exactly as sent, so that its digits reach policy and record unrounded; absent if not sent. */
  readonly propertiesText?: string;
}

/** The AuthZEN information model, parsed. The texts are the caller's own, checked and stripped of blanks. */
export interface Asked {
  readonly subject?: Entity;
  readonly action?: { readonly name: string; readonly propertiesText?: string };
  readonly resource?: Entity;
  readonly contextText?: string;
}

export interface AuthzRequest {
  readonly surface: Surface;
  readonly entrypoint: string;
  readonly asked: Asked;
  /** The caller's half of the policy's input: comma-joined JSON members, none of them a name of the known half. */
  readonly askedText: string;
  /** The device that a relay may claim for its subject: `subject.properties.device_id`. */
  readonly claimedDevice?: string;
  /** Digests of artifacts that the request names, e.g. `sha256:…`; bounded. */
  readonly digests: readonly string[];
  /** An OPA client's body had no `input`; it is told so, as OPA does. */
  readonly lacksInput?: true;
  readonly via: CallerBinding;
  readonly remote: string;
  readonly requestId?: string;
}

/** The members that only the sidecar writes. A caller's members of these names never reach the policy. */
export const knownMembers = ['caller', 'device', 'trust', 'workload', 'grants', 'attestations', 'environment'] as const;

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Who is asking, as the sidecar knows it. */
export interface Caller {
  readonly id: string | undefined;
  readonly method: 'jwt_svid' | 'k8s_service_account' | 'socket' | 'configured' | 'none';
  readonly claims: JsonObject;
  readonly ageS: number;
  /** May speak for other subjects and their devices: configuration names it so. */
  readonly relay: boolean;
  /** The device it runs on, from configuration or a verified claim. */
  readonly deviceId: string | undefined;
}
