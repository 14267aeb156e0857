import { type IncomingHttpHeaders, request } from 'node:http';
import { text } from 'node:stream/consumers';

/** Where a listener is reached: a TCP address such as `127.0.0.1:8181`, or a Unix socket. */
export type Door = { readonly address: string } | { readonly socket: string };

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE';
  readonly path: string;
  readonly token?: string;
  readonly body?: unknown;
}

/** An enforcement point waits no longer: no answer in time is no permission. */
const answerWithinMs = 2_000;

/** One HTTP exchange. `fetch` would do, but for Unix sockets. */
export async function call(door: Door, { method, path, token, body }: Call): Promise<Reply> {
  const where = 'socket' in door ? { socketPath: door.socket } : addressOf(door.address);
  const payload = body === undefined ? undefined : JSON.stringify(body);
  const answered = Promise.withResolvers<Reply>();
  const sent = request(
    {
      ...where,
      method,
      path,
      signal: AbortSignal.timeout(answerWithinMs),
      headers: {
        host: 'localhost',
        ...(payload !== undefined && { 'content-type': 'application/json' }),
        ...(token !== undefined && { authorization: `Bearer ${token}` }),
      },
    },
    (response) => {
      text(response).then(
        (received) => answered.resolve({ status: response.statusCode ?? 0, headers: response.headers, body: received }),
        answered.reject,
      );
    },
  );
  sent.on('error', answered.reject);
  sent.end(payload);
  return await answered.promise;
}

function addressOf(address: string): { readonly host: string; readonly port: number } {
  const colon = address.lastIndexOf(':');
  return { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
}
