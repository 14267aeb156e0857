import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { compilePolicy } from '../../support/compile-policy.ts';
import type { Outcome } from './budgeted.ts';

const entrypoints = [
  'quiet',
  'loops',
  'shift',
  'hoard',
  'walks',
  'square',
  'double',
  'swell',
  'glob_bomb',
  'regex_bomb',
  'deep',
  'yaml_read',
  'yaml_written',
  'places',
  'everywhere',
  'expanded',
  'module',
  'schema',
  'digest',
  'pairs',
];
const budgetMs = 100;

let directory: string;
let child: ChildProcessWithoutNullStreams;
let lines: AsyncIterator<string>;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'budget-'));
  const file = join(directory, 'bundle.tar.gz');
  const paths = entrypoints.map((name) => `budget/${name}`);
  await writeFile(file, await compilePolicy('budget', paths));
  const program = new URL('./budgeted.ts', import.meta.url).pathname;
  child = spawn(process.execPath, [program, file, String(budgetMs)], { env: {} });
  lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
}, 60_000);

afterAll(async () => {
  child.stdin.end();
  await once(child, 'close');
  await rm(directory, { recursive: true });
});

async function outcome(entrypoint: string, input: object): Promise<Outcome> {
  child.stdin.write(`${JSON.stringify([entrypoint, input])}\n`);
  return JSON.parse((await lines.next()).value as string) as Outcome;
}

const long = 'a'.repeat(100_000);
const wide = Object.fromEntries(Array.from({ length: 300 }, (_, index) => [`member${index}`, [1, 2, { index }]]));
const list = `[${Array.from({ length: 200_000 }, (_, index) => index).join(',')}]`;
const hostile: readonly (readonly [id: string, what: string, entrypoint: string, input: object])[] = [
  ['P01', 'four loops in each other', 'loops', { n: 40 }],
  ['P02', 'bits.lsh', 'shift', { n: 10_000_000 }],
  ['P02 P03', 'numbers.range', 'hoard', { n: 10_000_000 }],
  ['P02', 'walk', 'walks', { document: wide }],
  ['P01', 'a pass for each of many', 'square', {}],
  ['P03', 'a text that doubles', 'double', { n: 100_000, text: long }],
  ['P02', 'strings.replace_n', 'swell', { text: long }],
  ['P02', 'json.unmarshal', 'deep', { text: `${'['.repeat(200_000)}${']'.repeat(200_000)}` }],
  ['P05', 'glob.match', 'glob_bomb', { pattern: '{'.repeat(3_200) }],
  ['P02', 'yaml.unmarshal', 'yaml_read', { text: list }],
  ['P02', 'yaml.marshal', 'yaml_written', { text: list }],
  ['P02', 'indexof_n', 'places', { text: long.repeat(10) }],
  ['P02', 'replace', 'everywhere', { text: long }],
  ['P06', 'a short pattern that is a large program', 'expanded', { pattern: 'a{1000}'.repeat(300) }],
  ['P06', 'a pattern of wide ranges', 'expanded', { pattern: '(?i)[k-\\x{10fff}]'.repeat(100) }],
  ['P02', 'rego.parse_module of many comments', 'module', { text: `package p\n${'#\n'.repeat(300_000)}` }],
  [
    'P02',
    'rego.parse_module of many rules',
    'module',
    { text: `package p\nf(${'1,'.repeat(20_000)}) if {1} ${'{1}'.repeat(5_000)}` },
  ],
  ['P02', 'rego.parse_module of a deep term', 'module', { text: `package p\nx := ${'['.repeat(100_000)}` }],
  ['P02', 'json.match_schema of many parts', 'schema', { text: `{"allOf": [${'{},'.repeat(300_000)}{}]}` }],
  ['P02', 'json.match_schema of deep parts', 'schema', { text: '{"not":'.repeat(100_000) + '{}'.padEnd(100_002, '}') }],
  ['P02', 'bytes that are no UTF-8', 'digest', { b: Buffer.alloc(10_000_000, 0xc3).toString('base64') }],
];

describe('a policy that would run for minutes, or eat all memory', () => {
  it.each(hostile)(
    '%s %s on what a caller sent stays closed within twice its budget, and the next caller is answered',
    async (_id, _what, entrypoint, input) => {
      const { result, cpuMs } = await outcome(entrypoint, input);
      expect(['policy_budget_spent', 'policy_failed']).toContain(result);
      expect(cpuMs).toBeLessThan(2 * budgetMs);
      expect(JSON.parse((await outcome('quiet', {})).result)).toEqual({ effect: 'deny', reasons: [{ code: 'quiet' }] });
    },
  );

  it('P01 says that it was the budget, where it was the time', async () => {
    expect((await outcome('loops', { n: 40 })).result).toBe('policy_budget_spent');
  });

  it('is measured for each evaluation anew: a hundred short ones in a row spend nothing', async () => {
    for (let round = 0; round < 100; round += 1) expect((await outcome('loops', { n: 5 })).result).toBe('0');
  });
});

describe('P02 a megabyte that is no UTF-8', () => {
  it.each([0xff, 0xc3, 0xe1])('P02 is read within the budget where every byte is %d', async (byte) => {
    const bytes = Buffer.alloc(760_000, byte);
    const { result, cpuMs } = await outcome('digest', { b: bytes.toString('base64') });
    expect(result).toBe(`"${createHash('sha256').update(bytes).digest('hex')}"`);
    expect(cpuMs).toBeLessThan(budgetMs);
  });
});

describe('P07 a result of sets in sets', () => {
  it('P07 is read within the budget', async () => {
    let expected = '[1]';
    for (let depth = 0; depth < 10; depth += 1) expected = `[[${expected},0],[${expected},1]]`;
    await outcome('pairs', {});
    const { result, cpuMs } = await outcome('pairs', {});
    expect(result).toBe(expected);
    expect(cpuMs).toBeLessThan(budgetMs);
  });
});

describe('P06 a pattern that backtracks for ever in other engines', () => {
  it('P06 takes linear time, and means what it means in RE2', async () => {
    expect((await outcome('regex_bomb', { pattern: '^(a+)+$', text: `${long}b` })).result).toBe('false');
    expect((await outcome('regex_bomb', { pattern: '^(a+)+$', text: long })).result).toBe('true');
    // RE2 refuses it for the size of its program.
    expect((await outcome('regex_bomb', { pattern: '((x{1000}){1000})', text: 'x' })).result).toBe('undefined');
    expect((await outcome('regex_bomb', { pattern: '(', text: 'x' })).result).toBe('undefined');
  });
});
