import { membersOf } from '../go/go-json.ts';
import { valueText } from '../go/quote.ts';
import { GoSlice, type GoValue } from '../go/values.ts';
import { renderTemplate } from '../go-template/execute.ts';
import { parseTemplate } from '../go-template/parser.ts';
import { BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { isArray, objectOperand, stringOperand } from '../values/operands.ts';
import { readJson } from '../values/read-json.ts';
import { RegoNumber, RegoObject, RegoSet, type Value } from '../values/value.ts';

export const builtins: BuiltinFamily = {
  'strings.render_template': (context, text, variables) => {
    const template = stringOperand(text, 1);
    const data = dataOf(objectOperand(variables, 2));
    const charge = (units: number): void => {
      context.charge(units);
    };
    const templates = context.kept('template', template, () => parseTemplate(template, charge));
    return renderTemplate(templates, data, charge).replaceAll('<no value>', '<undefined>');
  },
};

/** OPA reads the variables' text as JSON: what that has no notation for, such as sets, is an error. */
function dataOf(variables: RegoObject): GoValue {
  try {
    return goValueOf(readJson(valueText(variables)));
  } catch (cause) {
    if (cause instanceof SyntaxError) throw new BuiltinError('variables are not JSON');
    throw cause;
  }
}

function goValueOf(value: Value): GoValue {
  if (value instanceof RegoObject) return new Map(membersOf(value).map(([name, member]) => [name, goValueOf(member)]));
  if (isArray(value)) return new GoSlice(value.map(goValueOf));
  if (value instanceof RegoSet) throw new Error('JSON has no sets');
  return value instanceof RegoNumber || value === null || typeof value !== 'object' ? value : null;
}
