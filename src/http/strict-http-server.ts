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
import { brokenBody, type Framing, readBody } from './read-body.ts';
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

export interface HttpFrontOptions {
  readonly limits: HttpLimits;
  /**
   * Words a refusal of what no handler gets to see, and counts it.
   *
   * @param target as it was sent; undefined where none could be read
   */
  readonly refuse: (refused: RequestRefused, target: string | undefined) => Answer;
}

/** How long a connection may stay half open behind an answer, so that a caller who is still sending gets to read it. */
const lingerMs = 1_000;

/**
 * HTTP itself, as both listeners want it: what is no request, or one that somebody in front may read as another, is
 * refused in our words, counted once, and ends its connection; and a body is let in only once nothing speaks against it.
 */
export class HttpFront {
  readonly #options: HttpFrontOptions;
  /** The response that a connection's bytes go on in: they leave in the order of their requests. */
  readonly #lastResponses = new WeakMap<Socket, ServerResponse>();
  /** Connections that end with a refusal: whatever comes behind it is not read. */
  readonly #ending = new WeakSet<Socket>();
  /** Of requests whose body turned out not to be one before anybody read it. */
  readonly #brokenBodies = new WeakMap<IncomingMessage, RequestRefused>();

  constructor(options: HttpFrontOptions) {
    this.#options = options;
  }

  /** A server for well-framed requests, not yet bound. */
  server(handle: RequestListener): Server {
    const { limits } = this.#options;
    const take = (request: IncomingMessage, response: ServerResponse): void => {
      if (this.#ending.has(request.socket)) return;
      this.#lastResponses.set(request.socket, response);
      const fault = framingFault(request);
      if (fault === undefined) handle(request, response);
      else this.#refuse(request, response, fault);
    };
    const server = createServer(
      {
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
      // Node has let go of the connection, and nobody else hears of its end.
      socket.on('error', () => socket.destroy());
      this.#whenAnswered(socket, () => this.#refuseRaw(socket, new RequestRefused('target_invalid', 400), url));
    });
    server.on('clientError', (cause: NodeJS.ErrnoException, socket: Socket) => this.#unreadable(cause, socket));
    // Node drops header fields past this count in silence; ours are counted by whoever reads them, and refuses.
    server.maxHeadersCount = 0;
    server.maxRequestsPerSocket = limits.requestsPerSocket ?? 0;
    server.maxConnections = limits.connections;
    return server;
  }

  /**
   * A request's body, whole. A caller who waits for leave to send it gets that here, once nothing speaks against it.
   *
   * @throws RequestRefused as `readBody` does
   */
  readBody(
    request: IncomingMessage,
    response: ServerResponse,
    framing: Framing,
    bytesMax: number,
  ): Promise<Uint8Array> {
    const broken = this.#brokenBodies.get(request);
    if (broken !== undefined) {
      this.#brokenBodies.delete(request);
      return Promise.reject(broken);
    }
    // RFC 9110 section 10.1.1: other expectations do not come this far, and HTTP/1.0 knows none.
    const isWaiting = request.httpVersion === '1.1' && request.headers.expect !== undefined;
    return readBody(request, framing, bytesMax, () => {
      if (isWaiting) response.writeContinue();
    });
  }

  #refuse(request: IncomingMessage, response: ServerResponse, refused: RequestRefused): void {
    this.#ending.add(request.socket);
    sendAnswer(response, this.#options.refuse(refused, request.url), undefined, true);
  }

  /**
   * Bytes that are no HTTP request, or came too slowly. The connection ends, but first what was asked on it before is
   * answered, and then this.
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
    if (request.emit(brokenBody, refused)) return;
    // Nobody reads it yet, and perhaps nobody will.
    this.#brokenBodies.set(request, refused);
    last.once('close', () => {
      if (this.#brokenBodies.delete(request) && socket.writable) this.#refuseRaw(socket, refused, undefined);
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
 * What Node's parser lets pass.
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
      return new RequestRefused('header_invalid', 400, 'the method is none that HTTP has');
    case 'HPE_INVALID_VERSION':
    case 'HPE_PAUSED_H2_UPGRADE':
      return new RequestRefused('header_invalid', 400, versions);
    default:
      return new RequestRefused('header_invalid', 400);
  }
}
