// Tested by test/opa/builtins/budget.long.test.ts.
import { Undecided } from '../../domain/errors.ts';
import type { OutboundReply } from '../../domain/outbound.ts';
import { readYaml } from '../go/yaml-read.ts';
import { YamlError } from '../go/yaml-scalar.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { integer, objectOperand, stringOperand } from '../values/operands.ts';
import { readJson } from '../values/read-json.ts';
import { textOf } from '../values/text.ts';
import { RegoObject, RegoSet, type Value } from '../values/value.ts';
import { writeJson } from '../values/write-value.ts';
import { flagIn, type HttpQuestion, httpQuestionOf, shownRequest } from './http-request.ts';

/** Reading a byte of a body is much less than a unit of other builtins' work. */
const bytesPerUnit = 8;

type Response = Extract<OutboundReply, { kind: 'response' }>;
type Failed = Extract<OutboundReply, { kind: 'failed' }>;

export const builtins: BuiltinFamily = {
  'http.send': (context, operand) => {
    let request: RegoObject;
    let question: HttpQuestion;
    try {
      request = objectOperand(operand, 1);
      question = httpQuestionOf(request);
    } catch (cause) {
      if (!(cause instanceof BuiltinError)) throw cause;
      // In OPA the call is undefined, which `not` turns into true: a caller who can spoil a request could get a permit.
      if (raises(operand)) throw new Undecided('policy_failed', `http.send: ${cause.message}`, { cause });
      return errorValue('eval_http_send_internal_error', cause.message);
    }
    const shownText = writeJson([shownRequest(request, (secret) => context.withheld(secret))]);
    const reply = context.reply('http.send', shownText, question);
    if (reply.kind === 'response') {
      const value = responseValue(context, reply, request);
      context.record('http.send', shownText, value);
      return value;
    }
    const failed = asFailed(reply);
    const code = failed.why === 'network' ? 'eval_http_send_network_error' : 'eval_http_send_internal_error';
    const value = errorValue(code, failed.message);
    context.record('http.send', shownText, value);
    if (raises(operand)) throw unavailable(`http.send ${question.method} ${new URL(question.url).origin}`, failed);
    return value;
  },

  'net.lookup_ip_addr': (context, operand) => {
    const name = stringOperand(operand, 1);
    const shownText = writeJson([name]);
    const reply = context.reply('net.lookup_ip_addr', shownText, { kind: 'lookup', name });
    if (reply.kind === 'addresses') {
      const addresses = new RegoSet(reply.addresses);
      context.record('net.lookup_ip_addr', shownText, addresses);
      return addresses;
    }
    const failed = asFailed(reply);
    context.record('net.lookup_ip_addr', shownText, RegoObject.of({ error: failedValue(failed) }));
    // "No such name" is an answer, and the call is undefined, as in OPA.
    if (failed.why === 'not_found') return undefined;
    throw unavailable('net.lookup_ip_addr', failed);
  },
};

/** Unless the policy says that it looks at the error itself. */
function raises(request: Value): boolean {
  return !(request instanceof RegoObject && request.get('raise_error') === false);
}

/** Another kind of reply than was asked for is a fault of ours. */
function asFailed(reply: OutboundReply): Failed {
  if (reply.kind !== 'failed') throw new Error(`a question was answered with ${reply.kind}`);
  return reply;
}

function unavailable(asked: string, { why, message }: Failed): Undecided {
  return new Undecided(why === 'refused' ? 'policy_failed' : 'outside_unavailable', `${asked}: ${message}`);
}

function errorValue(code: string, message: string): Value {
  return RegoObject.of({ status_code: integer(0), error: RegoObject.of({ code, message }) });
}

function failedValue({ why, message }: Failed): Value {
  return RegoObject.of({ code: why, message });
}

function responseValue(context: BuiltinContext, { status, statusCode, headers, body }: Response, request: RegoObject) {
  context.charge(Math.ceil(body.length / bytesPerUnit));
  const text = textOf(Buffer.from(body.buffer, body.byteOffset, body.length));
  return RegoObject.of({
    status,
    status_code: integer(statusCode),
    body: bodyValue(context, text, headers['content-type']?.[0] ?? '', request),
    raw_body: text,
    headers: RegoObject.of(headers),
  });
}

/** As the policy or else the server says; null for anything else, and for what it is not. */
function bodyValue(context: BuiltinContext, text: string, contentType: string, request: RegoObject): Value {
  if (flagIn(request, 'force_json_decode') || isJson(contentType)) return orNull(() => readJson(text), SyntaxError);
  if (!flagIn(request, 'force_yaml_decode') && !/application\/(?:x-)?yaml/.test(contentType)) return null;
  return orNull(() => readYaml(text, context.charge), YamlError);
}

function isJson(contentType: string): boolean {
  const [type = ''] = contentType.split(';', 1);
  return /^application\/(?:json|[^/]+\+json)$/.test(type.trim().toLowerCase());
}

function orNull(read: () => Value, fault: typeof SyntaxError | typeof YamlError): Value {
  try {
    return read();
  } catch (cause) {
    if (cause instanceof fault) return null;
    throw cause;
  }
}
