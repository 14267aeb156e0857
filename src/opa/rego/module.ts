// Tested by test/opa/builtins/rego.long.test.ts.
import { BuiltinError } from '../values/builtin.ts';
import { builtinNames } from './builtin-names.ts';
import { type Parsed, parseRego, type Statement } from './parser.ts';
import { keywordsOfV1 } from './scanner.ts';
import { type Expr, type Head, nameOfRef, type Ref, type Rule, type Term, trueBody, trueTerm } from './syntax.ts';

export interface Module {
  readonly path: Ref;
  readonly imports: readonly (Statement & { readonly kind: 'import' })[];
  readonly rules: readonly Rule[];
  readonly comments: Parsed['comments'];
}

/**
 * A module of Rego v1 as OPA's `ast.ParseModule` returns it.
 *
 * @throws BuiltinError
 */
export function parseModule(text: string, charge: (units: number) => void): Module {
  const { statements, comments } = parseRego(text, charge);
  const [first, ...rest] = statements;
  if (first?.kind !== 'package') throw refused('package expected');
  const imports: (Statement & { kind: 'import' })[] = [];
  const rules: Rule[] = [];
  for (const statement of rest) {
    if (statement.kind === 'package') throw refused('unexpected package');
    if (statement.kind === 'import') imports.push(statement);
    else if (statement.kind === 'rule') rules.push(statement.rule);
    else rules.push({ ...ruleOfBody(statement.body), bodyGenerated: true });
  }
  for (const rule of rules) checkRule(rule);
  return { path: first.path, imports, rules, comments };
}

function refused(reason: string): BuiltinError {
  return new BuiltinError(`rego_parse_error: ${reason}`);
}

/** An expression on its own declares a rule. */
function ruleOfBody([expr, more]: readonly Expr[]): Rule {
  if (expr === undefined || more !== undefined) throw refused('multiple expressions cannot be used for rule head');
  const { terms } = expr;
  if (expr.with.length > 0 || expr.negated) throw refused('expression cannot be used for rule head');
  if (terms.kind === 'term') return ruleOf(headOfTerm(terms.term), expr);
  if (terms.kind !== 'call') throw refused('expression cannot be used for rule head');
  const [operator, left, right] = terms.terms;
  const name = nameOfRef(operator);
  if ((name === 'eq' || name === 'assign') && left !== undefined && right !== undefined) {
    return ruleOf({ ...headOfEquality(left, right), assign: name === 'assign' }, expr);
  }
  if (name !== undefined && builtinNames.has(name)) throw refused('rule name conflicts with built-in function');
  const [first] = operator?.type === 'ref' ? operator.value : [];
  if (operator?.type !== 'ref' || first?.type !== 'var' || left === undefined) throw refused('invalid rule head');
  return ruleOf({ ...headOf(operator.value), value: trueTerm, args: terms.terms.slice(1) }, expr);
}

function ruleOf(head: Head, { start }: Expr): Rule {
  return { head, body: trueBody(start), bodyGenerated: true, isDefault: false };
}

function headOf(ref: Ref): Head {
  const [first] = ref;
  if (first?.type !== 'var') throw refused('invalid rule head');
  const name = ref.length === 1 ? first.value : '';
  return { name, ref, args: [], assign: false, valueGenerated: false, keywords: [] };
}

function headOfTerm(term: Term): Head {
  if (term.type !== 'ref') throw refused(`${term.type} cannot be used for rule name`);
  const [first, second] = term.value;
  if (term.value.length > 2) return { ...headOf(term.value), value: trueTerm, valueGenerated: true };
  if (first?.type !== 'var' || second === undefined) throw refused('invalid rule head');
  return { ...headOf([first]), key: second };
}

function headOfEquality(left: Term, right: Term): Head {
  if (left.type === 'call' && left.value[0]?.type === 'ref' && left.value[0].value[0]?.type === 'var') {
    return { ...headOf(left.value[0].value), value: right, args: left.value.slice(1) };
  }
  if (left.type === 'var') return { ...headOf([left]), value: right };
  if (left.type !== 'ref') throw refused(`${left.type} cannot be used for rule name`);
  const [first, second] = left.value;
  const head = { ...headOf(left.value), value: right };
  if (left.value.length !== 2 || first?.type !== 'var' || second === undefined) return head;
  return { ...head, name: first.value, key: second };
}

/** The rules of Rego v1 for a rule and for its `else` branches. */
function checkRule(rule: Rule): void {
  const { head, bodyGenerated, isDefault, otherwise } = rule;
  const named = head.ref.length < 2 && keywordsOfV1.has(head.name);
  const empty = bodyGenerated && head.valueGenerated;
  const withoutIf = !bodyGenerated && !head.keywords.includes('if') && !isDefault;
  const withoutContains = head.value === undefined && !head.keywords.includes('contains');
  if (named || empty || withoutIf || withoutContains) throw refused('not a rule of Rego v1');
  if (otherwise !== undefined) checkRule(otherwise);
}
