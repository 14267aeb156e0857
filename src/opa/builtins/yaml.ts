// Tested by test/opa/builtins/texts.long.test.ts.
import { readYaml } from '../go/yaml-read.ts';
import { YamlError } from '../go/yaml-scalar.ts';
import { writeYaml } from '../go/yaml-write.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { stringOperand } from '../values/operands.ts';
import type { Value } from '../values/value.ts';

export const builtins: BuiltinFamily = {
  'yaml.is_valid': (context, text) => {
    if (typeof text !== 'string') return false;
    try {
      read(context, text);
      return true;
    } catch (cause) {
      if (cause instanceof BuiltinError) return false;
      throw cause;
    }
  },
  'yaml.marshal': (context, value) => asBuiltin(() => writeYaml(value, context.charge)),
  'yaml.unmarshal': (context, text) => read(context, stringOperand(text, 1)),
};

function read(context: BuiltinContext, text: string): Value {
  context.charge(text.length / 16, text.length / 20);
  return asBuiltin(() => readYaml(text, context.charge));
}

function asBuiltin<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof YamlError) throw new BuiltinError(cause.message, { cause });
    throw cause;
  }
}
