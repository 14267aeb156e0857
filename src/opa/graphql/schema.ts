// Tested by test/opa/builtins/graphql.long.test.ts.
import {
  type ArgumentDefinition,
  type Definition,
  type Directive,
  type DirectiveDefinition,
  type FieldDefinition,
  type SchemaDefinition,
  type SchemaDocument,
  type TypeReference,
  valueKinds,
} from './document.ts';
import { GraphqlError } from './lexer.ts';
import { prelude } from './prelude.ts';

/** A schema found whole: its types with what extends them. */
export interface Schema {
  readonly types: ReadonlyMap<string, Definition>;
  readonly directives: ReadonlyMap<string, DirectiveDefinition>;
  /** The type behind each kind of operation. */
  readonly roots: ReadonlyMap<string, string>;
}

const redefinable: ReadonlySet<string> = new Set(['include', 'skip', 'deprecated', 'specifiedBy', 'defer', 'oneOf']);
const outputKinds: ReadonlySet<string> = new Set(['SCALAR', 'OBJECT', 'INTERFACE', 'UNION', 'ENUM']);
const inputKinds: ReadonlySet<string> = new Set(['SCALAR', 'ENUM', 'INPUT_OBJECT']);

/**
 * Checks a schema as gqlparser does, which is laxer than the specification in places: a schema needs no query type.
 *
 * @throws GraphqlError
 * @see github.com/vektah/gqlparser/v2, validator/schema.go
 */
export function schemaOf(document: SchemaDocument): Schema {
  const checker = new SchemaChecker(merged(prelude(), document));
  checker.check();
  return checker;
}

function merged(a: SchemaDocument, b: SchemaDocument): SchemaDocument {
  return {
    Schema: [...(a.Schema ?? []), ...(b.Schema ?? [])],
    SchemaExtension: [...(a.SchemaExtension ?? []), ...(b.SchemaExtension ?? [])],
    Directives: [...(a.Directives ?? []), ...(b.Directives ?? [])],
    Definitions: [...(a.Definitions ?? []), ...(b.Definitions ?? [])],
    Extensions: [...(a.Extensions ?? []), ...(b.Extensions ?? [])],
  };
}

function refuse(message: string): never {
  throw new GraphqlError(message);
}

class SchemaChecker implements Schema {
  readonly #document: SchemaDocument;
  readonly types = new Map<string, Definition>();
  readonly directives = new Map<string, DirectiveDefinition>();
  readonly roots = new Map<string, string>();
  /** The types that are allowed where the named type is expected. */
  readonly #possible = new Map<string, string[]>();

  constructor(document: SchemaDocument) {
    this.#document = document;
  }

  check(): void {
    this.#collectTypes();
    this.#collectPossibleTypes();
    for (const directive of this.#document.Directives ?? []) {
      if (this.directives.has(directive.Name) && !redefinable.has(directive.Name)) refuse('directive redeclared');
      this.directives.set(directive.Name, directive);
    }
    const { Schema = [], SchemaExtension = [] } = this.#document;
    if (Schema.length > 1) refuse('multiple schema entry points');
    for (const entry of [...Schema, ...SchemaExtension]) this.#enter(entry);
    for (const definition of this.types.values()) this.#checkDefinition(definition);
    this.#refuseCircles();
    for (const directive of this.directives.values()) {
      this.#checkName(directive.Name);
      this.#checkArguments(directive.Arguments, directive.Name);
    }
    if (Schema.length > 0) return;
    for (const [operation, name] of [
      ['query', 'Query'],
      ['mutation', 'Mutation'],
      ['subscription', 'Subscription'],
    ] as const) {
      if (!this.roots.has(operation) && this.types.has(name)) this.roots.set(operation, name);
    }
  }

  #collectTypes(): void {
    for (const definition of this.#document.Definitions ?? []) {
      if (this.types.has(definition.Name)) refuse('type redeclared');
      this.types.set(definition.Name, definition);
    }
    for (const extension of this.#document.Extensions ?? []) {
      const base = this.types.get(extension.Name) ?? {
        Kind: extension.Kind,
        Name: extension.Name,
        Description: '',
        BuiltIn: false,
      };
      if (base.Kind !== extension.Kind) refuse('the extended type is of another kind');
      this.types.set(extension.Name, {
        ...base,
        Directives: [...(base.Directives ?? []), ...(extension.Directives ?? [])],
        Interfaces: [...(base.Interfaces ?? []), ...(extension.Interfaces ?? [])],
        Fields: [...(base.Fields ?? []), ...(extension.Fields ?? [])],
        Types: [...(base.Types ?? []), ...(extension.Types ?? [])],
        EnumValues: [...(base.EnumValues ?? []), ...(extension.EnumValues ?? [])],
      });
    }
  }

  #collectPossibleTypes(): void {
    const add = (name: string, possible: string): void => {
      const names = this.#possible.get(name);
      if (names === undefined) this.#possible.set(name, [possible]);
      else names.push(possible);
    };
    for (const { Kind, Name, Types = [], Interfaces = [] } of this.types.values()) {
      if (Kind === 'UNION') for (const type of Types) add(Name, type);
      if (Kind === 'OBJECT' || Kind === 'INPUT_OBJECT' || Kind === 'INTERFACE') {
        for (const parent of Interfaces) add(parent, Name);
      }
      if (Kind === 'OBJECT' || Kind === 'INPUT_OBJECT') add(Name, Name);
    }
  }

  #enter({ OperationTypes = [], Directives }: SchemaDefinition): void {
    for (const { Operation, Type } of OperationTypes) {
      if (!this.types.has(Type)) refuse('a schema root refers to a type that does not exist');
      this.roots.set(Operation, Type);
    }
    this.#checkDirectives(Directives, 'SCHEMA', undefined, true);
  }

  #checkDefinition(definition: Definition): void {
    const { Kind, Name, Fields = [], Types = [], Interfaces = [], EnumValues = [], Directives, BuiltIn } = definition;
    for (const field of Fields) this.#checkField(field, Kind);
    for (const type of Types) if (this.types.get(type)?.Kind !== 'OBJECT') refuse('a union holds another kind of type');
    for (const parent of Interfaces) this.#checkImplements(definition, parent);
    this.#checkMembers(definition);
    refuseRepeated(Fields.map((field) => field.Name));
    refuseRepeated(EnumValues.map((value) => value.Name));
    refuseRepeated(Types);
    if (!BuiltIn) this.#checkName(Name);
    this.#checkDirectives(Directives, Kind, undefined, false);
  }

  #checkField(field: FieldDefinition, kind: string): void {
    this.#checkName(field.Name);
    this.#typeOf(field.Type);
    this.#checkArguments(field.Arguments, undefined);
    const location = kind === 'INPUT_OBJECT' ? 'INPUT_FIELD_DEFINITION' : 'FIELD_DEFINITION';
    this.#checkDirectives(field.Directives, location, undefined, true);
  }

  #checkMembers({ Kind, Fields = [], EnumValues = [] }: Definition): void {
    switch (Kind) {
      case 'OBJECT':
      case 'INTERFACE':
      case 'INPUT_OBJECT': {
        if (Fields.length === 0) refuse('a type without fields');
        const kinds = Kind === 'INPUT_OBJECT' ? inputKinds : outputKinds;
        for (const { Type } of Fields) if (!kinds.has(this.#typeOf(Type).Kind)) refuse('a field of the wrong kind');
        return;
      }
      case 'ENUM':
        if (EnumValues.length === 0) refuse('an enum without values');
        for (const { Name, Directives } of EnumValues) {
          if (Name === 'true' || Name === 'false' || Name === 'null') refuse('no enum value');
          this.#checkDirectives(Directives, 'ENUM_VALUE', undefined, true);
        }
        return;
      default:
    }
  }

  #typeOf(type: TypeReference): Definition {
    return this.types.get(nameOf(type)) ?? refuse('undefined type');
  }

  /** @param within the directive whose arguments these are */
  #checkArguments(list: readonly ArgumentDefinition[] | undefined, within: string | undefined): void {
    for (const { Name, Type, Directives } of list ?? []) {
      this.#checkName(Name);
      if (!inputKinds.has(this.#typeOf(Type).Kind)) refuse('no input type');
      this.#checkDirectives(Directives, 'ARGUMENT_DEFINITION', within, true);
    }
  }

  #checkDirectives(
    list: readonly Directive[] | undefined,
    location: string,
    within: string | undefined,
    once: boolean,
  ): void {
    const seen = new Set<string>();
    for (const { Name, Arguments = [] } of list ?? []) {
      this.#checkName(Name);
      if (Name === within) refuse('a directive refers to itself');
      const definition = this.directives.get(Name) ?? refuse('undefined directive');
      if (once && seen.has(Name) && !definition.IsRepeatable) refuse('a directive stands twice');
      seen.add(Name);
      if (definition.Locations?.includes(location) !== true) refuse('a directive is not applicable here');
      const known = definition.Arguments ?? [];
      if (!Arguments.every((argument) => known.some((one) => one.Name === argument.Name))) refuse('undefined argument');
      for (const argument of known) {
        if (!argument.Type.NonNull || argument.DefaultValue !== undefined) continue;
        const given = Arguments.find((one) => one.Name === argument.Name);
        if (given === undefined || given.Value.Kind === valueKinds.null) refuse('an argument cannot be null');
      }
    }
  }

  #checkImplements(definition: Definition, parentName: string): void {
    const parent = this.types.get(parentName);
    if (parent?.Kind !== 'INTERFACE') refuse('no interface');
    for (const required of parent.Fields ?? []) {
      const field = definition.Fields?.find((one) => one.Name === required.Name);
      if (field === undefined) refuse('a field is missing');
      if (!this.#isCovariant(required.Type, field.Type)) refuse('a field has the wrong type');
      for (const { Name, Type } of required.Arguments ?? []) {
        const argument = field.Arguments?.find((one) => one.Name === Name);
        if (argument === undefined || !isCompatible(Type, argument.Type)) refuse('an argument is wrong or missing');
      }
      for (const { Name, Type, DefaultValue } of field.Arguments ?? []) {
        const optional = !Type.NonNull || DefaultValue !== undefined;
        if (!optional && required.Arguments?.some((one) => one.Name === Name) !== true) {
          refuse('an additional argument is required');
        }
      }
    }
    for (const ancestor of parent.Interfaces ?? []) {
      if (definition.Interfaces?.includes(ancestor) !== true) refuse('an ancestor is not implemented');
    }
  }

  #isCovariant(required: TypeReference, actual: TypeReference): boolean {
    if (required.NonNull && !actual.NonNull) return false;
    if (required.NamedType !== '') {
      return (
        required.NamedType === actual.NamedType ||
        this.#possible.get(required.NamedType)?.includes(actual.NamedType) === true
      );
    }
    if (required.Elem === undefined || actual.Elem === undefined) return false;
    return this.#isCovariant(required.Elem, actual.Elem);
  }

  /** An input object that needs itself could never be written down. */
  #refuseCircles(): void {
    const done = new Set<string>();
    const open = new Set<string>();
    const visit = ({ Name, Fields = [] }: Definition): void => {
      if (done.has(Name)) return;
      done.add(Name);
      open.add(Name);
      for (const { Type } of Fields) {
        const type = Type.NonNull && Type.NamedType !== '' ? this.types.get(Type.NamedType) : undefined;
        if (type?.Kind !== 'INPUT_OBJECT') continue;
        if (open.has(type.Name)) refuse('an input object references itself through non-null fields');
        visit(type);
      }
      open.delete(Name);
    };
    for (const definition of this.types.values()) if (definition.Kind === 'INPUT_OBJECT') visit(definition);
  }

  #checkName(name: string): void {
    if (name.startsWith('__')) refuse('a name must not begin with two underscores');
  }
}

function refuseRepeated(names: readonly string[]): void {
  if (new Set(names).size !== names.length) refuse('defined twice');
}

function nameOf(type: TypeReference): string {
  return type.NamedType === '' && type.Elem !== undefined ? nameOf(type.Elem) : type.NamedType;
}

function isCompatible(type: TypeReference, other: TypeReference): boolean {
  if (type.NamedType !== other.NamedType) return false;
  if (type.Elem !== undefined && (other.Elem === undefined || !isCompatible(type.Elem, other.Elem))) return false;
  return !other.NonNull || type.NonNull;
}
