import { createServer, type Server, type ServerResponse } from 'node:http';

export interface ProbesOptions {
  /** Why the sidecar is not ready, in words for an operator; empty: it is ready. */
  readonly notReady: () => readonly string[];
  /** Conditions that an operator should look at although the sidecar decides. */
  readonly degraded: () => readonly string[];
  readonly metrics: () => Promise<{ readonly contentType: string; readonly text: string }>;
}

const paths = ['/health/live', '/health/ready', '/metrics'];
/** Each scrape costs the event loop some milliseconds and holds its text until it is read: a slow reader gets no more. */
const scrapesMax = 8;

/** The routes without a token, for a kubelet and for Prometheus: health and metrics. */
export class Probes {
  readonly #options: ProbesOptions;
  #scrapes = 0;

  constructor(options: ProbesOptions) {
    this.#options = options;
  }

  /** @returns whether the path was one of a probe's; the answer is on its way then */
  answer(method: string, path: string, response: ServerResponse): boolean {
    if (!paths.includes(path)) return false;
    if (method !== 'GET' && method !== 'HEAD') {
      send(response, 405, 'text/plain; charset=utf-8', 'GET only\n', { allow: 'GET, HEAD' });
    } else if (path === '/health/live') send(response, 200, 'application/json', '{"status":"live"}\n');
    else if (path === '/health/ready') {
      const reasons = this.#options.notReady();
      const degraded = this.#options.degraded();
      const body = {
        status: reasons.length === 0 ? 'ready' : 'not ready',
        ...(reasons.length > 0 && { reasons }),
        ...(degraded.length > 0 && { degraded }),
      };
      send(response, reasons.length === 0 ? 200 : 503, 'application/json', `${JSON.stringify(body)}\n`);
    } else void this.#scrape(response);
    return true;
  }

  /** The third address, for these alone, so that it may bind wider than loopback. */
  server(): Server {
    const server = createServer({ headersTimeout: 5_000, requestTimeout: 10_000 }, (request, response) => {
      const path = (request.url ?? '').split('?', 1)[0] ?? '';
      request.resume();
      if (!this.answer(request.method ?? '', path, response)) {
        send(response, 404, 'text/plain; charset=utf-8', 'no such route\n');
      }
    });
    server.maxConnections = 64;
    return server;
  }

  async #scrape(response: ServerResponse): Promise<void> {
    if (this.#scrapes >= scrapesMax) {
      send(response, 503, 'text/plain; charset=utf-8', 'too many scrapes at once\n', { 'retry-after': '1' });
      return;
    }
    this.#scrapes += 1;
    response.once('close', () => {
      this.#scrapes -= 1;
    });
    try {
      const { contentType, text } = await this.#options.metrics();
      send(response, 200, contentType, text);
    } catch {
      // The registry's own words could hold anything.
      send(response, 500, 'text/plain; charset=utf-8', 'the metrics cannot be read\n');
    }
  }
}

function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    'content-type': contentType,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...headers,
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
