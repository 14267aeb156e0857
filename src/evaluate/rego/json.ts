import { BuiltinError } from '../builtins/builtin.ts';
import { integer } from '../builtins/operands.ts';
import { RegoNumber, RegoObject, type Value } from '../values/value.ts';

import type { Module } from './module.ts';
import {
  compareTerms,
  type Expr,
  type Head,
  type Ref,
  type Rule,
  sortedPairs,
  type Term,
  type Terms,
} from './syntax.ts';

/** A module as OPA's encoding of its own tree has it. */
export function moduleValue(file: string, text: string, { path, imports, rules, comments }: Module): Value {
  return RegoObject.of({
    package: RegoObject.of({ path: refValue(path) }),
    ...unlessEmpty(
      'imports',
      imports.map((one) =>
        RegoObject.of({ path: termValue(one.path), ...(one.alias === '' ? {} : { alias: one.alias }) }),
      ),
    ),
    ...unlessEmpty('rules', rules.map(ruleValue)),
    ...unlessEmpty(
      'comments',
      comments.map((comment) =>
        RegoObject.of({
          Text: commentValue(comment.text),
          Location: placeValue(file, text, comment.start),
        }),
      ),
    ),
  });
}

function unlessEmpty(name: string, list: readonly Value[]): Readonly<Record<string, Value>> {
  return list.length === 0 ? {} : { [name]: list };
}

/** Without what carriage returns stand at the end, but for one that would be all there is behind others. */
function commentValue(text: string): Value {
  return text === '\r' ? null : Buffer.from(text.replace(/(?<=[\s\S])\r+$/, '')).toString('base64');
}

function placeValue(file: string, text: string, start: number): Value {
  const before = text.slice(0, start);
  const line = before.slice(before.lastIndexOf('\n') + 1);
  return RegoObject.of({
    file,
    row: integer(before.split('\n').length),
    col: integer([...line].length + 1),
  });
}

function ruleValue({ head, body, isDefault, otherwise }: Rule): Value {
  return RegoObject.of({
    head: headValue(head),
    body: bodyValue(body),
    ...(isDefault ? { default: true } : {}),
    ...(otherwise === undefined ? {} : { else: ruleValue(otherwise) }),
  });
}

function headValue({ name, ref, args, key, value, assign }: Head): Value {
  return RegoObject.of({
    ...(name === '' ? {} : { name }),
    ref: refValue(ref),
    ...unlessEmpty('args', args.map(termValue)),
    ...(key === undefined ? {} : { key: termValue(key) }),
    ...(value === undefined ? {} : { value: termValue(value) }),
    ...(assign ? { assign } : {}),
  });
}

function bodyValue(body: readonly Expr[]): Value {
  return body.map(exprValue);
}

function exprValue({ terms, negated, generated, with: modifiers }: Expr, index: number): Value {
  return RegoObject.of({
    index: integer(index),
    terms: termsValue(terms),
    ...(generated === true ? { generated } : {}),
    ...(negated ? { negated } : {}),
    ...unlessEmpty(
      'with',
      modifiers.map(({ target, value }) => RegoObject.of({ target: termValue(target), value: termValue(value) })),
    ),
  });
}

function termsValue(terms: Terms): Value {
  switch (terms.kind) {
    case 'term':
      return termValue(terms.term);
    case 'call':
      return refValue(terms.terms);
    case 'some':
      return RegoObject.of({ symbols: refValue(terms.symbols) });
    case 'every':
      return RegoObject.of({
        key: terms.key === undefined ? null : termValue(terms.key),
        value: termValue(terms.value),
        domain: termValue(terms.domain),
        body: bodyValue(terms.body),
      });
    case 'not':
      return RegoObject.of({ type: 'not', body: bodyValue(terms.body), explicit_body: terms.explicit });
    default:
      return RegoObject.of({
        type: terms.kind,
        lhs: bodyValue(terms.left),
        rhs: bodyValue(terms.right),
        ...(terms.explicitLeft ? { explicit_lhs: true } : {}),
        ...(terms.explicitRight ? { explicit_rhs: true } : {}),
      });
  }
}

function refValue(ref: Ref): Value {
  return ref.map(termValue);
}

function termValue(term: Term): Value {
  return RegoObject.of({ type: term.type, value: insideOf(term) });
}

function insideOf(term: Term): Value {
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
    case 'templatestring':
      return RegoObject.of({
        parts:
          term.parts.length === 0
            ? null
            : term.parts.map((part) => ('type' in part ? termValue(part) : exprValue(part, 0))),
        multi_line: term.multiLine,
      });
    case 'object':
      return sortedPairs(term.value).map(([key, value]) => [termValue(key), termValue(value)]);
    case 'set':
      return distinct(term.value).map(termValue);
    case 'arraycomprehension':
    case 'setcomprehension':
      return RegoObject.of({ term: termValue(term.term), body: bodyValue(term.body) });
    case 'objectcomprehension':
      return RegoObject.of({ key: termValue(term.key), value: termValue(term.value), body: bodyValue(term.body) });
    default:
      return refValue(term.value);
  }
}

function distinct(terms: readonly Term[]): readonly Term[] {
  const sorted = terms.toSorted(compareTerms);
  return sorted.filter((term, index) => {
    const before = sorted[index - 1];
    return before === undefined || compareTerms(before, term) !== 0;
  });
}
