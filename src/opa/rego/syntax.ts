// Tested by test/opa/builtins/rego.long.test.ts.
import { compareDecimals } from '../../text/decimal.ts';
import { compareStrings } from '../../text/utf8-order.ts';

// Rego's syntax as OPA's own tree has it, without the places in the text.

export type Term =
  | { readonly type: 'null' }
  | { readonly type: 'boolean'; readonly value: boolean }
  | { readonly type: 'number' | 'string' | 'var'; readonly value: string }
  | { readonly type: 'templatestring'; readonly parts: readonly (Term | Expr)[]; readonly multiLine: boolean }
  | { readonly type: 'ref' | 'array' | 'set' | 'call'; readonly value: readonly Term[]; readonly infix?: boolean }
  | { readonly type: 'object'; readonly value: readonly (readonly [Term, Term])[] }
  | {
      readonly type: 'arraycomprehension' | 'setcomprehension';
      readonly term: Term;
      readonly body: readonly Expr[];
    }
  | { readonly type: 'objectcomprehension'; readonly key: Term; readonly value: Term; readonly body: readonly Expr[] };

export type Ref = readonly Term[];

export type Terms =
  | { readonly kind: 'term'; readonly term: Term }
  | { readonly kind: 'call'; readonly terms: readonly Term[] }
  | { readonly kind: 'some'; readonly symbols: readonly Term[] }
  | {
      readonly kind: 'every';
      readonly key: Term | undefined;
      readonly value: Term;
      readonly domain: Term;
      readonly body: readonly Expr[];
    }
  | { readonly kind: 'not'; readonly body: readonly Expr[]; readonly explicit: boolean }
  | {
      readonly kind: 'and' | 'or';
      readonly left: readonly Expr[];
      readonly right: readonly Expr[];
      readonly explicitLeft: boolean;
      readonly explicitRight: boolean;
    };

export interface With {
  readonly target: Term;
  readonly value: Term;
}

export interface Expr {
  readonly terms: Terms;
  readonly negated: boolean;
  readonly with: readonly With[];
  /** Generated, not in the source. */
  readonly generated?: boolean;
  /** Where it begins in the text. */
  readonly start: number;
}

export interface Head {
  readonly name: string;
  readonly ref: Ref;
  readonly args: readonly Term[];
  readonly key?: Term;
  readonly value?: Term;
  readonly assign: boolean;
  /** The value was not written. */
  readonly valueGenerated: boolean;
  readonly keywords: readonly ('if' | 'contains')[];
  /** The parts that were written for the rule before. */
  readonly copied?: 'all' | 'all but its value';
}

export interface Rule {
  readonly head: Head;
  readonly body: readonly Expr[];
  readonly bodyGenerated: boolean;
  readonly isDefault: boolean;
  readonly otherwise?: Rule;
}

export const trueTerm: Term = { type: 'boolean', value: true };

export function exprOf(terms: Terms, start: number): Expr {
  return { terms, negated: false, with: [], start };
}

/** The body of what needs none. */
export function trueBody(start: number): readonly Expr[] {
  return [{ ...exprOf({ kind: 'term', term: trueTerm }, start), generated: true }];
}

export function stringTerm(value: string): Term {
  return { type: 'string', value };
}

export function varTerm(value: string): Term {
  return { type: 'var', value };
}

export function refOf(...value: readonly Term[]): Term & { readonly type: 'ref' | 'array' | 'set' | 'call' } {
  return { type: 'ref', value };
}

/** A call's terms: the operator, and what it is called with. */
export function callOf(operator: Term, ...operands: readonly Term[]): Term {
  return { type: 'call', value: [operator, ...operands] };
}

/** A reference as it is written, for names alone. */
export function nameOfRef(term: Term | undefined): string | undefined {
  if (term?.type !== 'ref') return undefined;
  const names: string[] = [];
  for (const [index, part] of term.value.entries()) {
    if (part.type !== (index === 0 ? 'var' : 'string')) return undefined;
    names.push(part.value);
  }
  return names.join('.');
}

/** Whether it is the same whatever the variables are. */
export function isGround(term: Term): boolean {
  switch (term.type) {
    case 'var':
    case 'templatestring':
      return false;
    case 'ref':
      return term.value.slice(1).every(isGround);
    case 'array':
    case 'set':
    case 'call':
      return term.value.every(isGround);
    case 'object':
      return term.value.every(([key, value]) => isGround(key) && isGround(value));
    case 'arraycomprehension':
    case 'setcomprehension':
      return isGround(term.term) && term.body.every(isGroundExpr);
    case 'objectcomprehension':
      return isGround(term.key) && isGround(term.value) && term.body.every(isGroundExpr);
    default:
      return true;
  }
}

/** As OPA has it: without a look at what is called, or at modifiers. */
function isGroundExpr({ terms }: Expr): boolean {
  switch (terms.kind) {
    case 'term':
      return isGround(terms.term);
    case 'call':
      return terms.terms.slice(1).every(isGround);
    case 'not':
      return terms.body.every(isGroundExpr);
    case 'and':
    case 'or':
      return terms.left.every(isGroundExpr) && terms.right.every(isGroundExpr);
    default:
      return false;
  }
}

const order: Readonly<Record<Term['type'], number>> = {
  null: 0,
  boolean: 1,
  number: 2,
  string: 3,
  templatestring: 4,
  var: 5,
  ref: 6,
  array: 7,
  object: 8,
  set: 9,
  arraycomprehension: 10,
  objectcomprehension: 11,
  setcomprehension: 12,
  call: 13,
};

/** OPA's order of terms, which sets and objects are written in. */
export function compareTerms(a: Term, b: Term): number {
  if (a.type !== b.type) return order[a.type] - order[b.type];
  switch (a.type) {
    case 'null':
      return 0;
    case 'boolean':
      return Number(a.value) - Number((b as typeof a).value);
    case 'number':
      return compareDecimals(a.value, (b as typeof a).value);
    case 'string':
    case 'var':
      return compareStrings(a.value, (b as typeof a).value);
    case 'object': {
      const left = sortedPairs(a.value);
      const right = sortedPairs((b as typeof a).value);
      return compareLists(left, right, ([k, v], [l, w]) => compareTerms(k, l) || compareTerms(v, w));
    }
    case 'set':
      return compareLists(a.value.toSorted(compareTerms), (b as typeof a).value.toSorted(compareTerms), compareTerms);
    case 'arraycomprehension':
    case 'setcomprehension':
      return compareTerms(a.term, (b as typeof a).term) || compareBodies(a.body, (b as typeof a).body);
    case 'objectcomprehension': {
      const other = b as typeof a;
      return compareTerms(a.key, other.key) || compareTerms(a.value, other.value) || compareBodies(a.body, other.body);
    }
    case 'templatestring': {
      const other = b as typeof a;
      if (a.multiLine !== other.multiLine) return a.multiLine ? 1 : -1;
      return a.parts.length - other.parts.length || compareLists(a.parts, other.parts, compareParts);
    }
    default:
      return compareLists(a.value, (b as typeof a).value, compareTerms);
  }
}

export function sortedPairs(pairs: readonly (readonly [Term, Term])[]): readonly (readonly [Term, Term])[] {
  return pairs.toSorted(([a], [b]) => compareTerms(a, b));
}

function compareLists<T>(a: readonly T[], b: readonly T[], compare: (a: T, b: T) => number): number {
  for (const [index, left] of a.entries()) {
    const right = b[index];
    if (right === undefined) return 1;
    const found = compare(left, right);
    if (found !== 0) return found;
  }
  return a.length - b.length;
}

function compareParts(a: Term | Expr, b: Term | Expr): number {
  if ('type' in a) return 'type' in b ? compareTerms(a, b) : -1;
  return 'type' in b ? 1 : compareExprs(a, b);
}

function compareBodies(a: readonly Expr[], b: readonly Expr[]): number {
  return compareLists(a, b, compareExprs);
}

const kinds: readonly Terms['kind'][] = ['some', 'term', 'call', 'every', 'not', 'and', 'or'];

function compareExprs(a: Expr, b: Expr): number {
  const byKind = kinds.indexOf(a.terms.kind) - kinds.indexOf(b.terms.kind);
  if (byKind !== 0) return byKind;
  if (a.negated !== b.negated) return a.negated ? 1 : -1;
  return (
    compareInside(a.terms, b.terms) ||
    compareLists(a.with, b.with, (x, y) => compareTerms(x.target, y.target) || compareTerms(x.value, y.value))
  );
}

/** Both of one kind. */
function compareInside(a: Terms, b: Terms): number {
  switch (a.kind) {
    case 'term':
      return compareTerms(a.term, (b as typeof a).term);
    case 'call':
      return compareLists(a.terms, (b as typeof a).terms, compareTerms);
    case 'some':
      return compareLists(a.symbols, (b as typeof a).symbols, compareTerms);
    case 'every': {
      const other = b as typeof a;
      const keys = a.key === undefined || other.key === undefined ? undefined : compareTerms(a.key, other.key);
      return (
        (keys ?? Number(a.key !== undefined) - Number(other.key !== undefined)) ||
        compareTerms(a.value, other.value) ||
        compareTerms(a.domain, other.domain) ||
        compareBodies(a.body, other.body)
      );
    }
    case 'not':
      return compareBodies(a.body, (b as typeof a).body);
    default:
      return compareBodies(a.left, (b as typeof a).left) || compareBodies(a.right, (b as typeof a).right);
  }
}
