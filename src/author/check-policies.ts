// Tested by test/author/build-bundle.long.test.ts.
import { join, relative } from 'node:path';
import { samplesFile } from '../bundle/reading/read-samples.ts';
import { AuthorFault } from './author-fault.ts';
import type { Opa } from './find-opa.ts';
import { type Linted, lint } from './lint/lint.ts';
import { parseModule } from './rego-ast.ts';
import { type Environment, type Ran, runProgram } from './run-program.ts';
import type { Sources } from './sources.ts';

export interface Compiler {
  readonly opa: Opa;
  readonly env: Environment;
}

export interface Checked extends Linted {
  /** Percent of the lines that go into the bundle. */
  readonly coverage: number;
}

const stepMs = 5 * 60_000;
/**
 * Not as a bundle: there OPA 1.22 reports lines that no test reaches under another path than those that one does, and
 * what is missing does not count. Samples are left out, which OPA would load as data. OPA's own five seconds for a single
 * test are short on a machine that is busy.
 */
const testArguments = ['test', '--format', 'json', '--timeout', '60s', '--ignore', samplesFile];

/**
 * All that is asked of policies before they are built: formatted, strictly compiled, tested, and sound in what no
 * compiler looks at.
 *
 * @param coverageFloor percent of lines that the tests have to reach
 * @throws AuthorFault with every fault of the step that failed; format, compile and lint faults come together
 */
export async function checkPolicies(sources: Sources, coverageFloor: number, compiler: Compiler): Promise<Checked> {
  const modules = [];
  const faults: string[] = [];
  for (const name of sources.modules) {
    try {
      modules.push(await parseModule(compiler.opa, join(sources.directory, name), compiler.env));
    } catch (cause) {
      if (!(cause instanceof AuthorFault)) throw cause;
      faults.push(...cause.faults);
    }
  }
  if (faults.length > 0) throw new AuthorFault(faults);
  const linted = lint(modules);
  faults.push(...(await unformatted(sources, compiler)), ...(await uncompiled(sources, compiler)), ...linted.findings);
  if (faults.length > 0) throw new AuthorFault(faults);
  const coverage = await covered(sources, compiler);
  if (coverage < coverageFloor) {
    throw new AuthorFault([`the tests reach ${coverage.toFixed(1)} % of the lines; ${coverageFloor} % are required`]);
  }
  return { ...linted, coverage };
}

/** @returns a line for each file that `opa fmt` would write otherwise */
export async function unformatted({ directory }: Sources, compiler: Compiler): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run(compiler, ['fmt', '--list', directory]);
  if (code !== 0) return [failure('opa fmt', stderr)];
  return lines(stdout).map((file) => `${file}: not formatted; run opa fmt --write`);
}

/** @returns what the strict compiler finds, tests included */
export async function uncompiled({ directory }: Sources, compiler: Compiler): Promise<readonly string[]> {
  const { code, stdout, stderr } = await run(compiler, [
    'check',
    '--strict',
    '--bundle',
    '--ignore',
    '.manifest',
    directory,
  ]);
  // A single fault follows the count of faults on one line, where people and editors do not look for a place.
  return code === 0 ? [] : lines((stderr === '' ? stdout : stderr).replace(/^\d+ errors? occurred:\s*/, ''));
}

interface Coverage {
  readonly files: Readonly<Record<string, { readonly covered_lines?: number; readonly not_covered_lines?: number }>>;
}

/** @returns percent of the lines that are served, those of files that no test loads included */
async function covered(sources: Sources, compiler: Compiler): Promise<number> {
  const { directory } = sources;
  const ran = await run(compiler, [...testArguments, '--coverage', directory]);
  // Skipped tests count as failed: otherwise they would go unnoticed.
  if (ran.code !== 0) throw new AuthorFault(await testFaults(directory, ran, compiler));
  const { files } = JSON.parse(ran.stdout) as Coverage;
  const byName = new Map(Object.entries(files).map(([path, file]) => [relative(directory, path), file]));
  let reached = 0;
  let missed = 0;
  for (const name of sources.modules) {
    reached += byName.get(name)?.covered_lines ?? 0;
    missed += byName.get(name)?.not_covered_lines ?? 0;
  }
  return reached + missed === 0 ? 0 : (100 * reached) / (reached + missed);
}

/** Runs the tests without asking which lines they reach, which takes OPA many times as long. @returns what fails */
export async function untested({ directory }: Sources, compiler: Compiler): Promise<readonly string[]> {
  const ran = await run(compiler, [...testArguments, directory]);
  return ran.code === 0 ? [] : faultsIn(ran);
}

interface TestResult {
  readonly package: string;
  readonly name: string;
  readonly location?: { readonly file: string; readonly row: number };
  readonly fail?: boolean;
  readonly error?: unknown;
  readonly skip?: boolean;
}

async function testFaults(directory: string, ran: Ran, compiler: Compiler): Promise<readonly string[]> {
  const again = await run(compiler, [...testArguments, directory]);
  return faultsIn({ ...again, stderr: again.stderr || ran.stderr });
}

function faultsIn({ stdout, stderr }: Ran): readonly string[] {
  if (!stdout.trimStart().startsWith('[')) return [failure('opa test', stderr || stdout)];
  const results = JSON.parse(stdout) as readonly TestResult[];
  const faults = results.flatMap((one) => {
    const what = one.error === undefined ? (one.fail === true ? 'fails' : undefined) : 'cannot be evaluated';
    const said = what ?? (one.skip === true ? 'is skipped' : undefined);
    const where = one.location === undefined ? '' : `${one.location.file}:${one.location.row}: `;
    return said === undefined ? [] : [`${where}${one.package}.${one.name} ${said}`];
  });
  return faults.length > 0 ? faults : [failure('opa test', stderr || stdout)];
}

function run({ opa, env }: Compiler, args: readonly string[]): Promise<Ran> {
  return runProgram(opa.path, args, { env, timeoutMs: stepMs });
}

function lines(text: string): readonly string[] {
  return text.split('\n').filter((line) => line.trim() !== '');
}

function failure(what: string, stderr: string): string {
  return `${what} failed${stderr.trim() === '' ? '' : `: ${stderr.trim()}`}`;
}
