// Tested by test/opa/builtins/patterns.test.ts.
import { globsIntersect } from '../go/glob-intersection.ts';
import { quoteMeta, Regexp } from '../go/regexp.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { intOperand, stringOperand } from '../values/operands.ts';
import { byteLength } from '../values/text.ts';
import type { Value } from '../values/value.ts';

export const builtins: BuiltinFamily = {
  'regex.find_n': (context, pattern, text, count) => {
    const source = stringOperand(pattern, 1);
    const base = stringOperand(text, 2);
    const limit = intOperand(count, 3);
    const matches = compiled(context, source).findAll(base, limit, context.charge);
    return matches.map(([start, end]) => base.slice(start, end));
  },

  'regex.replace': (context, text, pattern, replacement) => {
    const base = stringOperand(text, 1);
    const source = stringOperand(pattern, 2);
    const template = stringOperand(replacement, 3);
    return compiled(context, source).replaceAll(base, template, context.charge);
  },

  'regex.split': (context, pattern, text) => {
    const source = stringOperand(pattern, 1);
    const base = stringOperand(text, 2);
    return compiled(context, source).split(base, context.charge);
  },

  'regex.globs_match': (context, first, second) => {
    const found = globsIntersect(stringOperand(first, 1), stringOperand(second, 2), context.charge);
    if (found === undefined) throw new BuiltinError('the input provided is invalid');
    return found;
  },

  'regex.template_match': (context, template, text, start, end) => {
    const source = stringOperand(template, 1);
    const base = stringOperand(text, 2);
    const pattern = templatePattern(context, source, delimiter(start, 3), delimiter(end, 4));
    return compiled(context, pattern).test(base, context.charge);
  },

  'glob.quote_meta': (_context, pattern) => stringOperand(pattern, 1).replace(/[*?\\[\]{}]/g, '\\$&'),
};

function compiled(context: BuiltinContext, source: string): Regexp {
  context.charge(source.length);
  const regexp = context.kept('regexp', source, () => Regexp.compile(source, context.charge) ?? null);
  if (regexp === null) throw new BuiltinError('error parsing regexp');
  return regexp;
}

function delimiter(value: Value, position: number): string {
  const text = stringOperand(value, position);
  if (byteLength(text) !== 1) throw new BuiltinError('delimiter has to be exactly one character long');
  return text;
}

/** Text outside the delimiters is literal, text inside is a pattern. */
function templatePattern(context: BuiltinContext, template: string, start: string, end: string): string {
  let pattern = '^';
  let level = 0;
  let from = 0;
  for (let at = 0; at < template.length; at++) {
    const character = template[at];
    if (character === start) {
      level++;
      if (level === 1) {
        pattern += quoteMeta(template.slice(from, at));
        from = at + 1;
      }
    } else if (character === end) {
      level--;
      if (level < 0) throw new BuiltinError('unbalanced braces');
      if (level === 0) {
        const part = template.slice(from, at);
        compiled(context, `^${part}$`);
        pattern += `(${part})`;
        from = at + 1;
      }
    }
  }
  if (level !== 0) throw new BuiltinError('unbalanced braces');
  return `${pattern}${quoteMeta(template.slice(from))}$`;
}
