import { call, type Door } from '../call.ts';

/** What an enforcement point asks before each action: AuthZEN's information model. */
export interface Question {
  readonly subject: { readonly type: string; readonly id: string };
  readonly action: { readonly name: string };
  readonly resource: { readonly type: string; readonly id: string; readonly properties?: Record<string, unknown> };
  readonly context?: Record<string, unknown>;
}

export interface Reason {
  readonly code: string;
  readonly remedy?: string;
}

/** An answer of the sidecar, read closed: `permits` is true for a whole, well-formed permit and for nothing else. */
export interface Answer {
  readonly decisionId: string | undefined;
  readonly permits: boolean;
  readonly effect: string;
  readonly reasons: readonly Reason[];
  readonly constraints: Readonly<Record<string, unknown>>;
  readonly obligations: readonly { readonly type: string; readonly properties: Readonly<Record<string, unknown>> }[];
  readonly acrValues: string | undefined;
}

export type Ask = (question: Question) => Promise<Answer>;

/** Asks over one door. Whatever goes wrong on the way is an answer that permits nothing. */
export function asking(door: Door): Ask {
  return async (question) => {
    try {
      const reply = await call(door, { method: 'POST', path: '/access/v1/evaluation', body: question });
      const { 'x-decision-id': decisionId } = reply.headers;
      if (reply.status !== 200) return closed(`answer_status_${reply.status}`);
      return readAnswer(JSON.parse(reply.body), typeof decisionId === 'string' ? decisionId : undefined);
    } catch {
      return closed('sidecar_unreachable');
    }
  };
}

/** @param value the parsed body of an AuthZEN evaluation response */
export function readAnswer(value: unknown, decisionId: string | undefined): Answer {
  if (!isObject(value) || !isObject(value['context'])) return closed('answer_malformed');
  const { effect, reasons = [], constraints = {}, obligations = [], acr_values: acrValues } = value['context'];
  if (!isReasons(reasons) || !isObject(constraints) || !isObligations(obligations)) return closed('answer_malformed');
  return {
    decisionId,
    permits: value['decision'] === true && (effect === 'allow' || effect === 'constrain'),
    effect: typeof effect === 'string' ? effect : 'deny',
    reasons,
    constraints,
    obligations,
    acrValues: typeof acrValues === 'string' ? acrValues : undefined,
  };
}

function closed(code: string): Answer {
  return {
    decisionId: undefined,
    permits: false,
    effect: 'deny',
    reasons: [{ code }],
    constraints: {},
    obligations: [],
    acrValues: undefined,
  };
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isReasons(value: unknown): value is Reason[] {
  return Array.isArray(value) && value.every((reason) => isObject(reason) && typeof reason['code'] === 'string');
}

function isObligations(value: unknown): value is Answer['obligations'] {
  return (
    Array.isArray(value) &&
    value.every((one) => isObject(one) && typeof one['type'] === 'string' && isObject(one['properties']))
  );
}
