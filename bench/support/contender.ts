/** What `make bench` starts, asks and measures: each a process of its own on one core, the load on another. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { openSync, readFileSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { LoadOrder, LoadReport } from './load.ts';

const connections = 16;
const token = 'a-token-that-only-this-bench-uses';
const here = import.meta.dirname;
const repo = join(here, '../..');

/** A server under test. */
export interface Contender {
  readonly name: string;
  readonly child: ChildProcess;
  readonly port: number;
  readonly path: string;
  readonly bodyFile: string;
  /** What its first answer has to hold, or the wrong thing was measured. */
  readonly expects: string;
}

/** Of one run; `cpuUs` is user and system time of the whole process for each decision. */
export interface Figures {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

export const pins = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;
const started: ChildProcess[] = [];

/** Ends it, so that its memory and its timers are no part of what is measured next. */
export async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGTERM');
  await once(child, 'exit');
}

export async function stopAll(): Promise<void> {
  await Promise.all(started.map(stop));
}

/** @param core the core it may run on, where the machine lets us say so */
function start(core: number, command: string, args: readonly string[], stdout: 'pipe' | number): ChildProcess {
  const [file, all] = pins ? ['taskset', ['-c', String(core), command, ...args]] : [command, args];
  const child = spawn(file, [...all], { cwd: repo, stdio: ['ignore', stdout, stdout === 'pipe' ? 'inherit' : stdout] });
  started.push(child);
  return child;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (typeof address !== 'object' || address === null) throw new Error('no free port');
  return address.port;
}

async function until(url: string, init?: RequestInit): Promise<void> {
  for (let tries = 0; tries < 200; tries += 1) {
    const response = await fetch(url, init).catch(() => undefined);
    if (response?.ok === true) return;
    await delay(50);
  }
  throw new Error(`no answer from ${url}`);
}

export async function startFloor(bodyFile: string): Promise<Contender> {
  const child = start(0, process.execPath, [join(here, 'floor-server.ts')], 'pipe');
  const port = await new Promise<number>((resolve) => child.stdout?.once('data', (line) => resolve(Number(line))));
  return { name: 'floor: node:http, constant', child, port, path: '/', bodyFile, expects: 'true' };
}

export async function startPostern(
  name: string,
  directory: string,
  bodyFile: string,
  nodeOptions: readonly string[] = [],
): Promise<Contender> {
  await mkdir(directory);
  const [port, controlPort] = [await freePort(), await freePort()];
  await writeFile(join(directory, 'token'), token, { mode: 0o600 });
  const configFile = join(directory, 'postern.yaml');
  await writeFile(
    configFile,
    JSON.stringify({
      decision: { listen: `127.0.0.1:${port}`, identity: { id: 'spiffe://acme.example/agent/report-bot' } },
      control: { listen: `127.0.0.1:${controlPort}`, tokens: [{ name: 'bench', file: join(directory, 'token') }] },
      bundle: { file: 'bundles/starter.tar.gz' },
      store: { directory: join(directory, 'store') },
      record: { file: join(directory, 'decisions.jsonl') },
      device: { id: 'node-7', host: {} },
      log: { level: 'warn' },
    }),
  );
  const child = start(0, process.execPath, [...nodeOptions, 'dist/main.js', 'serve', '--config', configFile], 'pipe');
  child.stdout?.pipe(process.stderr);
  const control = `http://127.0.0.1:${controlPort}`;
  await until(`${control}/health/ready`);
  const observed_at = new Date().toISOString();
  const signals = [
    { about: { kind: 'device', id: 'node-7' }, attributes: { compliant: true }, observed_at, source: 'mdm' },
    {
      about: { kind: 'subject', id: 'spiffe://acme.example/agent/report-bot' },
      attributes: { risk_level: 'low', risk_score: 3 },
      observed_at,
      source: 'idp',
    },
  ];
  const put = await fetch(`${control}/v1/signals`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(signals),
  });
  if (!put.ok) throw new Error(`signals were refused: ${await put.text()}`);
  return {
    name,
    child,
    port,
    path: '/access/v1/evaluation',
    bodyFile,
    expects: '"effect":"constrain"',
  };
}

export async function startOpa(opa: string, bodyFile: string, decisionLog: string | undefined): Promise<Contender> {
  const port = await freePort();
  const args = ['run', '--server', '--addr', `127.0.0.1:${port}`, '--log-level', 'error', '--ignore', '*_test.rego'];
  if (decisionLog !== undefined) args.push('--set', 'decision_logs.console=true');
  const child = start(0, opa, [...args, 'rego'], openSync(decisionLog ?? '/dev/null', 'w'));
  await until(`http://127.0.0.1:${port}/health`);
  return {
    name: decisionLog === undefined ? 'opa run --server' : 'opa run --server, decision log',
    child,
    port,
    path: '/v1/data/authz/decision',
    bodyFile,
    expects: '"effect":"constrain"',
  };
}

/** User and system time of a process and all its threads. @see proc(5), /proc/pid/stat */
function cpuSeconds({ pid }: ChildProcess): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Asks `count` times, and throws if an answer was not the expected one. */
export async function load(contender: Contender, count: number): Promise<LoadReport> {
  const { port, path, bodyFile } = contender;
  const order: LoadOrder = { port, path, bodyFile, connections, requests: count };
  const child = start(1, process.execPath, [join(here, 'load.ts'), JSON.stringify(order)], 'pipe');
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  await once(child, 'close');
  const report = JSON.parse(text) as LoadReport;
  if (report.failed > 0 || !report.sample.includes(contender.expects)) {
    throw new Error(`${contender.name}: ${report.failed} failed; the first answer was ${report.sample.slice(0, 300)}`);
  }
  return report;
}

export async function measure(contender: Contender, requests: number): Promise<Figures> {
  const before = cpuSeconds(contender.child);
  const report = await load(contender, requests);
  const cpuUs = ((cpuSeconds(contender.child) - before) * 1e6) / report.requests;
  return { cpuUs, perSecond: report.requests / report.seconds, p50Us: report.p50Us, p99Us: report.p99Us };
}

/** The enriched input that Postern gave its policy, from its own decision log: what OPA is asked about. */
export async function enrichedInput(directory: string): Promise<object> {
  for (let tries = 0; tries < 100; tries += 1) {
    const [line] = readFileSync(join(directory, 'decisions.jsonl'), 'utf8').split('\n');
    if (line !== undefined && line !== '') return (JSON.parse(line) as { input: object }).input;
    await delay(20);
  }
  throw new Error('no decision was recorded');
}
