import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { asSidecarError, RequestRefused, type SidecarError } from '../domain/errors.ts';
import type { Log } from '../domain/ports.ts';
import type { Answer, RawRequest, Surface, Via } from '../domain/request.ts';
import { closeServer } from './close-server.ts';
import { brokenBody, readBody } from './read-body.ts';
import { type Head, isJson, isOwnHost, readHead } from './read-head.ts';
import { evaluationPath, MethodNotAllowed, route, surfaceOf } from './routes.ts';

export interface ListenerLimits {
  readonly bodyBytes: number;
  readonly headerBytes: number;
  readonly headersCount: number;
  readonly connections: number;
  readonly inFlight: number;
  readonly requestsPerSocket: number;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly keepAliveMs: number;
}

export interface DecisionListenerOptions {
  readonly limits: ListenerLimits;
  /** The policy entrypoint that AuthZEN requests ask. */
  readonly entrypoint: string;
  /** Host names, beside loopback's, that requests may name. */
  readonly ownHosts: readonly string[];
  readonly log: Log;
  readonly authorize: (raw: RawRequest) => Promise<Answer>;
  /** Words a refusal that was met before `authorize`, and counts it. */
  readonly refuse: (error: SidecarError, surface: Surface) => Answer;
}

/** One way in, and who comes through it. */
export interface Door {
  readonly via: Via;
  /** Host is checked on TCP only: no page of another site can reach a Unix socket. */
  readonly kind: 'tcp' | 'socket';
  /** What the metadata document gives as this decision point's URL; asked once the port is known. */
  readonly origin: () => string;
}

/** A door with its server, not yet bound. */
export interface Doorway {
  readonly server: Server;
  /** No new connections; resolves when what is in flight has been answered. */
  close(): Promise<void>;
  /** Ends every connection, answered or not. */
  cut(): void;
}

const loopbackHosts = ['127.0.0.1', 'localhost', '[::1]'];
/** How long a connection may stay half open behind an answer, so that a caller who is still sending gets to read it. */
const lingerMs = 1_000;

/**
 * The decision routes, on `node:http` itself: Express about doubles what an answer costs (bench/floor.ts).
 * All doorways share one count of requests in flight.
 */
export class DecisionListener {
  readonly #options: DecisionListenerOptions;
  readonly #ownHosts: ReadonlySet<string>;
  /** The response that a connection's bytes go on in: they leave in the order of their requests. */
  readonly #lastResponses = new WeakMap<Socket, ServerResponse>();
  readonly #unreadableSockets = new WeakSet<Socket>();
  #inFlight = 0;
  #stopping = false;

  constructor(options: DecisionListenerOptions) {
    this.#options = options;
    this.#ownHosts = new Set([...loopbackHosts, ...options.ownHosts]);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  doorway(door: Door): Doorway {
    const { limits } = this.#options;
    const handle = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
      void this.#handle(request, response, door, expectsContinue);
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
      (request, response) => handle(request, response, false),
    );
    server.on('checkContinue', (request, response) => handle(request, response, true));
    server.on('checkExpectation', (_request: IncomingMessage, response: ServerResponse) => {
      const answer = this.#options.refuse(new RequestRefused('header_invalid', 417, 'Expect'), 'http');
      this.#send(response, answer, undefined, true);
    });
    // Node closes the one and answers the other (503), but leaves its connection open; and it counts neither.
    server.on('drop', () => this.#options.refuse(new RequestRefused('overloaded', 503), 'http'));
    server.on('dropRequest', (_request: IncomingMessage, socket: Socket) => {
      this.#options.refuse(new RequestRefused('overloaded', 503), 'http');
      this.#whenAnswered(socket, () => socket.destroySoon());
    });
    server.on('clientError', (cause: NodeJS.ErrnoException, socket: Socket) => this.#unreadable(cause, socket));
    // Node drops header fields past this count in silence; ours are counted by readHead, which refuses.
    server.maxHeadersCount = 0;
    server.maxRequestsPerSocket = limits.requestsPerSocket;
    server.maxConnections = limits.connections;
    return { server, close: () => this.#close(server), cut: () => server.closeAllConnections() };
  }

  async #handle(
    request: IncomingMessage,
    response: ServerResponse,
    door: Door,
    expectsContinue: boolean,
  ): Promise<void> {
    const target = request.url ?? '';
    this.#inFlight += 1;
    this.#lastResponses.set(request.socket, response);
    let head: Head | undefined;
    try {
      head = readHead(request.rawHeaders, this.#options.limits.headersCount);
      const answer = await this.#answer(request, response, target, head, door, expectsContinue);
      this.#send(response, answer, head.requestId, this.#stopping);
    } catch (cause) {
      const error = asSidecarError(cause);
      if (!(error instanceof RequestRefused))
        this.#options.log.error('a request failed outside of its decision', { cause });
      const answer = this.#options.refuse(error, surfaceOf(target));
      const allow = error instanceof MethodNotAllowed ? { allow: error.allow } : {};
      // What of the body is unread stays so: the connection ends with the answer unless the request was read whole.
      const close = this.#stopping || !request.complete;
      this.#send(response, { ...answer, headers: { ...answer.headers, ...allow } }, head?.requestId, close);
    } finally {
      this.#inFlight -= 1;
    }
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    target: string,
    head: Head,
    door: Door,
    expectsContinue: boolean,
  ): Promise<Answer> {
    const { limits } = this.#options;
    if (this.#stopping) throw new RequestRefused('stopping', 503);
    if (this.#inFlight > limits.inFlight) throw new RequestRefused('overloaded', 503);
    if (head.host === undefined && request.httpVersionMinor > 0)
      throw new RequestRefused('header_invalid', 400, 'Host');
    if (door.kind === 'tcp' && !isOwnHost(head.host, this.#ownHosts)) throw new RequestRefused('host_foreign', 403);
    if (head.origin !== undefined) throw new RequestRefused('origin_foreign', 403);
    const found = route(request.method ?? '', target, this.#options.entrypoint);
    if (found.kind === 'metadata') {
      return { status: 200, headers: { 'content-type': 'application/json' }, body: metadataOf(door.origin()) };
    }
    const opaWithoutBody = found.surface === 'opa' && head.contentType === undefined;
    if (!isJson(head.contentType) && !opaWithoutBody) throw new RequestRefused('content_type_unsupported', 400);
    if (expectsContinue && Number(head.contentLength ?? 0) <= limits.bodyBytes) response.writeContinue();
    const body = await readBody(request, head, limits.bodyBytes);
    const { socket } = request;
    return this.#options.authorize({
      surface: found.surface,
      entrypoint: found.entrypoint,
      body,
      via: door.via,
      remote: door.kind === 'tcp' ? `${socket.remoteAddress}:${socket.remotePort}` : 'unix',
      ...(head.requestId !== undefined && { requestId: head.requestId }),
    });
  }

  #send(response: ServerResponse, answer: Answer, requestId: string | undefined, close: boolean): void {
    if (response.headersSent || response.destroyed) return;
    const headers: string[] = ['cache-control', 'no-store', 'content-length', String(Buffer.byteLength(answer.body))];
    for (const name in answer.headers) headers.push(name, answer.headers[name] ?? '');
    if (requestId !== undefined) headers.push('x-request-id', requestId);
    if (close) headers.push('connection', 'close');
    response.writeHead(answer.status, headers);
    response.end(answer.body);
  }

  /**
   * Bytes that are no HTTP request, or came too slowly. The connection ends, but first what was asked on it before is
   * answered, and then this.
   */
  #unreadable(cause: NodeJS.ErrnoException, socket: Socket): void {
    // Whatever comes behind unreadable bytes is unreadable too.
    if (this.#unreadableSockets.has(socket)) return;
    this.#unreadableSockets.add(socket);
    if (cause.code === 'ECONNRESET' || !socket.writable) {
      // The caller has gone; a request that was under way hears of it by itself.
      socket.destroy();
      return;
    }
    const last = this.#lastResponses.get(socket);
    if (last !== undefined && !last.writableFinished && !last.req.complete) {
      last.req.emit(brokenBody, unreadableAs(cause.code, 'body'));
    } else this.#whenAnswered(socket, () => this.#refuseRaw(socket, unreadableAs(cause.code, 'header')));
  }

  /** Calls back once the last request that came whole on this connection has had its answer. */
  #whenAnswered(socket: Socket, call: () => void): void {
    const last = this.#lastResponses.get(socket);
    if (last === undefined || last.writableFinished) call();
    else last.once('close', call);
  }

  #refuseRaw(socket: Socket, refused: RequestRefused): void {
    const { status, headers, body } = this.#options.refuse(refused, 'http');
    const fields = Object.entries({ ...headers, 'content-length': Buffer.byteLength(body), connection: 'close' });
    socket.end(
      `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${fields.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n${body}`,
    );
    setTimeout(() => socket.destroy(), lingerMs).unref();
  }

  async #close(server: Server): Promise<void> {
    this.#stopping = true;
    await closeServer(server);
  }
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
    default:
      return new RequestRefused('header_invalid', 400);
  }
}

/** @see AuthZEN 1.0 section 9 (metadata) */
function metadataOf(origin: string): string {
  return JSON.stringify({ policy_decision_point: origin, access_evaluation_endpoint: `${origin}${evaluationPath}` });
}
