import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { opaMs, realOpa } from '../support/opa.ts';
import { repository } from './policy-files.ts';

/** What a busy machine may take for a step; none of these tests rests on how long one takes. */
const withinMs = 60_000;

class Program {
  readonly child: ChildProcess;
  readonly ended: Promise<readonly unknown[]>;
  output = '';

  constructor(args: readonly string[], directory: string, opa: string) {
    const { NODE_OPTIONS: _, ...env } = process.env;
    this.child = spawn(process.execPath, [join(repository, 'src/main.ts'), ...args], {
      cwd: directory,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...env, OPA: opa },
    });
    this.ended = once(this.child, 'close');
    for (const stream of [this.child.stdout, this.child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        this.output += text;
      });
    }
  }

  /** @returns all that it printed since `from`, once `text` is among it */
  async says(text: string, from = 0): Promise<string> {
    await eventually(() => this.output.slice(from).includes(text) || this.child.exitCode !== null, withinMs);
    expect(this.output.slice(from)).toContain(text);
    return this.output.slice(from);
  }

  async end(signal: NodeJS.Signals): Promise<unknown> {
    this.child.kill(signal);
    const [code] = await this.ended;
    return code;
  }
}

let place: string;
let policy: string;
let first: string;
let dev: Program;
let sidecar: Program;
let origin: string;

beforeAll(async () => {
  const { path: opa } = await realOpa();
  place = mkdtempSync(join(tmpdir(), 'postern-dev-'));
  cpSync(join(repository, 'rego'), join(place, 'rego'), { recursive: true });
  policy = join(place, 'rego/policies/database_access/policy.rego');
  first = readFileSync(policy, 'utf8');
  dev = new Program(['dev', 'rego', '--output', 'bundles/mine.tar.gz'], place, opa);
  await dev.says('written, ');
  writeFileSync(
    join(place, 'postern.yaml'),
    JSON.stringify({
      decision: { listen: '127.0.0.1:0', identity: { id: 'spiffe://acme.example/agent/report-bot' } },
      control: { listen: null },
      bundle: { file: 'bundles/mine.tar.gz' },
      store: { directory: 'store' },
      record: { file: 'decisions.jsonl' },
      device: { id: 'node-7', host: null },
    }),
  );
  sidecar = new Program(['serve', '--config', 'postern.yaml'], place, opa);
  const said = await sidecar.says('ready to decide');
  origin = `http://${/"decision":\s*"([^"]+)"/.exec(said)?.[1]}`;
}, opaMs);

afterAll(async () => {
  for (const program of [dev, sidecar]) {
    if (program?.child.exitCode === null) await program.end('SIGKILL');
  }
  rmSync(place, { recursive: true, force: true });
});

/** The remedies of the answer to a query from a machine that nobody reported. */
async function answered(): Promise<string> {
  const response = await fetch(`${origin}/access/v1/evaluation`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      subject: { type: 'agent', id: 'spiffe://acme.example/agent/report-bot' },
      action: { name: 'query' },
      resource: { type: 'database', id: 'payroll' },
      context: { task: 'monthly-report' },
    }),
  });
  expect(response.status).toBe(200);
  return response.text();
}

const remedy = /("remedy": ")[^"]*/g;
const saying = (text: string): string => first.replaceAll(remedy, `$1${text}`);

describe('postern dev beside a sidecar that serves its bundle', () => {
  it('turns a save into the new answer, by itself', async () => {
    expect(await answered()).not.toContain('the first change');
    const savedMs = performance.now();
    writeFileSync(policy, saying('the first change'));
    await eventually(async () => (await answered()).includes('the first change'), withinMs);
    console.log(`postern dev: ${((performance.now() - savedMs) / 1_000).toFixed(2)} s from the save to the new answer`);
  }, 120_000);

  it.each([
    ['does not parse', 'broken if {\n', 'policy.rego:<end>: rego_parse_error'],
    ['does not compile strictly', 'broken if nowhere(input)\n', 'policy.rego:<added>: rego_type_error'],
    ['no lint would let pass', 'default intact := true\n', 'policy.rego:<added>:1: default_true'],
    ['fails a test', 'met contains "action_known" if input.action.name\n', 'policy_test.rego:'],
  ])(
    'shows file and line of what %s, and the bundle before serves on',
    async (_what, line, shown) => {
      const added = first.split('\n').length;
      const placed = shown.replace('<added>', String(added)).replace('<end>', String(added + 1));
      const [from, before] = [dev.output.length, readFileSync(join(place, 'bundles/mine.tar.gz'))];
      writeFileSync(policy, saying('of what is broken') + line);
      expect(await dev.says('the last bundle stays in place', from)).toContain(placed);
      expect(readFileSync(join(place, 'bundles/mine.tar.gz'))).toEqual(before);
      expect(await answered()).toContain('the first change');
      expect(readdirSync(join(place, 'bundles'))).toEqual(['mine.tar.gz']);
    },
    120_000,
  );

  it('goes on from the mended policy, saved as editors do it: a new file in the place of the old', async () => {
    const from = dev.output.length;
    writeFileSync(`${policy}.new`, saying('the second change'));
    renameSync(`${policy}.new`, policy);
    await eventually(async () => (await answered()).includes('the second change'), withinMs);
    expect(await dev.says('written, ', from)).not.toContain('not formatted');
  }, 120_000);

  it('reports what is not formatted, and serves it', async () => {
    const from = dev.output.length;
    writeFileSync(policy, `${saying('the third change')}\n\n\n`);
    await eventually(async () => (await answered()).includes('the third change'), withinMs);
    await dev.says('database_access/policy.rego: not formatted', from);
  }, 120_000);

  it('names a manifest that is half written, and the bundle before serves on', async () => {
    const manifest = join(place, 'rego/.manifest');
    const [from, before] = [dev.output.length, readFileSync(join(place, 'bundles/mine.tar.gz'))];
    writeFileSync(manifest, '{"metadata": ');
    expect(await dev.says('the last bundle stays in place', from)).toContain(
      'rego/.manifest: the file is not one JSON',
    );
    expect(readFileSync(join(place, 'bundles/mine.tar.gz'))).toEqual(before);
    const mended = dev.output.length;
    writeFileSync(manifest, '{"metadata": {"postern": {"sequence": 2}}}');
    await dev.says('written, ', mended);
    rmSync(manifest);
  }, 120_000);

  it('outlives the directory going away, as in a checkout', async () => {
    const from = dev.output.length;
    renameSync(join(place, 'rego'), join(place, 'away'));
    await dev.says('the last bundle stays in place', from);
    writeFileSync(join(place, 'away/policies/database_access/policy.rego'), saying('the fourth change'));
    renameSync(join(place, 'away'), join(place, 'rego'));
    await eventually(async () => (await answered()).includes('the fourth change'), withinMs);
  }, 120_000);

  it('ends with 0 at Ctrl-C, and the sidecar does not notice', async () => {
    expect(await dev.end('SIGINT')).toBe(0);
    expect(await answered()).toContain('the fourth change');
    expect(await sidecar.end('SIGTERM')).toBe(0);
  }, 120_000);
});
