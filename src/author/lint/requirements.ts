// Tested by test/author/policy-author-doc.long.test.ts.
import {
  callOf,
  isTerm,
  type Location,
  type Module,
  membersOf,
  type Rule,
  stringOf,
  type Term,
  within,
} from '../rego-ast.ts';
import type { Finding, LintRule } from './finding.ts';
import { isLibrary, type Package, resolved, rulesNamed } from './package.ts';

const effects: ReadonlySet<string> = new Set(['allow', 'deny', 'step_up', 'constrain']);
const requirementMembers: ReadonlySet<string> = new Set(['otherwise', 'message', 'remedy']);
export const optionNames: ReadonlySet<string> = new Set([
  'policy',
  'constraints',
  'step_up',
  'ttl_s',
  'grants',
  'obligations',
  'labels',
]);
const idForm = /^[a-z][a-z0-9_]{0,62}$/;

/**
 * That what a policy requires, what it finds met and what it decides on are one set of names: all of them literal, so
 * that they are known before any request comes.
 *
 * @returns the requirement ids too, in their order
 */
export function lintRequirements(unit: Package): {
  readonly findings: readonly Finding[];
  readonly ids: readonly string[];
} {
  if (isLibrary(unit)) return { findings: [], ids: [] };
  const rules = rulesNamed(unit.rules, 'requirements');
  const [rule] = rules;
  if (rule === undefined) return { findings: [], ids: [] };
  const members = rules.length === 1 && isPlain(rule) ? membersOf(rule.head.value) : undefined;
  if (members === undefined) {
    const text = 'requirements must be one rule without conditions, whose value is one object literal';
    return { findings: [finding('requirements_literal', rule.location, text)], ids: [] };
  }
  const required = new Map<string, Location>();
  const findings: Finding[] = [];
  for (const [key, value] of members) {
    const id = stringOf(key);
    const location = key.location ?? rule.location;
    if (id === undefined || !idForm.test(id)) {
      findings.push(
        finding('requirement_shape', location, 'the name of a requirement must be a literal in lower snake case'),
      );
      continue;
    }
    required.set(id, location);
    findings.push(...lintRequirement(id, value, location));
  }
  if (required.size === 0) {
    findings.push(finding('requirement_shape', rule.location, 'a policy without requirements protects nothing'));
  }
  const { findings: metFindings, met } = lintMet(unit, required);
  findings.push(...metFindings, ...lintDecide(unit, rule));
  for (const [id, location] of required) {
    if (!met.has(id)) {
      const text = `no rule can meet ${id}: there is no \`met contains "${id}"\``;
      findings.push(finding('requirement_unmeetable', location, text));
    }
  }
  return { findings, ids: [...required.keys()] };
}

function lintRequirement(id: string, value: Term, location: Location): readonly Finding[] {
  const members = membersOf(value);
  if (members === undefined) return [finding('requirement_shape', location, `${id} is not an object literal`)];
  const findings: Finding[] = [];
  const texts = new Map<string, string | undefined>();
  for (const [key, inner] of members) {
    const name = stringOf(key);
    const text = stringOf(inner);
    const at = key.location ?? location;
    if (name === undefined || !requirementMembers.has(name)) {
      findings.push(finding('requirement_shape', at, `${id} has a member other than otherwise, message, remedy`));
    } else {
      if (text === undefined || text === '') {
        findings.push(finding('requirement_shape', at, `${id}: ${name} is not a string literal`));
      }
      texts.set(name, text);
    }
  }
  const otherwise = texts.get('otherwise');
  if (!texts.has('otherwise') || (otherwise !== undefined && !effects.has(otherwise))) {
    findings.push(
      finding('requirement_shape', location, `${id}: otherwise is not one of allow, deny, step_up, constrain`),
    );
  }
  if (!texts.has('remedy')) {
    findings.push(
      finding('requirement_shape', location, `${id} has no remedy: say what a caller can do when it is not met`),
    );
  }
  return findings;
}

function lintMet(unit: Package, required: ReadonlyMap<string, Location>) {
  const met = new Set<string>();
  const findings: Finding[] = [];
  for (const rule of rulesNamed(unit.rules, 'met')) {
    const { key, value, ref } = rule.head;
    const id = value === undefined && ref.length === 1 ? stringOf(key) : undefined;
    if (id === undefined) {
      const text =
        'met must be a set of literal ids: `met contains "…" if …`, one rule for each way to meet a requirement';
      findings.push(finding('met_literal', rule.location, text));
    } else if (required.has(id)) met.add(id);
    else findings.push(finding('met_unnamed', rule.location, `no requirement is named ${JSON.stringify(id)}`));
  }
  return { findings, met };
}

/** The requirements are decided on, whole, and by the library. */
function lintDecide(unit: Package, requirements: Rule): readonly Finding[] {
  const calls = unit.modules.flatMap((module) =>
    module.rules.flatMap((rule) => [...within(rule)].flatMap((node) => decideCall(node, module, rule))),
  );
  if (calls.length === 0) {
    return [finding('decides', requirements.location, 'these requirements are not used: call postern.decide')];
  }
  return calls.flatMap(({ operands, location }) => {
    const [first, second, options] = operands;
    const findings: Finding[] = [];
    if (first?.value !== 'requirements' || second?.value !== 'met') {
      findings.push(finding('decides', location, 'pass requirements and met to postern.decide unchanged'));
    }
    for (const [key, value] of membersOf(options) ?? []) {
      const name = stringOf(key);
      const at = key.location ?? location;
      if (name === undefined || !optionNames.has(name)) {
        findings.push(finding('options', at, `an option must be one of ${[...optionNames].join(', ')}`));
      }
      if (name === 'policy' && unit.path[0] === 'policies' && stringOf(value) !== unit.path[1]) {
        findings.push(finding('options', at, `policy must be the package's own name, ${JSON.stringify(unit.path[1])}`));
      }
    }
    return findings;
  });
}

function decideCall(node: unknown, module: Module, rule: Rule) {
  const call = callOf(node);
  if (call === undefined || resolved(call.name, module) !== 'data.postern.decide') return [];
  return [{ operands: call.operands, location: (isTerm(node) ? node.location : undefined) ?? rule.location }];
}

/** No arguments, no conditions, no alternatives, not a default. */
function isPlain(rule: Rule): boolean {
  return (
    rule.head.args === undefined &&
    rule.head.key === undefined &&
    rule.default !== true &&
    rule.else === undefined &&
    rule.body.every((expression) => 'generated' in expression)
  );
}

function finding(rule: LintRule, location: Location, text: string): Finding {
  return { rule, location, text };
}
