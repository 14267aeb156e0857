// Tested by test/opa/builtins/graphql.long.test.ts.
import { integerOf } from '../../text/decimal.ts';
import { RegoNumber, RegoObject, RegoSet, type Value } from '../values/value.ts';
import type {
  Argument,
  ArgumentDefinition,
  ChildValue,
  Definition,
  Directive,
  DirectiveDefinition,
  EnumValueDefinition,
  Field,
  FieldDefinition,
  FragmentDefinition,
  GraphqlValue,
  OperationDefinition,
  QueryDocument,
  SchemaDefinition,
  SchemaDocument,
  TypeReference,
  VariableDefinition,
} from './document.ts';
import { GraphqlError } from './lexer.ts';

// Documents that a policy hands over as objects, in the form that graphql.parse_query and graphql.parse_schema return.
// A missing member is empty, a member of the wrong type makes the document malformed, as in Go's JSON.

export function queryFrom(document: RegoObject): QueryDocument {
  return { Operations: list(document, 'Operations', operation), Fragments: list(document, 'Fragments', fragment) };
}

export function schemaFrom(document: RegoObject): SchemaDocument {
  return {
    Schema: list(document, 'Schema', schemaDefinition),
    SchemaExtension: list(document, 'SchemaExtension', schemaDefinition),
    Directives: list(document, 'Directives', directiveDefinition),
    Definitions: list(document, 'Definitions', definition),
    Extensions: list(document, 'Extensions', definition),
  };
}

function malformed(): never {
  throw new GraphqlError('a member of the document has the wrong type');
}

function object(value: Value): RegoObject {
  return value instanceof RegoObject ? value : malformed();
}

function text(node: RegoObject, name: string): string {
  const value = node.get(name) ?? '';
  return typeof value === 'string' ? value : value === null ? '' : malformed();
}

function flag(node: RegoObject, name: string): boolean {
  const value = node.get(name) ?? false;
  return typeof value === 'boolean' ? value : malformed();
}

function list<T>(node: RegoObject, name: string, read: (item: RegoObject) => T): readonly T[] | undefined {
  return items(node, name)?.map((item) => read(object(item)));
}

function texts(node: RegoObject, name: string): readonly string[] | undefined {
  return items(node, name)?.map((item) => (typeof item === 'string' ? item : malformed()));
}

function items(node: RegoObject, name: string): readonly Value[] | undefined {
  const value = node.get(name) ?? null;
  if (value === null) return undefined;
  if (value instanceof RegoSet) return value.sorted();
  return Array.isArray(value) ? (value as readonly Value[]) : malformed();
}

function optional<T>(node: RegoObject, name: string, read: (member: RegoObject) => T): T | undefined {
  const value = node.get(name) ?? null;
  return value === null ? undefined : read(object(value));
}

function operation(node: RegoObject): OperationDefinition {
  return {
    Operation: text(node, 'Operation') || 'query',
    Name: text(node, 'Name'),
    VariableDefinitions: list(node, 'VariableDefinitions', variableDefinition),
    Directives: list(node, 'Directives', directive),
    SelectionSet: list(node, 'SelectionSet', field),
  };
}

function fragment(node: RegoObject): FragmentDefinition {
  return {
    Name: text(node, 'Name'),
    TypeCondition: text(node, 'TypeCondition'),
    Directives: list(node, 'Directives', directive),
    SelectionSet: list(node, 'SelectionSet', field),
  };
}

/** gqlparser's decoder takes each selection for a field, spreads and inline fragments too. */
function field(node: RegoObject): Field {
  return {
    Alias: text(node, 'Alias'),
    Name: text(node, 'Name'),
    Arguments: list(node, 'Arguments', argument),
    Directives: list(node, 'Directives', directive),
    SelectionSet: list(node, 'SelectionSet', field),
  };
}

function argument(node: RegoObject): Argument {
  return { Name: text(node, 'Name'), Value: required(node) };
}

function required(node: RegoObject): GraphqlValue {
  return optional(node, 'Value', value) ?? malformed();
}

function value(node: RegoObject): GraphqlValue {
  const kind = node.get('Kind') ?? new RegoNumber('0');
  const number = kind instanceof RegoNumber ? integerOf(kind.text) : undefined;
  if (number === undefined) return malformed();
  return {
    Raw: text(node, 'Raw'),
    Kind: Number(number),
    Children: list(node, 'Children', child),
    ExpectedTypeHasDefault: false,
  };
}

function child(node: RegoObject): ChildValue {
  return { Name: text(node, 'Name'), Value: required(node) };
}

function directive(node: RegoObject): Directive {
  return { Name: text(node, 'Name'), Arguments: list(node, 'Arguments', argument), Location: '' };
}

function variableDefinition(node: RegoObject): VariableDefinition {
  return {
    Variable: text(node, 'Variable'),
    Type: type(node),
    DefaultValue: optional(node, 'DefaultValue', value),
    Directives: list(node, 'Directives', directive),
    Used: false,
  };
}

function type(node: RegoObject): TypeReference {
  return optional(node, 'Type', reference) ?? { NamedType: '', NonNull: false };
}

function reference(node: RegoObject): TypeReference {
  return {
    NamedType: text(node, 'NamedType'),
    Elem: optional(node, 'Elem', reference),
    NonNull: flag(node, 'NonNull'),
  };
}

function definition(node: RegoObject): Definition {
  return {
    Kind: text(node, 'Kind'),
    Name: text(node, 'Name'),
    Description: text(node, 'Description'),
    Directives: list(node, 'Directives', directive),
    Interfaces: texts(node, 'Interfaces'),
    Fields: list(node, 'Fields', fieldDefinition),
    Types: texts(node, 'Types'),
    EnumValues: list(node, 'EnumValues', enumValue),
    BuiltIn: flag(node, 'BuiltIn'),
  };
}

function fieldDefinition(node: RegoObject): FieldDefinition {
  return { ...argumentDefinition(node), Arguments: list(node, 'Arguments', argumentDefinition) };
}

function argumentDefinition(node: RegoObject): ArgumentDefinition {
  return {
    Name: text(node, 'Name'),
    Description: text(node, 'Description'),
    DefaultValue: optional(node, 'DefaultValue', value),
    Type: type(node),
    Directives: list(node, 'Directives', directive),
  };
}

function enumValue(node: RegoObject): EnumValueDefinition {
  return {
    Name: text(node, 'Name'),
    Description: text(node, 'Description'),
    Directives: list(node, 'Directives', directive),
  };
}

function directiveDefinition(node: RegoObject): DirectiveDefinition {
  return {
    Name: text(node, 'Name'),
    Description: text(node, 'Description'),
    Arguments: list(node, 'Arguments', argumentDefinition),
    Locations: texts(node, 'Locations'),
    IsRepeatable: flag(node, 'IsRepeatable'),
  };
}

function schemaDefinition(node: RegoObject): SchemaDefinition {
  return {
    Description: text(node, 'Description'),
    Directives: list(node, 'Directives', directive),
    OperationTypes: list(node, 'OperationTypes', (entry) => ({
      Operation: text(entry, 'Operation'),
      Type: text(entry, 'Type'),
    })),
  };
}
