import { type Decision, effectOf, type Reason } from '../../domain/decision.ts';
import type { Facts } from '../../domain/facts.ts';
import type { AuthzRequest, RawRequest } from '../../domain/request.ts';
import { type EpochMs, rfc3339Of } from '../../domain/time.ts';

export interface EventContext {
  readonly decisionId: string;
  readonly raw: RawRequest;
  readonly receivedAt: EpochMs;
  readonly decision: Decision;
  /** As far as the request came: a request that failed on the way leaves its line too. */
  readonly request: AuthzRequest | undefined;
  readonly facts: Facts | undefined;
  /** Of the bundles of data beside the policy's: `,"<name>":{"revision":"…"}` for each. */
  readonly dataBundlesText?: string | undefined;
  /** The policy's result, unchanged. */
  readonly resultText: string | undefined;
  /** The times and random values that its builtins used: an exact replay needs them. */
  readonly drawsText: string | undefined;
  readonly durationNs: number;
}

/** Characters that JSON allows in a string but that a terminal or a line reader would interpret. */
const unsafe = /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/**
 * One decision as one line of OPA's decision log, with effect, reasons and signal ages beside OPA's members. The input
 * is the very text that the policy read, so that a replay reads the same.
 *
 * @see OPA documentation, "Decision Logs", event format
 */
export function eventWriter(
  sidecar: { readonly id: string; readonly labels: Readonly<Record<string, string>>; readonly version: string },
  bundleName: string,
): (context: EventContext) => string {
  const labels = JSON.stringify({ ...sidecar.labels, id: sidecar.id, version: sidecar.version });
  const bundle = JSON.stringify(bundleName);
  return ({ decisionId, raw, receivedAt, decision, request, facts, dataBundlesText = '', ...rest }) => {
    const { resultText, drawsText, durationNs } = rest;
    const input = facts?.input ?? (request === undefined ? undefined : `{${request.askedText}}`);
    let line = `{"labels":${labels},"decision_id":"${decisionId}","path":${JSON.stringify(raw.entrypoint)}`;
    if (decision.revision !== undefined)
      line += `,"bundles":{${bundle}:{"revision":${JSON.stringify(decision.revision)}}${dataBundlesText}}`;
    if (input !== undefined) line += `,"input":${input}`;
    if (resultText !== undefined) line += `,"result":${resultText}`;
    if (drawsText !== undefined) line += `,"nd_builtin_cache":${drawsText}`;
    if (decision.kind === 'undecided')
      line += `,"error":${JSON.stringify({ code: decision.error.code, message: decision.error.message })}`;
    line += `,"requested_by":${JSON.stringify(raw.remote)},"timestamp":"${rfc3339Of(receivedAt)}"`;
    line += `,"metrics":{"timer_server_handler_ns":${durationNs}}`;
    if (raw.requestId !== undefined) line += `,"request_id":${JSON.stringify(raw.requestId)}`;
    line += `,"effect":"${effectOf(decision)}","reasons":${JSON.stringify(reasonsOf(decision))}`;
    if (facts !== undefined) line += `,"signal_ages_s":${JSON.stringify(facts.signalAgesS)}`;
    return `${escaped(line)}}\n`;
  };
}

function reasonsOf(decision: Decision): readonly Reason[] {
  switch (decision.kind) {
    case 'undecided':
      return [{ code: decision.error.code, otherwise: 'deny' }];
    case 'queried':
      return [];
    default:
      return decision.reasons;
  }
}

/** Such characters occur inside strings only, where an escape means the same. */
export function escaped(line: string): string {
  // As many bytes as characters is ASCII, where DEL is the only one of them: seen at a tenth of a search's cost.
  if (Buffer.byteLength(line) === line.length && !line.includes('\u007f')) return line;
  return line.replace(unsafe, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
