// Tested by test/opa/builtins/graphql.long.test.ts.
import {
  buildASTSchema,
  type ConstDirectiveNode,
  type ConstValueNode,
  type DefinitionNode,
  type DirectiveNode,
  type DocumentNode,
  type FieldDefinitionNode,
  FieldsOnCorrectTypeRule,
  FragmentsOnCompositeTypesRule,
  type GraphQLSchema,
  type InputValueDefinitionNode,
  Kind,
  KnownArgumentNamesRule,
  KnownDirectivesRule,
  KnownFragmentNamesRule,
  KnownTypeNamesRule,
  LoneAnonymousOperationRule,
  MaxIntrospectionDepthRule,
  type NamedTypeNode,
  type NameNode,
  NoFragmentCyclesRule,
  NoUndefinedVariablesRule,
  NoUnusedFragmentsRule,
  NoUnusedVariablesRule,
  type OperationTypeNode,
  OverlappingFieldsCanBeMergedRule,
  PossibleFragmentSpreadsRule,
  ProvidedRequiredArgumentsRule,
  ScalarLeafsRule,
  type SelectionNode,
  type SelectionSetNode,
  SingleFieldSubscriptionsRule,
  type TypeNode,
  UniqueArgumentNamesRule,
  UniqueDirectivesPerLocationRule,
  UniqueFragmentNamesRule,
  UniqueInputFieldNamesRule,
  UniqueOperationNamesRule,
  UniqueVariableNamesRule,
  type ValueNode,
  ValuesOfCorrectTypeRule,
  type VariableDefinitionNode,
  VariablesAreInputTypesRule,
  VariablesInAllowedPositionRule,
  validate,
} from 'graphql';
import {
  type Argument,
  type ArgumentDefinition,
  type Definition,
  type Directive,
  type FieldDefinition,
  type GraphqlValue,
  type QueryDocument,
  type Selection,
  type TypeReference,
  type VariableDefinition,
  valueKinds,
} from './document.ts';
import type { Schema } from './schema.ts';

/** gqlparser's rules are translations of these, and tested on the same cases. */
const rules = [
  FieldsOnCorrectTypeRule,
  FragmentsOnCompositeTypesRule,
  KnownArgumentNamesRule,
  KnownDirectivesRule,
  KnownFragmentNamesRule,
  KnownTypeNamesRule,
  LoneAnonymousOperationRule,
  MaxIntrospectionDepthRule,
  NoFragmentCyclesRule,
  NoUndefinedVariablesRule,
  NoUnusedFragmentsRule,
  NoUnusedVariablesRule,
  OverlappingFieldsCanBeMergedRule,
  PossibleFragmentSpreadsRule,
  ProvidedRequiredArgumentsRule,
  ScalarLeafsRule,
  SingleFieldSubscriptionsRule,
  UniqueArgumentNamesRule,
  UniqueDirectivesPerLocationRule,
  UniqueFragmentNamesRule,
  UniqueInputFieldNamesRule,
  UniqueOperationNamesRule,
  UniqueVariableNamesRule,
  ValuesOfCorrectTypeRule,
  VariablesAreInputTypesRule,
  VariablesInAllowedPositionRule,
];

/** A schema that was found whole, as the validation needs it. */
export interface ExecutableSchema {
  readonly schema: GraphQLSchema;
  readonly roots: ReadonlyMap<string, string>;
}

export function executable(schema: Schema): ExecutableSchema {
  const definitions: DefinitionNode[] = [...schema.types.values()].map(definitionNode);
  for (const { Name, Arguments, Locations = [], IsRepeatable } of schema.directives.values()) {
    definitions.push({
      kind: Kind.DIRECTIVE_DEFINITION,
      name: nameNode(Name),
      arguments: inputNodes(Arguments),
      repeatable: IsRepeatable,
      locations: Locations.map(nameNode),
    });
  }
  definitions.push({
    kind: Kind.SCHEMA_DEFINITION,
    operationTypes: Array.from(schema.roots, ([operation, type]) => ({
      kind: Kind.OPERATION_TYPE_DEFINITION,
      operation: operation as OperationTypeNode,
      type: namedNode(type),
    })),
  });
  const document: DocumentNode = { kind: Kind.DOCUMENT, definitions };
  return { schema: buildASTSchema(document, { assumeValid: true, assumeValidSDL: true }), roots: schema.roots };
}

export function isValidQuery({ schema, roots }: ExecutableSchema, query: QueryDocument): boolean {
  if (query.Operations?.some(({ Operation }) => !roots.has(Operation)) === true) return false;
  return validate(schema, queryNode(query), rules, { maxErrors: 1 }).length === 0;
}

function nameNode(value: string): NameNode {
  return { kind: Kind.NAME, value };
}

function namedNode(name: string): NamedTypeNode {
  return { kind: Kind.NAMED_TYPE, name: nameNode(name) };
}

function typeNode({ NamedType, Elem, NonNull }: TypeReference): TypeNode {
  const type =
    NamedType === '' && Elem !== undefined
      ? ({ kind: Kind.LIST_TYPE, type: typeNode(Elem) } as const)
      : namedNode(NamedType);
  return NonNull ? { kind: Kind.NON_NULL_TYPE, type } : type;
}

function valueNode({ Raw, Kind: kind, Children = [] }: GraphqlValue): ValueNode {
  switch (kind) {
    case valueKinds.variable:
      return { kind: Kind.VARIABLE, name: nameNode(Raw) };
    case valueKinds.int:
      return { kind: Kind.INT, value: Raw };
    case valueKinds.float:
      return { kind: Kind.FLOAT, value: Raw };
    case valueKinds.string:
    case valueKinds.block:
      return { kind: Kind.STRING, value: Raw };
    case valueKinds.boolean:
      return { kind: Kind.BOOLEAN, value: Raw === 'true' };
    case valueKinds.null:
      return { kind: Kind.NULL };
    case valueKinds.list:
      return { kind: Kind.LIST, values: Children.map((child) => valueNode(child.Value)) };
    case valueKinds.object:
      return {
        kind: Kind.OBJECT,
        fields: Children.map((child) => ({
          kind: Kind.OBJECT_FIELD,
          name: nameNode(child.Name),
          value: valueNode(child.Value),
        })),
      };
    default:
      return { kind: Kind.ENUM, value: Raw };
  }
}

/** gqlparser, which made the tree, ensures that this is not a variable. */
function constantNode(value: GraphqlValue | undefined): ConstValueNode | undefined {
  return value === undefined ? undefined : (valueNode(value) as ConstValueNode);
}

function argumentNodes(list: readonly Argument[] | undefined): DirectiveNode['arguments'] {
  return (list ?? []).map(({ Name, Value }) => ({
    kind: Kind.ARGUMENT,
    name: nameNode(Name),
    value: valueNode(Value),
  }));
}

function directiveNodes(list: readonly Directive[] | undefined): readonly DirectiveNode[] {
  return (list ?? []).map(({ Name, Arguments }) => ({
    kind: Kind.DIRECTIVE,
    name: nameNode(Name),
    arguments: argumentNodes(Arguments),
  }));
}

function constantDirectives(list: readonly Directive[] | undefined): readonly ConstDirectiveNode[] {
  return directiveNodes(list) as readonly ConstDirectiveNode[];
}

function inputNodes(list: readonly ArgumentDefinition[] | undefined): readonly InputValueDefinitionNode[] {
  return (list ?? []).map(({ Name, Type, DefaultValue, Directives }) => ({
    kind: Kind.INPUT_VALUE_DEFINITION,
    name: nameNode(Name),
    type: typeNode(Type),
    defaultValue: constantNode(DefaultValue),
    directives: constantDirectives(Directives),
  }));
}

function fieldNodes(list: readonly FieldDefinition[] | undefined): readonly FieldDefinitionNode[] {
  return (list ?? []).map(({ Name, Type, Arguments, Directives }) => ({
    kind: Kind.FIELD_DEFINITION,
    name: nameNode(Name),
    type: typeNode(Type),
    arguments: inputNodes(Arguments),
    directives: constantDirectives(Directives),
  }));
}

function definitionNode(definition: Definition): DefinitionNode {
  const { Name, Fields, Interfaces = [], Types = [], EnumValues = [] } = definition;
  const name = nameNode(Name);
  const directives = constantDirectives(definition.Directives);
  switch (definition.Kind) {
    case 'OBJECT':
    case 'INTERFACE':
      return {
        kind: definition.Kind === 'OBJECT' ? Kind.OBJECT_TYPE_DEFINITION : Kind.INTERFACE_TYPE_DEFINITION,
        name,
        directives,
        interfaces: Interfaces.map(namedNode),
        fields: fieldNodes(Fields),
      };
    case 'INPUT_OBJECT':
      return { kind: Kind.INPUT_OBJECT_TYPE_DEFINITION, name, directives, fields: inputNodes(Fields) };
    case 'UNION':
      return { kind: Kind.UNION_TYPE_DEFINITION, name, directives, types: Types.map(namedNode) };
    case 'ENUM':
      return {
        kind: Kind.ENUM_TYPE_DEFINITION,
        name,
        directives,
        values: EnumValues.map((value) => ({
          kind: Kind.ENUM_VALUE_DEFINITION,
          name: nameNode(value.Name),
          directives: constantDirectives(value.Directives),
        })),
      };
    default:
      return { kind: Kind.SCALAR_TYPE_DEFINITION, name, directives };
  }
}

function queryNode({ Operations = [], Fragments = [] }: QueryDocument): DocumentNode {
  const operations: DefinitionNode[] = Operations.map((operation) => ({
    kind: Kind.OPERATION_DEFINITION,
    operation: operation.Operation as OperationTypeNode,
    name: operation.Name === '' ? undefined : nameNode(operation.Name),
    variableDefinitions: variableNodes(operation.VariableDefinitions),
    directives: directiveNodes(operation.Directives),
    selectionSet: selectionSetNode(operation.SelectionSet),
  }));
  const fragments: DefinitionNode[] = Fragments.map((fragment) => ({
    kind: Kind.FRAGMENT_DEFINITION,
    name: nameNode(fragment.Name),
    typeCondition: namedNode(fragment.TypeCondition),
    directives: directiveNodes(fragment.Directives),
    selectionSet: selectionSetNode(fragment.SelectionSet),
  }));
  return { kind: Kind.DOCUMENT, definitions: [...operations, ...fragments] };
}

function variableNodes(list: readonly VariableDefinition[] | undefined): readonly VariableDefinitionNode[] {
  return (list ?? []).map(({ Variable, Type, DefaultValue, Directives }) => ({
    kind: Kind.VARIABLE_DEFINITION,
    variable: { kind: Kind.VARIABLE, name: nameNode(Variable) },
    type: typeNode(Type),
    defaultValue: constantNode(DefaultValue),
    directives: constantDirectives(Directives),
  }));
}

function selectionSetNode(list: readonly Selection[] | undefined): SelectionSetNode {
  return { kind: Kind.SELECTION_SET, selections: (list ?? []).map(selectionNode) };
}

function selectionNode(selection: Selection): SelectionNode {
  const directives = directiveNodes(selection.Directives);
  if ('Alias' in selection) {
    return {
      kind: Kind.FIELD,
      alias: selection.Alias === '' || selection.Alias === selection.Name ? undefined : nameNode(selection.Alias),
      name: nameNode(selection.Name),
      arguments: argumentNodes(selection.Arguments),
      directives,
      selectionSet: selection.SelectionSet === undefined ? undefined : selectionSetNode(selection.SelectionSet),
    };
  }
  if ('TypeCondition' in selection) {
    return {
      kind: Kind.INLINE_FRAGMENT,
      typeCondition: selection.TypeCondition === '' ? undefined : namedNode(selection.TypeCondition),
      directives,
      selectionSet: selectionSetNode(selection.SelectionSet),
    };
  }
  return { kind: Kind.FRAGMENT_SPREAD, name: nameNode(selection.Name), directives };
}
