import type { Attestation } from './attestation.ts';
import type { Attempt, Grant } from './grant.ts';
import type { AboutKind, Held } from './signal.ts';
import type { EpochMs } from './time.ts';

/** What the sidecar knows of signals, read from memory: never a disk or a network on a request's way. */
export interface SignalReader {
  /** The same list object until a newer report replaces it, so that what is derived from it can be kept beside it. */
  held(kind: AboutKind, id: string): readonly Held[] | undefined;
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

export interface AttestationReader {
  /** Verified attestations for one artifact digest, e.g. `sha256:…`. */
  of(digest: string): readonly Attestation[];
}

/** The operational log. `fields` go under their own keys, never into the message. */
export interface Log {
  debug(message: string, fields?: Readonly<Record<string, unknown>>): void;
  info(message: string, fields?: Readonly<Record<string, unknown>>): void;
  warn(message: string, fields?: Readonly<Record<string, unknown>>): void;
  error(message: string, fields?: Readonly<Record<string, unknown>>): void;
}
