// Tested by test/control/control.test.ts.
import { types } from 'node:util';
import express, { type Express, type NextFunction, type Request, type Response } from 'express';
import { asSidecarError, ControlRefused, type ErrorCode, RequestRefused } from '../domain/errors.ts';
import type { JsonValue } from '../domain/json-value.ts';
import type { AttestationKeeper, GrantKeeper, Log, SignalKeeper } from '../domain/ports.ts';
import { type AboutKind, aboutKinds, type Signal } from '../domain/signal.ts';
import { rfc3339Of } from '../domain/time.ts';
import { readBody } from '../http/read-body.ts';
import { isAddressOrLocalhost, isJson, isJsonOrEnvelope, readHead } from '../http/request-rules.ts';
import {
  grantDocument,
  heldDocument,
  isStanding,
  kindsIn,
  readApproval,
  readGrantRequest,
  readSignals,
} from './documents.ts';
import type { Probes } from './probes.ts';
import { sendProblem } from './problem.ts';
import type { Tokens } from './tokens.ts';

export interface ControlParts {
  readonly signals: SignalKeeper;
  readonly grants: GrantKeeper;
  readonly attestations: AttestationKeeper;
  readonly tokens: Tokens;
  readonly probes: Probes;
  /** The strict reading of a body as values. @throws RequestRefused */
  readonly parseJson: (body: Uint8Array) => JsonValue;
  readonly bodyBytesMax: number;
  readonly headersCountMax: number;
  readonly status: () => object;
  readonly acknowledgeLoss: () => Promise<void>;
  readonly rejected: (why: ErrorCode) => void;
  readonly signalRefused: (kind: AboutKind | 'other') => void;
  readonly log: Log;
}

const pageMax = 1_000;
/**
 * The control listener's routes. Without a token only health and metrics are answered. A token allows writing what the
 * sidecar knows, so agents must have neither its token nor its socket.
 */
export function controlApp(parts: ControlParts): Express {
  const app = express();
  app.disable('x-powered-by');
  app.disable('etag');
  app.enable('strict routing');
  app.enable('case sensitive routing');
  app.set('query parser', 'simple');

  app.use((_request, response, next) => {
    response.set('cache-control', 'no-store');
    next();
  });
  app.use(wellFramed(parts));
  app.use((request, response, next) => {
    if (!parts.probes.answer(request.method, request.path, response)) next();
  });
  app.use(authenticated(parts));
  signalRoutes(app, parts);
  grantRoutes(app, parts);
  attestationRoutes(app, parts);
  route(app, '/v1/status', { GET: (_request, response) => void response.json(parts.status()) });
  route(app, '/v1/store/acknowledge-loss', {
    POST: async (_request, response) => {
      await parts.acknowledgeLoss();
      response.status(204).end();
    },
  });

  app.use(() => {
    throw new RequestRefused('route_unknown', 404);
  });
  app.use((cause: unknown, request: Request, response: Response, _next: NextFunction) => {
    const error = fromExpress(cause) ?? asSidecarError(cause);
    if (error.code === 'internal') parts.log.error('a control request failed', { cause });
    parts.rejected(error.code);
    // The rest of the body is not read: the connection ends with the answer.
    if (!request.complete) response.set('connection', 'close');
    if (!response.headersSent) sendProblem(response, error);
    else response.destroy();
  });
  return app;
}

type Handle = (request: Request, response: Response) => void | Promise<void>;
type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';

/** One path and its methods; any other method is answered 405 with those in `Allow`. */
function route(app: Express, path: string, handles: Partial<Record<Method, Handle>>): void {
  app.all(path, async (request, response) => {
    const handle = handles[request.method as Method];
    if (handle === undefined) {
      response.set('allow', Object.keys(handles).join(', '));
      throw new RequestRefused('method_not_allowed', 405);
    }
    await handle(request, response);
  });
}

/**
 * Refuses requests of browsers. A page whose name was made to resolve to this address (DNS rebinding) still names its
 * own host, and a cross-site request its origin. Unix sockets are out of a browser's reach, and a client may
 * name any host there.
 */
function wellFramed({ headersCountMax }: ControlParts) {
  return ({ rawHeaders, headers, socket, url }: Request, _response: Response, next: NextFunction): void => {
    // Express would read a path out of an absolute form, and drop a fragment.
    if (!url.startsWith('/') || url.includes('#')) throw new RequestRefused('target_invalid', 400);
    const { host, origin } = readHead(rawHeaders, headersCountMax);
    if (origin !== undefined || headers['sec-fetch-site'] === 'cross-site') {
      throw new RequestRefused('origin_foreign', 403);
    }
    if (socket.remoteAddress !== undefined && !isAddressOrLocalhost(host)) {
      throw new RequestRefused('host_foreign', 403);
    }
    next();
  };
}

/** @see RFC 6750 section 3: no error code where no credentials were sent */
function authenticated({ tokens }: ControlParts) {
  return async ({ headers }: Request, response: Response, next: NextFunction): Promise<void> => {
    const principal = await tokens.principalOf(headers.authorization);
    if (principal === undefined) {
      const error = headers.authorization === undefined ? '' : ', error="invalid_token"';
      response.set('www-authenticate', `Bearer realm="postern control"${error}`);
      throw new RequestRefused('unauthenticated', 401);
    }
    response.locals['principal'] = principal;
    next();
  };
}

function principalOf(response: Response): string {
  const principal: unknown = response.locals['principal'];
  if (typeof principal !== 'string') throw new RequestRefused('unauthenticated', 401);
  return principal;
}

function signalRoutes(app: Express, parts: ControlParts): void {
  const read = (body: JsonValue): readonly Signal[] => {
    try {
      return readSignals(body);
    } catch (cause) {
      // The store counts what it takes and what it refuses; these do not come as far.
      for (const kind of kindsIn(body)) parts.signalRefused(kind);
      throw cause;
    }
  };
  const put: Handle = async (request, response) => {
    const body = await bodyOf(request, response, parts);
    response.json({ results: await parts.signals.put(read(body)) });
  };
  route(app, '/v1/signals', { POST: put, PUT: put });
  route(app, '/v1/signals/:kind/:id', {
    GET: (request, response) => {
      const [kind, id] = about(request);
      const held = parts.signals.held(kind, id);
      if (held === undefined) throw new ControlRefused('signal_unknown', 404, 'no signal is stored for that id');
      response.json(heldDocument(kind, id, held));
    },
    DELETE: async (request, response) => {
      const [kind, id] = about(request);
      if (!(await parts.signals.forget(kind, id)))
        throw new ControlRefused('signal_unknown', 404, 'no signal is stored for that id');
      response.status(204).end();
    },
  });
}

function about(request: Request): [AboutKind, string] {
  const kind = aboutKinds.find((one) => one === request.params['kind']);
  if (kind === undefined) throw new RequestRefused('route_unknown', 404);
  return [kind, String(request.params['id'])];
}

function grantRoutes(app: Express, parts: ControlParts): void {
  const { grants } = parts;
  const known = (id: string) => {
    const found = grants.get(id);
    if (found === undefined) throw new ControlRefused('grant_unknown', 404, 'no such grant');
    return found;
  };
  route(app, '/v1/grants', {
    GET: (request, response) => {
      const { subject, state, after, limit = '100' } = request.query as Readonly<Record<string, unknown>>;
      if ([subject, state, after, limit].some((one) => one !== undefined && typeof one !== 'string')) {
        throw new ControlRefused('grant_invalid', 400, 'a query parameter was sent twice');
      }
      const size = /^\d{1,4}$/.test(String(limit)) ? Number(limit) : 0;
      if (size < 1 || size > pageMax)
        throw new ControlRefused('grant_invalid', 400, `limit must be from 1 to ${pageMax}`);
      if (typeof state === 'string' && !isStanding(state))
        throw new ControlRefused('grant_invalid', 400, 'state is not a state of a grant');
      const filter = {
        ...(typeof subject === 'string' && { subject }),
        ...(typeof state === 'string' && isStanding(state) && { standing: state }),
      };
      const page = grants.list(filter, size, typeof after === 'string' ? after : undefined);
      if (page === undefined) throw new ControlRefused('grant_unknown', 400, 'after is not the id of a grant');
      const last = page.length === size ? page.at(-1)?.grant.id : undefined;
      response.json({ grants: page.map(grantDocument), ...(last !== undefined && { after: last }) });
    },
    POST: async (request, response) => {
      const made = await grants.request(
        readGrantRequest(await bodyOf(request, response, parts), principalOf(response)),
      );
      response.status(201).location(`/v1/grants/${made.grant.id}`).json(grantDocument(made));
    },
  });
  route(app, '/v1/grants/:id', {
    GET: (request, response) => void response.json(grantDocument(known(String(request.params['id'])))),
    DELETE: async (request, response) => {
      response.json(grantDocument(await grants.revoke(String(request.params['id']), principalOf(response))));
    },
  });
  route(app, '/v1/grants/:id/approve', {
    POST: async (request, response) => {
      // RFC 9112 section 6.3: without either there is none, whatever the content type says.
      const { 'content-length': length = '0', 'transfer-encoding': encoding } = request.headers;
      const hasBody = length !== '0' || encoding !== undefined;
      const named = hasBody ? readApproval(await bodyOf(request, response, parts)) : undefined;
      response.json(grantDocument(await grants.approve(String(request.params['id']), principalOf(response), named)));
    },
  });
}

function attestationRoutes(app: Express, parts: ControlParts): void {
  const document = (one: ReturnType<AttestationKeeper['of']>[number]): object => ({
    type: one.type,
    digest: one.digest,
    builder: one.builder,
    build_type: one.buildType,
    key_id: one.keyId,
    ...(one.sourceRepository !== undefined && { source_repository: one.sourceRepository }),
    ...(one.finishedAt !== undefined && { finished_at: rfc3339Of(one.finishedAt) }),
    received_at: rfc3339Of(one.receivedAt),
  });
  route(app, '/v1/attestations', {
    POST: async (request, response) => {
      const kept = await parts.attestations.attach(await bodyOf(request, response, parts, isJsonOrEnvelope));
      response.status(201).json({ attestations: kept.map(document) });
    },
  });
  route(app, '/v1/attestations/:digest', {
    GET: (request, response) => {
      const found = parts.attestations.of(String(request.params['digest']));
      if (found.length === 0)
        throw new ControlRefused('attestation_unknown', 404, 'no attestation is stored for that digest');
      response.json({ attestations: found.map(document) });
    },
  });
}

async function bodyOf(
  request: Request,
  response: Response,
  parts: ControlParts,
  isTaken: (contentType: string | undefined) => boolean = isJson,
): Promise<JsonValue> {
  const {
    'content-type': type,
    'content-encoding': contentEncoding,
    'content-length': contentLength,
  } = request.headers;
  if (!isTaken(type)) throw new RequestRefused('content_type_unsupported', 400);
  if ((contentEncoding ?? 'identity') !== 'identity') throw new RequestRefused('content_encoding_unsupported', 415);
  return parts.parseJson(await readBody(request, response, { contentLength, contentEncoding }, parts.bodyBytesMax));
}

/** A path that cannot be percent-decoded is the one fault that Express finds by itself. */
function fromExpress(cause: unknown): RequestRefused | undefined {
  const isUndecodable = types.isNativeError(cause) && cause.name === 'URIError';
  return isUndecodable ? new RequestRefused('target_invalid', 400) : undefined;
}
