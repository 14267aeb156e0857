// Tested by test/opa/builtins/identifiers.test.ts.
import { BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { bigIntOperand, int64Of, integer, numberOperand, stringOperand } from '../values/operands.ts';
import { RegoNumber, type Value } from '../values/value.ts';

export const builtins: BuiltinFamily = {
  'numbers.range_step': (context, from, to, by) => {
    const first = bigIntOperand(from, 1);
    const last = bigIntOperand(to, 2);
    const step = bigIntOperand(by, 3);
    if (step <= 0n) throw new BuiltinError('numbers.range_step: step must be a positive integer');
    const range: Value[] = [];
    const up = first <= last;
    for (let at = first; up ? at <= last : at >= last; at += up ? step : -step) {
      context.charge(1);
      range.push(integer(at));
    }
    return range;
  },

  'rand.intn': (context, name, limit) => {
    const key = stringOperand(name, 1);
    const bound = int64Of(numberOperand(limit, 2));
    if (bound === undefined) return intFault();
    const size = bound < 0n ? -bound : bound;
    if (size === 0n) return new RegoNumber('0');
    // 128 bits over the range: what the modulus prefers is past all measuring.
    const drawn = context.random(`rand.intn ${size} ${key}`).subarray(0, 16).toString('hex');
    return integer(BigInt(`0x${drawn}`) % size);
  },
};

function intFault(): never {
  throw new BuiltinError('operand 2 must be integer number but got floating-point number');
}
