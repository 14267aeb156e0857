import {
  type Decision,
  isDecisionEntrypoint,
  type Obligation,
  type Reason,
  type RecordedDecision,
} from '../../domain/decision.ts';
import { RequestRefused, remedies, type SidecarError } from '../../domain/errors.ts';
import type { JsonObject } from '../../domain/json-value.ts';
import type { Answer, AuthzRequest, Surface } from '../../domain/request.ts';

/** How much of a reason the caller may see; the record always has all of it. */
export type ReasonDetail = 'codes' | 'remedies' | 'full';

export interface RespondOptions {
  readonly reasons: ReasonDetail;
  /** The `realm` of challenges: RFC 9110 section 11.5. */
  readonly realm: string;
}

type Given = Exclude<Decision, { readonly kind: 'queried' }>;

/**
 * A decision as it leaves; docs/decision.md has the statuses, bodies and headers side by side.
 *
 * - AuthZEN 1.0: 200 with `decision`, whatever it is
 * - a plain HTTP enforcement point: 200, 200, 401 (RFC 9470) or 403 (RFC 9457)
 * - OPA's Data API: 200 with the document as `result`; without one where the entrypoint is no decision and could not be
 *   asked, since a client that expects a boolean there would take any object for true
 */
export function respond(
  decision: RecordedDecision,
  { surface, entrypoint, lacksInput }: Pick<AuthzRequest, 'surface' | 'entrypoint' | 'lacksInput'>,
  decisionId: string,
  options: RespondOptions,
): Answer {
  if (decision.kind === 'queried') {
    const result = decision.resultText === undefined ? [] : [`"result":${decision.resultText}`];
    const warned = lacksInput ? [`"warning":${JSON.stringify(inputMissing)}`] : [];
    return json(200, `{${[...result, ...warned].join(',')}}`, decisionId);
  }
  switch (surface) {
    case 'authzen':
      return json(
        200,
        JSON.stringify({ decision: permits(decision), context: context(decision, options) }),
        decisionId,
      );
    case 'opa':
      if (decision.kind === 'undecided' && !isDecisionEntrypoint(entrypoint)) {
        return json(200, JSON.stringify({ decision_id: decisionId, warning: warning(decision.error) }), decisionId);
      }
      return json(
        200,
        JSON.stringify({
          result: document(decision, options),
          decision_id: decisionId,
          ...(lacksInput && { warning: inputMissing }),
        }),
        decisionId,
      );
    case 'http':
      return plainHttp(decision, decisionId, options);
    default:
      return surface satisfies never;
  }
}

/**
 * The answer to a request that was refused.
 *
 * @see AuthZEN 1.0 section 10.1 (an error message string); OPA REST API "Errors"; RFC 9457
 */
export function respondRefusal(error: SidecarError, surface: Surface): Answer {
  const status = error instanceof RequestRefused ? error.status : 500;
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    ...(status === 503 && { 'retry-after': '1' }),
  };
  const text = `${error.code}: ${error.publicMessage}`;
  switch (surface) {
    case 'authzen':
      return { status, headers, body: JSON.stringify(text) };
    case 'opa':
      return { status, headers, body: JSON.stringify({ code: opaCode(status), message: text }) };
    case 'http':
      return {
        status,
        headers: { ...headers, 'content-type': 'application/problem+json' },
        body: JSON.stringify({ type: problemType(error.code), title: error.publicMessage, status, code: error.code }),
      };
    default:
      return surface satisfies never;
  }
}

function opaCode(status: number): string {
  if (status === 401) return 'unauthorized';
  return status < 500 ? 'invalid_parameter' : 'internal_error';
}

function json(status: number, body: string, decisionId: string): Answer {
  return { status, headers: { 'content-type': 'application/json', 'x-decision-id': decisionId }, body };
}

function permits(decision: Given): boolean {
  return decision.kind === 'allow' || decision.kind === 'constrain';
}

function problemType(code: string): string {
  return `urn:postern:problem:${code}`;
}

/** AuthZEN's response context, by effect. */
function context(decision: Given, options: RespondOptions): object {
  switch (decision.kind) {
    case 'allow':
      return { effect: 'allow', met: decision.met, ...obligations(decision.obligations), ...ttl(decision) };
    case 'constrain':
      return {
        effect: 'constrain',
        reasons: shown(decision.reasons, options),
        met: decision.met,
        constraints: decision.constraints,
        obligations: [constrainObligation(decision.constraints), ...decision.obligations],
        ...ttl(decision),
      };
    case 'step_up':
      return {
        effect: 'step_up',
        reasons: shown(decision.reasons, options),
        acr_values: decision.acrValues.join(' '),
        ...(decision.maxAgeS !== undefined && { max_age: decision.maxAgeS }),
        obligations: [...stepUpObligations(decision.acrValues), ...decision.obligations],
      };
    case 'deny':
      return { effect: 'deny', reasons: shown(decision.reasons, options), ...obligations(decision.obligations) };
    case 'undecided':
      return { effect: 'deny', reasons: [ownReason(decision.error, options)] };
    default:
      return decision satisfies never;
  }
}

/** The decision document (docs/decision.md), as an OPA client reads it. */
function document(decision: Given, options: RespondOptions): object {
  switch (decision.kind) {
    case 'undecided':
      return { effect: 'deny', reasons: [ownReason(decision.error, options)] };
    case 'constrain':
      return { ...common(decision, options), constraints: decision.constraints };
    case 'step_up':
      return {
        ...common(decision, options),
        step_up: {
          acr_values: decision.acrValues,
          ...(decision.maxAgeS !== undefined && { max_age: decision.maxAgeS }),
        },
      };
    case 'allow':
    case 'deny':
      return common(decision, options);
    default:
      return decision satisfies never;
  }
}

function common(decision: Exclude<Given, { readonly kind: 'undecided' }>, options: RespondOptions): object {
  return {
    effect: decision.kind,
    reasons: shown(decision.reasons, options),
    met: decision.met,
    ...(decision.policy !== undefined && { policy: decision.policy }),
    ...obligations(decision.obligations),
    ...ttl(decision),
  };
}

function plainHttp(decision: Given, decisionId: string, options: RespondOptions): Answer {
  const body = context(decision, options);
  if (permits(decision)) return json(200, JSON.stringify(body), decisionId);
  const problem = { 'content-type': 'application/problem+json', 'x-decision-id': decisionId };
  if (decision.kind === 'step_up') {
    return {
      status: 401,
      headers: { ...problem, 'www-authenticate': challenge(decision.acrValues, decision.maxAgeS, options.realm) },
      body: JSON.stringify({
        type: problemType('step_up'),
        title: 'Stronger authentication is required',
        status: 401,
        ...body,
      }),
    };
  }
  const code = decision.kind === 'undecided' ? decision.error.code : 'denied';
  return {
    status: 403,
    headers: problem,
    body: JSON.stringify({ type: problemType(code), title: 'Denied by policy', status: 403, ...body }),
  };
}

/** RFC 9470 section 3. The values were checked to need no escaping when the decision was read. */
function challenge(acrValues: readonly string[], maxAgeS: number | undefined, realm: string): string {
  const maxAge = maxAgeS === undefined ? '' : `, max_age="${maxAgeS}"`;
  return (
    `Bearer realm="${realm.replace(/[^\x20\x21\x23-\x5b\x5d-\x7e]/g, '_')}", error="insufficient_user_authentication", ` +
    `error_description="a stronger authentication is required", acr_values="${acrValues.join(' ')}"${maxAge}`
  );
}

/** OPA's own warning on a body without `input`, to the letter: most likely the client forgot to wrap it. */
const inputMissing = { code: 'api_usage_warning', message: "'input' key missing from the request" };

/** OPA's Data API has this member for what a client should know of a call that still has an answer. */
function warning(error: SidecarError): object {
  return { code: error.code, message: error.publicMessage };
}

/** Its message is one of our fixed texts, which hold no values; a policy's own may. */
function ownReason(error: SidecarError, options: RespondOptions): object {
  const remedy = remedies[error.code];
  return {
    code: error.code,
    otherwise: 'deny',
    ...(options.reasons !== 'codes' && { message: error.publicMessage, ...(remedy !== undefined && { remedy }) }),
  };
}

function shown(reasons: readonly Reason[], options: RespondOptions): readonly Reason[] {
  if (options.reasons === 'full') return reasons;
  return reasons.map(({ code, otherwise, remedy }) => ({
    code,
    ...(otherwise !== undefined && { otherwise }),
    ...(options.reasons === 'remedies' && remedy !== undefined && { remedy }),
  }));
}

function ttl(decision: { readonly ttlS: number | undefined }): object {
  return decision.ttlS === undefined ? {} : { ttl_s: decision.ttlS };
}

function obligations(list: readonly Obligation[]): object {
  return list.length === 0 ? {} : { obligations: list };
}

/** An enforcement point that cannot carry this out treats the answer as deny: AuthZEN Obligations profile, draft. */
function constrainObligation(constraints: JsonObject): Obligation {
  return { id: 'constrain', type: 'constrain', properties: constraints };
}

function stepUpObligations(acrValues: readonly string[]): readonly Obligation[] {
  return acrValues.map((acrValue, index) => ({
    id: `step-up-${index + 1}`,
    type: 'step-up',
    properties: { acr_value: acrValue },
  }));
}
