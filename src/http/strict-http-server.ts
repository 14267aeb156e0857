// Tested by test/control/control.test.ts.
import {
  createServer,
  type IncomingMessage,
  type RequestListener,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from 'node:http';
import type { Socket } from 'node:net';
import { RequestRefused } from '../domain/errors.ts';
import type { Answer } from '../domain/request.ts';
import { breakBody, StrictRequest, takeFault } from './read-body.ts';
import { sendAnswer } from './send-answer.ts';

export interface HttpLimits {
  readonly headerBytes: number;
  readonly connections: number;
  /** Left out: as many as wished. */
  readonly requestsPerSocket?: number;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly keepAliveMs: number;
}

export interface StrictHttpServerOptions {
  readonly limits: HttpLimits;
  /** Gets every well-framed request. */
  readonly handle: RequestListener;
  /**
   * Words a refusal of a request that `handle` never sees, and counts it.
   *
   * @param target as it was sent; undefined where none could be read
   */
  readonly refuse: (refused: RequestRefused, target: string | undefined) => Answer;
}

/** How long a connection may stay half open behind an answer, so that a caller who is still sending gets to read it. */
const lingerMs = 1_000;

/**
 * HTTP itself, as both listeners want it: bytes that are not a request, or that two readers may frame differently, are
 * refused in our words, counted once, and end their connection.
 *
 * @returns a server that is not bound yet; `readBody` reads the bodies of its requests
 */
export function strictHttpServer(options: StrictHttpServerOptions): Server {
  return new Strictness(options).server();
}

class Strictness {
  readonly #options: StrictHttpServerOptions;
  /** The response that a connection's bytes go on in: they leave in the order of their requests. */
  readonly #lastResponses = new WeakMap<Socket, ServerResponse<StrictRequest>>();
  /** Connections that end with a refusal: whatever comes behind it is not read. */
  readonly #ending = new WeakSet<Socket>();

  constructor(options: StrictHttpServerOptions) {
    this.#options = options;
  }

  server(): Server {
    const { limits, handle } = this.#options;
    const take = (request: StrictRequest, response: ServerResponse<StrictRequest>): void => {
      if (this.#ending.has(request.socket)) return;
      this.#lastResponses.set(request.socket, response);
      const fault = framingFault(request);
      if (fault === undefined) handle(request, response);
      else this.#refuse(request, response, fault);
    };
    const server = createServer(
      {
        IncomingMessage: StrictRequest,
        insecureHTTPParser: false,
        maxHeaderSize: limits.headerBytes,
        headersTimeout: limits.headerTimeoutMs,
        requestTimeout: limits.headerTimeoutMs + limits.bodyTimeoutMs,
        connectionsCheckingInterval: Math.min(500, Math.ceil(limits.headerTimeoutMs / 4)),
        keepAliveTimeout: limits.keepAliveMs,
        // Ours to refuse, so that it is counted and worded like everything else.
        requireHostHeader: false,
      },
      take,
    );
    server.on('checkContinue', take);
    server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      this.#refuse(request, response, new RequestRefused('header_invalid', 417, 'Expect'));
    });
    // Node closes the one and answers the other (503), but leaves its connection open; and it counts neither.
    server.on('drop', () => this.#options.refuse(new RequestRefused('overloaded', 503), undefined));
    server.on('dropRequest', (_request: IncomingMessage, socket: Socket) => {
      this.#options.refuse(new RequestRefused('overloaded', 503), undefined);
      this.#whenAnswered(socket, () => socket.destroySoon());
    });
    server.on('connect', ({ socket, url }: IncomingMessage) => {
      this.#ending.add(socket);
      // Node has let go of the connection, and no other handler learns of its end.
      socket.on('error', () => socket.destroy());
      this.#whenAnswered(socket, () => this.#refuseRaw(socket, new RequestRefused('target_invalid', 400), url));
    });
    server.on('clientError', (cause: NodeJS.ErrnoException, socket: Socket) => this.#unreadable(cause, socket));
    // Node drops header fields past this count in silence; ours are counted where they are read, and refused.
    server.maxHeadersCount = 0;
    server.maxRequestsPerSocket = limits.requestsPerSocket ?? 0;
    server.maxConnections = limits.connections;
    return server;
  }

  #refuse(request: IncomingMessage, response: ServerResponse, refused: RequestRefused): void {
    this.#ending.add(request.socket);
    sendAnswer(response, this.#options.refuse(refused, request.url), undefined, true);
  }

  /**
   * Bytes that are not an HTTP request, or came too slowly. Earlier requests on the connection are answered first, then
   * this one, and then the connection ends.
   */
  #unreadable(cause: NodeJS.ErrnoException, socket: Socket): void {
    if (this.#ending.has(socket)) return;
    this.#ending.add(socket);
    if (cause.code === 'ECONNRESET' || !socket.writable) {
      // The caller has gone; a request that was under way hears of it by itself.
      socket.destroy();
      return;
    }
    const last = this.#lastResponses.get(socket);
    if (last === undefined || last.writableFinished || last.req.complete) {
      const refused = unreadableAs(cause.code, 'header');
      this.#whenAnswered(socket, () => this.#refuseRaw(socket, refused, undefined));
      return;
    }
    const { req: request } = last;
    const refused = unreadableAs(cause.code, 'body');
    if (breakBody(request, refused)) return;
    // Not read yet, and perhaps never.
    last.once('close', () => {
      if (takeFault(request) !== undefined && socket.writable) this.#refuseRaw(socket, refused, undefined);
    });
  }

  /** Calls back once the last request that came whole on this connection has had its answer. */
  #whenAnswered(socket: Socket, call: () => void): void {
    const last = this.#lastResponses.get(socket);
    if (last === undefined || last.writableFinished) call();
    else last.once('close', call);
  }

  #refuseRaw(socket: Socket, refused: RequestRefused, target: string | undefined): void {
    const { status, headers, body } = this.#options.refuse(refused, target);
    const fields = Object.entries({ ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' });
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`,
    );
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }
}

const versions = 'the request line must end in HTTP/1.0 or HTTP/1.1';

/**
 * Checks what Node's parser accepts but the RFC forbids.
 *
 * @see RFC 9112 sections 2.5 (versions), 3.2 (Host) and 6.1 (Transfer-Encoding)
 */
function framingFault({ httpVersion, headers }: IncomingMessage): RequestRefused | undefined {
  const isFirst = httpVersion === '1.0';
  if (!isFirst && httpVersion !== '1.1') return new RequestRefused('header_invalid', 400, versions);
  if (!isFirst && headers.host === undefined) return new RequestRefused('header_invalid', 400, 'Host is missing');
  const coding = headers['transfer-encoding'];
  // A coding before the chunks would have to be undone, and HTTP/1.0 has none.
  if (coding !== undefined && (isFirst || coding.toLowerCase() !== 'chunked')) {
    return new RequestRefused('header_invalid', 400, 'Transfer-Encoding may be chunked alone, and in HTTP/1.1');
  }
  return undefined;
}

function unreadableAs(code: string | undefined, where: 'header' | 'body'): RequestRefused {
  switch (code) {
    case 'HPE_INVALID_EOF_STATE':
      return where === 'body' ? new RequestRefused('body_cut_short', 400) : new RequestRefused('header_invalid', 400);
    case 'HPE_HEADER_OVERFLOW':
      return new RequestRefused('header_invalid', 431, 'the header is too long');
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return new RequestRefused('body_too_large', 413);
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new RequestRefused('request_too_slow', 408);
    case 'HPE_INVALID_METHOD':
      return new RequestRefused('header_invalid', 400, 'the method is not an HTTP method');
    case 'HPE_INVALID_VERSION':
    case 'HPE_PAUSED_H2_UPGRADE':
      return new RequestRefused('header_invalid', 400, versions);
    default:
      return new RequestRefused('header_invalid', 400);
  }
}
