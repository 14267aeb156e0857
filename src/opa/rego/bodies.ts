// Tested by test/opa/builtins/rego.long.test.ts.
import type { TokenKind } from './scanner.ts';
import { type Expr, exprOf, nameOfRef, type Term, type With } from './syntax.ts';
import { member, memberWithKey, TermReader } from './terms.ts';

interface Operand {
  readonly body: readonly Expr[];
  readonly explicit: boolean;
  readonly start: number;
}

/** Reads expressions and what is made of them. */
export class BodyReader extends TermReader {
  /** `not` takes a body, which it does where that was imported. */
  protected notBodies = false;

  protected bracedBody(): readonly Expr[] | undefined {
    this.scan();
    const body = this.query(false, '}');
    if (body !== undefined) this.scan();
    return body;
  }

  protected override query(requireSemicolon: boolean, end: TokenKind): readonly Expr[] | undefined {
    if (this.kind === end) return this.error();
    const body: Expr[] = [];
    for (;;) {
      const expr = this.literal();
      if (expr === undefined) return undefined;
      body.push(expr);
      if (this.kind === ';') {
        this.scan();
        continue;
      }
      if (this.kind === end || requireSemicolon) return body;
      if (!this.state.skippedNewline) return this.error();
    }
  }

  protected override literal(): Expr | undefined {
    const start = this.start;
    const expr = this.#literalAt();
    return expr === undefined ? undefined : { ...expr, start };
  }

  #literalAt(): Expr | undefined {
    if (this.kind === '{' && this.logicalKeywords()) {
      const found = this.#bracedOperand();
      if (found !== 'none') return found;
    }
    if (this.kind === '(' && this.logicalKeywords()) {
      const group = this.#group(false);
      if (group !== 'none') return group === undefined ? undefined : this.#logicalTail(group);
    }
    if (this.isRefKeyword()) {
      const next = this.following();
      if (next === '.' || next === '[') {
        this.retag('identifier');
        return this.#literalExpr(false, this.start);
      }
    }
    const start = this.start;
    const negated = this.#isNegated();
    if (negated) this.scan();
    if (negated && this.notBodies && this.kind === '{') {
      const not = this.#notBody(start);
      return not === undefined ? undefined : this.#logicalTail({ body: [not], explicit: false, start });
    }
    if (this.kind === 'some' || this.kind === 'every') {
      if (negated) return this.error();
      return this.kind === 'some' ? this.#some() : this.#every();
    }
    return this.#literalExpr(negated, start);
  }

  /** `{ body } and …`, or `none` where the braces are something else. */
  #bracedOperand(): Expr | undefined | 'none' {
    const before = this.state;
    const remembered = this.remembered;
    const start = this.start;
    const body = this.bracedBody();
    if (body !== undefined && this.isLogical()) {
      if (this.#isAmbiguousUnion(body)) return this.error();
      const chain = this.#orChain({ body, explicit: true, start });
      return chain === undefined ? undefined : this.#withModifiers(chain);
    }
    this.state = before;
    this.remembered = remembered;
    return 'none';
  }

  #isNegated(): boolean {
    if (this.kind !== 'not') return false;
    const next = this.following();
    return next !== '.' && next !== '[';
  }

  #literalExpr(negated: boolean, notStart: number): Expr | undefined {
    if (negated && this.notBodies && this.kind === '(') {
      const group = this.#group(true);
      if (group === undefined) return undefined;
      if (group !== 'none') {
        const not = exprOf({ kind: 'not', body: group.body, explicit: group.explicit }, notStart);
        return this.#logicalTail({ body: [not], explicit: false, start: notStart });
      }
    }
    const start = this.start;
    const plain = this.#expr();
    if (plain === undefined) return undefined;
    const modified = this.#withModifiers({ ...plain, start });
    if (modified === undefined) return undefined;
    let expr = modified;
    if (negated && this.notBodies) {
      const inner = { ...modified, with: [], start: notStart };
      expr = { ...exprOf({ kind: 'not', body: [inner], explicit: false }, notStart), with: modified.with };
    } else if (negated) {
      expr = { ...modified, negated };
    }
    if (!this.isLogical()) return expr;
    // A modifier is for the whole, and an operand in braces is a body.
    if (expr.with.length > 0 || (!negated && this.text.charAt(start) === '{')) return this.error();
    const chain = this.#orChain({ body: [expr], explicit: false, start });
    return chain === undefined ? undefined : this.#withModifiers(chain);
  }

  #withModifiers(expr: Expr): Expr | undefined {
    const modifiers: With[] = [];
    while (this.kind === 'with') {
      this.scan();
      if (this.kind !== 'identifier') return this.error();
      const target = this.term();
      if (target === undefined) return undefined;
      if (target.type !== 'ref' && target.type !== 'var') this.error();
      if (this.kind !== 'as') return this.error();
      this.scan();
      const value = this.infix();
      if (value === undefined) return undefined;
      modifiers.push({ target, value });
    }
    return modifiers.length === 0 ? expr : { ...expr, with: modifiers };
  }

  #some(): Expr | undefined {
    const start = this.start;
    const before = this.state;
    this.scan();
    const term = this.infix();
    if (term?.type === 'call') {
      if (membership(term) === undefined) return this.error();
      return this.#withModifiers(exprOf({ kind: 'some', symbols: [term] }, start));
    }
    this.state = before;
    const symbols: Term[] = [];
    do {
      this.scan();
      if (this.kind !== 'identifier') return this.error();
      symbols.push(this.variable());
      this.scan();
    } while (this.kind === ',');
    return exprOf({ kind: 'some', symbols }, start);
  }

  #every(): Expr | undefined {
    const start = this.start;
    this.scan();
    const term = this.infix();
    if (term === undefined) return undefined;
    const found = membership(term);
    if (found === undefined || found.value.type !== 'var' || (found.key !== undefined && found.key.type !== 'var')) {
      return this.error();
    }
    if (this.kind !== '{') return this.error();
    const body = this.bracedBody();
    return body === undefined ? undefined : this.#withModifiers(exprOf({ kind: 'every', ...found, body }, start));
  }

  #expr(): Expr | undefined {
    const start = this.start;
    const left = this.infix();
    if (left === undefined) return undefined;
    const operator = this.operator([':=', '=']);
    if (operator !== undefined) {
      const right = this.infix();
      return right === undefined ? undefined : exprOf({ kind: 'call', terms: [operator, left, right] }, start);
    }
    return exprOf(left.type === 'call' ? { kind: 'call', terms: left.value } : { kind: 'term', term: left }, start);
  }

  // `not` with a body, `and` and `or`.

  #notBody(start: number): Expr | undefined {
    const body = this.bracedBody();
    if (body === undefined) return undefined;
    if (this.#isAmbiguousUnion(body)) return this.error();
    return exprOf({ kind: 'not', body, explicit: true }, start);
  }

  /** `{ a | b }` could be a comprehension as well. */
  #isAmbiguousUnion([first]: readonly Expr[]): boolean {
    if (first?.terms.kind !== 'call') return false;
    const [operator] = first.terms.terms;
    const infix = operator?.type === 'ref' && operator.infix === true && nameOfRef(operator) === 'or';
    return infix && this.text.charAt(first.start) !== '(';
  }

  #logicalTail(operand: Operand): Expr | undefined {
    const expr = this.isLogical() ? this.#orChain(operand) : operand.body[0];
    return expr === undefined ? undefined : this.#withModifiers(expr);
  }

  #orChain(first: Operand): Expr | undefined {
    let left: Operand | undefined = this.#andChain(first);
    while (left !== undefined && this.kind === 'or') {
      this.scan();
      const operand = this.#logicalOperand();
      const right = operand === undefined ? undefined : this.#andChain(operand);
      if (right === undefined) return undefined;
      left = this.#joined('or', left, right);
    }
    return left?.body[0];
  }

  #andChain(first: Operand): Operand | undefined {
    let left = first;
    while (this.kind === 'and') {
      this.scan();
      const right = this.#logicalOperand();
      if (right === undefined) return undefined;
      left = this.#joined('and', left, right);
    }
    return left;
  }

  #joined(kind: 'and' | 'or', left: Operand, right: Operand): Operand {
    // An expression that only prints cannot fail.
    if (isVoid(left.body) || isVoid(right.body)) this.error();
    const terms = {
      kind,
      left: left.body,
      right: right.body,
      explicitLeft: left.explicit,
      explicitRight: right.explicit,
    };
    return { body: [exprOf(terms, left.start)], explicit: false, start: left.start };
  }

  #logicalOperand(): Operand | undefined {
    const start = this.start;
    if (this.kind === '{') {
      const body = this.bracedBody();
      if (body === undefined) return undefined;
      if (this.#isAmbiguousUnion(body)) this.error();
      return { body, explicit: true, start };
    }
    const negated = this.#isNegated();
    if (negated) this.scan();
    if (negated && this.notBodies && this.kind === '{') {
      const not = this.#notBody(start);
      return not === undefined ? undefined : { body: [not], explicit: false, start };
    }
    if (this.kind === '(' && this.logicalKeywords() && (!negated || this.notBodies)) {
      const group = this.#group(true);
      if (group === undefined) return undefined;
      if (group !== 'none') return negated ? negation(group, start) : group;
    }
    const exprStart = this.start;
    const expr = this.#expr();
    if (expr === undefined) return undefined;
    const operand = { body: [{ ...expr, start: exprStart }], explicit: false, start: exprStart };
    if (!negated) return operand;
    return this.notBodies ? negation(operand, start) : { ...operand, body: [{ ...expr, negated }] };
  }

  /**
   * Operands in parentheses.
   *
   * @returns `none` where they are a term's
   */
  #group(isOperand: boolean): Operand | undefined | 'none' {
    const before = this.state;
    const start = this.start;
    const none = (): 'none' => {
      this.state = before;
      return 'none';
    };
    this.scan();
    if (this.kind === ')') return isOperand ? this.error() : none();
    const left = this.#logicalOperand();
    if (left === undefined) return none();
    const [only] = left.body;
    if (this.isLogical()) {
      const chain = this.#orChain(left);
      const expr = chain === undefined ? undefined : this.#withModifiers(chain);
      return expr !== undefined && this.#closes() ? { body: [expr], explicit: false, start } : undefined;
    }
    if (this.kind === 'with' && !left.explicit && left.body.length === 1 && only !== undefined) {
      const expr = this.#withModifiers(only);
      if (expr === undefined) return undefined;
      if (this.isLogical()) return this.error();
      if (!this.#closes()) return undefined;
      return isOperand || this.isLogical() ? { body: [expr], explicit: false, start } : none();
    }
    if (left.explicit) {
      // Parentheses hold no body: the braces are a value, or an error.
      this.state = before;
      this.scan();
      const term = this.term();
      this.state = before;
      return term === undefined ? this.error() : 'none';
    }
    const kind = left.body.length === 1 ? only?.terms.kind : undefined;
    const grouped =
      kind === 'and' || kind === 'or' || kind === 'not' || (only?.negated === true && left.body.length === 1);
    if (!grouped) return none();
    return this.#closes() ? { body: left.body, explicit: false, start } : undefined;
  }

  #closes(): boolean {
    if (this.kind !== ')') {
      this.error();
      return false;
    }
    this.scan();
    return true;
  }
}

interface Membership {
  readonly key: Term | undefined;
  readonly value: Term;
  readonly domain: Term;
}

/** The parts of `x in xs` or `k, v in xs`; undefined for other terms. */
function membership(term: Term): Membership | undefined {
  if (term.type !== 'call') return undefined;
  const [operator, first, second, third] = term.value;
  const name = nameOfRef(operator);
  if (first === undefined || second === undefined) return undefined;
  if (name === member && third === undefined) return { key: undefined, value: first, domain: second };
  return name === memberWithKey && third !== undefined ? { key: first, value: second, domain: third } : undefined;
}

function negation({ body, explicit }: Operand, start: number): Operand {
  return { body: [exprOf({ kind: 'not', body, explicit }, start)], explicit: false, start };
}

const voidCalls: ReadonlySet<string> = new Set(['print', 'internal.print', 'internal.test_case']);

function isVoid(body: readonly Expr[]): boolean {
  return (
    body.length > 0 &&
    body.every(
      ({ negated, terms }) => !negated && terms.kind === 'call' && voidCalls.has(nameOfRef(terms.terms[0]) ?? ''),
    )
  );
}
