import { Agent, type IncomingHttpHeaders, request } from 'node:http';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

/** An HTTP client that keeps its connections, and sends a request once: what fails has failed. */
export class Client {
  readonly #agent: Agent;
  readonly #to: { readonly port: number } | { readonly socketPath: string };
  readonly #headers: Readonly<Record<string, string>>;

  constructor(
    to: { readonly port: number } | { readonly socketPath: string },
    headers: Readonly<Record<string, string>> = {},
    connections = 64,
  ) {
    this.#to = to;
    this.#headers = headers;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
  }

  /** @param body text goes out as it is, anything else as JSON */
  call(
    method: string,
    path: string,
    body?: unknown,
    headers: Readonly<Record<string, string | readonly string[]>> = {},
  ): Promise<Reply> {
    const text = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
    return new Promise((resolve, reject) => {
      const sent = request(
        {
          ...('port' in this.#to ? { port: this.#to.port, host: '127.0.0.1' } : this.#to),
          agent: this.#agent,
          method,
          path,
          headers: {
            ...this.#headers,
            ...(text !== undefined && {
              'content-type': 'application/json',
              'content-length': String(Buffer.byteLength(text)),
            }),
            ...headers,
          },
        },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.once('error', reject);
          response.once('end', () =>
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              body: Buffer.concat(chunks).toString('utf8'),
            }),
          );
        },
      );
      sent.once('error', reject);
      sent.end(text);
    });
  }

  get(path: string): Promise<Reply> {
    return this.call('GET', path);
  }

  post(path: string, body?: unknown): Promise<Reply> {
    return this.call('POST', path, body);
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** A well-formed request for a decision. */
export function asking(action: string, change: Readonly<Record<string, unknown>> = {}, subject = agentId): object {
  return {
    subject: { type: 'agent', id: subject },
    action: { name: action },
    resource: { type: 'database', id: 'payroll' },
    ...change,
  };
}

const agentId = 'spiffe://acme.example/agent/report-bot';

export const evaluation = '/access/v1/evaluation';

/** A signal as the control listener takes it; observed now unless it says otherwise. */
export function report(
  kind: 'device' | 'subject' | 'session' | 'workload',
  id: string,
  attributes: Readonly<Record<string, unknown>>,
  change: Readonly<Record<string, unknown>> = {},
): object {
  return { about: { kind, id }, attributes, observed_at: new Date().toISOString(), source: 'mdm', ...change };
}
