// Tested by test/opa/builtins/json-patch.long.test.ts.
import { goJson } from '../go/go-json.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { booleanOperand, isArray, objectOperand, stringOperand } from '../values/operands.ts';
import { equalValues, RegoObject, RegoSet, type Value } from '../values/value.ts';
import { applyPatch } from './json-patch.ts';

export const builtins: BuiltinFamily = {
  'json.patch': (_context, target, patches) => applyPatch(target, patches),

  'json.marshal_with_options': (_context, value, options) => {
    let prefix = '';
    let indent = '\t';
    let pretty: boolean | undefined;
    let laidOut = false;
    for (const [key, option] of objectOperand(options, 2).entries()) {
      switch (key) {
        case 'prefix':
          prefix = stringOperand(option, 2);
          laidOut = true;
          break;
        case 'indent':
          indent = stringOperand(option, 2);
          laidOut = true;
          break;
        case 'pretty':
          pretty = booleanOperand(option, 2);
          break;
        default:
          throw new BuiltinError('operand 2 object contained unknown key');
      }
    }
    // Go prefixes every line but the first.
    return (pretty ?? laidOut) ? prefix + goJson(value, { prefix, indent }) : goJson(value);
  },

  'object.subset': (context, whole, part) => {
    if (whole instanceof RegoObject && part instanceof RegoObject) return objectSubset(context, whole, part);
    if (whole instanceof RegoSet && part instanceof RegoSet) return setSubset(whole, part);
    if (isArray(whole) && isArray(part)) return arraySubset(context, whole, part);
    if (isArray(whole) && part instanceof RegoSet) return arraySetSubset(whole, part);
    throw new BuiltinError('both arguments object.subset must be of the same type or array and set');
  },
};

function objectSubset(context: BuiltinContext, whole: RegoObject, part: RegoObject): boolean {
  for (const [key, member] of part.entries()) {
    const other = whole.get(key);
    if (other === undefined) return false;
    if (equalValues(other, member)) continue;
    const within =
      (other instanceof RegoObject && member instanceof RegoObject && objectSubset(context, other, member)) ||
      (other instanceof RegoSet && member instanceof RegoSet && setSubset(other, member)) ||
      (isArray(other) && isArray(member) && arraySubset(context, other, member));
    if (!within) return false;
  }
  return true;
}

function setSubset(whole: RegoSet, part: RegoSet): boolean {
  for (const member of part.values()) if (!whole.has(member)) return false;
  return true;
}

/**
 * Whether the part's items stand somewhere in the whole one after the other. Like OPA, the search goes on one place
 * further than a false start, not one place after its beginning: [1, 1, 2] is found in [1, 1, 1, 2] by luck of the place.
 */
function arraySubset(context: BuiltinContext, whole: readonly Value[], part: readonly Value[]): boolean {
  if (part.length > whole.length) return false;
  context.charge(whole.length * Math.max(part.length, 1));
  for (let start = 0, matched = 0; ; ) {
    const wanted = part[matched];
    if (wanted === undefined) return true;
    const found = whole[start + matched];
    if (found === undefined) return false;
    if (equalValues(found, wanted)) {
      matched++;
    } else {
      start++;
      matched = 0;
    }
  }
}

/** Like OPA, an item that occurs twice in the array counts twice. */
function arraySetSubset(whole: readonly Value[], part: RegoSet): boolean {
  let unmatched = part.size;
  for (const item of whole) {
    if (part.has(item)) unmatched--;
    if (unmatched === 0) return true;
  }
  return false;
}
