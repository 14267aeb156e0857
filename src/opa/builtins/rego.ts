import { parseModule } from '../rego/module.ts';
import { moduleValue } from '../rego/module-json.ts';
import type { BuiltinFamily } from '../values/builtin.ts';
import { stringOperand } from '../values/operands.ts';

export const builtins: BuiltinFamily = {
  'rego.parse_module': (context, file, text) => {
    const name = stringOperand(file, 1);
    const module = stringOperand(text, 1);
    return moduleValue(name, module, parseModule(module, context.charge), context.charge);
  },
};
