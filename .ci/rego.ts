/**
 * Runs the policies' own tests with the OPA that `postern build` uses, and leaves OPA's report in a file, and the path of
 * that OPA beside it for the suites that compile policies of their own.
 *
 * usage: node .ci/rego.ts <report file>
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { findOpa } from '../src/author/find-opa.ts';

const [report = '.tools/reports/rego.json'] = process.argv.slice(2);
const root = join(import.meta.dirname, '..');
const opa = await findOpa({
  env: process.env,
  toolsDirectory: join(root, '.tools'),
  say: (line) => process.stdout.write(`${line}\n`),
});
process.stdout.write(`OPA ${opa.version} at ${opa.path}\n`);
writeFileSync(join(dirname(report), 'opa.path'), resolve(opa.path));
const { status, stdout, stderr } = spawnSync(opa.path, ['test', '--format', 'json', 'rego'], {
  cwd: root,
  encoding: 'utf8',
  maxBuffer: 1 << 28,
});
writeFileSync(report, stdout);
process.stderr.write(stderr);
process.exitCode = status ?? 1;
