// Tested by test/opa/builtins/printf.long.test.ts.
import { integerOf } from '../../text/decimal.ts';
import { sprintf } from '../go/printf.ts';
import { valueText } from '../go/quote.ts';
import type { GoValue } from '../go/values.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import {
  arrayOperand,
  int64Of,
  integer,
  intOperand,
  isArray,
  mustBe,
  stringOperand,
  stringsOperand,
} from '../values/operands.ts';
import { RegoNumber, RegoSet, type Value } from '../values/value.ts';

export const builtins: BuiltinFamily = {
  'strings.any_prefix_match': (context, search, base) =>
    anyMatch(context, search, base, (text, affix) => text.startsWith(affix)),
  'strings.any_suffix_match': (context, search, base) =>
    anyMatch(context, search, base, (text, affix) => text.endsWith(affix)),

  'strings.count': (context, text, search) => {
    const base = stringOperand(text, 1);
    const wanted = stringOperand(search, 2);
    context.charge(base.length);
    // Go finds the empty string before each character and at the end.
    return integer(wanted === '' ? [...base].length + 1 : base.split(wanted).length - 1);
  },

  'strings.split_n': (context, text, delimiter, count) => {
    const base = stringOperand(text, 1);
    const parts = split(base, stringOperand(delimiter, 2));
    context.charge(base.length);
    const wanted = intOperand(count, 3);
    return wanted >= 0 ? parts.slice(0, wanted) : parts.slice(Math.max(parts.length + wanted, 0));
  },

  indexof_n: (context, text, search) => {
    const base = stringOperand(text, 1);
    const wanted = stringOperand(search, 2);
    if (wanted === '') throw new BuiltinError('empty search character');
    context.charge(base.length);
    const found: Value[] = [];
    let characters = 0;
    let counted = 0;
    for (let at = base.indexOf(wanted); at >= 0; at = base.indexOf(wanted, at + 1)) {
      if (isInsideCharacter(base, at) || isInsideCharacter(base, at + wanted.length)) continue;
      context.charge(4);
      for (; counted < at; counted++) if (!isInsideCharacter(base, counted)) characters++;
      found.push(integer(characters));
    }
    return found;
  },

  sprintf: (context, format, values) => {
    const text = stringOperand(format, 1);
    return sprintf(text, arrayOperand(values, 2).map(argumentOf), context.charge);
  },
};

/** Between the two halves of a character outside the basic plane. */
function isInsideCharacter(text: string, at: number): boolean {
  return at > 0 && (text.codePointAt(at - 1) ?? 0) > 0xffff;
}

function split(text: string, delimiter: string): readonly string[] {
  return delimiter === '' ? [...text] : text.split(delimiter);
}

function anyMatch(
  context: BuiltinContext,
  search: Value,
  base: Value,
  matches: (text: string, affix: string) => boolean,
): boolean {
  // The search strings are checked first, then the affixes, and all of them before any is compared.
  const texts = textsOf(search, 1);
  const affixes = textsOf(base, 2);
  context.charge(texts.length * affixes.length);
  return texts.some((text) => affixes.some((affix) => matches(text, affix)));
}

function textsOf(value: Value, position: number): readonly string[] {
  if (typeof value === 'string') return [value];
  return value instanceof RegoSet || isArray(value)
    ? stringsOperand(value, position)
    : mustBe(position, value, 'string', 'set', 'array');
}

function argumentOf(value: Value): GoValue {
  if (typeof value === 'string') return value;
  if (!(value instanceof RegoNumber)) return valueText(value);
  const { text } = value;
  if (/[.eE]/.test(text)) {
    const float = Number(text);
    return Number.isFinite(float) ? float : text;
  }
  return int64Of(value) ?? integerOf(text) ?? text;
}
