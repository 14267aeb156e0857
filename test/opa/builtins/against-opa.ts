import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { readBundle } from '../../../src/bundle/reading/read-bundle.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { PolicyModule } from '../../../src/request/evaluate/policy-module.ts';
import { realOpa } from '../../support/opa.ts';
import { patientLimits } from '../../support/patient-limits.ts';

const run = promisify(execFile);
const known = { now: epochMs(1_793_613_600_000), seed: 'against-opa' };
const nothing = 'undefined';

export interface Difference {
  readonly expression: string;
  readonly ours: unknown;
  readonly opas: unknown;
}

export interface Comparison {
  /** Of how many expressions both said the same value, and that both have none. */
  readonly defined: number;
  readonly undefined: number;
  readonly differences: readonly Difference[];
  /** What OPA said of each, `undefined` as a text. */
  readonly answers: readonly unknown[];
}

/** A builtin's name and its operands. */
export type Call = readonly [string, ...unknown[]];

/** What builtins may do for one evaluation has an end. */
const callsPerEvaluation = 10_000;

/** A JSON value as a term of Rego; a `Set` becomes a set. */
export function term(value: unknown): string {
  if (value instanceof Set) return value.size === 0 ? 'set()' : `{${[...value].map(term).join(', ')}}`;
  if (Array.isArray(value)) return `[${value.map(term).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).map(([key, member]) => `${JSON.stringify(key)}: ${term(member)}`);
  return `{${members.join(', ')}}`;
}

export function call(builtin: string, ...operands: readonly unknown[]): string {
  return `${builtin}(${operands.map(term).join(', ')})`;
}

/**
 * What our host makes of each expression, compiled by OPA, beside what OPA's interpreter makes of it: the same value,
 * or undefined in both.
 *
 * @param expressions terms of Rego without variables
 */
export async function againstOpa(expressions: readonly string[]): Promise<Comparison> {
  const rules = expressions.map((expression, index) => `answers["${index}"] := x if {\n\tx := ${expression}\n}\n`);
  return compared(expressions, await answersOf(rules, {}));
}

/**
 * The same for thousands of calls: their operands stand in the data, where none has a type that the compiler could
 * object to.
 *
 * @param calls whose operands are JSON
 */
export async function callsAgainstOpa(calls: readonly Call[]): Promise<Comparison> {
  const comparisons: Comparison[] = [];
  for (let from = 0; from < calls.length; from += callsPerEvaluation) {
    comparisons.push(await fewCallsAgainstOpa(calls.slice(from, from + callsPerEvaluation)));
  }
  return {
    defined: comparisons.reduce((sum, { defined }) => sum + defined, 0),
    undefined: comparisons.reduce((sum, { undefined: none }) => sum + none, 0),
    differences: comparisons.flatMap(({ differences }) => differences),
    answers: comparisons.flatMap(({ answers }) => answers),
  };
}

async function fewCallsAgainstOpa(calls: readonly Call[]): Promise<Comparison> {
  const rules = new Set(
    calls.map(([builtin, ...operands]) => {
      const given = operands.map((_, index) => `call[${index + 1}]`).join(', ');
      const chosen = `\tcall[0] == "${builtin}"\n\tcount(call) == ${operands.length + 1}\n`;
      return `answers[index] := x if {\n\tsome index, call in data.calls\n${chosen}\tx := ${builtin}(${given})\n}\n`;
    }),
  );
  const expressions = calls.map(([builtin, ...operands]) => call(builtin, ...operands));
  return compared(expressions, await answersOf([...rules], { calls }));
}

interface Answers {
  readonly ours: Readonly<Record<string, unknown>>;
  readonly opas: Readonly<Record<string, unknown>>;
}

async function answersOf(rules: readonly string[], data: unknown): Promise<Answers> {
  const folder = await mkdtemp(join(tmpdir(), 'against-opa-'));
  try {
    const source = join(folder, 'builtins.rego');
    await writeFile(source, `package builtins\n\n${rules.join('\n')}`);
    const given = join(folder, 'data.json');
    await writeFile(given, JSON.stringify(data));
    const { path: opa } = await realOpa();
    const output = join(folder, 'bundle.tar.gz');
    await run(opa, ['build', '-t', 'wasm', '-e', 'builtins/answers', '-o', output, source, given]);
    const bundle = await readBundle(await readFile(output), { inflatedBytes: 2 ** 28, members: 100 });
    const limits = { ...patientLimits, budgetMs: 60_000, memoryPages: 16_384, resultBytes: 2 ** 28 };
    const policy = await PolicyModule.load(bundle, limits);
    const ours = JSON.parse(policy.evaluate('builtins/answers', '{}', known) ?? '{}') as Record<string, unknown>;
    const { stdout } = await run(
      opa,
      ['eval', '--format', 'json', '-d', source, '-d', given, 'data.builtins.answers'],
      {
        maxBuffer: 2 ** 28,
      },
    );
    const { result } = JSON.parse(stdout) as { result: [{ expressions: [{ value: Record<string, unknown> }] }] };
    return { ours, opas: result[0].expressions[0].value };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function compared(expressions: readonly string[], { ours, opas }: Answers): Comparison {
  const counts = { defined: 0, undefined: 0 };
  const differences: Difference[] = [];
  for (const [index, expression] of expressions.entries()) {
    const [our = nothing, opa = nothing] = [ours[index], opas[index]];
    if (JSON.stringify(ordered(our)) !== JSON.stringify(ordered(opa))) {
      differences.push({ expression, ours: our, opas: opa });
    } else if (our === nothing) {
      counts.undefined += 1;
    } else {
      counts.defined += 1;
    }
  }
  return { ...counts, differences, answers: expressions.map((_, index) => opas[index] ?? nothing) };
}

/** Members by name: neither side has an order of them that means anything. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== 'object' || value === null) return value;
  const members = Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(members.map(([key, member]) => [key, ordered(member)]));
}
