import { queryFrom, schemaFrom } from '../graphql/decode.ts';
import type { QueryDocument, SchemaDocument } from '../graphql/document.ts';
import { GraphqlError } from '../graphql/lexer.ts';
import { parseQuery, parseSchema } from '../graphql/parser.ts';
import { schemaOf } from '../graphql/schema.ts';
import { type ExecutableSchema, executable, isValidQuery } from '../graphql/validate.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { mustBe, stringOperand } from '../values/operands.ts';
import { RegoNumber, RegoObject, type Value } from '../values/value.ts';

export const builtins: BuiltinFamily = {
  'graphql.parse_query': (context, query) => shown(queryOf(context, stringOperand(query, 1))),

  'graphql.parse_schema': (context, schema) => shown(schemaDocumentOf(context, stringOperand(schema, 1))),

  'graphql.parse': (context, query, schema) => {
    const { queryDocument, schemaDocument } = verified(context, query, schema);
    return [shown(queryDocument), shown(schemaDocument)];
  },

  'graphql.parse_and_verify': (context, query, schema) => {
    const found = unlessInvalid(() => verified(context, query, schema));
    if (found === undefined) return [false, new RegoObject(), new RegoObject()];
    return [true, shown(found.queryDocument), shown(found.schemaDocument)];
  },

  'graphql.is_valid': (context, query, schema) => unlessInvalid(() => verified(context, query, schema)) !== undefined,

  'graphql.schema_is_valid': (context, schema) =>
    unlessInvalid(() => executableOf(context, schema, schemaDocumentOf(context, schema))) !== undefined,
};

function verified(
  context: BuiltinContext,
  query: Value,
  schema: Value,
): { readonly queryDocument: QueryDocument; readonly schemaDocument: SchemaDocument } {
  const queryDocument = queryOf(context, query);
  const schemaDocument = schemaDocumentOf(context, schema);
  const checked = executableOf(context, schema, schemaDocument);
  if (!isValidQuery(checked, queryDocument)) throw new BuiltinError('the query is not valid for the schema');
  return { queryDocument, schemaDocument };
}

function queryOf(context: BuiltinContext, query: Value): QueryDocument {
  if (query instanceof RegoObject) return asBuiltin(() => queryFrom(query));
  if (typeof query !== 'string') return mustBe(1, query, 'string', 'object');
  chargeFor(context, query);
  return asBuiltin(() => parseQuery(query));
}

function schemaDocumentOf(context: BuiltinContext, schema: Value): SchemaDocument {
  if (schema instanceof RegoObject) return asBuiltin(() => schemaFrom(schema));
  if (typeof schema !== 'string') return mustBe(2, schema, 'string', 'object');
  chargeFor(context, schema);
  return asBuiltin(() => context.kept('graphql', schema, () => parseSchema(schema)));
}

/** Comparing fields with each other takes time in the square of their number, and names are what fields are made of. */
function chargeFor(context: BuiltinContext, text: string): void {
  const names = text.match(/[_A-Za-z]\w*/g)?.length ?? 0;
  context.charge(text.length / 10 + (names * names) / 100);
}

function executableOf(context: BuiltinContext, schema: Value, document: SchemaDocument): ExecutableSchema {
  const make = (): ExecutableSchema => executable(schemaOf(document));
  return asBuiltin(() => (typeof schema === 'string' ? context.kept('graphql schema', schema, make) : make()));
}

function asBuiltin<T>(work: () => T): T {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof GraphqlError) throw new BuiltinError(cause.message, { cause });
    throw cause;
  }
}

function unlessInvalid<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch (cause) {
    if (cause instanceof BuiltinError) return undefined;
    throw cause;
  }
}

/** A document as a value: what is absent is left out, and so is what is left empty by that. */
function shown(node: unknown): Value {
  if (typeof node === 'string' || typeof node === 'boolean') return node;
  if (typeof node === 'number') return new RegoNumber(node.toString());
  if (Array.isArray(node)) return node.map(shown);
  const members = Object.entries(node as object).filter(([, member]) => member !== undefined);
  return new RegoObject(members.map(([name, member]) => [name, shown(member)]));
}
