// Tested by test/opa/builtins/budget.long.test.ts.
import { Undecided } from '../../domain/errors.ts';
import type { OutboundRequest, TlsWishes } from '../../domain/outbound.ts';
import { parseDuration } from '../go/duration.ts';
import { goJson } from '../go/go-json.ts';
import { BuiltinError } from '../values/builtin.ts';
import { int64Of } from '../values/operands.ts';
import { bytesOf } from '../values/text.ts';
import { RegoNumber, RegoObject, type Value } from '../values/value.ts';

/** Every member that a request of http.send may have. */
export const requestMembers: ReadonlySet<Value> = new Set([
  'method',
  'url',
  'body',
  'enable_redirect',
  'force_json_decode',
  'force_yaml_decode',
  'headers',
  'raw_body',
  'tls_use_system_certs',
  'tls_ca_cert',
  'tls_ca_cert_file',
  'tls_ca_cert_env_variable',
  'tls_client_cert',
  'tls_client_cert_file',
  'tls_client_cert_env_variable',
  'tls_client_key',
  'tls_client_key_file',
  'tls_client_key_env_variable',
  'tls_insecure_skip_verify',
  'tls_server_name',
  'timeout',
  'cache',
  'force_cache',
  'force_cache_duration_seconds',
  'raise_error',
  'caching_mode',
  'max_retry_attempts',
  'cache_ignored_headers',
]);

export type HttpQuestion = Extract<OutboundRequest, { kind: 'http' }>;

/**
 * What could not be done as asked, and would be another request if it were left out: files and variables of the machine
 * are none of a bundle's business, a server that proves nothing could be anybody, and who waits does not try again.
 */
const unsupported: Readonly<Record<string, (value: Value) => boolean>> = {
  tls_ca_cert_file: () => true,
  tls_ca_cert_env_variable: () => true,
  tls_client_cert_file: () => true,
  tls_client_cert_env_variable: () => true,
  tls_client_key_file: () => true,
  tls_client_key_env_variable: () => true,
  tls_insecure_skip_verify: (value) => value !== false,
  max_retry_attempts: (value) => !(value instanceof RegoNumber && int64Of(value) === 0n),
};

/** Headers that say how a message is framed, or whom it is for: a server could be made to take it for another. */
const framing: ReadonlySet<string> = new Set([
  'connection',
  'content-length',
  'expect',
  'host',
  'keep-alive',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
]);

/** Headers whose values the record shows; any other one may contain a secret. */
const shownHeaders: ReadonlySet<string> = new Set([
  'accept',
  'accept-language',
  'cache-control',
  'content-type',
  'user-agent',
]);

/** Waiting requests are in memory and in the record, so their size is bounded; a policy needs no more than this. */
const requestBytesMax = 1_048_576;

const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;
/** Of a header's value: the characters that RFC 9110 section 5.5 allows, without non-ASCII bytes. */
const fieldValue = /^[\t\x20-\x7e]*$/;

/**
 * The request that a policy's operand describes.
 *
 * @throws BuiltinError for one that is none, Undecided for what is not done here
 * @see OPA documentation, "http.send"
 */
export function httpQuestionOf(request: RegoObject): HttpQuestion {
  for (const [name, value] of request.entries()) {
    if (!requestMembers.has(name)) throw new BuiltinError('operand 1 invalid request parameters(s)');
    if (typeof name === 'string' && unsupported[name]?.(value) === true)
      throw new Undecided('policy_failed', `http.send: ${name} is not supported here`);
  }
  const method = textIn(request, 'method')?.toUpperCase();
  const url = textIn(request, 'url');
  if (method === undefined || url === undefined)
    throw new BuiltinError('operand 1 missing required request parameters(s)');
  if (!token.test(method) || method === 'CONNECT') throw new BuiltinError('invalid method');
  for (const name of ['raise_error', 'force_json_decode', 'force_yaml_decode']) flagIn(request, name);
  const question: HttpQuestion = {
    kind: 'http',
    method,
    url: checkedUrl(url),
    headers: headersIn(request),
    body: bodyIn(request),
    followsRedirects: flagIn(request, 'enable_redirect'),
    timeoutMs: timeoutIn(request),
    tls: tlsIn(request),
  };
  if (sizeOf(question) > requestBytesMax)
    throw new Undecided('policy_budget_spent', `http.send: the request has more than ${requestBytesMax} bytes`);
  return question;
}

/** In characters where it is text, which in what goes out this way are bytes. */
function sizeOf({ url, headers, body, tls }: HttpQuestion): number {
  const texts = [url, ...Object.entries(headers).flat(), ...Object.values(tls)];
  return texts.reduce((sum, text) => sum + (typeof text === 'string' ? text.length : 0), body.length);
}

/** @returns the request with secrets replaced, for the record */
export function shownRequest(request: RegoObject, withheld: (secret: string) => string): RegoObject {
  const shown = new RegoObject(request.entries());
  const headers = request.get('headers');
  if (headers instanceof RegoObject) {
    const fields = Array.from(headers.entries(), ([name, value]): readonly [Value, Value] => {
      const isShown = typeof value !== 'string' || (typeof name === 'string' && shownHeaders.has(name.toLowerCase()));
      return [name, isShown ? value : withheld(value)];
    });
    shown.set('headers', new RegoObject(fields));
  }
  const key = request.get('tls_client_key');
  if (typeof key === 'string') shown.set('tls_client_key', withheld(key));
  return shown;
}

export function flagIn(request: RegoObject, name: string): boolean {
  const value = request.get(name);
  if (value === undefined) return false;
  if (typeof value !== 'boolean') throw new BuiltinError(`invalid value for ${name} field`);
  return value;
}

function textIn(request: RegoObject, name: string): string | undefined {
  const value = request.get(name);
  if (value === undefined) return undefined;
  if (typeof value !== 'string') throw new BuiltinError(`"${name}" must be a string`);
  // As OPA does, which once took operands with their quotes.
  return value.replace(/^"+|"+$/g, '');
}

function checkedUrl(text: string): string {
  const url = URL.parse(text);
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) throw new BuiltinError('invalid url');
  // They would be recorded.
  if (url.username !== '' || url.password !== '')
    throw new Undecided('policy_failed', 'http.send: credentials in a URL are not supported here; send a header');
  url.hash = '';
  return url.href;
}

function headersIn(request: RegoObject): Readonly<Record<string, string>> {
  const value = request.get('headers');
  if (value === undefined) return {};
  if (!(value instanceof RegoObject)) throw new BuiltinError('invalid type for headers key');
  const headers = new Map<string, string>();
  for (const [field, content] of value.entries()) {
    if (typeof field !== 'string' || typeof content !== 'string')
      throw new BuiltinError('invalid type for headers value');
    const name = field.toLowerCase();
    if (!token.test(name) || !fieldValue.test(content)) throw new BuiltinError('invalid header');
    if (framing.has(name)) throw new Undecided('policy_failed', `http.send: the header ${name} is not supported here`);
    if (headers.has(name)) throw new BuiltinError('a header is given twice');
    headers.set(name, content);
  }
  return Object.fromEntries(headers);
}

function bodyIn(request: RegoObject): Buffer {
  const raw = textIn(request, 'raw_body');
  if (raw !== undefined) return bytesOf(raw);
  const body = request.get('body');
  return body === undefined ? Buffer.alloc(0) : bytesOf(goJson(body));
}

/** Nanoseconds, as a number or as text, or a duration such as `500ms`; nought: none but what configuration says. */
function timeoutIn(request: RegoObject): number | undefined {
  const value = request.get('timeout');
  if (value === undefined) return undefined;
  let ns: bigint | undefined;
  if (value instanceof RegoNumber) ns = int64Of(value);
  else if (typeof value === 'string') ns = int64Of(new RegoNumber(value)) ?? parseDuration(value);
  if (ns === undefined || ns < 0n) throw new BuiltinError('invalid timeout value');
  return ns === 0n ? undefined : Math.max(1, Number(ns / 1_000_000n));
}

function tlsIn(request: RegoObject): TlsWishes {
  const ca = textIn(request, 'tls_ca_cert');
  const certificate = textIn(request, 'tls_client_cert');
  const key = textIn(request, 'tls_client_key');
  const serverName = textIn(request, 'tls_server_name');
  if ((certificate === undefined) !== (key === undefined))
    throw new BuiltinError('tls_client_cert and tls_client_key belong together');
  return {
    // Data that was escaped once too often is so common that OPA mends it.
    ...(ca !== undefined && { ca: ca.replaceAll('\\n', '\n') }),
    ...(flagIn(request, 'tls_use_system_certs') && { usualToo: true }),
    ...(certificate !== undefined && { certificate }),
    ...(key !== undefined && { key }),
    ...(serverName !== undefined && { serverName }),
  };
}
