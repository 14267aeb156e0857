/**
 * Postern beside `opa run --server`: the same policy, the same enriched input, one core each, the load on another, all
 * in one run and in turns, so that a machine that changes speed changes it for all. Postern has enrichment, metrics and
 * the decision log on; OPA is measured bare, and with its own decision log on. The floor is `node:http` with a constant
 * answer: what no sidecar on this runtime can go below.
 *
 * Prints CPU time per decision (user and system, the whole process), throughput, p50 and p99, and their ratios; then
 * what the evaluation budget is of that CPU time.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findOpa } from '../src/author/find-opa.ts';
import {
  enrichedInput,
  type Figures,
  load,
  measure,
  pins,
  startFloor,
  startOpa,
  startPostern,
  stop,
  stopAll,
} from './support/contender.ts';
import { requestBody } from './support/measure.ts';

const requests = Number(process.env['BENCH_REQUESTS'] ?? 20_000);
const rounds = Number(process.env['BENCH_ROUNDS'] ?? 3);
const pairs = Number(process.env['BENCH_PAIRS'] ?? 7);
const turns = 8;
const ours = 'postern: enrichment, metrics, decision log';
const meter = (state: 'on' | 'off'): string[] => [
  '--import',
  new URL(`support/meter-switch.ts?meter=${state}`, import.meta.url).href,
];

const directory = await mkdtemp(join(tmpdir(), 'postern-bench-'));
const requestFile = join(directory, 'request.json');
try {
  await writeFile(requestFile, requestBody);
  await besideOpa();
  await budgetCost();
} finally {
  await stopAll();
  await rm(directory, { recursive: true, force: true });
}

async function besideOpa(): Promise<void> {
  const say = (line: string): void => console.error(line);
  const repo = join(import.meta.dirname, '..');
  const opa = (await findOpa({ env: process.env, toolsDirectory: join(repo, '.tools'), say })).path;
  const postern = await startPostern(ours, join(directory, 'postern'), requestFile);
  await load(postern, 1);
  const inputFile = join(directory, 'input.json');
  await writeFile(inputFile, JSON.stringify({ input: await enrichedInput(join(directory, 'postern')) }));
  const contenders = [
    await startFloor(requestFile),
    postern,
    await startOpa(opa, inputFile, undefined),
    await startOpa(opa, inputFile, join(directory, 'opa-decisions.log')),
  ];
  const figures = new Map<string, Figures[]>(contenders.map(({ name }) => [name, []]));
  for (const contender of contenders) await load(contender, Math.ceil(requests / 4));
  for (let round = 0; round < rounds; round += 1) {
    for (const contender of contenders) figures.get(contender.name)?.push(await measure(contender, requests));
  }
  await stopAll();
  report(figures);
}

function report(figures: ReadonlyMap<string, readonly Figures[]>): void {
  console.log(
    `${rounds} rounds of ${requests} requests, medians; ` +
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

/**
 * The same sidecar with and without its budget. Two processes of one program differ by more than what is asked about
 * here (where their memory lies, when the compiler took which function), and stay so for as long as they run: so the
 * median is that of several pairs. The two of a pair take turns, so that a machine that changes speed does for both.
 */
async function budgetCost(): Promise<void> {
  const ratios: number[] = [];
  const costs: number[] = [];
  for (let pair = 0; pair < pairs; pair += 1) {
    const both = [
      await startPostern('with', join(directory, `with-${pair}`), requestFile, meter('on')),
      await startPostern('without', join(directory, `without-${pair}`), requestFile, meter('off')),
    ] as const;
    for (const contender of both) await load(contender, requests);
    const spent = { with: 0, without: 0 };
    for (let turn = 0; turn < turns; turn += 1) {
      spent.with += (await measure(both[0], requests / turns)).cpuUs / turns;
      spent.without += (await measure(both[1], requests / turns)).cpuUs / turns;
    }
    ratios.push(spent.with / spent.without);
    costs.push(spent.with - spent.without);
    for (const { child } of both) await stop(child);
  }
  console.log(
    `evaluation budget, with / without: CPU ${median(ratios).toFixed(2)}, ${median(costs).toFixed(1)} µs ` +
      `(${pairs} pairs of processes, ${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
  );
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
}
