import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { asSidecarError, RequestRefused, type SidecarError } from '../../domain/errors.ts';
import type { Log } from '../../domain/ports.ts';
import type { Answer, CallerBinding, RawRequest, Surface } from '../../domain/request.ts';
import { closeServer } from '../../http/close-server.ts';
import { readBody } from '../../http/read-body.ts';
import { type Head, isJson, isOwnHost, readHead } from '../../http/request-rules.ts';
import { sendAnswer } from '../../http/send-answer.ts';
import { type HttpLimits, strictHttpServer } from '../../http/strict-http-server.ts';
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

/** An address or a socket to listen on, and the identity of its callers. */
export interface ListenerBinding {
  readonly via: CallerBinding;
  /** Host is checked on TCP only: no page of another site can reach a Unix socket. */
  readonly kind: 'tcp' | 'socket';
  /** The URL of this decision point in the metadata document; called once the port is known. */
  readonly origin: () => string;
}

/** A server for one binding, not listening yet. */
export interface BoundListener {
  readonly server: Server;
  /** No new connections; resolves when what is in flight has been answered, or decided if its caller has gone. */
  close(): Promise<void>;
  /** Ends every connection, answered or not; after that `close` waits a moment for what is in flight, and no longer. */
  cut(): void;
}

/** How long what is in flight may take once its caller has been cut off: enough to be decided and recorded. */
const cutMs = 1_000;

const loopbackHosts = ['127.0.0.1', 'localhost', '[::1]'];

/** A binding, and how many of its requests have bodies that are still being read. */
interface BoundState {
  readonly binding: ListenerBinding;
  reading: number;
}

/**
 * The decision routes, on `node:http` itself: Express about doubles what an answer costs (bench/floor.ts).
 * All bindings share one count of requests in flight. A caller sets how long its body takes, so bodies being read fill
 * at most their binding's even part of that count: a slow caller leaves the other bindings theirs.
 */
export class DecisionListener {
  readonly #options: DecisionListenerOptions;
  readonly #ownHosts: ReadonlySet<string>;
  #inFlight = 0;
  #bindings = 0;
  #stopping = false;
  /** Made by a listener that closes; kept until nothing is in flight. */
  #settled: PromiseWithResolvers<void> | undefined;

  constructor(options: DecisionListenerOptions) {
    this.#options = options;
    this.#ownHosts = new Set([...loopbackHosts, ...options.ownHosts]);
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  bind(binding: ListenerBinding): BoundListener {
    this.#bindings += 1;
    const state: BoundState = { binding, reading: 0 };
    const server = strictHttpServer({
      limits: this.#options.limits,
      handle: (request, response) => void this.#handle(request, response, state),
      refuse: (refused, target) => this.#options.refuse(refused, surfaceOf(target ?? '')),
    });
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

  async #handle(request: IncomingMessage, response: ServerResponse, state: BoundState): Promise<void> {
    const target = request.url ?? '';
    this.#inFlight += 1;
    let head: Head | undefined;
    try {
      const fields = readHead(request.rawHeaders, this.#options.limits.headersCount);
      requireEchoable(fields.requestId);
      head = fields;
      const answer = await this.#answer(request, response, target, head, state);
      sendAnswer(response, answer, head.requestId, this.#stopping);
    } catch (cause) {
      const error = asSidecarError(cause);
      if (!(error instanceof RequestRefused))
        this.#options.log.error('internal error outside of a decision', { cause });
      const answer = this.#options.refuse(error, surfaceOf(target));
      const allow = error instanceof MethodNotAllowed ? { allow: error.allow } : {};
      // The rest of the body is not read: the connection ends with the answer unless the request was read whole.
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
    state: BoundState,
  ): Promise<Answer> {
    const { limits } = this.#options;
    const { binding } = state;
    if (this.#stopping) throw new RequestRefused('stopping', 503);
    if (this.#inFlight > limits.inFlight) throw new RequestRefused('overloaded', 503);
    if (binding.kind === 'tcp' && !isOwnHost(head.host, this.#ownHosts)) throw new RequestRefused('host_foreign', 403);
    if (head.origin !== undefined) throw new RequestRefused('origin_foreign', 403);
    const found = route(request.method ?? '', target, this.#options.entrypoint);
    if (found.kind === 'metadata') {
      return { status: 200, headers: { 'content-type': 'application/json' }, body: metadataOf(binding.origin()) };
    }
    const opaWithoutBody = found.surface === 'opa' && head.contentType === undefined;
    if (!isJson(head.contentType) && !opaWithoutBody) throw new RequestRefused('content_type_unsupported', 400);
    if (state.reading >= Math.max(1, Math.floor(limits.inFlight / this.#bindings))) {
      throw new RequestRefused('overloaded', 503);
    }
    let body: Uint8Array;
    state.reading += 1;
    try {
      body = await readBody(request, response, head, limits.bodyBytes);
    } finally {
      state.reading -= 1;
    }
    const { socket } = request;
    return this.#options.authorize({
      surface: found.surface,
      entrypoint: found.entrypoint,
      body,
      via: binding.via,
      remote: binding.kind === 'tcp' ? `${socket.remoteAddress}:${socket.remotePort}` : 'unix',
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

/** The id goes back in the answer's header, as it came. @throws RequestRefused `request_id_invalid` 400 */
function requireEchoable(requestId: string | undefined): void {
  if (requestId !== undefined && !/^[\x21-\x7e]{1,128}$/.test(requestId)) {
    throw new RequestRefused('request_id_invalid', 400);
  }
}

/** @see AuthZEN 1.0 section 9 (metadata) */
function metadataOf(origin: string): string {
  return JSON.stringify({ policy_decision_point: origin, access_evaluation_endpoint: `${origin}${evaluationPath}` });
}
