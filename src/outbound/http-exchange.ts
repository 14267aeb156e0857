// Tested by test/outbound/http-send.long.test.ts.
import { type IncomingMessage, type RequestOptions, request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import type { LookupFunction } from 'node:net';
import { getCACertificates, type SecureContextOptions } from 'node:tls';
import type { OutboundReply, OutboundRequest, TlsWishes } from '../domain/outbound.ts';
import { osErrorCode } from '../system/os-error.ts';
import type { Names } from './names.ts';

type HttpQuestion = Extract<OutboundRequest, { kind: 'http' }>;

export interface HttpRules {
  /** Scheme, host and port, as URLs have them: the sidecar never connects to another origin. */
  readonly origins: ReadonlySet<string>;
  readonly timeoutMs: number;
  readonly responseBytes: number;
}

const redirectsMax = 10;
const headerBytesMax = 16_384;
/** Headers that a redirect sends to another origin: that host is not trusted, and other headers may contain a key. */
const harmless: ReadonlySet<string> = new Set(['accept', 'accept-language', 'cache-control', 'user-agent']);

/** Headers about the transport of a response, not its content. */
const framing: ReadonlySet<string> = new Set(['connection', 'keep-alive', 'transfer-encoding']);

/** Why an exchange failed, in words for policy and record, without text from the server. */
class ExchangeFailed extends Error {
  readonly why: 'network' | 'refused';

  constructor(why: 'network' | 'refused', message: string, options?: ErrorOptions) {
    super(message, options);
    this.why = why;
  }
}

/** One request with its redirects, over connections of its own. @throws the signal's reason */
export async function exchange(
  question: HttpQuestion,
  rules: HttpRules,
  names: Names,
  signal: AbortSignal,
): Promise<OutboundReply> {
  try {
    let asked = question;
    for (let redirects = 0; ; redirects += 1) {
      const response = await send(asked, rules, names, signal);
      const next = asked.followsRedirects ? redirected(asked, response) : undefined;
      if (next === undefined) return await replyIn(response, rules.responseBytes);
      response.destroy();
      if (redirects === redirectsMax) throw new ExchangeFailed('network', 'the server redirects too often');
      asked = next;
    }
  } catch (cause) {
    signal.throwIfAborted();
    if (!(cause instanceof ExchangeFailed)) throw cause;
    return { kind: 'failed', why: cause.why, message: cause.message };
  }
}

async function send(question: HttpQuestion, rules: HttpRules, names: Names, signal: AbortSignal) {
  const url = new URL(question.url);
  if (!rules.origins.has(url.origin))
    throw new ExchangeFailed('refused', `${url.origin} is not among decision.builtins.http_send.origins`);
  const looked = await names.connectable(url.hostname, signal);
  if (looked.kind === 'failed') throw new ExchangeFailed('network', looked.message);
  const [first] = looked.addresses;
  if (first === undefined) throw new ExchangeFailed('network', 'the name has no address');
  // Where the check led to, and nowhere else: asked again, a name may say something else.
  const lookup: LookupFunction = (_host, { all }, done) =>
    all === true ? done(null, [...looked.addresses]) : done(null, first.address, first.family);
  const { method, headers, body } = question;
  const hasLength = body.length > 0 || ['POST', 'PUT', 'PATCH'].includes(method);
  return responseTo(url, body, {
    method,
    headers: {
      'user-agent': 'postern',
      ...headers,
      ...(hasLength && { 'content-length': body.length }),
    },
    lookup,
    // Nothing of one decision is left over for another.
    agent: false,
    maxHeaderSize: headerBytesMax,
    signal,
    ...(url.protocol === 'https:' && tlsOptions(question.tls)),
  });
}

function responseTo(url: URL, body: Uint8Array, options: RequestOptions): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const fail = (cause?: unknown): void => reject(failedAs('the server did not answer', cause));
    try {
      const request = (url.protocol === 'https:' ? requestTls : requestPlain)(url, options);
      request.on('response', (response) => {
        request.off('close', fail);
        resolve(response);
      });
      request.on('error', fail);
      request.on('close', fail);
      request.end(body);
    } catch (cause) {
      // Node makes the TLS context here, and says what is wrong with a certificate.
      reject(new ExchangeFailed('refused', `the request cannot be sent: ${osErrorCode(cause)}`, { cause }));
    }
  });
}

/** @returns undefined for a response that leads nowhere else */
function redirected(question: HttpQuestion, response: IncomingMessage): HttpQuestion | undefined {
  const { statusCode: status = 0, headers } = response;
  if (![301, 302, 303, 307, 308].includes(status) || headers.location === undefined) return undefined;
  const from = new URL(question.url);
  const to = URL.parse(headers.location, from);
  if (to === null) throw new ExchangeFailed('network', 'the server redirects without a valid Location');
  const keeps = status === 307 || status === 308;
  const method = keeps || question.method === 'HEAD' ? question.method : 'GET';
  const body = keeps ? question.body : new Uint8Array();
  if (to.username !== '' || to.password !== '')
    throw new ExchangeFailed('network', 'the server redirects with credentials');
  if (to.origin === from.origin) return { ...question, url: to.href, method, body, headers: without(body, question) };
  if (body.length > 0) throw new ExchangeFailed('network', 'the server redirects a body to another origin');
  const fields = Object.entries(question.headers).filter(([name]) => harmless.has(name));
  const { certificate: _, key: __, serverName: ___, ...tls } = question.tls;
  return { ...question, url: to.href, method, body, headers: Object.fromEntries(fields), tls };
}

/** A body's type goes where its body goes. */
function without(body: Uint8Array, { headers }: HttpQuestion): Readonly<Record<string, string>> {
  if (body.length > 0) return headers;
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith('content-')));
}

async function replyIn(response: IncomingMessage, bytesMax: number): Promise<OutboundReply> {
  // Copied, because a small one lies among others in Node's pool, all of which would go to another thread with it.
  const body = await bodyOf(response, bytesMax);
  const { statusCode = 0, statusMessage = '', headersDistinct } = response;
  const headers: Record<string, readonly string[]> = {};
  for (const [name, values] of Object.entries(headersDistinct)) {
    if (values !== undefined && !framing.has(name)) headers[name] = values;
  }
  return {
    kind: 'response',
    status: `${statusCode} ${statusMessage}`.trimEnd(),
    statusCode,
    headers,
    body: new Uint8Array(body),
  };
}

function bodyOf(response: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    let gathered: Buffer = Buffer.alloc(0);
    let length = 0;
    const fail = (cause: unknown): void => {
      response.destroy();
      reject(cause);
    };
    response.on('data', (piece: Buffer) => {
      const before = length;
      length += piece.length;
      if (length > bytesMax) fail(new ExchangeFailed('network', `the answer has more than ${bytesMax} bytes`));
      else if (before === 0) gathered = piece;
      else {
        // Copied, not kept in a list: an answer may come a byte at a time, and each piece costs hundreds to remember.
        if (gathered.length < length) gathered = grown(gathered.subarray(0, before), Math.min(bytesMax, length * 2));
        piece.copy(gathered, before);
      }
    });
    const ended = (cause?: unknown): void => {
      if (response.complete && cause === undefined) resolve(gathered.subarray(0, length));
      else fail(failedAs('the answer was cut short', cause));
    };
    response.on('end', () => ended());
    response.on('error', ended);
    response.on('close', () => ended());
  });
}

function grown(content: Buffer, bytes: number): Buffer {
  const larger = Buffer.allocUnsafe(bytes);
  content.copy(larger);
  return larger;
}

function tlsOptions({ ca, usualToo, certificate, key, serverName }: TlsWishes): SecureContextOptions & {
  servername?: string;
} {
  return {
    minVersion: 'TLSv1.2',
    ...(ca !== undefined && { ca: usualToo === true ? [ca, ...getCACertificates('default')] : ca }),
    ...(certificate !== undefined && { cert: certificate }),
    ...(key !== undefined && { key }),
    ...(serverName !== undefined && { servername: serverName }),
  };
}

/** Codes such as ECONNREFUSED or CERT_HAS_EXPIRED say enough; messages may hold what the server sent. */
function failedAs(what: string, cause: unknown): ExchangeFailed {
  const code = osErrorCode(cause);
  return new ExchangeFailed('network', code === undefined ? what : `${what}: ${code}`, { cause });
}
