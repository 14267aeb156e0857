/**
 * Reads what the test runners left in a folder, prints what failed and what was skipped by name, and ends with the one
 * line `N passed, N failed[, N skipped]`. Exits 1 if anything failed, if a runner left no report, or in CI if anything was
 * skipped.
 *
 * usage: node .ci/report.ts <folder> <runner>:<jest or opa>...
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** What one runner did, counted from its own report and never from its output. */
export interface Tally {
  readonly runner: string;
  readonly passed: number;
  readonly failed: readonly string[];
  readonly skipped: readonly string[];
}

interface JestReport {
  readonly success: boolean;
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[];
  }[];
}

/** One entry of `opa test --format json`. */
type OpaReport = readonly {
  readonly package: string;
  readonly name: string;
  readonly fail?: boolean;
  readonly skip?: boolean;
  readonly error?: unknown;
}[];

export function fromJest(runner: string, report: JestReport, exit: number): Tally {
  const all = report.testResults.flatMap(({ assertionResults }) => assertionResults);
  const named = (statuses: readonly string[]) =>
    all.filter(({ status }) => statuses.includes(status)).map(({ fullName }) => fullName);
  const failed = named(['failed']);
  for (const { name, status, assertionResults } of report.testResults) {
    // A file that could not be loaded has no tests to fail.
    if (status === 'failed' && !assertionResults.some((test) => test.status === 'failed')) {
      failed.push(`${name} (the file itself)`);
    }
  }
  if (all.length === 0) failed.push('no test ran');
  // Everything passed and it still says no: the coverage floor, or an open handle; its output says which.
  else if (failed.length === 0 && (exit !== 0 || !report.success))
    failed.push(`exit code ${exit}, see its output above`);
  return {
    runner,
    passed: named(['passed']).length,
    failed,
    skipped: named(['pending', 'skipped', 'disabled', 'todo']),
  };
}

export function fromOpa(runner: string, report: OpaReport, exit: number): Tally {
  const called = (of: OpaReport) => of.map((test) => `${test.package}.${test.name}`);
  const bad = report.filter((test) => test.fail === true || test.error !== undefined);
  const skipped = report.filter((test) => test.skip === true && !bad.includes(test));
  const failed = called(bad);
  if (report.length === 0) failed.push('no test ran');
  else if (failed.length === 0 && exit !== 0) failed.push(`exit code ${exit}, see its output above`);
  return { runner, passed: report.length - bad.length - skipped.length, failed, skipped: called(skipped) };
}

/** @returns the lines to print; the last is the count, with the reason after it where real servers could not be had */
export function summary(tallies: readonly Tally[], partsMissing: string | undefined): readonly string[] {
  const lines = tallies.map(
    ({ runner, passed, failed, skipped }) =>
      `${runner}: ${passed} passed, ${failed.length} failed${skipped.length > 0 ? `, ${skipped.length} skipped` : ''}`,
  );
  for (const { runner, failed } of tallies) lines.push(...failed.map((name) => `failed   ${runner}: ${name}`));
  for (const { runner, skipped } of tallies) lines.push(...skipped.map((name) => `skipped  ${runner}: ${name}`));
  const sum = (count: (tally: Tally) => number) => tallies.reduce((total, tally) => total + count(tally), 0);
  const skipped = sum((tally) => tally.skipped.length);
  const count = `${sum((tally) => tally.passed)} passed, ${sum((tally) => tally.failed.length)} failed`;
  const tail = skipped > 0 ? `, ${skipped} skipped${partsMissing === undefined ? '' : ` (${partsMissing})`}` : '';
  return [...lines, count + tail];
}

export function isGood(tallies: readonly Tally[], ci: boolean): boolean {
  return tallies.every(({ failed, skipped }) => failed.length === 0 && (!ci || skipped.length === 0));
}

/** The runners' reports (.ci/steps); one that is missing, or is not JSON, failed. */
export function readTallies(folder: string, runners: Readonly<Record<string, 'jest' | 'opa'>>): readonly Tally[] {
  return Object.entries(runners).map(([runner, kind]) => {
    const exitFile = join(folder, `${runner}.exit`);
    const exit = existsSync(exitFile) ? Number(readFileSync(exitFile, 'utf8')) : Number.NaN;
    let report: unknown;
    try {
      report = JSON.parse(readFileSync(join(folder, `${runner}.json`), 'utf8'));
    } catch {
      return { runner, passed: 0, failed: [`no report; exit code ${exit}`], skipped: [] };
    }
    return kind === 'jest' ? fromJest(runner, report as JestReport, exit) : fromOpa(runner, report as OpaReport, exit);
  });
}

if (import.meta.main) {
  const [folder = '', ...runners] = process.argv.slice(2);
  const kinds = runners.map((runner) => {
    const [name = '', kind] = runner.split(':');
    if (kind !== 'jest' && kind !== 'opa') throw new Error(`${runner} does not say whether it is jest or opa`);
    return [name, kind] as const;
  });
  const tallies = readTallies(folder, Object.fromEntries(kinds));
  let parts: { readonly why?: string } = {};
  try {
    parts = JSON.parse(readFileSync(join(folder, '../parts.json'), 'utf8'));
  } catch {
    // Then the integration runner has no report either, which is told as a failure.
  }
  process.stdout.write(`${summary(tallies, parts.why).join('\n')}\n`);
  process.exitCode = isGood(tallies, process.env['CI'] === 'true') ? 0 : 1;
}
