// Tested by test/request/evaluate/builtin-faults.test.ts.
import type { OutboundReply } from '../../domain/outbound.ts';
import { RegoObject, readJson, type Value, writeJson } from '../../opa/opa.ts';
import { replyKey } from './draws.ts';

/**
 * Reads the server replies of a decision from its record.
 *
 * @param cacheText `nd_builtin_cache` as JSON text; other builtins' results in it follow from clock and seed
 * @returns by `replyKey`
 * @throws SyntaxError for text that is not JSON
 */
export function recordedReplies(cacheText: string): Map<string, OutboundReply> {
  const replies = new Map<string, OutboundReply>();
  const cache = readJson(cacheText);
  for (const [name, results] of cache instanceof RegoObject ? cache.entries() : []) {
    if (typeof name !== 'string' || !(results instanceof RegoObject)) continue;
    for (const [operands, result] of results.entries()) {
      const reply = replyOf(name, result);
      // Parsed and written again, since samples written by hand do not have members in OPA's order.
      if (reply !== undefined) replies.set(replyKey(name, writeJson(readJson(String(operands)))), reply);
    }
  }
  return replies;
}

/** A replay reads the reply that the recorded decision read; undefined for entries of other builtins. */
function replyOf(name: string, value: Value): OutboundReply | undefined {
  if (name === 'net.lookup_ip_addr') {
    if (Array.isArray(value)) return { kind: 'addresses', addresses: value.filter((one) => typeof one === 'string') };
    return value instanceof RegoObject ? failedOf(value.get('error')) : undefined;
  }
  if (name !== 'http.send' || !(value instanceof RegoObject)) return undefined;
  const error = value.get('error');
  if (error !== undefined) return failedOf(error);
  const [status, code, body, headers] = ['status', 'status_code', 'raw_body', 'headers'].map((each) => value.get(each));
  if (typeof status !== 'string' || code === undefined || typeof body !== 'string') return undefined;
  const fields = headers instanceof RegoObject ? Array.from(headers.entries()) : [];
  return {
    kind: 'response',
    status,
    statusCode: Number(writeJson(code)),
    headers: Object.fromEntries(
      fields.map(([field, values]) => [String(field), Array.isArray(values) ? values.map(String) : []]),
    ),
    body: Buffer.from(body, 'utf8'),
  };
}

function failedOf(error: Value | undefined): Extract<OutboundReply, { kind: 'failed' }> | undefined {
  if (!(error instanceof RegoObject)) return undefined;
  const [code, message] = [error.get('code'), error.get('message')];
  const why = code === 'not_found' ? 'not_found' : code === 'eval_http_send_internal_error' ? 'refused' : 'network';
  return { kind: 'failed', why, message: typeof message === 'string' ? message : '' };
}
