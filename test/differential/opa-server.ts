import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { createServer } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

const startMs = 60_000;

/** `opa run --server` with policies and data from directories, asked over connections that stay open. */
export class OpaServer {
  readonly connections: number;
  readonly #child: ChildProcess;
  readonly #port: number;
  readonly #agent: Agent;
  #said = '';

  private constructor(child: ChildProcess, port: number, connections: number) {
    this.#child = child;
    this.#port = port;
    this.connections = connections;
    this.#agent = new Agent({ keepAlive: true, maxSockets: connections });
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.#said += text;
      });
    }
  }

  /** @param flags of `opa run`, beside the usual ones */
  static async start(
    opa: string,
    directories: readonly string[],
    connections: number,
    flags: readonly string[] = [],
  ): Promise<OpaServer> {
    const port = await freePort();
    const args = ['run', '--server', '--addr', `127.0.0.1:${port}`, '--log-level', 'error', '--disable-telemetry'];
    const child = spawn(opa, [...args, ...flags, ...directories], { stdio: ['ignore', 'pipe', 'pipe'] });
    const server = new OpaServer(child, port, connections);
    for (const begunMs = performance.now(); ; await delay(50)) {
      const answer = await server.ask('GET', '/health').catch(() => undefined);
      if (answer?.status === 200) return server;
      if (child.exitCode !== null || performance.now() - begunMs > startMs) {
        await server.stop();
        throw new Error(`OPA does not serve: ${server.#said}`);
      }
    }
  }

  /** What it has printed. */
  get said(): string {
    return this.#said;
  }

  /** @param path of a document, e.g. `differential/rbac` */
  document(path: string, input: string): Promise<{ readonly status: number; readonly body: string }> {
    return this.ask('POST', `/v1/data/${path}`, `{"input":${input}}`);
  }

  async ask(method: string, path: string, body = ''): Promise<{ readonly status: number; readonly body: string }> {
    const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const asked = request(
      { host: '127.0.0.1', port: this.#port, agent: this.#agent, method, path, headers },
      (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.once('error', reject);
        answer.once('end', () =>
          resolve({ status: answer.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
        );
      },
    );
    asked.once('error', reject);
    asked.end(body);
    return promise;
  }

  async stop(): Promise<void> {
    this.#agent.destroy();
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, 'close');
    this.#child.kill('SIGTERM');
    await ended;
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no free port');
  return address.port;
}
