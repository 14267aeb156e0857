/**
 * Postern beside `opa run --server`: the same policy, the same enriched input, one core each, the load on another, all
 * in one run and in turns, so that a machine that changes speed changes it for all. Postern has enrichment, metrics and
 * the decision log on; OPA is measured bare, and with its own decision log on. The floor is `node:http` with a constant
 * answer: what no sidecar on this runtime can go below.
 *
 * Prints CPU time per decision (user and system, the whole process), throughput, p50 and p99, and their ratios.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { openSync, readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { findOpa } from '../src/author/find-opa.ts';
import type { LoadOrder, LoadReport } from './support/load.ts';
import { requestBody } from './support/measure.ts';

const requests = Number(process.env['BENCH_REQUESTS'] ?? 20_000);
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const connections = 16;
const token = 'a-token-that-only-this-bench-uses';
const ours = 'postern: enrichment, metrics, decision log';
const unmetered = 'postern without the evaluation budget';
const here = import.meta.dirname;
const repo = join(here, '..');

/** A server under test. */
interface Contender {
  readonly name: string;
  readonly pid: number;
  readonly port: number;
  readonly path: string;
  readonly bodyFile: string;
  /** What its first answer has to hold, or the wrong thing was measured. */
  readonly expects: string;
}

interface Figures {
  readonly cpuUs: number;
  readonly perSecond: number;
  readonly p50Us: number;
  readonly p99Us: number;
}

const pins = availableParallelism() > 1 && spawnSync('taskset', ['--version']).status === 0;
const started: ChildProcess[] = [];

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

async function startFloor(bodyFile: string): Promise<Contender> {
  const child = start(0, process.execPath, [join(here, 'support/floor-server.ts')], 'pipe');
  const port = await new Promise<number>((resolve) => child.stdout?.once('data', (line) => resolve(Number(line))));
  return { name: 'floor: node:http, constant', pid: child.pid ?? 0, port, path: '/', bodyFile, expects: 'true' };
}

async function startPostern(
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
    pid: child.pid ?? 0,
    port,
    path: '/access/v1/evaluation',
    bodyFile,
    expects: '"effect":"constrain"',
  };
}

async function startOpa(opa: string, bodyFile: string, decisionLog: string | undefined): Promise<Contender> {
  const port = await freePort();
  const args = ['run', '--server', '--addr', `127.0.0.1:${port}`, '--log-level', 'error', '--ignore', '*_test.rego'];
  if (decisionLog !== undefined) args.push('--set', 'decision_logs.console=true');
  start(0, opa, [...args, 'rego'], openSync(decisionLog ?? '/dev/null', 'w'));
  await until(`http://127.0.0.1:${port}/health`);
  const child = started.at(-1);
  return {
    name: decisionLog === undefined ? 'opa run --server' : 'opa run --server, decision log',
    pid: child?.pid ?? 0,
    port,
    path: '/v1/data/authz/decision',
    bodyFile,
    expects: '"effect":"constrain"',
  };
}

/** User and system time of a process and all its threads. @see proc(5), /proc/pid/stat */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

async function load(contender: Contender, count: number): Promise<LoadReport> {
  const order: LoadOrder = { ...contender, connections, requests: count };
  const child = start(1, process.execPath, [join(here, 'support/load.ts'), JSON.stringify(order)], 'pipe');
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  await new Promise((resolve) => child.once('close', resolve));
  const report = JSON.parse(text) as LoadReport;
  if (report.failed > 0 || !report.sample.includes(contender.expects)) {
    throw new Error(`${contender.name}: ${report.failed} failed; the first answer was ${report.sample.slice(0, 300)}`);
  }
  return report;
}

async function measure(contender: Contender): Promise<Figures> {
  const before = cpuSeconds(contender.pid);
  const report = await load(contender, requests);
  const cpuUs = ((cpuSeconds(contender.pid) - before) * 1e6) / report.requests;
  return { cpuUs, perSecond: report.requests / report.seconds, p50Us: report.p50Us, p99Us: report.p99Us };
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}

/** The enriched input that Postern gave its policy, from its own decision log: what OPA is asked about. */
async function enrichedInput(directory: string): Promise<object> {
  for (let tries = 0; tries < 100; tries += 1) {
    const [line] = readFileSync(join(directory, 'decisions.jsonl'), 'utf8').split('\n');
    if (line !== undefined && line !== '') return (JSON.parse(line) as { input: object }).input;
    await delay(20);
  }
  throw new Error('no decision was recorded');
}

const directory = await mkdtemp(join(tmpdir(), 'postern-bench-'));
try {
  const say = (line: string): void => console.error(line);
  const opa = (await findOpa({ env: process.env, toolsDirectory: join(repo, '.tools'), say })).path;
  const requestFile = join(directory, 'request.json');
  await writeFile(requestFile, requestBody);
  const postern = await startPostern(ours, join(directory, 'postern'), requestFile);
  await load(postern, 1);
  const inputFile = join(directory, 'input.json');
  await writeFile(inputFile, JSON.stringify({ input: await enrichedInput(join(directory, 'postern')) }));
  const contenders = [
    await startFloor(requestFile),
    postern,
    await startPostern(unmetered, join(directory, 'unmetered'), requestFile, [
      '--import',
      join(here, 'support/without-meter.ts'),
    ]),
    await startOpa(opa, inputFile, undefined),
    await startOpa(opa, inputFile, join(directory, 'opa-decisions.log')),
  ];
  const figures = new Map<string, Figures[]>(contenders.map(({ name }) => [name, []]));
  for (const contender of contenders) await load(contender, Math.ceil(requests / 4));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of contenders) figures.get(contender.name)?.push(await measure(contender));
  }
  report(figures);
} finally {
  for (const child of started) child.kill('SIGTERM');
  await rm(directory, { recursive: true, force: true });
}

function report(figures: ReadonlyMap<string, readonly Figures[]>): void {
  console.log(
    `${rounds} rounds of ${requests} requests, ${connections} connections, medians; ` +
      (pins ? 'server on core 0, load on core 1' : 'not pinned: taskset or a second core is missing'),
  );
  console.log(`${''.padEnd(44)} ${['CPU µs', 'per s', 'p50 µs', 'p99 µs'].map((head) => head.padStart(9)).join('')}`);
  const medians = new Map<string, Figures>();
  for (const [name, all] of figures) {
    const row = {
      cpuUs: median(all.map(({ cpuUs }) => cpuUs)),
      perSecond: median(all.map(({ perSecond }) => perSecond)),
      p50Us: median(all.map(({ p50Us }) => p50Us)),
      p99Us: median(all.map(({ p99Us }) => p99Us)),
    };
    medians.set(name, row);
    const cells = [row.cpuUs.toFixed(1), row.perSecond.toFixed(0), row.p50Us.toFixed(0), row.p99Us.toFixed(0)];
    console.log(`${name.padEnd(44)} ${cells.map((cell) => cell.padStart(9)).join('')}`);
  }
  const us = medians.get(ours);
  for (const [name, theirs] of medians) {
    if (us === undefined || theirs === us) continue;
    console.log(
      `postern / ${name}: CPU ${(us.cpuUs / theirs.cpuUs).toFixed(2)}, throughput ` +
        `${(us.perSecond / theirs.perSecond).toFixed(2)}, p99 ${(us.p99Us / theirs.p99Us).toFixed(2)}`,
    );
  }
}
