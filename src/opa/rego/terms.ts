// Tested by test/opa/builtins/rego.long.test.ts.
import { isNumberToOpa } from '../../text/decimal.ts';
import { callOf, type Expr, nameOfRef, refOf, stringTerm, type Term, varTerm } from './syntax.ts';
import { type State, TokenReader } from './token-reader.ts';

export const operators: Readonly<Record<string, string>> = {
  '+': 'plus',
  '-': 'minus',
  '*': 'mul',
  '/': 'div',
  '%': 'rem',
  '&': 'and',
  '|': 'or',
  '=': 'eq',
  '==': 'equal',
  ':=': 'assign',
  '!=': 'neq',
  '>': 'gt',
  '<': 'lt',
  '>=': 'gte',
  '<=': 'lte',
};
const relations = ['==', '!=', '<', '>', '<=', '>='];
/** From what binds least to what binds most. */
const levels: readonly (readonly string[])[] = [relations, ['|'], ['&'], ['+', '-'], ['*', '/', '%']];

export const roots: ReadonlySet<string> = new Set(['data', 'input']);
export const member = 'internal.member_2';
export const memberWithKey = 'internal.member_3';

/** Reads terms. Comprehensions hold bodies, which those who know statements read. */
export abstract class TermReader extends TokenReader {
  protected abstract query(requireSemicolon: boolean, end: string): readonly Expr[] | undefined;
  protected abstract literal(): Expr | undefined;

  protected infix(): Term | undefined {
    return this.#in(undefined, true);
  }

  #infixInList(): Term | undefined {
    return this.#in(undefined, false);
  }

  /** `in`, which may have two operands on its left. */
  #in(given: Term | undefined, withKey: boolean): Term | undefined {
    let left = given ?? this.#binary(0);
    for (;;) {
      if (left === undefined) return undefined;
      let call: Term | undefined;
      if (withKey && this.kind === ',') {
        const before = this.state;
        this.scan();
        const value = this.#binary(0);
        if (value !== undefined && this.kind === 'in') {
          this.scan();
          const domain = this.#binary(0);
          if (domain !== undefined) call = callOf(namedOperator(memberWithKey), left, value, domain);
        }
        if (call === undefined) this.state = before;
      }
      if (call === undefined) {
        this.keywordAsRef();
        if (this.kind !== 'in') return left;
        this.scan();
        const domain = this.#binary(0);
        if (domain === undefined) return left;
        call = callOf(namedOperator(member), left, domain);
      }
      if (this.kind !== 'in') return call;
      left = call;
    }
  }

  #binary(level: number): Term | undefined {
    const names = levels[level];
    if (names === undefined) return this.term();
    let left = this.#binary(level + 1);
    while (left !== undefined && names.includes(this.kind)) {
      const operator = this.operator(names) as Term;
      const right = this.#binary(level + 1);
      // The error is kept; the text before it is the term.
      if (right === undefined) return left;
      left = callOf(operator, left, right);
    }
    return left;
  }

  protected operator(kinds: readonly string[]): Term | undefined {
    if (!kinds.includes(this.kind)) return undefined;
    const name = operators[this.kind] ?? this.kind;
    this.scan();
    return { type: 'ref', value: [varTerm(name)], infix: true };
  }

  protected term(): Term | undefined {
    return this.rememberedTerm(() => this.#freshTerm());
  }

  #freshTerm(): Term | undefined {
    // `and(a, b)` is a call.
    if (this.isLogical() && this.following() === '(') this.retag('identifier');
    if (this.kind === '-') {
      const before = this.state;
      this.scan();
      if (this.kind === 'identifier' || this.kind === 'contains') {
        const operand = this.#finished(this.variable());
        const zero: Term = { type: 'number', value: '0' };
        return operand === undefined ? undefined : callOf(refOf(varTerm('minus')), zero, operand);
      }
      this.state = before;
    }
    const term = this.#simpleTerm();
    return term === undefined ? undefined : this.#finished(term);
  }

  #simpleTerm(): Term | undefined {
    switch (this.kind) {
      case 'null':
        return { type: 'null' };
      case 'true':
      case 'false':
        return { type: 'boolean', value: this.kind === 'true' };
      case '-':
      case '.':
      case 'number':
        return this.#number();
      case 'string':
        return this.#string();
      case 'template part':
      case 'template end':
        return this.#template();
      case 'identifier':
      case 'contains':
        return this.variable();
      case '[':
        return this.#array();
      case '{':
        return this.#setOrObject();
      case '(': {
        this.scan();
        const term = this.infix();
        if (term !== undefined && this.kind !== ')') return this.error();
        return term;
      }
      default:
        return this.error();
    }
  }

  #finished(head: Term): Term | undefined {
    this.scan(false);
    if (this.kind === '(' || this.kind === '.' || this.kind === '[') return this.ref(head);
    if (this.kind === 'space') this.scan();
    return asRoot(head);
  }

  protected variable(): Term {
    const { text } = this.state.token;
    return text === '_' ? this.wildcard() : varTerm(text);
  }

  protected wildcard(): Term {
    const { wildcards } = this.state;
    this.state = { ...this.state, wildcards: wildcards + 1 };
    return varTerm(`$${wildcards}`);
  }

  #number(): Term | undefined {
    let prefix = '';
    for (const [mark, ...next] of [
      ['-', '.', 'number'],
      ['.', 'number'],
    ]) {
      if (mark === undefined || this.state.token.text !== mark) continue;
      prefix += mark;
      this.scan();
      if (!next.includes(this.kind)) return this.error();
    }
    const { text } = this.state.token;
    if (!prefix.endsWith('.') && /^0[^.eE]|^0[eE]$/.test(text)) return this.error();
    const value = prefix + text;
    if (!/^-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?$/.test(value)) return this.error();
    if (!isNumberToOpa(value)) return this.error();
    return { type: 'number', value };
  }

  #string(): Term | undefined {
    const { text } = this.state.token;
    if (text.startsWith('`')) return stringTerm(text.slice(1, -1));
    const value = unescaped(text.slice(1, -1));
    return value === undefined ? this.error() : stringTerm(value);
  }

  #template(): Term | undefined {
    const raw = this.text.charAt(this.start) === '`';
    const parts: (Term | Expr)[] = [];
    for (;;) {
      const text = templateText(this.state.token.text, raw);
      if (text === undefined) return this.error();
      if (text !== '') parts.push(stringTerm(text));
      if (this.kind === 'template end') return { type: 'templatestring', parts, multiLine: raw };
      const { comments } = this.state;
      this.scan();
      const commented = comments !== this.state.comments;
      const expr = this.literal();
      if (expr === undefined) return this.error();
      const { terms, negated } = expr;
      const operator = terms.kind === 'call' ? nameOfRef(terms.terms[0]) : undefined;
      const unfit = ['eq', 'assign'].includes(operator ?? '') || terms.kind === 'every' || terms.kind === 'some';
      if (negated || unfit) return this.error();
      const constant =
        terms.kind === 'term' && ['string', 'number', 'boolean', 'null'].includes(terms.term.type) && !commented;
      parts.push(constant ? terms.term : expr);
      if (this.kind !== '}') return this.error();
      this.scanTemplate(raw);
      if (this.kind !== 'template part' && this.kind !== 'template end') return this.error();
    }
  }

  #call(operator: Term): Term | undefined {
    this.scan();
    if (this.kind === ')') {
      this.scan(false);
      return nameOfRef(operator) === 'set' ? { type: 'set', value: [] } : callOf(operator);
    }
    const operands = this.#list(')');
    if (operands === undefined) return undefined;
    this.scan(false);
    return callOf(operator, ...operands);
  }

  protected ref(head: Term): Term | undefined {
    if (['null', 'boolean', 'number', 'string', 'ref', 'templatestring'].includes(head.type)) this.error();
    const parts = [head];
    for (;;) {
      switch (this.kind) {
        case '.':
          this.scan(false);
          if (this.kind !== 'identifier' && !this.isRefKeyword()) return this.error();
          parts.push(stringTerm(this.state.token.text));
          this.scan(false);
          break;
        case '(': {
          const call = this.#call(refOf(...parts));
          if (call === undefined) return undefined;
          if (this.kind === '.' || this.kind === '[') return this.ref(call);
          if (this.kind === 'space') this.scan();
          return call;
        }
        case '[': {
          this.scan();
          const part = this.infix();
          if (part === undefined) return undefined;
          if (this.kind !== ']') return this.error();
          parts.push(part);
          this.scan(false);
          break;
        }
        case 'space':
          this.scan();
          return refOf(...parts);
        default:
          return refOf(...parts);
      }
    }
  }

  #array(): Term | undefined {
    this.scan();
    if (this.kind === ']') return { type: 'array', value: [] };
    const comprehends = this.kind !== ',';
    if (!comprehends) this.scan();
    const before = this.state;
    const head = this.term();
    if (head === undefined) return undefined;
    if (this.kind === ']') return { type: 'array', value: [head] };
    if (this.kind === ',') return this.#collection('array', ']', head);
    if (this.kind === '|' && comprehends) {
      this.scan();
      const body = this.query(false, ']');
      if (body !== undefined) return { type: 'arraycomprehension', term: head, body };
      if (this.kind !== ',') return undefined;
    }
    this.state = before;
    return this.#collection('array', ']');
  }

  /** The rest of a list, from the comma behind its first member on, or all of it. */
  #collection(type: 'array' | 'set', end: string, first?: Term): Term | undefined {
    if (first !== undefined) this.scan();
    const rest = this.#list(end);
    if (rest === undefined) return undefined;
    return { type, value: first === undefined ? rest : [first, ...rest] };
  }

  #list(end: string): readonly Term[] | undefined {
    const list: Term[] = [];
    while (this.kind !== end) {
      const term = this.#infixInList();
      if (term === undefined) return undefined;
      list.push(term);
      if (this.kind === end) break;
      if (this.kind !== ',') return this.error();
      this.scan();
    }
    return list;
  }

  #setOrObject(): Term | undefined {
    this.scan();
    if (this.kind === '}') return { type: 'object', value: [] };
    const comprehends = this.kind !== ',';
    if (!comprehends) this.scan();
    const before = this.state;
    const head = this.term();
    if (head === undefined) return undefined;
    if ((this.kind === '|' && comprehends) || this.kind === '}' || this.kind === ',') {
      return this.#set(before, head, comprehends);
    }
    if (this.kind === ':') return this.#object(head, comprehends);
    this.state = before;
    const wider = this.#infixInList();
    if (wider === undefined) return undefined;
    if (this.kind === '}' || this.kind === ',') return this.#set(before, wider, false);
    if (this.kind === ':') return this.#object(wider, comprehends);
    return this.error();
  }

  #set(before: State, head: Term, comprehends: boolean): Term | undefined {
    if (this.kind === '}') return { type: 'set', value: [head] };
    if (this.kind === ',') return this.#collection('set', '}', head);
    if (comprehends) {
      this.scan();
      const body = this.query(false, '}');
      if (body !== undefined) return { type: 'setcomprehension', term: head, body };
      if (this.kind !== ',') return undefined;
    }
    this.state = before;
    return this.#collection('set', '}');
  }

  #object(key: Term, comprehends: boolean): Term | undefined {
    this.scan();
    const before = this.state;
    const value = this.term();
    if (value === undefined) return undefined;
    if (comprehends && (this.kind === '}' || this.kind === ',')) return this.#objectEnd(key, value);
    if (comprehends && this.kind === '|') {
      this.scan();
      const body = this.query(false, '}');
      if (body !== undefined) return { type: 'objectcomprehension', key, value, body };
    }
    this.state = before;
    const wider = this.#infixInList();
    if (wider === undefined) return undefined;
    return this.kind === '}' || this.kind === ',' ? this.#objectEnd(key, wider) : this.error();
  }

  #objectEnd(key: Term, value: Term): Term | undefined {
    const pairs: (readonly [Term, Term])[] = [[key, value]];
    while (this.kind !== '}') {
      if (this.kind !== ',') return this.error();
      this.scan();
      if (this.kind === '}') break;
      const name = this.#infixInList();
      if (name === undefined) return undefined;
      if (this.kind !== ':') return this.error();
      this.scan();
      const member = this.#infixInList();
      if (member === undefined) return undefined;
      pairs.push([name, member]);
    }
    return { type: 'object', value: pairs };
  }
}

/** `data` and `input` are references, even alone. */
export function asRoot(term: Term): Term {
  return term.type === 'var' && roots.has(term.value) ? refOf(term) : term;
}

function namedOperator(name: string): Term {
  const [first = '', ...rest] = name.split('.');
  return refOf(varTerm(first), ...rest.map(stringTerm));
}

function unescaped(inner: string): string | undefined {
  if (!inner.includes('\\')) return inner;
  try {
    return (JSON.parse(`"${inner}"`) as string).toWellFormed();
  } catch {
    return undefined;
  }
}

function templateText(text: string, raw: boolean): string | undefined {
  if (raw) return text.replaceAll('\\{', '{');
  return unescaped(text.replace(/\\([\s\S])/g, (pair, escapedOne: string) => (escapedOne === '{' ? '{' : pair)));
}
