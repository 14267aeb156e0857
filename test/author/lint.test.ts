import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Opa } from '../../src/author/find-opa.ts';
import { type Linted, lint } from '../../src/author/lint/lint.ts';
import { parseModule } from '../../src/author/rego-ast.ts';
import { opaMs, realOpa } from '../support/opa.ts';
import { policyDirectory, soundPolicy } from './policy-files.ts';

let opa: Opa;
const directory = policyDirectory({});
beforeAll(async () => {
  opa = await realOpa();
}, opaMs);
afterAll(() => rmSync(directory, { recursive: true }));

async function linted(...texts: readonly string[]): Promise<Linted> {
  const modules = [];
  for (const [index, text] of texts.entries()) {
    const file = join(directory, `policy-${index}.rego`);
    writeFileSync(file, text);
    modules.push(await parseModule(opa, file, process.env));
  }
  return lint(modules);
}

/** `line:column: rule` of each finding, in order. */
async function findings(...texts: readonly string[]): Promise<readonly string[]> {
  const { findings: lines } = await linted(...texts);
  return lines.map((line) => /policy-\d\.rego:(\d+:\d+: \w+): ./.exec(line)?.[1] ?? line);
}

/** The rules that speak when one place of the sound policy is another. */
async function changed(from: string | RegExp, to: string): Promise<readonly string[]> {
  const text = soundPolicy.replace(from, to);
  expect(text).not.toBe(soundPolicy);
  return (await findings(text)).map((line) => line.replace(/^[\d:]+: /, ''));
}

const conditions = (body: string) => `package policies.printing\n\n${body}\n`;

describe('a sound policy', () => {
  it('has no finding, and its requirements and entrypoints are known', async () => {
    expect(await linted(soundPolicy)).toEqual({
      findings: [],
      policies: { printing: ['device_fresh', 'owner'] },
      entrypoints: ['policies/printing/decision'],
    });
  });

  it('may spread over files', async () => {
    const [head = '', tail = ''] = soundPolicy.split('# METADATA');
    const rest = `package policies.printing\n\nimport data.postern\n\n# METADATA${tail}`;
    expect((await linted(head, rest)).findings).toEqual([]);
  });

  it('may be plain Rego without requirements', async () => {
    const plain =
      'package policies.plain\n\napplies if input.resource.type == "plain"\n\n# METADATA\n# entrypoint: true\ndecision := {"effect": "deny"}\n';
    expect(await linted(plain)).toEqual({
      findings: [],
      policies: { plain: [] },
      entrypoints: ['policies/plain/decision'],
    });
  });

  it('may give the library another name', async () => {
    const text = soundPolicy.replace('import data.postern', 'import data.postern as p').replaceAll('postern.', 'p.');
    expect((await linted(text.replaceAll('data.p.', 'data.postern.'))).findings).toEqual([]);
  });
});

describe('a finding', () => {
  it('names file, line, column and rule', async () => {
    const text = soundPolicy.replace('met contains "owner"', 'met contains "ownr"');
    const { findings: lines } = await linted(text);
    expect(lines).toEqual([
      `${join(directory, 'policy-0.rego')}:8:2: requirement_unmeetable: no rule can meet owner: there is no \`met contains "owner"\``,
      `${join(directory, 'policy-0.rego')}:18:1: met_unnamed: no requirement is named "ownr"`,
    ]);
  });
});

describe('P11 requirements and what meets them', () => {
  it.each([
    [
      'a met id that no requirement names',
      /met contains "owner"/,
      'met contains "ower"',
      ['requirement_unmeetable', 'met_unnamed'],
    ],
    ['a requirement that no rule can meet', /\nmet contains "device_fresh".*\n/, '\n', ['requirement_unmeetable']],
    [
      'an id that is worked out',
      'met contains "owner" if',
      'met contains input.context.claimed if',
      ['requirement_unmeetable', 'met_literal'],
    ],
    [
      'met as an object',
      'met contains "owner" if',
      'met["owner"] := true if',
      ['requirement_unmeetable', 'met_literal'],
    ],
    [
      'met as one set',
      /met contains[\s\S]*?300\)/,
      'met := {"owner", "device_fresh"}',
      ['requirement_unmeetable', 'requirement_unmeetable', 'met_literal'],
    ],
    [
      'requirements with a condition',
      'requirements := {',
      'requirements := {"x": 1} if input.a\n\nrequirements := {',
      ['requirements_literal'],
    ],
    [
      'requirements that are worked out',
      /requirements := \{[\s\S]*?\n\}/,
      'requirements := data.requirements',
      ['requirements_literal'],
    ],
    ['requirements by default', 'requirements := {', 'default requirements := {', ['requirements_literal']],
    [
      'requirements that depend on something',
      /requirements := \{([\s\S]*?\n)\}/,
      'requirements := {$1} if input.a',
      ['requirements_literal'],
    ],
    ['an otherwise outside the four', '"otherwise": "deny"', '"otherwise": "denied"', ['requirement_shape']],
    [
      'an otherwise that is worked out',
      '"otherwise": "deny"',
      '"otherwise": input.context.otherwise',
      ['requirement_shape'],
    ],
    ['no otherwise', '"otherwise": "deny",', '', ['requirement_shape']],
    ['a misspelt member', '"otherwise": "deny"', '"otherwize": "deny"', ['requirement_shape', 'requirement_shape']],
    ['no remedy', /"remedy": "print.*\n/, '', ['requirement_shape']],
    ['an empty remedy', '"print on your own printer"', '""', ['requirement_shape']],
    ['an id that is no name', '"owner": {', '"Owner": {', ['requirement_shape', 'met_unnamed']],
    ['a requirement that is no object', /"owner": \{[\s\S]*?\n\t\}/, '"owner": "deny"', ['requirement_shape']],
    [
      'no requirement at all',
      /requirements := \{[\s\S]*?\n\}/,
      'requirements := {}',
      ['requirement_shape', 'met_unnamed', 'met_unnamed'],
    ],
  ])('finds %s', async (_, from, to, rules) => {
    expect(await changed(from, to)).toEqual(rules);
  });
});

describe('what decides', () => {
  it.each([
    ['nothing', /postern\.decide\([\s\S]*\)/, '{"effect": "allow"}', ['decides']],
    ['not on the whole of met', 'decide(requirements, met,', 'decide(requirements, {"owner"},', ['decides']],
    ['not on the requirements', 'decide(requirements, met,', 'decide({}, met,', ['decides']],
    ['with a misspelt option', '"step_up":', '"stepup":', ['options']],
    ['in the name of another policy', '"policy": "printing"', '"policy": "deploy"', ['options']],
    ['without an entrypoint', '# entrypoint: true', '# title: t', ['entrypoint']],
    [
      'where the router cannot see it',
      'package policies.printing',
      'package policies.team.printing',
      ['options', 'policy_whole'],
    ],
    ['without saying what it applies to', /applies if.*\n/, '', ['policy_whole']],
  ])('decides %s', async (_, from, to, rules) => {
    expect([...(await changed(from, to))].sort()).toEqual([...rules].sort());
  });

  it('finds a policy that applies and does not decide', async () => {
    expect(await findings('package policies.a\n\napplies if input.resource.type == "a"\n')).toEqual([
      '3:1: policy_whole',
    ]);
  });
});

describe('bare comparisons with ages, scores and levels', () => {
  it.each([
    ['an age from the input', 'a if input.device.age_s <= 30'],
    ['an age the other way round', 'a if 30 > input.device.age_s'],
    ['a score', 'a if input.trust.risk_score < 50'],
    ['a level that equals', 'a if input.trust.risk_level == "low"'],
    ['a level that differs', 'a if input.trust.risk_level != "high"'],
    ['a level that unifies', 'a if input.trust.risk_level = "low"'],
    ['an age in a local variable', 'a if {\n\tx := input.device.age_s\n\tx < 30\n}'],
    ['an age two variables on', 'a if {\n\tx := input.device.age_s\n\ty := x\n\ty < 30\n}'],
    ['an age behind another rule', 'seconds := input.device.age_s\n\na if seconds < 30'],
    ['an age by its name', 'a(age_s) if age_s < 30'],
    ['an age of each', 'a if {\n\tsome g in input.grants\n\tg.age_s < 30\n}'],
    ['an age of every one', 'a if {\n\tevery g in input.grants {\n\t\tg.age_s < 30\n\t}\n}'],
    ['an age in a comprehension', 'a := [g | some g in input.grants; g.age_s < 30]'],
    ['an age in an else', 'a := 1 if {\n\tinput.b\n} else := 2 if {\n\tinput.device.age_s < 30\n}'],
    ['any number the caller sends', 'a if input.context.amount <= 100'],
    ['any number of some element', 'a if {\n\tsome item in input.context.items\n\titem.price > 5\n}'],
  ])('finds %s', async (_, body) => {
    const found = await findings(conditions(body));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/: bare_comparison$/);
  });

  it.each([
    ['the library', 'import data.postern\n\na if postern.at_most(input.context.amount, 100)'],
    ['a count', 'a if count(input.grants) > 0'],
    ['membership', 'a if input.trust.risk_level in {"low", "medium"}'],
    ['equality of what is neither age, score nor level', 'a if input.action.name == "read"'],
    ['numbers of the owner’s data', 'a if data.limits.rows < 100'],
    ['words that only contain one', 'a if input.page_size == 3'],
  ])('leaves %s alone', async (_, body) => {
    expect(await findings(conditions(body))).toEqual([]);
  });

  it('leaves the library itself alone', async () => {
    expect(await findings('package postern\n\nfresh(r, max_age_s) if r.age_s <= max_age_s\n')).toEqual([]);
  });
});

describe('what is unknown and would be met', () => {
  it.each([
    ['not on the input', 'a if not input.device.jailbroken'],
    ['not on a comparison with the input', 'a if not input.device.os == "old"'],
    ['not on a call with the input', 'a if not startswith(input.resource.id, "prod/")'],
    ['not on a variable from the input', 'a if {\n\td := input.device\n\tnot d.jailbroken\n}'],
    ['not on a rule that is the input’s', 'broken := input.device.jailbroken\n\na if not broken'],
  ])('finds %s', async (_, body) => {
    expect((await findings(conditions(body))).map((line) => line.replace(/.*: /, ''))).toEqual(['unknown_is_met']);
  });

  it('finds any not in what meets a requirement', async () => {
    const text = soundPolicy.replace(
      'met contains "owner" if input.subject.id == data.policies.printing.owner',
      'met contains "owner" if not stranger\n\nstranger if input.subject.id != data.policies.printing.owner',
    );
    expect((await findings(text)).map((line) => line.replace(/.*: /, ''))).toEqual(['unknown_is_met']);
  });

  it('leaves not on the owner’s own data alone', async () => {
    expect(await findings(conditions('a if not data.policies.printing.closed'))).toEqual([]);
  });

  it('finds a default of true, and none of false', async () => {
    expect(await findings(conditions('default a := true'))).toEqual(['3:1: default_true']);
    expect(await findings(conditions('default a := false'))).toEqual([]);
  });
});

describe('a file that does not parse', () => {
  it('is refused in the compiler’s own words', async () => {
    await expect(linted('package a\n\nb if {\n')).rejects.toThrow(
      /policy-0\.rego:4: rego_parse_error: unexpected eof token/,
    );
  });
});
