// Tested by test/opa/builtins/graphql.long.test.ts.
/**
 * GraphQL documents as OPA shows them: gqlparser's structures with Go's names for their members. What is empty there is
 * absent here, but empty texts and `false`, which OPA shows.
 *
 * @see github.com/vektah/gqlparser/v2, ast
 */
export interface CommentGroup {
  readonly List: readonly { readonly Value: string }[];
}

export const valueKinds = {
  variable: 0,
  int: 1,
  float: 2,
  string: 3,
  block: 4,
  boolean: 5,
  null: 6,
  enum: 7,
  list: 8,
  object: 9,
} as const;

export interface GraphqlValue {
  readonly Raw: string;
  readonly Kind: number;
  readonly Children?: readonly ChildValue[] | undefined;
  readonly Comment?: CommentGroup | undefined;
  readonly ExpectedTypeHasDefault: false;
}

export interface ChildValue {
  readonly Name: string;
  readonly Value: GraphqlValue;
  readonly Comment?: CommentGroup | undefined;
}

export interface Argument {
  readonly Name: string;
  readonly Value: GraphqlValue;
  readonly Comment?: CommentGroup | undefined;
}

export interface Directive {
  readonly Name: string;
  readonly Arguments?: readonly Argument[] | undefined;
  readonly Location: '';
}

export interface TypeReference {
  readonly NamedType: string;
  readonly Elem?: TypeReference | undefined;
  readonly NonNull: boolean;
}

export interface VariableDefinition {
  readonly Variable: string;
  readonly Type: TypeReference;
  readonly DefaultValue?: GraphqlValue | undefined;
  readonly Directives?: readonly Directive[] | undefined;
  readonly Comment?: CommentGroup | undefined;
  readonly Used: false;
}

export interface Field {
  readonly Alias: string;
  readonly Name: string;
  readonly Arguments?: readonly Argument[] | undefined;
  readonly Directives?: readonly Directive[] | undefined;
  readonly SelectionSet?: readonly Selection[] | undefined;
  readonly Comment?: CommentGroup | undefined;
}

export interface FragmentSpread {
  readonly Name: string;
  readonly Directives?: readonly Directive[] | undefined;
  readonly Comment?: CommentGroup | undefined;
}

export interface InlineFragment {
  readonly TypeCondition: string;
  readonly Directives?: readonly Directive[] | undefined;
  readonly SelectionSet?: readonly Selection[] | undefined;
  readonly Comment?: CommentGroup | undefined;
}

export type Selection = Field | FragmentSpread | InlineFragment;

export interface OperationDefinition {
  readonly Operation: string;
  readonly Name: string;
  readonly VariableDefinitions?: readonly VariableDefinition[] | undefined;
  readonly Directives?: readonly Directive[] | undefined;
  readonly SelectionSet?: readonly Selection[] | undefined;
  readonly Comment?: CommentGroup | undefined;
}

export interface FragmentDefinition {
  readonly Name: string;
  readonly VariableDefinition?: readonly VariableDefinition[] | undefined;
  readonly TypeCondition: string;
  readonly Directives?: readonly Directive[] | undefined;
  readonly SelectionSet?: readonly Selection[] | undefined;
  readonly Comment?: CommentGroup | undefined;
}

export interface QueryDocument {
  readonly Operations?: readonly OperationDefinition[] | undefined;
  readonly Fragments?: readonly FragmentDefinition[] | undefined;
}

interface Described {
  readonly Description: string;
  readonly BeforeDescriptionComment?: CommentGroup | undefined;
  readonly AfterDescriptionComment?: CommentGroup | undefined;
}

export interface ArgumentDefinition extends Described {
  readonly Name: string;
  readonly DefaultValue?: GraphqlValue | undefined;
  readonly Type: TypeReference;
  readonly Directives?: readonly Directive[] | undefined;
}

/** Of a type, with arguments; of an input object, with a default. */
export interface FieldDefinition extends ArgumentDefinition {
  readonly Arguments?: readonly ArgumentDefinition[] | undefined;
}

export interface EnumValueDefinition extends Described {
  readonly Name: string;
  readonly Directives?: readonly Directive[] | undefined;
}

export interface Definition extends Described {
  readonly Kind: string;
  readonly Name: string;
  readonly Directives?: readonly Directive[] | undefined;
  readonly Interfaces?: readonly string[] | undefined;
  readonly Fields?: readonly FieldDefinition[] | undefined;
  readonly Types?: readonly string[] | undefined;
  readonly EnumValues?: readonly EnumValueDefinition[] | undefined;
  readonly BuiltIn: boolean;
  readonly EndOfDefinitionComment?: CommentGroup | undefined;
}

export interface DirectiveDefinition extends Described {
  readonly Name: string;
  readonly Arguments?: readonly ArgumentDefinition[] | undefined;
  readonly Locations?: readonly string[] | undefined;
  readonly IsRepeatable: boolean;
}

export interface OperationTypeDefinition {
  readonly Operation: string;
  readonly Type: string;
  readonly Comment?: CommentGroup | undefined;
}

export interface SchemaDefinition extends Described {
  readonly Directives?: readonly Directive[] | undefined;
  readonly OperationTypes?: readonly OperationTypeDefinition[] | undefined;
  readonly EndOfDefinitionComment?: CommentGroup | undefined;
}

export interface SchemaDocument {
  readonly Schema?: readonly SchemaDefinition[] | undefined;
  readonly SchemaExtension?: readonly SchemaDefinition[] | undefined;
  readonly Directives?: readonly DirectiveDefinition[] | undefined;
  readonly Definitions?: readonly Definition[] | undefined;
  readonly Extensions?: readonly Definition[] | undefined;
  readonly Comment?: CommentGroup | undefined;
}
