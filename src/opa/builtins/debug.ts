// Tested by test/opa/builtins/identifiers.test.ts.
import type { BuiltinFamily } from '../values/builtin.ts';
import { arrayOperand, stringOperand } from '../values/operands.ts';

/**
 * What a policy says while it is written. A policy that decides real requests is not heard: what it would print is
 * input, which has no place in the operational log.
 */
export const builtins: BuiltinFamily = {
  'internal.print': (_context, operands) => {
    arrayOperand(operands, 1);
    return true;
  },
  'internal.test_case': (_context, operands) => {
    arrayOperand(operands, 1);
    return true;
  },
  trace: (_context, note) => {
    stringOperand(note, 1);
    return true;
  },
};
