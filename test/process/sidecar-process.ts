import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { compilePolicy } from '../support/compile-policy.ts';
import { eventually } from '../support/eventually.ts';
import { Client } from './client.ts';

export const main = new URL('../../src/main.ts', import.meta.url).pathname;
export const token = 'CANARY-control-token-0123456789abcdef';
export const agent = 'spiffe://acme.example/agent/report-bot';
export const ciJob = 'spiffe://acme.example/ci/payments-deploy';

/** Starting takes a third of the time where the program has been read before. */
const compileCache = new URL('../../node_modules/.cache/process-tests', import.meta.url).pathname;

type Section = Readonly<Record<string, unknown>>;
export type Change = Readonly<Record<string, Section>>;

/** A directory of its own with all that a sidecar needs to start in it, and the sidecars that were started there. */
export class Place {
  readonly directory: string;
  readonly socket: string;
  readonly record: string;
  readonly #started: SidecarProcess[] = [];

  private constructor(directory: string) {
    this.directory = directory;
    this.socket = join(directory, 'agents', 'ci.sock');
    this.record = join(directory, 'state', 'decisions.jsonl');
  }

  static async make(): Promise<Place> {
    const place = new Place(await mkdtemp(join(tmpdir(), 'process-')));
    await mkdir(join(place.directory, 'agents'));
    await writeFile(
      join(place.directory, 'bundle.tar.gz'),
      await compilePolicy('process', ['authz/decision', 'echo/shown']),
    );
    await writeFile(join(place.directory, 'token'), `${token}\n`);
    await chmod(join(place.directory, 'token'), 0o600);
    await place.configure();
    return place;
  }

  /** @param change members of the sections named, in place of or beside those that stand there */
  async configure(change: Change = {}): Promise<string> {
    const at = (...names: string[]): string => join(this.directory, ...names);
    const sections: Record<string, Section> = {
      sidecar: { id: 'process-test' },
      decision: {
        listen: '127.0.0.1:0',
        identity: { id: agent },
        sockets: [{ path: this.socket, identity: { id: ciJob } }],
        relays: [ciJob],
      },
      control: { listen: '127.0.0.1:0', tokens: [{ name: 'operator', file: at('token') }] },
      probes: { listen: '127.0.0.1:0' },
      bundle: { file: at('bundle.tar.gz') },
      store: { directory: at('state', 'store') },
      record: { file: this.record },
      // The machine that the test runs on is no part of what it shows.
      device: { id: 'node-7', host: null },
    };
    for (const [name, members] of Object.entries(change)) sections[name] = { ...sections[name], ...members };
    const path = at('postern.yaml');
    await writeFile(path, stringify(sections));
    return path;
  }

  /**
   * Starts one, and waits until it says that it is ready.
   *
   * @param with what runs before `node`, and what `node` is told
   * @throws with what it printed, if it ends before
   */
  async start(options: StartOptions = {}): Promise<SidecarProcess> {
    const sidecar = this.spawn(options);
    await sidecar.ready();
    return sidecar;
  }

  spawn(options: StartOptions = {}): SidecarProcess {
    const sidecar = new SidecarProcess(join(this.directory, 'postern.yaml'), options);
    this.#started.push(sidecar);
    return sidecar;
  }

  /**
   * The lines of the decision record by now. What stands behind the last line break is left out while a sidecar runs,
   * which may be in the middle of writing it, and told once none does: then it was never finished.
   */
  async recordLines(): Promise<readonly string[]> {
    const writing = this.#started.some(({ hasEnded }) => !hasEnded);
    const lines = (await readFile(this.record, 'utf8')).split('\n');
    const rest = lines.pop();
    return writing || rest === '' ? lines : [...lines, rest ?? ''];
  }

  async events(): Promise<readonly RecordedEvent[]> {
    return (await this.recordLines()).map((line) => JSON.parse(line) as RecordedEvent);
  }

  async remove(): Promise<void> {
    for (const sidecar of this.#started) await sidecar.kill();
    await rm(this.directory, { recursive: true, force: true });
  }
}

export interface RecordedEvent {
  readonly decision_id: string;
  readonly effect: string;
  readonly reasons: readonly { readonly code: string }[];
  readonly input?: Readonly<Record<string, unknown>>;
  readonly requested_by: string;
}

export interface StartOptions {
  /** A program and its arguments that run the sidecar, e.g. `prlimit`. */
  readonly under?: readonly string[];
  readonly nodeFlags?: readonly string[];
  /** Another program than the sidecar's own. */
  readonly main?: string;
  readonly env?: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `postern serve` as a process of its own. */
export class SidecarProcess {
  readonly child: ChildProcess;
  readonly exited: Promise<Ended>;
  #output = '';
  #changed: () => void = () => undefined;
  #ended = false;
  /** By where they go and what they bring: one that was asked for before keeps its connections. */
  readonly #clients = new Map<string, Client>();

  constructor(config: string, { under = [], nodeFlags = [], main: program = main, env = {} }: StartOptions) {
    const [command = '', ...args] = [...under, process.execPath, ...nodeFlags, program, 'serve', '--config', config];
    this.child = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { NODE_COMPILE_CACHE: compileCache, ...env },
    });
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString('utf8');
        this.#changed();
      });
    }
    this.exited = once(this.child, 'close').then(([code, signal]) => {
      this.#ended = true;
      this.#changed();
      return { code, signal } as Ended;
    });
  }

  /** All that it printed, on both streams. */
  get output(): string {
    return this.#output;
  }

  get hasEnded(): boolean {
    return this.#ended;
  }

  get pid(): number {
    if (this.child.pid === undefined) throw new Error('it was not started');
    return this.child.pid;
  }

  async ready(): Promise<void> {
    await this.says('"listening"');
  }

  async says(text: string, withinMs = 120_000): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (!this.#output.includes(text)) {
      const left = deadline - performance.now();
      if (this.#ended || left <= 0)
        throw new Error(`it did not say "${text}" within ${withinMs} ms, or ended, and said: ${this.#output}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** @returns the port of a listener, as the log says */
  port(listener: 'decision' | 'control' | 'probes'): number {
    const line = this.#output.split('\n').find((one) => one.includes('"listening"')) ?? '{}';
    const said: { fields?: Record<string, string> } = JSON.parse(line);
    return Number(said.fields?.[listener]?.split(':').at(-1));
  }

  decision(): Client {
    return this.#client({ port: this.port('decision') });
  }

  control(authorization: string | undefined = `Bearer ${token}`): Client {
    return this.#client({ port: this.port('control') }, authorization === undefined ? {} : { authorization });
  }

  probes(): Client {
    return this.#client({ port: this.port('probes') });
  }

  at(socketPath: string): Client {
    return this.#client({ socketPath });
  }

  #client(
    to: { readonly port: number } | { readonly socketPath: string },
    headers: Record<string, string> = {},
  ): Client {
    const key = JSON.stringify([to, headers]);
    const client = this.#clients.get(key) ?? new Client(to, headers);
    this.#clients.set(key, client);
    return client;
  }

  /** Waits until as many requests are being read or decided. */
  async inFlight(count: number): Promise<void> {
    const probes = this.probes();
    await eventually(async () => (await probes.get('/metrics')).body.includes(`postern_requests_in_flight ${count}\n`));
  }

  /** Resident memory of the process, in bytes. */
  async rss(): Promise<number> {
    const status = await readFile(`/proc/${this.pid}/status`, 'utf8');
    return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1024;
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  async stop(): Promise<Ended> {
    this.signal('SIGTERM');
    return this.#over();
  }

  async kill(): Promise<void> {
    if (!this.#ended) this.signal('SIGKILL');
    await this.#over();
  }

  async #over(): Promise<Ended> {
    const ended = await this.exited;
    for (const client of this.#clients.values()) client.close();
    this.#clients.clear();
    return ended;
  }
}
