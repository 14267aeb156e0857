import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request as httpRequest, type IncomingHttpHeaders, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { controlApp } from '../../src/control/control-app.ts';
import { Probes } from '../../src/control/probes.ts';
import { problemOf } from '../../src/control/problem.ts';
import { Tokens } from '../../src/control/tokens.ts';
import { listenOn, listenOnSocket } from '../../src/http/bind.ts';
import { strictHttpServer } from '../../src/http/strict-http-server.ts';
import type { StoresOptions } from '../../src/knowledge/open-stores.ts';
import { parseJson } from '../../src/text/parse-json.ts';
import { type TestStores, testStores } from '../knowledge/stores.ts';

export const token = 'CANARY-token-of-ann-0123456789';
export const otherToken = 'CANARY-token-of-bob-0123456789';

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: a reply is looked at as it came
  readonly json: any;
}

export interface Asking {
  readonly method?: string;
  readonly body?: unknown;
  /** `null`: none is sent. */
  readonly token?: string | null;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
}

/** A control listener on a free port of this machine, over stores whose disk is in memory. */
export class TestListener {
  readonly directory = mkdtempSync(join(tmpdir(), 'postern-control-'));
  readonly rejected: string[] = [];
  readonly logged: unknown[] = [];
  stores!: TestStores;
  probes!: Probes;
  port = 0;
  notReady: readonly string[] = [];
  metrics: () => Promise<{ contentType: string; text: string }> = async () => ({
    contentType: 'text/plain; version=0.0.4',
    text: '# HELP x y\n',
  });
  readonly #servers: Server[] = [];

  static async start(changes: Partial<Omit<StoresOptions, 'clock'>> = {}): Promise<TestListener> {
    const made = new TestListener();
    await made.#start(changes);
    return made;
  }

  tokenFile(name: string): string {
    return join(this.directory, `${name}.token`);
  }

  /** What the store holds, as one text: the same before and after means that nothing changed. */
  state(): string {
    return JSON.stringify([...this.stores.disk.records].sort());
  }

  ask(path: string, { method, body, token: sent = token, headers = {} }: Asking = {}): Promise<Reply> {
    const text =
      body === undefined || typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    const all = {
      ...(text !== undefined && { 'content-type': 'application/json' }),
      ...(sent !== null && { authorization: `Bearer ${sent}` }),
      ...headers,
    };
    return this.#exchange(
      { host: '127.0.0.1', port: this.port },
      path,
      method ?? (text === undefined ? 'GET' : 'POST'),
      all,
      text,
    );
  }

  askSocket(path: string, headers: Readonly<Record<string, string>>): Promise<Reply> {
    return this.#exchange({ socketPath: join(this.directory, 'control.sock') }, path, 'GET', headers, undefined);
  }

  async close(): Promise<void> {
    for (const server of this.#servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    await this.stores.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  async #start(changes: Partial<Omit<StoresOptions, 'clock'>>): Promise<void> {
    this.stores = await testStores(changes);
    writeFileSync(this.tokenFile('ann'), `${token}\n`);
    writeFileSync(this.tokenFile('bob'), otherToken);
    const line = (...parts: unknown[]): void => {
      this.logged.push(parts);
    };
    const log = { debug: line, info: line, warn: line, error: line };
    this.probes = new Probes({
      notReady: () => this.notReady,
      degraded: () => [],
      metrics: () => this.metrics(),
    });
    const app = controlApp({
      ...this.stores,
      probes: this.probes,
      status: () => ({ store: this.stores.status() }),
      log,
      tokens: await Tokens.open(
        ['ann', 'bob'].map((name) => ({ name, file: this.tokenFile(name) })),
        log,
      ),
      parseJson: (body) => parseJson(body, { depthMax: 64 }),
      bodyBytesMax: 1024 * 1024,
      headersCountMax: 50,
      rejected: (why) => this.rejected.push(why),
      signalRefused: (kind) => this.stores.counted.push(`other ${kind} refused`),
    });
    const controlServer = () =>
      strictHttpServer({
        limits: { headerBytes: 16_384, connections: 64, headerTimeoutMs: 500, bodyTimeoutMs: 500, keepAliveMs: 5_000 },
        handle: app,
        refuse: (refused) => {
          this.rejected.push(refused.code);
          return problemOf(refused);
        },
      });
    const server = controlServer();
    this.port = await listenOn(server, '127.0.0.1', 0);
    const socket = controlServer();
    await listenOnSocket(socket, join(this.directory, 'control.sock'), 0o600);
    this.#servers.push(server, socket);
  }

  #exchange(
    where: { host: string; port: number } | { socketPath: string },
    path: string,
    method: string,
    headers: Readonly<Record<string, string | readonly string[]>>,
    body: string | Uint8Array | undefined,
  ): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const request = httpRequest(
        { ...where, path, method, headers: headers as Record<string, string>, agent: false },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => {
            const text = Buffer.concat(chunks).toString();
            const isJson = /json/.test(response.headers['content-type'] ?? '') && text !== '';
            resolve({
              status: response.statusCode ?? 0,
              headers: response.headers,
              text,
              json: isJson ? JSON.parse(text) : undefined,
            });
          });
          response.on('error', reject);
        },
      );
      request.on('error', reject);
      request.end(body);
    });
  }
}
