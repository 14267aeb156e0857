/** Requests that are refused before evaluation; counted in postern_rejected_total{why}. */
const refusals = {
  target_invalid: 'the request target is not one this listener reads',
  route_unknown: 'no such route',
  method_not_allowed: 'this route does not take that method',
  host_foreign: 'the Host header names another host',
  origin_foreign: 'cross-site requests are refused',
  header_invalid: 'the request line or a header field is malformed, or a field that counts once was sent twice',
  request_id_invalid: 'X-Request-ID is longer than 128 characters or not visible ASCII',
  content_type_unsupported: 'the body must be application/json, in UTF-8',
  content_encoding_unsupported: 'the Content-Encoding is not supported',
  content_encoding_invalid: 'the body is not what its Content-Encoding says',
  body_too_large: 'the body is larger than the limit',
  request_too_slow: 'the request did not arrive in time',
  body_cut_short: 'the body ended before its announced length',
  body_not_utf8: 'the body is not valid UTF-8 without a byte order mark',
  body_not_json: 'the body is not one JSON document',
  body_too_deep: 'the body is nested too deeply',
  body_not_object: 'the body must be a JSON object',
  member_repeated: 'a member appears twice in one object',
  number_out_of_range: 'a number is too large, or has more digits than can be kept',
  text_not_unicode: 'a string contains half a surrogate pair',
  member_missing: 'a required member is missing',
  member_invalid: 'a member has the wrong type or form',
  overloaded: 'too many requests are waiting; try again',
  stopping: 'the sidecar is stopping; try again',
  unauthenticated: 'a valid token is required',
} as const;

/**
 * Every code that a caller or an operator can get, with the text that a caller may see. Codes are a contract:
 * documented in `docs/errors.md`, never reused. The public texts hold no path, key, address or policy text.
 */
export const publicMessages = {
  ...refusals,
  // Undecided: a decision was due and could not be made, so the answer is deny.
  subject_not_caller: 'the subject is not the caller, and the caller may not speak for others',
  no_bundle: 'no policy bundle is loaded',
  bundle_too_old: 'the policy bundle is older than allowed',
  no_policy_applies: 'no policy applies to this request',
  policy_undefined: 'the policy gave no result',
  policy_result_invalid: 'the policy gave a malformed result',
  policy_failed: 'the policy could not be evaluated',
  policy_budget_spent: 'the policy used too much time or memory',
  outside_unavailable: 'a server that the policy calls did not answer',
  grant_not_usable: 'a grant that the decision rests on is used up, expired or revoked',
  grant_store_failed: 'the use of a grant could not be recorded',
  audit_unavailable: 'the decision could not be recorded',
  internal: 'internal error',
  // The policies' library (rego/postern, rego/authz) gives these for a faulty policy.
  policy_ambiguous: 'more than one policy applies to this request',
  policy_malformed: 'the policy calls the library with wrong arguments',
  requirements_missing: 'the policy names no requirement',
  constraints_missing: 'the policy answers constrain without constraints',
  step_up_missing: 'the policy answers step_up without acr_values',
  // Control listener.
  signal_invalid: 'the signal is malformed',
  grant_invalid: 'the grant is malformed',
  grant_unknown: 'no such grant',
  grant_state: 'the grant is not in a state that allows this',
  grant_self_approval: 'a subject cannot approve its own grant',
  attestation_invalid: 'the attestation does not verify',
  signal_unknown: 'no signal is stored for that id',
  attestation_unknown: 'no attestation is stored for that digest',
  store_full: 'the store is full',
  store_failed: 'the store could not save this',
  // Bundles and configuration.
  bundle_invalid: 'the bundle is refused',
  config_invalid: 'the configuration is refused',
  listen_failed: 'a listener could not be opened',
} as const;

export type ErrorCode = keyof typeof publicMessages;
/** Codes of requests that are refused without being evaluated. */
export const refusalCodes = Object.keys(refusals) as readonly (keyof typeof refusals)[];

/** What to do about a decision that could not be made; it goes out with the code, as a policy's own remedies do. */
export const remedies: Readonly<Partial<Record<ErrorCode, string>>> = {
  subject_not_caller: 'ask in your own name, or have this caller configured as a relay',
  no_bundle: 'activate a policy bundle; the status page says why none is active',
  bundle_too_old: 'deliver a current policy bundle',
  no_policy_applies: 'ask for a policy for resources of this type',
  policy_undefined: 'have the policy give a decision for every request',
  policy_result_invalid: 'fix the policy: its decision must have the documented shape',
  policy_failed: 'fix the policy; the decision log says what failed',
  policy_budget_spent: 'ask for less at once, or make the policy cheaper',
  outside_unavailable: 'ask again; the decision log says which server did not answer',
  grant_not_usable: 'ask for a new grant',
  grant_store_failed: 'ask again when the sidecar is ready; the use may count as spent',
  audit_unavailable: 'ask again when the sidecar is ready',
  internal: 'ask again; the sidecar log says what failed',
};

/** `message` is for our log. `publicMessage` is all that a caller may see. */
export abstract class SidecarError extends Error {
  abstract readonly code: ErrorCode;
  get publicMessage(): string {
    return publicMessages[this.code];
  }
}

/** A request that is not evaluated: the answer says what is wrong with it. */
export class RequestRefused extends SidecarError {
  readonly code: ErrorCode;
  readonly status: number;
  /** Which member, or where: our own words or a member's name of the contract, never the caller's text. */
  readonly at: string | undefined;

  constructor(code: ErrorCode, status: number, at?: string) {
    super(at === undefined ? code : `${code} at ${at}`);
    this.code = code;
    this.status = status;
    this.at = at;
  }

  override get publicMessage(): string {
    return this.at === undefined ? publicMessages[this.code] : `${publicMessages[this.code]}: ${this.at}`;
  }
}

/** A decision that could not be made. The answer is deny, and its code says why. */
export class Undecided extends SidecarError {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}

/** A control request that cannot be carried out: `status` says whose fault it is. */
export class ControlRefused extends SidecarError {
  readonly code: ErrorCode;
  readonly status: number;
  readonly detail: string;

  constructor(code: ErrorCode, status: number, detail: string, options?: ErrorOptions) {
    super(detail, options);
    this.code = code;
    this.status = status;
    this.detail = detail;
  }
}

/** A bundle that is not activated. `message` names file and reason for the operator. */
export class BundleRefused extends SidecarError {
  readonly code = 'bundle_invalid';
}

/** A configuration with faults; it lists all of them. */
export class ConfigRefused extends SidecarError {
  readonly code = 'config_invalid';
  readonly faults: readonly string[];

  constructor(faults: readonly string[]) {
    super(
      `the configuration has ${faults.length} error${faults.length === 1 ? '' : 's'}:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`,
    );
    this.faults = faults;
  }
}

export class InternalError extends SidecarError {
  readonly code = 'internal';
}

/** An error without a code is a bug of ours: the log gets the cause, the caller gets nothing. */
export function asSidecarError(cause: unknown): SidecarError {
  return cause instanceof SidecarError ? cause : new InternalError('unnamed failure', { cause });
}

/** An address or socket that cannot be listened on. */
export class ListenFailed extends SidecarError {
  readonly code = 'listen_failed';
}
