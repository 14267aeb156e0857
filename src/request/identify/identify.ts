import { Undecided } from '../../domain/errors.ts';
import type { AuthzRequest, Caller } from '../../domain/request.ts';

export interface IdentifyOptions {
  /** Ids of callers that may speak for other subjects and name their devices. */
  readonly relays: ReadonlySet<string>;
  /** The device that this sidecar and its callers run on. */
  readonly deviceId: string | undefined;
}

/** Who is asking: the one place where a way of being known becomes a caller. */
export type Identify = (request: AuthzRequest) => Caller;

/**
 * Callers are known by the listener they came through: one identity each, given by configuration. What a request says
 * of itself plays no part.
 */
export function identifier(options: IdentifyOptions): Identify {
  return (request) => {
    const { via } = request;
    const relay = via.id !== undefined && options.relays.has(via.id);
    return {
      id: via.id,
      method: via.id === undefined ? 'none' : via.method,
      claims: {},
      ageS: 0,
      relay,
      deviceId: relay && request.claimedDevice !== undefined ? request.claimedDevice : options.deviceId,
    };
  };
}

/**
 * A caller without the right to relay cannot name another subject: checked here for every policy, and once more by the
 * Rego library for what OPA clients send.
 *
 * @throws Undecided `subject_not_caller`
 */
export function requireOwnSubject(request: AuthzRequest, caller: Caller): void {
  const subject = request.asked.subject;
  if (subject === undefined || caller.relay || subject.id === caller.id) return;
  throw new Undecided('subject_not_caller', 'the subject is not the caller, and the caller is not a relay');
}
