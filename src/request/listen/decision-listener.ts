import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { asSidecarError, RequestRefused, type SidecarError } from '../../domain/errors.ts';
import type { Log } from '../../domain/ports.ts';
import type { Answer, RawRequest, Surface, Via } from '../../domain/request.ts';
import { closeServer } from '../../http/close-server.ts';
import { sendAnswer } from '../../http/send-answer.ts';
import { HttpFront, type HttpLimits } from '../../http/strict-http-server.ts';
import { type Head, isJson, isOwnHost, readHead } from './read-head.ts';
import { evaluationPath, MethodNotAllowed, route, surfaceOf } from './routes.ts';

export interface ListenerLimits extends HttpLimits {
  readonly bodyBytes: number;
  readonly headersCount: number;
  readonly inFlight: number;
  readonly requestsPerSocket: number;
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
  /** No new connections; resolves when what is in flight has been answered, or decided if its caller has gone. */
  close(): Promise<void>;
  /** Ends every connection, answered or not; after that `close` waits a moment for what is in flight, and no longer. */
  cut(): void;
}

/** How long what is in flight may take once its caller has been cut off: enough to be decided and recorded. */
const cutMs = 1_000;

const loopbackHosts = ['127.0.0.1', 'localhost', '[::1]'];

/** A door, and how many requests came through it whose bodies have not come whole. */
interface Entrance {
  readonly door: Door;
  reading: number;
}

/**
 * The decision routes, on `node:http` itself: Express about doubles what an answer costs (bench/floor.ts).
 * All doorways share one count of requests in flight. How long a body takes is its caller's to say, so those that are
 * read may fill no more than their doorway's even part of it: whoever dawdles leaves the other doorways theirs.
 */
export class DecisionListener {
  readonly #options: DecisionListenerOptions;
  readonly #ownHosts: ReadonlySet<string>;
  readonly #front: HttpFront;
  #inFlight = 0;
  #doorways = 0;
  #stopping = false;
  /** Made by a doorway that closes; kept until nothing is in flight. */
  #settled: PromiseWithResolvers<void> | undefined;

  constructor(options: DecisionListenerOptions) {
    this.#options = options;
    this.#ownHosts = new Set([...loopbackHosts, ...options.ownHosts]);
    this.#front = new HttpFront({
      limits: options.limits,
      refuse: (refused, target) => options.refuse(refused, surfaceOf(target ?? '')),
    });
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  doorway(door: Door): Doorway {
    this.#doorways += 1;
    const entrance: Entrance = { door, reading: 0 };
    const server = this.#front.server((request, response) => void this.#handle(request, response, entrance));
    const cut = Promise.withResolvers<void>();
    return {
      server,
      close: () => this.#close(server, cut.promise),
      cut: () => {
        server.closeAllConnections();
        setTimeout(cut.resolve, cutMs).unref();
      },
    };
  }

  async #handle(request: IncomingMessage, response: ServerResponse, entrance: Entrance): Promise<void> {
    const target = request.url ?? '';
    this.#inFlight += 1;
    let head: Head | undefined;
    try {
      head = readHead(request.rawHeaders, this.#options.limits.headersCount);
      const answer = await this.#answer(request, response, target, head, entrance);
      sendAnswer(response, answer, head.requestId, this.#stopping);
    } catch (cause) {
      const error = asSidecarError(cause);
      if (!(error instanceof RequestRefused))
        this.#options.log.error('a request failed outside of its decision', { cause });
      const answer = this.#options.refuse(error, surfaceOf(target));
      const allow = error instanceof MethodNotAllowed ? { allow: error.allow } : {};
      // What of the body is unread stays so: the connection ends with the answer unless the request was read whole.
      const close = this.#stopping || !request.complete;
      sendAnswer(response, { ...answer, headers: { ...answer.headers, ...allow } }, head?.requestId, close);
    } finally {
      this.#inFlight -= 1;
      if (this.#inFlight === 0) {
        this.#settled?.resolve();
        this.#settled = undefined;
      }
    }
  }

  async #answer(
    request: IncomingMessage,
    response: ServerResponse,
    target: string,
    head: Head,
    entrance: Entrance,
  ): Promise<Answer> {
    const { limits } = this.#options;
    const { door } = entrance;
    if (this.#stopping) throw new RequestRefused('stopping', 503);
    if (this.#inFlight > limits.inFlight) throw new RequestRefused('overloaded', 503);
    if (door.kind === 'tcp' && !isOwnHost(head.host, this.#ownHosts)) throw new RequestRefused('host_foreign', 403);
    if (head.origin !== undefined) throw new RequestRefused('origin_foreign', 403);
    const found = route(request.method ?? '', target, this.#options.entrypoint);
    if (found.kind === 'metadata') {
      return { status: 200, headers: { 'content-type': 'application/json' }, body: metadataOf(door.origin()) };
    }
    const opaWithoutBody = found.surface === 'opa' && head.contentType === undefined;
    if (!isJson(head.contentType) && !opaWithoutBody) throw new RequestRefused('content_type_unsupported', 400);
    if (entrance.reading >= Math.max(1, Math.floor(limits.inFlight / this.#doorways))) {
      throw new RequestRefused('overloaded', 503);
    }
    let body: Uint8Array;
    entrance.reading += 1;
    try {
      body = await this.#front.readBody(request, response, head, limits.bodyBytes);
    } finally {
      entrance.reading -= 1;
    }
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

  async #close(server: Server, cut: Promise<void>): Promise<void> {
    this.#stopping = true;
    await closeServer(server);
    // A caller who leaves ends a connection, and not what was begun: a use of a grant is spent, and goes on record.
    if (this.#inFlight === 0) return;
    this.#settled ??= Promise.withResolvers();
    await Promise.race([this.#settled.promise, cut]);
  }
}

/** @see AuthZEN 1.0 section 9 (metadata) */
function metadataOf(origin: string): string {
  return JSON.stringify({ policy_decision_point: origin, access_evaluation_endpoint: `${origin}${evaluationPath}` });
}
