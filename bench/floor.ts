/**
 * Why the decision routes are handled before Express: CPU time per request of `node:http` and of Express 5, each in a
 * process of its own, reading the same body and answering the same constant. It takes Linux, for its account of CPU time.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { requestBody } from './support/measure.ts';

const requests = 20_000;
const rounds = 3;
const servers = {
  'node:http': ['floor-server.ts'],
  'Express 5, lean': ['express-server.ts', 'lean'],
  'Express 5, as usual': ['express-server.ts'],
} as const;
const at = (name: string): string => join(import.meta.dirname, 'support', name);

/** User and system time of a process and all its threads, in microseconds. @see proc(5), /proc/pid/stat */
function cpuUs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

async function portOf(child: ChildProcess): Promise<number> {
  return new Promise((resolve) => child.stdout?.once('data', (line) => resolve(Number(line))));
}

const directory = await mkdtemp(join(tmpdir(), 'postern-bench-'));
const started: ChildProcess[] = [];
try {
  const bodyFile = join(directory, 'body.json');
  await writeFile(bodyFile, requestBody);
  const best = new Map<string, number>();
  for (const [name, [file, ...args]] of Object.entries(servers)) {
    const child = spawn(process.execPath, [at(file), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
    started.push(child);
    const order = JSON.stringify({ port: await portOf(child), path: '/', bodyFile, connections: 16, requests });
    for (let round = 0; round <= rounds; round += 1) {
      const before = cpuUs(child.pid ?? 0);
      execFileSync(process.execPath, [at('load.ts'), order]);
      // The first round only warms up.
      const cost = (cpuUs(child.pid ?? 0) - before) / requests;
      if (round > 0) best.set(name, Math.min(best.get(name) ?? Number.POSITIVE_INFINITY, cost));
    }
  }
  const [plain = 0] = best.values();
  for (const [name, cost] of best) {
    console.log(`${name.padEnd(20)} ${cost.toFixed(1).padStart(7)} µs of CPU a request  ×${(cost / plain).toFixed(1)}`);
  }
} finally {
  for (const child of started) child.kill('SIGTERM');
  await rm(directory, { recursive: true, force: true });
}
