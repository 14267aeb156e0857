import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type BuiltBundle, buildBundle } from '../../src/author/build-bundle.ts';
import type { Opa } from '../../src/author/find-opa.ts';
import { lintRules } from '../../src/author/lint/finding.ts';
import { lint } from '../../src/author/lint/lint.ts';
import { optionNames } from '../../src/author/lint/requirements.ts';
import { parseModule } from '../../src/author/rego-ast.ts';
import { readBundle, readContents } from '../../src/bundle/reading/read-bundle.ts';
import { prepare } from '../../src/bundle/serving/prepare.ts';
import { tryBundle } from '../../src/cli/try-bundle.ts';
import { bundleRevision } from '../../src/domain/bundle.ts';
import { effectOf } from '../../src/domain/decision.ts';
import type { JsonObject } from '../../src/domain/json-value.ts';
import { epochMs } from '../../src/domain/time.ts';
import { decide } from '../../src/request/decide/decide.ts';
import { decisionLogRulesOf } from '../../src/request/evaluate/decision-log-rules.ts';
import { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { maskAndDrop } from '../../src/request/record/mask-and-drop.ts';
import { deltaBundle, signingPair } from '../bundle/archives.ts';
import { fakeEffects } from '../cli/fake-effects.ts';
import { opaMs, realOpa } from '../support/opa.ts';
import { patientLimits } from '../support/patient-limits.ts';
import { repository } from './policy-files.ts';
import { requests } from './requests.ts';

const text = readFileSync(join(repository, 'docs/policy-author.md'), 'utf8');
const blocks = [...text.matchAll(/^```(\w+) ([^\n]+)\n(.*?)^```$/gms)].map(
  ([, language = '', says = '', body = '']) => ({
    language,
    words: says.split(' '),
    body,
  }),
);

/** The first column of the table below a heading or a line, as it stands between backticks. */
function firstColumn(after: string): readonly string[] {
  const lines = text.slice(text.indexOf(after) + after.length).split('\n');
  const start = lines.findIndex((line) => line.startsWith('|'));
  const table = lines.slice(
    start + 2,
    lines.findIndex((line, index) => index > start && !line.startsWith('|')),
  );
  return table.flatMap((line) => [...(line.split('|')[1] ?? '').matchAll(/`([a-z_]+)/g)].map(([, name = '']) => name));
}

const limits = { inflatedBytes: 100_000_000, members: 1000 };
const unsigned = { required: false, keys: [], scope: undefined };

async function policyOf({ bytes }: BuiltBundle): Promise<PolicyModule> {
  const bundle = await readBundle(bytes, limits);
  return PolicyModule.load(bundle, { ...patientLimits, memoryPages: 4096, resultBytes: 1_048_576 });
}

let opa: Opa;
const directory = mkdtempSync(join(tmpdir(), 'postern-doc-'));
beforeAll(async () => {
  opa = await realOpa();
}, opaMs);
afterAll(() => rmSync(directory, { recursive: true }));

describe('the new policy of docs/policy-author.md', () => {
  let built: BuiltBundle;
  beforeAll(async () => {
    const rego = join(directory, 'rego');
    cpSync(join(repository, 'rego'), rego, { recursive: true });
    const files = blocks.filter(({ words }) => words[0]?.startsWith('rego/') === true);
    expect(files.map(({ words }) => words[0])).toHaveLength(5);
    for (const { words, body } of files) {
      const path = join(directory, words[0] ?? '');
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, body);
    }
    const [mask] = blocks.filter(({ words }) => words[0] === 'mask');
    mkdirSync(join(rego, 'system'));
    writeFileSync(join(directory, mask?.words[1] ?? ''), mask?.body ?? '');
    built = await buildBundle(
      { directory: rego, name: 'doc', coverageFloor: 95 },
      {
        env: { ...process.env, OPA: opa.path },
        toolsDirectory: '/nonexistent',
        temporaryDirectory: tmpdir(),
        say: () => {},
      },
    );
  }, opaMs);

  it('builds as it stands there, its tests with it, and needs no edit anywhere else', () => {
    expect(built.policies['invoice_payment']).toHaveLength(5);
    expect(built.entrypoints).toContain('policies/invoice_payment/decision');
  });

  it('answers its samples as they say, and is what its manifest says', async () => {
    const { effects } = fakeEffects();
    await expect(tryBundle(built, [], effects)).resolves.toBeUndefined();
    const contents = await readContents(built.bytes, limits, unsigned);
    expect(contents).toMatchObject({
      sequence: 12,
      policy: { retired: ['policies/petty_cash/decision'] },
      samples: [{ name: 'an agent pays only in its own name', expect: { effect: 'deny', policy: 'invoice_payment' } }],
    });
  });

  it('is signed by the page’s commands, samples and all', async () => {
    const { algorithm, publicKey, privatePem } = signingPair('ES256');
    const place = join(directory, 'release');
    mkdirSync(join(place, 'bundles'), { recursive: true });
    mkdirSync(join(place, 'bin'));
    symlinkSync(opa.path, join(place, 'bin/opa'));
    writeFileSync(join(place, 'release.pem'), privatePem);
    writeFileSync(join(place, 'bundles/mine.tar.gz'), built.bytes);
    const [script] = blocks.filter(({ words }) => words[0] === 'signing');
    const env = { ...process.env, PATH: `${join(place, 'bin')}:${process.env['PATH']}` };
    execFileSync('bash', ['-euc', script?.body ?? 'exit 1'], { cwd: place, env });
    const signed = readFileSync(join(place, 'bundles/mine-signed.tar.gz'));
    const rule = { required: true, keys: [{ id: 'release', algorithm, key: publicKey }], scope: undefined };
    expect(await readContents(signed, limits, rule)).toMatchObject({ revision: built.revision, samples: [{}] });
    await expect(readContents(built.bytes, limits, rule)).rejects.toThrow('not signed');
  });

  it('takes the delta of the page, and its samples hold', async () => {
    const [delta] = blocks.filter(({ words }) => words[0] === 'delta');
    const { data } = JSON.parse(delta?.body ?? '') as { readonly data: readonly unknown[] };
    const job = { changed: 0, trial: { entrypoint: 'authz/decision', entrypointsBefore: [] } };
    const of = (snapshot: Uint8Array) => [{ name: 'doc', snapshot, deltas: [], signing: unsigned }];
    const trial = { archive: limits, policy: { ...patientLimits, memoryPages: 4096, resultBytes: 1_048_576 } };
    const { image, facts, samples } = await prepare({ ...job, bundles: of(built.bytes), base: undefined }, trial);
    const [before] = facts;
    if (before === undefined) throw new Error('nothing was prepared');
    const changes = deltaBundle(data, { revision: 'doc-2', roots: before.roots });
    const after = await prepare({ ...job, bundles: of(changes), base: { image, facts: before, samples } }, trial);
    expect(after).toMatchObject({ kind: 'delta', facts: [{ revision: 'doc-2' }], samples: [{}] });
    const policy = await PolicyModule.of(after.image, bundleRevision('doc-2'), trial.policy);
    const vetted = (payee: string): readonly unknown[] => {
      const asked = { resource: { type: 'invoice' }, context: { payee } };
      const answer = policy.evaluate('policies/invoice_payment/decision', JSON.stringify(asked)) ?? '';
      return (JSON.parse(answer) as { readonly met: readonly unknown[] }).met;
    };
    expect(vetted('acme-water')).toContain('payee_vetted');
    expect(vetted('acme-gas')).not.toContain('payee_vetted');
  });

  it('keeps of an event what the page’s mask lets it keep', async () => {
    const rules = decisionLogRulesOf(await policyOf(built));
    if (rules === undefined) throw new Error('the bundle has no rules about events');
    const kept = (input: JsonObject, path: string): string | undefined =>
      maskAndDrop(`${JSON.stringify({ path, input })}\n`, rules, epochMs(0), 'd').line;
    const input = { subject: { properties: { email: 'CANARY' } }, context: { password: 'CANARY', task: 'kept' } };
    expect(JSON.parse(kept(input, 'authz/decision') ?? '')).toEqual({
      path: 'authz/decision',
      input: { subject: { properties: { email: 'masked' } }, context: { task: 'kept' } },
      erased: ['/input/context/password'],
      masked: ['/input/subject/properties/email'],
    });
    expect(kept(input, 'authz/health')).toBeUndefined();
  });

  it('answers the request of the page as the page says', async () => {
    const policy = await policyOf(built);
    const [asked] = blocks.filter(({ words }) => words[0] === 'request');
    const request = JSON.parse(asked?.body ?? '') as { readonly subject: JsonObject };
    const caller = { ...(requests['query']?.['caller'] as JsonObject), id: request.subject['id'] ?? null };
    const answer = policy.evaluate('authz/decision', JSON.stringify({ ...requests['query'], ...request, caller }));
    const decision = decide({ revision: policy.revision, text: answer }, 'authz/decision');
    expect(effectOf(decision)).toBe(asked?.words[1]);
    expect(decision).toMatchObject({ policy: 'invoice_payment' });
  });
});

describe('the traps of docs/policy-author.md', () => {
  const snippets = blocks.filter(({ words }) => words[0] === 'lint' || words[0] === 'fine');

  it('are there', () => {
    expect(snippets.length).toBeGreaterThan(6);
  });

  it.each(snippets.map(({ words, body }) => [words[1] ?? 'nothing', body]))('%s is found in %s', async (rule, body) => {
    const file = join(directory, 'snippet.rego');
    const requirements = body.includes('met contains')
      ? 'requirements := {"a": {"otherwise": "deny", "remedy": "r"}}\n'
      : '';
    writeFileSync(file, `package snippet\n\nimport data.postern\n\n${requirements}${body}`);
    const { findings } = lint([await parseModule(opa, file, process.env)]);
    const found = findings.map((line) => /: (\w+): /.exec(line)?.[1]);
    expect(found.filter((one) => one === rule)).toHaveLength(rule === 'nothing' ? 0 : 1);
    if (rule === 'nothing') expect(found).toEqual([]);
  });

  it('has every rule of the lint in its table, and no other', () => {
    expect(firstColumn('### All rules of the lint')).toEqual([...lintRules]);
  });
});

describe('the library as docs/policy-author.md lists it', () => {
  it('is all that rego/postern gives', async () => {
    const files = readdirSync(join(repository, 'rego/postern')).filter((name) => !name.endsWith('_test.rego'));
    const given = new Set<string>();
    for (const name of files) {
      const module = await parseModule(opa, join(repository, 'rego/postern', name), process.env);
      for (const rule of module.rules) given.add(String(rule.head.ref[0]?.value));
    }
    const shown = [...given].filter((name) => !name.startsWith('_')).sort();
    expect([...firstColumn('An unknown value never meets a condition of the library.')].sort()).toEqual(shown);
  });

  it('takes the options that the lint knows', () => {
    expect([...firstColumn('`options` of `decide`:')].sort()).toEqual([...optionNames].sort());
  });
});

describe('the starter policies as docs/policy-author.md lists them', () => {
  it('are those of rego/policies', () => {
    expect(
      [...firstColumn('## The starter policies')].filter((name) => name.includes('_') || name === 'deploy').sort(),
    ).toEqual(readdirSync(join(repository, 'rego/policies')).sort());
  });
});
