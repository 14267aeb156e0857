import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../src/bundle/reading/read-bundle.ts';
import { Undecided } from '../../src/domain/errors.ts';
import { epochMs } from '../../src/domain/time.ts';
import { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { repository } from '../author/policy-files.ts';
import { opaMs, realOpa } from '../support/opa.ts';
import { patientLimits } from '../support/patient-limits.ts';
import { archiveLimits } from '../support/testbed.ts';
import { OpaServer } from './opa-server.ts';

/** What either side makes of an expression: its value as JSON text, or one of these. */
const nothing = 'undefined';
const fails = 'fails';

interface Example {
  readonly expression: string;
  /** What the compiled module makes of it, and what OPA does. */
  readonly ours: string;
  readonly theirs: string;
}

function example(expression: string, ours: string, theirs: string): Example {
  return { expression, ours, theirs };
}

const object = '{"b": 1, "a": 2, "c": 3, "aa": 4}';

/** By the first column of the table in docs/policy-author.md. */
const known: Readonly<Record<string, readonly Example[]>> = {
  '`net.cidr_contains`, `net.cidr_intersects`': [
    example('net.cidr_contains("10.0.0.0/24x", "10.0.0.1")', 'true', nothing),
    example('net.cidr_contains("10.0.0.0/ 24", "10.0.0.1")', 'true', nothing),
    example('net.cidr_intersects("10.0.0.0/24x", "10.0.0.0/25")', 'true', nothing),
  ],
  '`json.unmarshal`, `json.is_valid`': [
    example('json.unmarshal("[1,]")', '[1]', nothing),
    example('json.unmarshal("1 2")', '1', nothing),
    example('json.is_valid("[1,]")', 'true', 'false'),
    example('json.is_valid("{} {}")', 'true', 'false'),
  ],
  '`base64.decode`, `base64.is_valid`, `base64url.decode`': [
    example('base64.decode("YQ")', '"a"', nothing),
    example('base64.is_valid("YQ")', 'true', 'false'),
    example('base64.decode("")', nothing, '""'),
    example('base64.is_valid("")', 'false', 'true'),
    example('base64url.decode("")', nothing, '""'),
  ],
  '`regex.*`, `glob.match`': [
    example('regex.match("^a\\u0000b$", "a")', 'true', 'false'),
    example('regex.match("a\\u0000b", "ac")', 'true', 'false'),
    example('glob.match("a\\u0000b", ["/"], "a\\u0000b")', 'false', 'true'),
    example('glob.match("a**", ["/"], "a\\n")', 'false', 'true'),
    example('glob.match("a*", null, "a\\n")', 'false', 'true'),
    example('glob.match("{a", [], "a")', 'true', nothing),
    example('glob.match("{a,b", [], "a")', 'true', nothing),
  ],
  '`regex.find_n`, `regex.replace`, `regex.split`': [
    example('regex.find_n("(?P<n>a)(?P<n>b)", "ab", -1)', nothing, '["ab"]'),
    example('regex.replace("xay", "(?P<n>a)|(?P<n>b)", "c")', nothing, '"xcy"'),
    example('regex.split("(?P<n>a)(?P<n>b)", "1ab2")', nothing, '["1","2"]'),
  ],
  '`strings.render_template`': [example('strings.render_template("{{1i}}", {})', nothing, '"(0+1i)"')],
  '`yaml.unmarshal`, `yaml.is_valid`': [
    example('yaml.is_valid("\\ufeff\\ufeffa")', 'false', 'true'),
    example('yaml.is_valid(concat("", ["- " | some _ in numbers.range(1, 9000)]))', fails, 'true'),
  ],
  '`replace`': [example('replace("aa", "", "b")', fails, '"babab"')],
  '`indexof`': [example('indexof("abc", "")', '0', nothing)],
  '`json.filter`, `json.remove`': [
    example('json.filter({"a": 1}, [""])', fails, '{}'),
    example('json.remove({"a": 1}, [""])', fails, '{"a":1}'),
    example('json.filter({"a": 1}, [[]])', fails, '{}'),
    example('json.remove({"a": 1}, [[]])', fails, '{"a":1}'),
    example('[1 | data.known.input_x with input as 7 with input.x as 1]', fails, '[1]'),
  ],
  '`format_int`': [
    example('format_int(9007199254740992, 10)', fails, '"9007199254740992"'),
    example('format_int(1e15, 10)', fails, '"1000000000000000"'),
  ],
  '`/`': [example('input.zero / input.zero', fails, nothing)],
  '`product`': [
    example('count(format_int(product([9999999999 | some _ in numbers.range(1, 1000)]), 10))', fails, '10000'),
  ],
  '`floor`, `ceil`': [example('floor(-0.5)', '-1', '0'), example('ceil(-0.5)', '0', '1')],
  arithmetic: [example('1 / 3 > 0.333333333333333333', 'false', 'true')],
  '`to_number`': [
    example('to_number("007")', '7', fails),
    example('to_number("-007")', '-7', fails),
    example('to_number("1e999") > 0', 'true', nothing),
  ],
  '`json.marshal`, iteration over an object': [
    example(
      `json.marshal(${object})`,
      '"{\\"aa\\":4,\\"c\\":3,\\"b\\":1,\\"a\\":2}"',
      '"{\\"a\\":2,\\"aa\\":4,\\"b\\":1,\\"c\\":3}"',
    ),
    example(`[k | some k, _ in ${object}]`, '["aa","c","b","a"]', '["a","aa","b","c"]'),
  ],
};

const examples = Object.entries(known).flatMap(([row, of]) => of.map((one) => ({ row, ...one })));
const input = JSON.stringify({ zero: 0 });
let work: string;
let compiled: PolicyModule;
let server: OpaServer;

beforeAll(async () => {
  const { path: opa } = await realOpa();
  work = await mkdtemp(join(tmpdir(), 'postern-known-'));
  const rules = examples.map(({ expression }, index) => `example_${index} := ${expression}`);
  await writeFile(join(work, 'known.rego'), ['package known', 'input_x if input.x', ...rules].join('\n\n'));
  const output = join(work, 'bundle.tar.gz');
  const entrypoints = examples.flatMap((_, index) => ['-e', `known/example_${index}`]);
  await promisify(execFile)(opa, ['build', '-t', 'wasm', ...entrypoints, '-o', output, join(work, 'known.rego')]);
  const limits = { ...patientLimits, budgetMs: 300, memoryPages: 4_096, resultBytes: 1_048_576 };
  compiled = await PolicyModule.load(await readBundle(await readFile(output), archiveLimits), limits);
  server = await OpaServer.start(opa, [join(work, 'known.rego')], 1);
}, opaMs);

afterAll(async () => {
  await server?.stop();
  await rm(work, { recursive: true, force: true });
});

function ours(entrypoint: string): string {
  try {
    const text = compiled.evaluate(entrypoint, input, { now: epochMs(0), seed: 'known' });
    return text === undefined ? nothing : JSON.stringify(JSON.parse(text));
  } catch (cause) {
    if (!(cause instanceof Undecided)) throw cause;
    return fails;
  }
}

async function theirs(entrypoint: string): Promise<string> {
  const { status, body } = await server.document(entrypoint, input);
  if (status !== 200) return fails;
  return JSON.stringify((JSON.parse(body) as { readonly result?: unknown }).result) ?? nothing;
}

describe('where the compiled module and OPA’s interpreter differ', () => {
  it.each(examples.map((one, index) => [one.row, one.expression, index, one] as const))(
    '%s: %s',
    async (_row, _expression, index, wanted) => {
      const entrypoint = `known/example_${index}`;
      expect({ ours: ours(entrypoint), theirs: await theirs(entrypoint) }).toEqual({
        ours: wanted.ours,
        theirs: wanted.theirs,
      });
      expect(wanted.ours).not.toBe(wanted.theirs);
    },
  );

  it('is all that docs/policy-author.md lists, and no more', async () => {
    const text = await readFile(join(repository, 'docs/policy-author.md'), 'utf8');
    const [, section = ''] = text.split("## Where compiled policies differ from OPA's interpreter\n");
    const rows = section.split('\n## ')[0]?.match(/^\| .*$/gm) ?? [];
    expect(rows.slice(2).map((row) => row.split(' | ')[0]?.slice(2))).toEqual(Object.keys(known));
  });
});
