// Tested by test/opa/builtins/json-schema.long.test.ts.
import { compareDecimals } from '../../text/decimal.ts';
import { Regexp } from '../go/regexp.ts';
import { BuiltinError } from '../values/builtin.ts';
import type { Charge } from '../values/charge.ts';
import { int64Of } from '../values/operands.ts';
import { RegoNumber } from '../values/value.ts';
import { type Draft, draftOf, normalReference, SchemaPool } from './references.ts';
import { comparableText, isInteger, type Json, type JsonObject } from './schema-json.ts';

/** One schema, or an independent part of one, with its keywords read. */
export class Schema {
  /** What the object that the schema is for calls the member it describes. */
  readonly property: string;
  readonly draft: Draft;
  /** Of the schemas `true` and `false`. */
  pass?: boolean;
  /** Stands in for all other keywords. */
  reference?: Schema;
  readonly types: string[] = [];
  readonly properties: Schema[] = [];
  additionalProperties?: Schema | boolean;
  readonly patternProperties: { readonly pattern: Regexp; readonly schema: Schema }[] = [];
  propertyNames?: Schema;
  readonly dependencies = new Map<string, Schema | readonly string[]>();
  readonly items: Schema[] = [];
  /** One schema for all items, not one for each place. */
  oneForAllItems = false;
  additionalItems?: Schema | boolean;
  multipleOf?: RegoNumber;
  minimum?: RegoNumber;
  exclusiveMinimum?: RegoNumber;
  maximum?: RegoNumber;
  exclusiveMaximum?: RegoNumber;
  minLength?: number;
  maxLength?: number;
  pattern?: { readonly source: string; readonly regexp: Regexp };
  format = '';
  minProperties?: number;
  maxProperties?: number;
  readonly required: string[] = [];
  minItems?: number;
  maxItems?: number;
  uniqueItems = false;
  contains?: Schema;
  constant?: string;
  enumeration?: string[];
  readonly oneOf: Schema[] = [];
  readonly anyOf: Schema[] = [];
  readonly allOf: Schema[] = [];
  not?: Schema;
  condition?: Schema;
  consequence?: Schema;
  alternative?: Schema;

  constructor(property: string, draft: Draft) {
    this.property = property;
    this.draft = draft;
  }
}

/**
 * Reads a schema the way OPA does, errors and leniency included: nothing validates it against its draft's own schema,
 * and a keyword of a later draft counts for nothing in an earlier one.
 *
 * @throws BuiltinError if it is not a schema, in OPA's words
 */
export function compileSchema(document: Json, charge: Charge): Schema {
  return new Compiler(charge).compile(document);
}

const jsonTypes = ['array', 'boolean', 'integer', 'number', 'null', 'object', 'string'];

class Compiler {
  readonly #pool: SchemaPool;
  /** By what the `$ref`s say, from the moment it is begun: a schema may hold itself. */
  readonly #referenced = new Map<string, Schema>();
  readonly #charge: Charge;

  constructor(charge: Charge) {
    this.#charge = charge;
    this.#pool = new SchemaPool(charge);
  }

  compile(document: Json): Schema {
    this.#pool.add(document, '');
    const root = new Schema('(Root)', draftOf(document) ?? 'hybrid');
    this.#read(document, root);
    return root;
  }

  #read(node: Json, schema: Schema): void {
    this.#charge(1);
    if (typeof node === 'boolean' && schema.draft !== 4) {
      schema.pass = node;
      return;
    }
    if (!(node instanceof Map)) throw new BuiltinError('Expected: Valid Schema, given: Invalid JSON');
    const id = stringOf(node, schema.draft === 4 || (schema.draft === 'hybrid' && node.has('id')) ? 'id' : '$id');
    if (id !== undefined) normalReference(id);
    this.#readDefinitions(node, schema);
    stringOf(node, 'title');
    stringOf(node, 'description');
    if (this.#readReference(node, schema)) return;
    readTypes(node, schema);
    this.#readObjectSchemas(node, schema);
    this.#readItems(node, schema);
    readNumbers(node, schema);
    readStrings(node, schema, this.#charge);
    readProperties(node, schema);
    this.#readArrays(node, schema);
    this.#readValues(node, schema);
    this.#readCombinations(node, schema);
  }

  #part(node: Json, property: string, of: Schema): Schema {
    const schema = new Schema(property, of.draft);
    this.#read(node, schema);
    return schema;
  }

  #readDefinitions(node: JsonObject, schema: Schema): void {
    const definitions = node.get('definitions');
    if (definitions === undefined) return;
    if (!(definitions instanceof Map)) throw invalidType('Array Of Schemas', 'definitions');
    for (const definition of definitions.values()) {
      if (!isSchema(definition)) throw invalidType('Array Of Schemas', 'definitions');
      this.#part(definition, 'definitions', schema);
    }
  }

  /** @returns whether nothing else of the schema is to be read, which OPA does only for a reference seen first here */
  #readReference(node: JsonObject, schema: Schema): boolean {
    const text = stringOf(node, '$ref');
    if (text === undefined) return false;
    const reference = normalReference(text);
    const known = this.#referenced.get(reference);
    if (known !== undefined) {
      schema.reference = known;
      return false;
    }
    // The draft is known once the document is found, and the schema has to stand in the list before that is read.
    const { document, draft } = this.#pool.get(reference);
    const target = new Schema('$ref', draft ?? schema.draft);
    this.#referenced.set(reference, target);
    if (!isSchema(document)) throw new BuiltinError('Valid Schema must be of type object');
    this.#read(document, target);
    schema.reference = target;
    return true;
  }

  #readObjectSchemas(node: JsonObject, schema: Schema): void {
    const properties = node.get('properties');
    if (properties !== undefined) {
      if (!(properties instanceof Map)) throw new BuiltinError('Properties must be of type object');
      for (const [name, property] of properties) {
        const part = new Schema(name, schema.draft);
        schema.properties.push(part);
        this.#read(property, part);
      }
    }
    const additional = node.get('additionalProperties');
    if (additional !== undefined) {
      if (!isSchema(additional)) throw invalidType('boolean/Valid Schema', 'additionalProperties');
      schema.additionalProperties =
        typeof additional === 'boolean' ? additional : this.#part(additional, 'additionalProperties', schema);
    }
    const patterns = node.get('patternProperties');
    if (patterns !== undefined) {
      if (!(patterns instanceof Map)) throw invalidType('Valid Schema', 'patternProperties');
      for (const [source, property] of patterns) {
        const pattern = Regexp.compile(source, this.#charge);
        if (pattern === undefined) throw new BuiltinError(`Invalid regex pattern '${source}'`);
        schema.patternProperties.push({ pattern, schema: this.#part(property, source, schema) });
      }
    }
    const names = node.get('propertyNames');
    if (names !== undefined && schema.draft !== 4) {
      if (!isSchema(names)) throw invalidType('Valid Schema', 'patternProperties');
      schema.propertyNames = this.#part(names, 'propertyNames', schema);
    }
    this.#readDependencies(node, schema);
  }

  #readDependencies(node: JsonObject, schema: Schema): void {
    const dependencies = node.get('dependencies');
    if (dependencies === undefined) return;
    if (!(dependencies instanceof Map)) throw new BuiltinError('dependencies must be of type object');
    for (const [name, dependency] of dependencies) {
      if (isSchema(dependency)) {
        schema.dependencies.set(name, this.#part(dependency, name, schema));
      } else if (Array.isArray(dependency) && dependency.every((member) => typeof member === 'string')) {
        schema.dependencies.set(name, dependency);
      } else {
        throw new BuiltinError('Dependency must be of type Schema Or Array Of Strings');
      }
    }
  }

  #readItems(node: JsonObject, schema: Schema): void {
    const items = node.get('items');
    if (items !== undefined) {
      for (const item of Array.isArray(items) ? items : [items]) {
        if (!isSchema(item)) throw invalidType('Valid Schema/Array Of Schemas', 'items');
        schema.items.push(this.#part(item, 'items', schema));
      }
      schema.oneForAllItems = !Array.isArray(items);
    }
    const additional = node.get('additionalItems');
    if (additional === undefined) return;
    if (!isSchema(additional)) throw invalidType('boolean/Valid Schema', 'additionalItems');
    schema.additionalItems =
      typeof additional === 'boolean' ? additional : this.#part(additional, 'additionalItems', schema);
  }

  #readArrays(node: JsonObject, schema: Schema): void {
    const minItems = countOf(node, 'minItems');
    if (minItems !== undefined) schema.minItems = minItems;
    const maxItems = countOf(node, 'maxItems');
    if (maxItems !== undefined) schema.maxItems = maxItems;
    const unique = node.get('uniqueItems');
    if (unique !== undefined) {
      if (typeof unique !== 'boolean') throw new BuiltinError('uniqueItems must be of a boolean');
      schema.uniqueItems = unique;
    }
    const contains = node.get('contains');
    if (contains !== undefined && schema.draft !== 4) schema.contains = this.#part(contains, 'contains', schema);
  }

  #readValues(node: JsonObject, schema: Schema): void {
    const constant = node.get('const');
    if (constant !== undefined && schema.draft !== 4) schema.constant = comparableText(constant);
    const values = listOf(node, 'enum');
    if (values === undefined) return;
    const texts = values.map(comparableText);
    this.#charge(texts.length);
    if (new Set(texts).size < texts.length) throw new BuiltinError('enum items must be unique');
    schema.enumeration = texts;
  }

  #readCombinations(node: JsonObject, schema: Schema): void {
    for (const key of ['oneOf', 'anyOf', 'allOf'] as const) {
      for (const part of listOf(node, key) ?? []) schema[key].push(this.#part(part, key, schema));
    }
    this.#readCombined(node, schema, 'not', 'not');
    if (schema.draft === 4 || schema.draft === 6) return;
    this.#readCombined(node, schema, 'if', 'condition');
    this.#readCombined(node, schema, 'then', 'consequence');
    this.#readCombined(node, schema, 'else', 'alternative');
  }

  #readCombined(
    node: JsonObject,
    schema: Schema,
    key: string,
    member: 'not' | 'condition' | 'consequence' | 'alternative',
  ): void {
    const part = node.get(key);
    if (part === undefined) return;
    if (!isSchema(part)) throw new BuiltinError(`${key} must be of an object`);
    schema[member] = this.#part(part, key, schema);
  }
}

function readTypes(node: JsonObject, schema: Schema): void {
  const types = node.get('type');
  if (types === undefined) return;
  for (const type of Array.isArray(types) ? types : [types]) {
    if (typeof type !== 'string') throw invalidType('type', 'string/Array Of Strings');
    if (!jsonTypes.includes(type)) {
      throw new BuiltinError(
        `has a primitive type that is NOT VALID -- given: /${type}/ Expected valid values are:[${jsonTypes.join(' ')}]`,
      );
    }
    if (schema.types.includes(type)) throw new BuiltinError(`${type} type is duplicated`);
    schema.types.push(type);
  }
}

function readNumbers(node: JsonObject, schema: Schema): void {
  const multipleOf = node.get('multipleOf');
  if (multipleOf !== undefined) {
    if (!(multipleOf instanceof RegoNumber)) throw invalidType('Number', 'multipleOf');
    if (compareDecimals(multipleOf.text, '0') <= 0)
      throw new BuiltinError('multipleOf must be strictly greater than 0');
    schema.multipleOf = multipleOf;
  }
  readBound(node, schema, 'minimum', 'exclusiveMinimum');
  readBound(node, schema, 'maximum', 'exclusiveMaximum');
}

/** In the first drafts the exclusive bound is a boolean that says what the other is. */
function readBound(
  node: JsonObject,
  schema: Schema,
  key: 'minimum' | 'maximum',
  exclusiveKey: 'exclusiveMinimum' | 'exclusiveMaximum',
): void {
  const bound = node.get(key);
  if (bound !== undefined) {
    if (!(bound instanceof RegoNumber)) throw new BuiltinError(`${key} must be of a Number`);
    schema[key] = bound;
  }
  const exclusive = node.get(exclusiveKey);
  if (exclusive === undefined) return;
  const { draft } = schema;
  if (exclusive instanceof RegoNumber && draft !== 4) {
    schema[exclusiveKey] = exclusive;
  } else if (typeof exclusive === 'boolean' && (draft === 4 || draft === 'hybrid')) {
    if (!(bound instanceof RegoNumber)) throw new BuiltinError(`${exclusiveKey} cannot be used without ${key}`);
    if (exclusive) {
      schema[exclusiveKey] = bound;
      delete schema[key];
    }
  } else {
    const expected = draft === 'hybrid' ? 'boolean/number' : 'number';
    throw invalidType(draft === 4 ? 'boolean' : expected, exclusiveKey);
  }
}

function readStrings(node: JsonObject, schema: Schema, charge: Charge): void {
  const minLength = countOf(node, 'minLength');
  const maxLength = countOf(node, 'maxLength');
  if (minLength !== undefined) schema.minLength = minLength;
  if (maxLength !== undefined) schema.maxLength = maxLength;
  if (minLength !== undefined && maxLength !== undefined && minLength > maxLength) {
    throw new BuiltinError('minLength cannot be greater than maxLength');
  }
  const source = stringOf(node, 'pattern');
  if (source !== undefined) {
    const regexp = Regexp.compile(source, charge);
    if (regexp === undefined) throw new BuiltinError('pattern must be a valid regex');
    schema.pattern = { source, regexp };
  }
  schema.format = stringOf(node, 'format') ?? '';
}

function readProperties(node: JsonObject, schema: Schema): void {
  const minProperties = countOf(node, 'minProperties');
  const maxProperties = countOf(node, 'maxProperties');
  if (minProperties !== undefined) schema.minProperties = minProperties;
  if (maxProperties !== undefined) schema.maxProperties = maxProperties;
  if (minProperties !== undefined && maxProperties !== undefined && minProperties > maxProperties) {
    throw new BuiltinError('minProperties cannot be greater than maxProperties');
  }
  for (const name of listOf(node, 'required') ?? []) {
    if (typeof name !== 'string') throw invalidType('string', 'required');
    if (schema.required.includes(name)) throw new BuiltinError('required items must be unique');
    schema.required.push(name);
  }
}

function isSchema(node: Json): node is JsonObject | boolean {
  return typeof node === 'boolean' || node instanceof Map;
}

function stringOf(node: JsonObject, key: string): string | undefined {
  const value = node.get(key);
  if (value !== undefined && typeof value !== 'string') throw invalidType('string', key);
  return value;
}

function listOf(node: JsonObject, key: string): readonly Json[] | undefined {
  const value = node.get(key);
  if (value !== undefined && !Array.isArray(value)) throw new BuiltinError(`${key} must be of an array`);
  return value;
}

function countOf(node: JsonObject, key: string): number | undefined {
  const value = node.get(key);
  if (value === undefined) return undefined;
  const count =
    value instanceof RegoNumber && isInteger(value) && /^-?\d+$/.test(value.text) ? int64Of(value) : undefined;
  if (count === undefined) throw new BuiltinError(`${key} must be of an integer`);
  if (count < 0n) throw new BuiltinError(`${key} must be greater than or equal to 0`);
  return Number(count);
}

function invalidType(expected: string, given: string): BuiltinError {
  return new BuiltinError(`Invalid type. Expected: ${expected}, given: ${given}`);
}
