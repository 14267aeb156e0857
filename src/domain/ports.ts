// Tested by test/request/authorize.test.ts.
import type { Attestation } from './attestation.ts';
import type { Attempt, Grant, GrantRequest, GrantStanding, StandingGrant } from './grant.ts';
import type { JsonValue } from './json-value.ts';
import type { AboutKind, AttributeReport, Signal } from './signal.ts';
import type { EpochMs } from './time.ts';

/** Known signals, read from memory: a request never waits for a disk or a network here. */
export interface SignalReader {
  /** The same list object until a newer report replaces it, so that what is derived from it can be kept beside it. */
  held(kind: AboutKind, id: string): readonly AttributeReport[] | undefined;
}

/** Takes reports in. Everything a promise here resolves to is durable first. */
export interface SignalKeeper extends SignalReader {
  /**
   * Keeps all of them or none. What can only close (a revocation) holds from when it is called; the rest once it is durable.
   *
   * @returns for each report, in order, whether it changed anything; an older one that arrives late does not
   * @throws ControlRefused `signal_invalid`, `store_full` or `store_failed`; nothing is kept then
   */
  put(signals: readonly Signal[]): Promise<readonly ('changed' | 'unchanged')[]>;
  /** Forgets all that is held about one thing; false if nothing was. */
  forget(kind: AboutKind, id: string): Promise<boolean>;
}

export interface GrantReader {
  /** Grants of a subject that are active at `now`; bounded by the per-subject cap. */
  activeOf(subject: string, now: EpochMs): readonly Grant[];
}

export interface GrantSpender {
  /**
   * Takes one use of every limited grant named, all or none, checked again inside the transaction and durable before
   * it resolves. Grants without `maxUses` are only checked.
   *
   * @returns false if any of them is not usable for the attempt any more
   * @throws Undecided `grant_store_failed` if the outcome could not be made durable; the uses then count as taken
   */
  spend(ids: readonly string[], attempt: Attempt, now: EpochMs): Promise<boolean>;
}

/** The life of grants as the control listener drives it. All of it throws ControlRefused, and resolves when durable. */
export interface GrantKeeper {
  request(asked: GrantRequest): Promise<StandingGrant>;
  /** Starts the grant's clock. A second approval gives the same grant back. */
  approve(id: string, approver: string, approverNamed?: string): Promise<StandingGrant>;
  /** Holds from when it is called, and for good once it resolves. Rejected as `store_failed`, it may not outlive a restart. */
  revoke(id: string, by: string): Promise<StandingGrant>;
  get(id: string): StandingGrant | undefined;
  /** In order of request, those after the one named; `undefined` if that one is not known. */
  list(filter: GrantFilter, limit: number, after?: string): readonly StandingGrant[] | undefined;
}

export interface GrantFilter {
  readonly subject?: string;
  readonly standing?: GrantStanding;
}

export interface AttestationKeeper extends AttestationReader {
  /**
   * Verifies a DSSE envelope and keeps one attestation for each artifact it speaks of.
   *
   * @throws ControlRefused `attestation_invalid`; nothing of it is kept
   */
  attach(envelope: JsonValue): Promise<readonly Attestation[]>;
}

export interface AttestationReader {
  /** Verified attestations for one artifact digest, e.g. `sha256:…`. */
  of(digest: string): readonly Attestation[];
}

/**
 * One of the bundle's rules about events: JSON text in and out, undefined where it says nothing.
 *
 * @param seed what chance follows from: the id of the event's own decision
 * @throws Undecided as an evaluation does
 */
export type EventRule = (eventText: string, now: EpochMs, seed: string) => string | undefined;

/** A bundle's rules on events before they are recorded: OPA's `data.system.log`. */
export interface DecisionLogRules {
  /** The parts of an event that are not for the record. */
  readonly mask: EventRule | undefined;
  /** Whether it is not for the record as a whole. */
  readonly drop: EventRule | undefined;
}

/** The result of these rules for an event. */
export type MaskOrDropStep = 'masked' | 'dropped' | 'mask_failed' | 'drop_failed';

/** The operational log. `fields` go under their own keys, never into the message. */
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
