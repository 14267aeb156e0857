// Tested by test/opa/builtins/rego.long.test.ts.
import { BuiltinError } from '../values/builtin.ts';
import type { Charge } from '../values/charge.ts';
import { integer } from '../values/operands.ts';
import { RegoNumber, RegoObject, type Value } from '../values/value.ts';
import type { Module } from './module.ts';
import { compareTerms, type Expr, type Head, type Rule, sortedPairs, type Term, type Terms } from './syntax.ts';

/** A module as OPA's encoding of its own tree has it. */
export function moduleValue(file: string, text: string, module: Module, charge: Charge): Value {
  const { path, imports, rules, comments } = module;
  const tree = new TreeWriter(charge, null);
  return RegoObject.of({
    package: RegoObject.of({ path: tree.list(path) }),
    ...unlessEmpty(
      'imports',
      imports.map((one) =>
        RegoObject.of({ path: tree.term(one.path), ...(one.alias === '' ? {} : { alias: one.alias }) }),
      ),
    ),
    ...unlessEmpty(
      'rules',
      rules.map((rule) => tree.rule(rule)),
    ),
    ...unlessEmpty('comments', commentValues(file, text, comments, charge)),
  });
}

function unlessEmpty(name: string, list: readonly Value[]): Readonly<Record<string, Value>> {
  return list.length === 0 ? {} : { [name]: list };
}

function commentValues(file: string, text: string, comments: Module['comments'], charge: Charge): readonly Value[] {
  let row = 1;
  let line = 0;
  return comments.map((comment) => {
    charge(4);
    for (let end = text.indexOf('\n', line); end >= 0 && end < comment.start; end = text.indexOf('\n', line)) {
      row++;
      line = end + 1;
    }
    const col = [...text.slice(line, comment.start)].length + 1;
    return RegoObject.of({
      Text: commentValue(comment.text),
      Location: RegoObject.of({ file, row: integer(row), col: integer(col) }),
    });
  });
}

/** Without what carriage returns stand at the end, but for one that would be all there is behind others. */
function commentValue(text: string): Value {
  if (text === '\r') return null;
  let { length } = text;
  while (length > 1 && text.charAt(length - 1) === '\r') length--;
  return Buffer.from(text.slice(0, length)).toString('base64');
}

class TreeWriter {
  readonly #charge: Charge;
  /** The parts of an empty template string. */
  readonly #noParts: null | readonly [];

  constructor(charge: Charge, noParts: null | readonly []) {
    this.#charge = charge;
    this.#noParts = noParts;
  }

  rule({ head, body, isDefault, otherwise }: Rule): Value {
    this.#charge(2);
    return RegoObject.of({
      head: this.#head(head),
      body: this.#body(body),
      ...(isDefault ? { default: true } : {}),
      ...(otherwise === undefined ? {} : { else: this.rule(otherwise) }),
    });
  }

  #head({ name, ref, args, key, value, assign, copied }: Head): Value {
    // Where OPA's parser copies what has no parts, it comes to have an empty list of them.
    const copy = copied === undefined ? this : new TreeWriter(this.#charge, []);
    const writer = copied === 'all' ? copy : this;
    return RegoObject.of({
      ...(name === '' ? {} : { name }),
      ref: copy.list(ref),
      ...unlessEmpty('args', copy.list(args)),
      ...(key === undefined ? {} : { key: copy.term(key) }),
      ...(value === undefined ? {} : { value: writer.term(value) }),
      ...(assign ? { assign } : {}),
    });
  }

  #body(body: readonly Expr[]): Value {
    return body.map((expr, index) => this.#expr(expr, index));
  }

  #expr({ terms, negated, generated, with: modifiers }: Expr, index: number): Value {
    return RegoObject.of({
      index: integer(index),
      terms: this.#terms(terms),
      ...(generated === true ? { generated } : {}),
      ...(negated ? { negated } : {}),
      ...unlessEmpty(
        'with',
        modifiers.map(({ target, value }) => RegoObject.of({ target: this.term(target), value: this.term(value) })),
      ),
    });
  }

  #terms(terms: Terms): Value {
    switch (terms.kind) {
      case 'term':
        return this.term(terms.term);
      case 'call':
        return this.list(terms.terms);
      case 'some':
        return RegoObject.of({ symbols: this.list(terms.symbols) });
      case 'every':
        return RegoObject.of({
          key: terms.key === undefined ? null : this.term(terms.key),
          value: this.term(terms.value),
          domain: this.term(terms.domain),
          body: this.#body(terms.body),
        });
      case 'not':
        return RegoObject.of({ type: 'not', body: this.#body(terms.body), explicit_body: terms.explicit });
      default:
        return RegoObject.of({
          type: terms.kind,
          lhs: this.#body(terms.left),
          rhs: this.#body(terms.right),
          ...(terms.explicitLeft ? { explicit_lhs: true } : {}),
          ...(terms.explicitRight ? { explicit_rhs: true } : {}),
        });
    }
  }

  list(terms: readonly Term[]): readonly Value[] {
    return terms.map((term) => this.term(term));
  }

  term(term: Term): Value {
    this.#charge(1);
    return RegoObject.of({ type: term.type, value: this.#inside(term) });
  }

  #inside(term: Term): Value {
    switch (term.type) {
      case 'null':
        // Go writes its empty struct.
        return new RegoObject();
      case 'boolean':
        return term.value;
      case 'number':
        // `.5` is a number to Rego, and none to JSON.
        if (/^-?\./.test(term.value)) throw new BuiltinError('invalid number literal');
        return new RegoNumber(term.value);
      case 'string':
      case 'var':
        // A byte-order mark would not be read again.
        if (term.value.includes('\ufeff')) throw new BuiltinError('illegal byte-order mark');
        return term.value;
      case 'templatestring': {
        const parts = term.parts.map((part) => ('type' in part ? this.term(part) : this.#expr(part, 0)));
        return RegoObject.of({ parts: parts.length === 0 ? this.#noParts : parts, multi_line: term.multiLine });
      }
      case 'object':
        return sortedPairs(term.value).map(([key, value]) => [this.term(key), this.term(value)]);
      case 'set':
        return this.list(distinct(term.value));
      case 'arraycomprehension':
      case 'setcomprehension':
        return RegoObject.of({ term: this.term(term.term), body: this.#body(term.body) });
      case 'objectcomprehension':
        return RegoObject.of({
          key: this.term(term.key),
          value: this.term(term.value),
          body: this.#body(term.body),
        });
      default:
        return this.list(term.value);
    }
  }
}

function distinct(terms: readonly Term[]): readonly Term[] {
  const sorted = terms.toSorted(compareTerms);
  return sorted.filter((term, index) => {
    const before = sorted[index - 1];
    return before === undefined || compareTerms(before, term) !== 0;
  });
}
