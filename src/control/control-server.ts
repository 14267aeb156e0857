import { createServer, type RequestListener, type Server } from 'node:http';

export interface ControlLimits {
  readonly headerBytes: number;
  readonly connections: number;
  readonly headerTimeoutMs: number;
  readonly bodyTimeoutMs: number;
  readonly keepAliveMs: number;
}

/** The server around the routes, not yet bound. */
export function controlServer(app: RequestListener, limits: ControlLimits): Server {
  const server = createServer(
    {
      insecureHTTPParser: false,
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headerTimeoutMs,
      requestTimeout: limits.headerTimeoutMs + limits.bodyTimeoutMs,
      connectionsCheckingInterval: 1_000,
      keepAliveTimeout: limits.keepAliveMs,
    },
    app,
  );
  // Counted by the routes, which refuse; Node would drop what is past its own count in silence.
  server.maxHeadersCount = 0;
  server.maxConnections = limits.connections;
  return server;
}
