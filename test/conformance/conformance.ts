import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { bundleRevision } from '../../src/domain/bundle.ts';
import { asSidecarError } from '../../src/domain/errors.ts';
import { epochMs } from '../../src/domain/time.ts';
import { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { allowedBuiltins } from './allowed-builtins.ts';
import { framesOf } from './frames.ts';
import { type Case, judge, type Outcome } from './judge.ts';

/** What came of OPA's own conformance cases. */
export interface Conformance {
  readonly passed: number;
  readonly total: number;
  /** What is wrong, by the case's file and note. */
  readonly failures: ReadonlyMap<string, string>;
  readonly slowest: string;
}

const folder = import.meta.dirname;
const limits = {
  memoryPages: 4_096,
  resultBytes: 16_777_216,
  budgetMs: 60_000,
  monotonicMs: () => performance.now(),
  threadCpuMs: () => process.threadCpuUsage().user / 1_000,
};
const now = epochMs(Date.now());

/**
 * Runs OPA's own conformance cases, compiled by OPA, through the host that serves decisions. Needs Go.
 *
 * @param filter text that a case's name must hold
 */
export async function conformance(filter = ''): Promise<Conformance> {
  const opa = execFileSync('go', ['list', '-m', '-f', '{{.Dir}}', 'github.com/open-policy-agent/opa'], {
    cwd: join(folder, 'compile'),
    encoding: 'utf8',
  }).trim();
  const compiler = spawn('go', ['run', '.', join(opa, 'v1/test/cases/testdata'), filter], {
    cwd: join(folder, 'compile'),
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const compilerEnded = new Promise<number | null>((resolve) => compiler.once('close', resolve));
  const failures = new Map<string, string>();
  let passed = 0;
  let total = 0;
  let slowestMs = 0;
  let slowest = '';
  const frames = framesOf(compiler.stdout);
  for (;;) {
    const header = await frames.next();
    if (header.done === true) break;
    const wasm = await frames.next();
    if (wasm.done === true) throw new Error('a case without its module');
    const wanted = JSON.parse(header.value.toString('utf8')) as Case;
    const started = performance.now();
    const fault = judge(wanted, await run(wanted, wasm.value));
    const tookMs = performance.now() - started;
    if (tookMs > slowestMs) [slowestMs, slowest] = [tookMs, `${wanted.file}: ${wanted.note}`];
    total++;
    if (fault === undefined) passed++;
    else failures.set(`${wanted.file}: ${wanted.note}`, fault);
  }
  if ((await compilerEnded) !== 0) throw new Error('the compiler of the cases failed');
  return { passed, total, failures, slowest: `${slowestMs.toFixed(0)} ms, ${slowest}` };
}

/** The failures that are known, each with its reason. */
export function knownFailures(): ReadonlySet<string> {
  const { failures } = parse(readFileSync(join(folder, 'failures.yaml'), 'utf8')) as {
    failures: readonly { readonly case: string; readonly reason: string }[];
  };
  return new Set(failures.map((failure) => failure.case));
}

async function run({ compile_error, data, input }: Case, wasm: Uint8Array): Promise<Outcome> {
  if (compile_error !== undefined) return { error: new Error(`does not compile: ${compile_error}`) };
  try {
    const policy = await PolicyModule.load(
      { wasm, dataText: data ?? '{}', revision: bundleRevision('conformance') },
      limits,
      { builtins: allowedBuiltins },
    );
    return { result: policy.resultSet(0, input ?? '', { now, seed: 'conformance' }) };
  } catch (cause) {
    return { error: asSidecarError(cause) };
  }
}
