// Tested by test/author/lint.test.ts.
import {
  branches,
  callOf,
  type Expression,
  isExpression,
  isTerm,
  pathOf,
  type Rule,
  type Term,
  within,
} from '../rego-ast.ts';
import type { Finding } from './finding.ts';
import { isLibrary, type Package } from './package.ts';

const orderings: ReadonlySet<string> = new Set(['lt', 'lte', 'gt', 'gte']);
const equalities: ReadonlySet<string> = new Set(['equal', 'neq']);
const assignments: ReadonlySet<string> = new Set(['assign', 'eq']);
const measures: ReadonlySet<string> = new Set(['age', 'ages', 'score', 'scores', 'level', 'levels']);

/** The origin of a name in a rule: a local variable's source, or another rule's value. */
type Origins = ReadonlyMap<string, Term>;

/**
 * Conditions that an absent or odd value would turn the wrong way. Rego orders null and booleans before every number, so
 * that `null <= 30` holds; and what is undefined makes `not` hold.
 */
export function lintConditions(unit: Package): readonly Finding[] {
  if (isLibrary(unit)) return [];
  const aliases = new Map(unit.rules.flatMap(aliasOf));
  return unit.rules.flatMap((rule) => lintRule(rule, aliases));
}

function lintRule(rule: Rule, aliases: Origins): readonly Finding[] {
  const findings: Finding[] = [];
  if (rule.default === true && rule.head.value?.type === 'boolean' && rule.head.value.value === true) {
    const text = 'a default of true hides typos; make the rule true only where its condition is known to hold';
    findings.push({ rule: 'default_true', location: rule.location, text });
  }
  const origins = new Map([...aliases, ...localsOf(rule)]);
  for (const node of within(rule)) {
    const location = (isTerm(node) || isExpression(node) ? node.location : undefined) ?? rule.location;
    const compared = comparison(node, origins);
    if (compared !== undefined) findings.push({ rule: 'bare_comparison', location, text: compared });
    if (isExpression(node) && node.negated === true && opensWhenUnknown(node, rule, origins)) {
      const text =
        '`not` is true for unknown values; compare with a known value, e.g. `input.device.jailbroken == false`';
      findings.push({ rule: 'unknown_is_met', location, text });
    }
  }
  return findings;
}

function comparison(node: unknown, origins: Origins): string | undefined {
  const call = callOf(node);
  if (call === undefined) return undefined;
  const { name, operands } = call;
  const measured = operands.find((operand) => isMeasure(operand, origins));
  const isUnification = name === 'eq' && operands.every((operand) => operand.type !== 'var');
  if (measured !== undefined && (orderings.has(name) || equalities.has(name) || isUnification)) {
    return `compare ${shown(measured)} through the library: postern.fresh, at_most, at_least, risk_at_most; or name the levels, with \`in\``;
  }
  const asked = orderings.has(name) ? operands.find((operand) => isFromInput(operand, origins)) : undefined;
  return asked === undefined
    ? undefined
    : `${shown(asked)} may be null, which is less than every number: use postern.at_most or postern.at_least`;
}

/** In `met` any `not` does; elsewhere one on what the input may or may not hold. */
function opensWhenUnknown(expression: Expression, rule: Rule, origins: Origins): boolean {
  return (
    rule.head.ref[0]?.value === 'met' ||
    [...within(expression.terms)].some((node) => isTerm(node) && isFromInput(node, origins))
  );
}

function isMeasure(term: Term, origins: Origins, depth = 0): boolean {
  const path = pathOf(term);
  if (path === undefined) return false;
  const last = path.at(-1);
  if (last?.split('_').some((word) => measures.has(word)) === true) return true;
  const origin = path.length === 1 ? origins.get(last ?? '') : undefined;
  return origin !== undefined && depth < 8 && isMeasure(origin, origins, depth + 1);
}

function isFromInput(term: Term, origins: Origins, depth = 0): boolean {
  const root = pathOf(term)?.[0];
  if (root === undefined) return false;
  if (root === 'input') return true;
  const origin = origins.get(root);
  return origin !== undefined && depth < 8 && isFromInput(origin, origins, depth + 1);
}

/** `level := input.trust.risk_level`: a comparison of `level` compares that member. */
function aliasOf(rule: Rule): readonly (readonly [string, Term])[] {
  const { name, value, args } = rule.head;
  return name === undefined || value?.type !== 'ref' || args !== undefined ? [] : [[name, value]];
}

function localsOf(rule: Rule): readonly (readonly [string, Term])[] {
  const locals: (readonly [string, Term])[] = [];
  for (const branch of branches(rule)) {
    for (const node of within(branch)) {
      const call = callOf(node);
      if (call !== undefined && assignments.has(call.name)) locals.push(...binding(call.operands[0], call.operands[1]));
      // `some x in input.grants`: member_2(x, input.grants); with a key, member_3(key, x, input.grants).
      if (call?.name === 'internal.member_2' || call?.name === 'internal.member_3') {
        for (const variable of call.operands.slice(0, -1)) locals.push(...binding(variable, call.operands.at(-1)));
      }
      if (isEvery(node)) {
        locals.push(...binding(node.value, node.domain), ...binding(node.key ?? undefined, node.domain));
      }
    }
  }
  return locals;
}

function binding(variable: Term | undefined, source: Term | undefined): readonly (readonly [string, Term])[] {
  return variable?.type === 'var' && source !== undefined && source.type !== 'call'
    ? [[String(variable.value), source]]
    : [];
}

function isEvery(node: unknown): node is { readonly key: Term | null; readonly value: Term; readonly domain: Term } {
  return typeof node === 'object' && node !== null && 'domain' in node && 'body' in node && 'value' in node;
}

function shown(term: Term): string {
  return (pathOf(term) ?? []).map((part) => part ?? '[…]').join('.');
}
