import { compileSchema, type Schema } from '../json-schema/schema.ts';
import { type Json, jsonOf } from '../json-schema/schema-json.ts';
import { validate } from '../json-schema/validate.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { isArray } from '../values/operands.ts';
import { readJson } from '../values/read-json.ts';
import { RegoObject, type Value } from '../values/value.ts';
import { writeValue } from '../values/write-value.ts';

export const builtins: BuiltinFamily = {
  'json.verify_schema': (context, schema) => {
    try {
      schemaOf(context, schema);
      return [true, null];
    } catch (cause) {
      if (cause instanceof BuiltinError) return [false, `jsonschema: ${cause.message}`];
      throw cause;
    }
  },

  'json.match_schema': (context, value, schema) => {
    const document = documentOf(context, value);
    const violations = validate(schemaOf(context, schema), document, context.charge);
    return [
      violations.length === 0,
      violations.map(({ type, field, description }) =>
        RegoObject.of({ error: `${field}: ${description}`, type, field, desc: description }),
      ),
    ];
  },
};

function schemaOf(context: BuiltinContext, value: Value): Schema {
  return context.kept('json-schema', writeValue(value), () =>
    compileSchema(documentOf(context, value), context.charge),
  );
}

/** Reading is done at once, which nothing can end. */
const usPerValue = 0.7;

function valuesIn(text: string): number {
  let values = 1;
  for (const character of text) if (character === ',' || character === '[' || character === '{') values++;
  return values;
}

/** A string is JSON text; any other value must be an object or an array. */
function documentOf(context: BuiltinContext, value: Value): Json {
  if (typeof value === 'string') {
    const values = valuesIn(value);
    context.charge(values / 10, values * usPerValue);
    try {
      return jsonOf(readJson(value));
    } catch (cause) {
      if (cause instanceof SyntaxError) throw new BuiltinError('invalid JSON string');
      throw cause;
    }
  }
  if (value instanceof RegoObject || isArray(value)) return jsonOf(value);
  throw new BuiltinError('wrong type, expected string or object');
}
