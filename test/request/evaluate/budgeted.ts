import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { readBundle } from '../../../src/bundle/reading/read-bundle.ts';
import { Undecided } from '../../../src/domain/errors.ts';
import { PolicyModule } from '../../../src/request/evaluate/policy-module.ts';

// budgeted <bundle> <budget in ms>: evaluates `[entrypoint, input]` from each line of its standard input, and says on a
// line what came of it. A process of its own: a test runner's heap is large, and its collection would count as work.
const [file = '', budget] = process.argv.slice(2);

function threadCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1_000;
}

export interface Outcome {
  /** The code it failed with, or what it gave. */
  readonly result: string;
  /** The processor time it took. */
  readonly cpuMs: number;
}

const bundle = await readBundle(await readFile(file), { inflatedBytes: 2 ** 26, members: 100 });
const policy = await PolicyModule.load(bundle, {
  memoryPages: 2_048,
  resultBytes: 1_048_576,
  budgetMs: Number(budget),
  monotonicMs: () => performance.now(),
  threadCpuMs,
});

function outcome(entrypoint: string, input: unknown): Outcome {
  const text = JSON.stringify(input);
  const before = threadCpuMs();
  let result: string;
  try {
    result = policy.evaluate(`budget/${entrypoint}`, text) ?? 'undefined';
  } catch (cause) {
    if (!(cause instanceof Undecided)) throw cause;
    result = cause.code;
  }
  return { result, cpuMs: threadCpuMs() - before };
}

for await (const line of createInterface({ input: process.stdin })) {
  const [entrypoint, input] = JSON.parse(line) as [string, unknown];
  console.log(JSON.stringify(outcome(entrypoint, input)));
}
