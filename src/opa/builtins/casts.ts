// Tested by test/opa/builtins/budget.long.test.ts.
import type { BuiltinFamily } from '../values/builtin.ts';
import { booleanOperand, isArray, mustBe, objectOperand, stringOperand } from '../values/operands.ts';
import { type RegoObject, RegoSet, type Value } from '../values/value.ts';

/** Deprecated in OPA, and still called by old policies. */
export const builtins: BuiltinFamily = {
  cast_array: (_context, value) => {
    if (value instanceof RegoSet) return value.sorted();
    return isArray(value) ? value : mustBe(1, value, 'array', 'set');
  },
  cast_boolean: (_context, value) => booleanOperand(value, 1),
  cast_null: (_context, value) => (value === null ? null : mustBe(1, value, 'null')),
  cast_object: (_context, value): RegoObject => objectOperand(value, 1),
  cast_set: (_context, value): Value => {
    if (isArray(value)) return new RegoSet(value);
    return value instanceof RegoSet ? value : mustBe(1, value, 'array', 'set');
  },
  cast_string: (_context, value) => stringOperand(value, 1),
};
