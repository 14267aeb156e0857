import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import {
  BoundPorts,
  GenericContainer,
  getContainerRuntimeClient,
  type StartedNetwork,
  type StartedTestContainer,
  Wait,
} from 'testcontainers';
import { stringify } from 'yaml';
import { labels, parts } from './parts.ts';

type ContainerInspectInfo = Awaited<
  ReturnType<Awaited<ReturnType<typeof getContainerRuntimeClient>>['container']['inspect']>
>;

const run = promisify(execFile);

export interface Reply {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

/** A way to send a request: as whom depends on where the caller stands. */
export type Call = (method: string, path: string, body?: unknown) => Promise<Reply>;

/** A sidecar that runs as it does in production: the image, or where there is no engine the very files it is made of. */
export interface Postern {
  /** As the agent that shares the sidecar's network. */
  readonly agent: Call;
  /** As the CI job, which has a socket of its own and no network. */
  readonly ciJob: Call;
  /** As the operator, with the control token. */
  readonly operator: Call;
  /** As the kubelet or Prometheus: the address for probes and metrics, without credentials. */
  readonly probes: Call;
  /** Where Prometheus finds the metrics, seen from where it stands. */
  readonly scrapeTarget: string;
  /** Whether the agent's network has anything listening on a port of loopback; only of containers. */
  readonly agentReaches: ((port: number) => Promise<boolean>) | undefined;
  /** What the engine says of the sidecar's container; only of containers. */
  readonly inspect: (() => Promise<ContainerInspectInfo>) | undefined;
  /** Stops it with SIGTERM and starts it anew on the same state. @returns what it ended with */
  restart(): Promise<number>;
  stop(): Promise<void>;
}

const token = 'not-a-secret-but-long-enough-for-a-test';

/** The configuration of a deployment: an agent on loopback, a CI job and the operator each on a socket of their own. */
function config(
  at: { readonly run: string; readonly state: string; readonly etc: string },
  ports: Ports,
  bundle: string,
) {
  return stringify({
    sidecar: { id: 'integration' },
    decision: {
      listen: `127.0.0.1:${ports.decision}`,
      identity: { id: 'spiffe://acme.example/agent/report-bot' },
      // Any user of the mounted directory may connect: in these tests the mount alone says who the caller is.
      sockets: [
        { path: `${at.run}/ci/ci.sock`, identity: { id: 'spiffe://acme.example/ci/payments-deploy' }, mode: '0666' },
      ],
    },
    control: {
      listen: null,
      socket: { path: `${at.run}/control/control.sock`, mode: '0666' },
      tokens: [{ name: 'operator', file: `${at.etc}/token` }],
    },
    probes: { listen: `${ports.probesHost}:${ports.probes}` },
    bundle: { file: bundle },
    store: { directory: `${at.state}/store` },
    record: { file: `${at.state}/decisions.jsonl` },
    device: { id: 'node-7' },
  });
}

interface Ports {
  readonly decision: number;
  readonly probes: number;
  readonly probesHost: string;
}

/** Folders that both sides of a mount can write to, whoever they run as. */
function folders() {
  const base = mkdtempSync(join(tmpdir(), 'postern-integration-'));
  const made = ['run/ci', 'run/control', 'state', 'etc'].map((name) => join(base, name));
  for (const folder of made) {
    mkdirSync(folder, { recursive: true });
    chmodSync(folder, 0o777);
  }
  chmodSync(base, 0o755);
  writeFileSync(join(base, 'etc/token'), token);
  return base;
}

export async function startPostern(network?: StartedNetwork): Promise<Postern> {
  if (parts.mode === 'engine') return startContainer(parts.images.postern, network);
  if (parts.mode === 'packages') return startProgram(parts.image);
  throw new Error(parts.why);
}

/** Confined as in every example; and what testcontainers has no method for. */
export class ConfinedContainer extends GenericContainer {
  constructor(image: string) {
    super(image);
    this.hostConfig.ReadonlyRootfs = true;
    this.withDroppedCapabilities('ALL').withSecurityOpt('no-new-privileges').withLabels(labels);
  }

  /** The image's own HEALTHCHECK, so that it is tested too, only more often. */
  withImagesHealthCheck(): this {
    const second = 1_000_000_000;
    this.createOpts.Healthcheck = { Interval: second, Timeout: 3 * second, Retries: 60 };
    return this.withWaitStrategy(Wait.forHealthCheck());
  }
}

const node = '/usr/local/bin/node';

// Runs in the caller's container: the image has no curl, and a caller of its own shows what the sidecar's namespace and
// mounts let through. Arguments in, one line of reply out.
const caller = `
const [, target, method, path, body, authorization] = process.argv;
const at = target.startsWith('/') ? { socketPath: target } : { host: '127.0.0.1', port: Number(target) };
const headers = { ...(body ? { 'content-type': 'application/json' } : {}), ...(authorization ? { authorization } : {}) };
const call = require('node:http').request({ ...at, method, path, headers, timeout: 5000 }, (response) => {
  let text = '';
  response.setEncoding('utf8').on('data', (part) => { text += part; });
  response.on('end', () => console.log(JSON.stringify({ status: response.statusCode, headers: response.headers, body: text })));
});
call.on('timeout', () => call.destroy(new Error('timeout')));
call.on('error', (cause) => { console.error(cause.message); process.exitCode = 1; });
call.end(body);
`;
const idle = 'console.log("idle"); setInterval(() => {}, 60_000); process.on("SIGTERM", () => process.exit(0))';

async function startContainer(image: string, network: StartedNetwork | undefined): Promise<Postern> {
  const base = folders();
  const at = { run: '/run/postern', state: '/var/lib/postern', etc: '/etc/postern' };
  const ports = { decision: 8181, probes: 8383, probesHost: '0.0.0.0' };
  writeFileSync(join(base, 'etc/postern.yaml'), config(at, ports, '/app/bundles/starter.tar.gz'));
  const mount = (from: string, target: string, mode: 'ro' | 'rw' = 'rw') => ({
    source: join(base, from),
    target,
    mode,
  });

  const callerContainer = (mounts: readonly ReturnType<typeof mount>[]) =>
    new ConfinedContainer(image)
      .withEntrypoint([node])
      .withCommand(['-e', idle])
      .withBindMounts([...mounts])
      .withWaitStrategy(Wait.forLogMessage('idle'));

  // The agent owns the network and the sidecar joins it: what restarts then is the sidecar alone.
  const agentContainer = callerContainer([]).withExposedPorts(ports.probes);
  const agent = await (network === undefined
    ? agentContainer
    : agentContainer.withNetwork(network).withNetworkAliases('postern')
  ).start();
  const ciJob = await callerContainer([mount('run/ci', '/run/ci')])
    .withNetworkMode('none')
    .start();
  const operator = await callerContainer([mount('run/control', '/run/control')])
    .withNetworkMode('none')
    .start();
  const sidecar = await new ConfinedContainer(image)
    .withNetworkMode(`container:${agent.getId()}`)
    // State is in the volume that the image declares: it stays over a restart, and goes with the container.
    .withBindMounts([mount('run', at.run), mount('etc', at.etc, 'ro')])
    .withImagesHealthCheck()
    .withStartupTimeout(60_000)
    .start();

  const through =
    (from: StartedTestContainer, target: string, authorization = ''): Call =>
    async (method, path, body) => {
      const text = body === undefined ? '' : JSON.stringify(body);
      const done = await from.exec([node, '-e', caller, target, method, path, text, authorization]);
      if (done.exitCode !== 0) throw new Error(done.output);
      return JSON.parse(done.stdout);
    };
  return {
    agent: through(agent, String(ports.decision)),
    ciJob: through(ciJob, '/run/ci/ci.sock'),
    operator: through(operator, '/run/control/control.sock', `Bearer ${token}`),
    probes: (method, path) => callTcp(agent.getHost(), agent.getMappedPort(ports.probes), method, path),
    scrapeTarget: `postern:${ports.probes}`,
    agentReaches: async (port) => {
      try {
        await through(agent, String(port))('GET', '/');
        return true;
      } catch {
        return false;
      }
    },
    inspect: async () => {
      const { container } = await getContainerRuntimeClient();
      return container.inspect(container.getById(sidecar.getId()));
    },
    restart: async () => {
      const { container } = await getContainerRuntimeClient();
      const handle = container.getById(sidecar.getId());
      await container.stop(handle, { timeout: 30_000 });
      const { State } = await container.inspect(handle);
      await container.start(handle);
      await Wait.forHealthCheck().withStartupTimeout(60_000).waitUntilReady(handle, new BoundPorts());
      return State.ExitCode;
    },
    stop: async () => {
      for (const started of [sidecar, ciJob, operator, agent]) await started.stop({ timeout: 10_000 });
      rmSync(base, { recursive: true, force: true });
    },
  };
}

/** The same runtime, packages and code as in the image, as a plain process; sockets and ports keep the callers apart. */
async function startProgram(image: string): Promise<Postern> {
  const base = folders();
  const at = { run: join(base, 'run'), state: join(base, 'state'), etc: join(base, 'etc') };
  const ports = { decision: await freePort(), probes: await freePort(), probesHost: '127.0.0.1' };
  const file = join(at.etc, 'postern.yaml');
  writeFileSync(file, config(at, ports, join(image, 'app/bundles/starter.tar.gz')));
  const main = join(image, 'app/dist/main.js');
  const runtime = join(image, 'node');

  const start = async (): Promise<ChildProcess> => {
    const child = spawn(runtime, [main, 'serve', '--config', file], { cwd: join(image, 'app'), stdio: 'ignore' });
    for (const deadline = Date.now() + 60_000; ; await sleep(100)) {
      if (child.exitCode !== null) throw new Error(`the sidecar ended with ${child.exitCode}`);
      // What the image's HEALTHCHECK runs.
      const healthy = await run(runtime, [main, 'health', '--config', file]).then(
        () => true,
        () => false,
      );
      if (healthy) return child;
      if (Date.now() > deadline) throw new Error('the sidecar is not healthy after a minute');
    }
  };
  const end = async (child: ChildProcess): Promise<number> => {
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    const [code] = await ended;
    return code ?? -1;
  };

  let running = await start();
  return {
    agent: (method, path, body) => callTcp('127.0.0.1', ports.decision, method, path, body),
    ciJob: (method, path, body) => call({ socketPath: join(at.run, 'ci/ci.sock') }, method, path, body),
    operator: (method, path, body) =>
      call({ socketPath: join(at.run, 'control/control.sock') }, method, path, body, `Bearer ${token}`),
    probes: (method, path) => callTcp('127.0.0.1', ports.probes, method, path),
    scrapeTarget: `127.0.0.1:${ports.probes}`,
    agentReaches: undefined,
    inspect: undefined,
    restart: async () => {
      const code = await end(running);
      running = await start();
      return code;
    },
    stop: async () => {
      await end(running);
      rmSync(base, { recursive: true, force: true });
    },
  };
}

function callTcp(host: string, port: number, method: string, path: string, body?: unknown): Promise<Reply> {
  return call({ host, port }, method, path, body);
}

async function call(
  at: { readonly host: string; readonly port: number } | { readonly socketPath: string },
  method: string,
  path: string,
  body?: unknown,
  authorization?: string,
): Promise<Reply> {
  const headers = {
    ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    ...(authorization === undefined ? {} : { authorization }),
  };
  const { promise, resolve, reject } = Promise.withResolvers<Reply>();
  const sent = request({ ...at, method, path, headers, agent: false, timeout: 5000 }, (response) => {
    let text = '';
    response.setEncoding('utf8').on('data', (part) => {
      text += part;
    });
    response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text }));
  });
  sent.on('timeout', () => sent.destroy(new Error('no answer within 5 s')));
  sent.on('error', reject);
  sent.end(body === undefined ? undefined : JSON.stringify(body));
  return promise;
}

/** Free a moment ago; these tests run one after the other. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
