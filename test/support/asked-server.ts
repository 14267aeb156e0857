import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { createServer as createTlsServer, type ServerOptions } from 'node:https';
import type { AddressInfo } from 'node:net';

export interface AskedServer {
  readonly port: number;
  /** e.g. `http://127.0.0.1:40123` */
  readonly origin: string;
  /** What arrived, with its body. */
  readonly requests: readonly Arrived[];
  /** Ends every connection. */
  close(): Promise<void>;
}

export interface Arrived {
  readonly method: string;
  readonly url: string;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly body: string;
}

export type Serve = (request: IncomingMessage, response: ServerResponse, body: string) => void;

/** A real server on this machine, which answers as it is told; with `tls` by HTTPS. */
export async function askedServer(serve: Serve, tls?: ServerOptions): Promise<AskedServer> {
  const requests: Arrived[] = [];
  const handle = (request: IncomingMessage, response: ServerResponse): void => {
    let body = '';
    request.setEncoding('utf8');
    request.on('data', (piece: string) => {
      body += piece;
    });
    request.on('end', () => {
      const { method = '', url = '', headers } = request;
      requests.push({ method, url, headers, body });
      serve(request, response, body);
    });
  };
  const server: Server = tls === undefined ? createServer(handle) : createTlsServer(tls, handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    port,
    origin: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    requests,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

export function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(value));
}
