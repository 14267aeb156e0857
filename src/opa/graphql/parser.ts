// Tested by test/opa/builtins/graphql.long.test.ts.
import {
  type Argument,
  type ArgumentDefinition,
  type ChildValue,
  type CommentGroup,
  type Definition,
  type Directive,
  type DirectiveDefinition,
  type EnumValueDefinition,
  type Field,
  type FieldDefinition,
  type FragmentDefinition,
  type GraphqlValue,
  type OperationDefinition,
  type OperationTypeDefinition,
  type QueryDocument,
  type SchemaDefinition,
  type SchemaDocument,
  type Selection,
  type TypeReference,
  type VariableDefinition,
  valueKinds,
} from './document.ts';
import { GraphqlError, Lexer, type Token, type TokenKind } from './lexer.ts';

const operations: ReadonlySet<string> = new Set(['query', 'mutation', 'subscription']);

const directiveLocations: ReadonlySet<string> = new Set([
  'QUERY',
  'MUTATION',
  'SUBSCRIPTION',
  'FIELD',
  'FRAGMENT_DEFINITION',
  'FRAGMENT_SPREAD',
  'INLINE_FRAGMENT',
  'VARIABLE_DEFINITION',
  'SCHEMA',
  'SCALAR',
  'OBJECT',
  'FIELD_DEFINITION',
  'ARGUMENT_DEFINITION',
  'INTERFACE',
  'UNION',
  'ENUM',
  'ENUM_VALUE',
  'INPUT_OBJECT',
  'INPUT_FIELD_DEFINITION',
]);

const definitionKinds: Readonly<Record<string, string>> = {
  scalar: 'SCALAR',
  type: 'OBJECT',
  interface: 'INTERFACE',
  union: 'UNION',
  enum: 'ENUM',
  input: 'INPUT_OBJECT',
};

/** @throws GraphqlError */
export function parseQuery(text: string): QueryDocument {
  return new Parser(text).query();
}

/** @throws GraphqlError */
export function parseSchema(text: string): SchemaDocument {
  return new Parser(text).schema();
}

interface Description {
  readonly text: string;
  readonly comment: CommentGroup | undefined;
}

const noDescription: Description = { text: '', comment: undefined };

/**
 * GraphQL with comments kept where gqlparser keeps them, which a library's parser does not.
 *
 * @see github.com/vektah/gqlparser/v2, parser
 */
class Parser {
  readonly #lexer: Lexer;
  #token: Token;
  /** The comments directly before the current token. */
  #comment: CommentGroup | undefined;

  constructor(text: string) {
    this.#lexer = new Lexer(text);
    this.#token = this.#read();
  }

  #read(): Token {
    const comments: { readonly Value: string }[] = [];
    for (;;) {
      const token = this.#lexer.next();
      if (token.kind !== 'comment') {
        this.#comment = comments.length === 0 ? undefined : { List: comments };
        return token;
      }
      comments.push({ Value: token.value });
    }
  }

  #next(): Token {
    const token = this.#token;
    if (token.kind !== 'end') this.#token = this.#read();
    return token;
  }

  #skip(kind: TokenKind): boolean {
    if (this.#token.kind !== kind) return false;
    this.#next();
    return true;
  }

  #expect(kind: TokenKind): Token {
    return this.#token.kind === kind ? this.#next() : this.#unexpected();
  }

  #keyword(word: string): CommentGroup | undefined {
    const comment = this.#comment;
    if (this.#token.kind !== 'name' || this.#token.value !== word) this.#unexpected();
    this.#next();
    return comment;
  }

  #name(): string {
    return this.#expect('name').value;
  }

  #unexpected(): never {
    throw new GraphqlError(`unexpected ${this.#token.kind}`);
  }

  /** None at all, or at least one in between. */
  #some<T>(open: TokenKind, close: TokenKind, item: () => T): readonly T[] | undefined {
    return this.#someWithEnd(open, close, item).items;
  }

  #someWithEnd<T>(
    open: TokenKind,
    close: TokenKind,
    item: () => T,
  ): { readonly items: readonly T[] | undefined; readonly comment: CommentGroup | undefined } {
    if (!this.#skip(open)) return { items: undefined, comment: undefined };
    const items: T[] = [];
    do items.push(item());
    while (this.#token.kind !== close);
    const comment = this.#comment;
    this.#next();
    return { items, comment };
  }

  #any<T>(open: TokenKind, close: TokenKind, item: () => T): readonly T[] | undefined {
    this.#expect(open);
    const items: T[] = [];
    while (this.#token.kind !== close) items.push(item());
    this.#next();
    return items.length === 0 ? undefined : items;
  }

  query(): QueryDocument {
    const found: { Operations?: OperationDefinition[]; Fragments?: FragmentDefinition[] } = {};
    while (this.#token.kind !== 'end') {
      if (this.#token.kind === 'name' && this.#token.value === 'fragment') {
        found.Fragments ??= [];
        found.Fragments.push(this.#fragmentDefinition());
      } else {
        found.Operations ??= [];
        found.Operations.push(this.#operation());
      }
    }
    return found;
  }

  #operation(): OperationDefinition {
    if (this.#token.kind === '{') return { Operation: 'query', Name: '', SelectionSet: this.#selections() };
    const Comment = this.#comment;
    const Operation = this.#operationType();
    return {
      Operation,
      Name: this.#token.kind === 'name' ? this.#next().value : '',
      VariableDefinitions: this.#variableDefinitions(),
      Directives: this.#directives(false),
      SelectionSet: this.#selections(),
      Comment,
    };
  }

  #operationType(): string {
    if (this.#token.kind !== 'name' || !operations.has(this.#token.value)) this.#unexpected();
    return this.#next().value;
  }

  #variableDefinitions(): readonly VariableDefinition[] | undefined {
    return this.#some('(', ')', () => {
      const Comment = this.#comment;
      const Variable = this.#variable();
      this.#expect(':');
      return {
        Variable,
        Type: this.#type(),
        DefaultValue: this.#default(),
        Directives: this.#directives(false),
        Comment,
        Used: false,
      };
    });
  }

  #variable(): string {
    this.#expect('$');
    return this.#name();
  }

  #default(): GraphqlValue | undefined {
    return this.#skip('=') ? this.#value(true) : undefined;
  }

  #selections(): readonly Selection[] | undefined {
    if (this.#token.kind !== '{') this.#unexpected();
    return this.#some('{', '}', () => this.#selection());
  }

  #selection(): Selection {
    if (this.#token.kind === '...') return this.#fragment();
    const Comment = this.#comment;
    const Alias = this.#name();
    const Name = this.#skip(':') ? this.#name() : Alias;
    const field: Field = {
      Alias,
      Name,
      Arguments: this.#arguments(false),
      Directives: this.#directives(false),
      SelectionSet: this.#token.kind === '{' ? this.#selections() : undefined,
      Comment,
    };
    return field;
  }

  #fragment(): Selection {
    const Comment = this.#comment;
    this.#next();
    if (this.#token.kind === 'name' && this.#token.value !== 'on') {
      return { Name: this.#name(), Directives: this.#directives(false), Comment };
    }
    const TypeCondition = this.#skipOn() ? this.#name() : '';
    return { TypeCondition, Directives: this.#directives(false), SelectionSet: this.#selections(), Comment };
  }

  #skipOn(): boolean {
    // gqlparser looks at the token's text alone, so a string "on" will do.
    if (this.#token.value !== 'on') return false;
    this.#next();
    return true;
  }

  #fragmentDefinition(): FragmentDefinition {
    const Comment = this.#keyword('fragment');
    if (this.#token.value === 'on') this.#unexpected();
    const Name = this.#name();
    const VariableDefinition = this.#variableDefinitions();
    this.#keyword('on');
    return {
      Name,
      VariableDefinition,
      TypeCondition: this.#name(),
      Directives: this.#directives(false),
      SelectionSet: this.#selections(),
      Comment,
    };
  }

  #arguments(constant: boolean): readonly Argument[] | undefined {
    return this.#some('(', ')', () => {
      const Comment = this.#comment;
      const Name = this.#name();
      this.#expect(':');
      return { Name, Value: this.#value(constant), Comment };
    });
  }

  #directives(constant: boolean): readonly Directive[] | undefined {
    const directives: Directive[] = [];
    while (this.#skip('@')) {
      directives.push({ Name: this.#name(), Arguments: this.#arguments(constant), Location: '' });
    }
    return directives.length === 0 ? undefined : directives;
  }

  #value(constant: boolean): GraphqlValue {
    const Comment = this.#comment;
    switch (this.#token.kind) {
      case '[': {
        const items = this.#any('[', ']', (): ChildValue => ({ Name: '', Value: this.#value(constant) }));
        return { Raw: '', Kind: valueKinds.list, Children: items, Comment, ExpectedTypeHasDefault: false };
      }
      case '{': {
        const members = this.#any('{', '}', (): ChildValue => {
          const comment = this.#comment;
          const Name = this.#name();
          this.#expect(':');
          return { Name, Value: this.#value(constant), Comment: comment };
        });
        return { Raw: '', Kind: valueKinds.object, Children: members, Comment, ExpectedTypeHasDefault: false };
      }
      case '$':
        if (constant) this.#unexpected();
        return { Raw: this.#variable(), Kind: valueKinds.variable, ExpectedTypeHasDefault: false };
      case 'int':
      case 'float':
      case 'string':
      case 'block': {
        const { kind, value } = this.#next();
        return { Raw: value, Kind: valueKinds[kind as 'int'], ExpectedTypeHasDefault: false };
      }
      case 'name': {
        const { value } = this.#next();
        const kind = value === 'true' || value === 'false' ? 'boolean' : value === 'null' ? 'null' : 'enum';
        return { Raw: value, Kind: valueKinds[kind], ExpectedTypeHasDefault: false };
      }
      default:
        return this.#unexpected();
    }
  }

  #type(): TypeReference {
    if (this.#skip('[')) {
      const Elem = this.#type();
      this.#expect(']');
      return { NamedType: '', Elem, NonNull: this.#skip('!') };
    }
    const NamedType = this.#name();
    return { NamedType, NonNull: this.#skip('!') };
  }

  schema(): SchemaDocument {
    const found: {
      Schema?: SchemaDefinition[];
      SchemaExtension?: SchemaDefinition[];
      Directives?: DirectiveDefinition[];
      Definitions?: Definition[];
      Extensions?: Definition[];
    } = {};
    while (this.#token.kind !== 'end') {
      const description = this.#description();
      if (this.#token.kind !== 'name') this.#unexpected();
      switch (this.#token.value) {
        case 'schema':
          found.Schema ??= [];
          found.Schema.push(this.#schemaDefinition(description, this.#keyword('schema')));
          break;
        case 'directive':
          found.Directives ??= [];
          found.Directives.push(this.#directiveDefinition(description));
          break;
        case 'extend':
          if (description.text !== '') this.#unexpected();
          this.#extension(found);
          break;
        default: {
          found.Definitions ??= [];
          const comment = this.#comment;
          found.Definitions.push(this.#definition(this.#definitionKind(), description, comment));
        }
      }
    }
    return { ...found, Comment: this.#comment };
  }

  #description(): Description {
    if (this.#token.kind !== 'string' && this.#token.kind !== 'block') return noDescription;
    const comment = this.#comment;
    return { text: this.#next().value, comment };
  }

  /** Inside a definition an empty description takes its comment with it. */
  #described(): {
    readonly Description: string;
    readonly BeforeDescriptionComment: CommentGroup | undefined;
    readonly AfterDescriptionComment: CommentGroup | undefined;
  } {
    const { text, comment } = this.#description();
    return {
      Description: text,
      BeforeDescriptionComment: text === '' ? undefined : comment,
      AfterDescriptionComment: this.#comment,
    };
  }

  #definitionKind(): string {
    const { value } = this.#token;
    const kind = Object.hasOwn(definitionKinds, value) ? definitionKinds[value] : undefined;
    if (kind === undefined) return this.#unexpected();
    this.#next();
    return kind;
  }

  #definition(Kind: string, description: Description, comment: CommentGroup | undefined): Definition {
    const Name = this.#name();
    const Interfaces = Kind === 'OBJECT' || Kind === 'INTERFACE' ? this.#interfaces() : undefined;
    return {
      Kind,
      Name,
      Interfaces,
      Directives: this.#directives(true),
      ...this.#body(Kind),
      Description: description.text,
      BeforeDescriptionComment: description.comment,
      AfterDescriptionComment: comment,
      BuiltIn: false,
    };
  }

  #body(kind: string): Pick<Definition, 'Fields' | 'Types' | 'EnumValues' | 'EndOfDefinitionComment'> {
    switch (kind) {
      case 'OBJECT':
      case 'INTERFACE': {
        const { items, comment } = this.#someWithEnd('{', '}', () => this.#fieldDefinition());
        return { Fields: items, EndOfDefinitionComment: comment };
      }
      case 'INPUT_OBJECT': {
        const { items, comment } = this.#someWithEnd('{', '}', () => this.#inputDefinition());
        return { Fields: items, EndOfDefinitionComment: comment };
      }
      case 'ENUM': {
        const { items, comment } = this.#someWithEnd('{', '}', () => this.#enumValue());
        return { EnumValues: items, EndOfDefinitionComment: comment };
      }
      case 'UNION':
        return { Types: this.#skip('=') ? this.#separated('|') : undefined };
      default:
        return {};
    }
  }

  #interfaces(): readonly string[] | undefined {
    if (this.#token.value !== 'implements') return undefined;
    this.#next();
    return this.#separated('&');
  }

  /** Names with a mark between them, and perhaps one before. */
  #separated(mark: '&' | '|'): readonly string[] {
    this.#skip(mark);
    const names = [this.#name()];
    while (this.#skip(mark)) names.push(this.#name());
    return names;
  }

  #fieldDefinition(): FieldDefinition {
    const described = this.#described();
    const Name = this.#name();
    const Arguments = this.#some('(', ')', () => this.#inputDefinition());
    this.#expect(':');
    return { ...described, Name, Arguments, Type: this.#type(), Directives: this.#directives(true) };
  }

  #inputDefinition(): ArgumentDefinition {
    const described = this.#described();
    const Name = this.#name();
    this.#expect(':');
    return {
      ...described,
      Name,
      Type: this.#type(),
      DefaultValue: this.#default(),
      Directives: this.#directives(true),
    };
  }

  #enumValue(): EnumValueDefinition {
    const described = this.#described();
    return { ...described, Name: this.#name(), Directives: this.#directives(true) };
  }

  #schemaDefinition(description: Description, comment: CommentGroup | undefined): SchemaDefinition {
    const Directives = this.#directives(true);
    const end = this.#someWithEnd('{', '}', (): OperationTypeDefinition => {
      const Comment = this.#comment;
      const Operation = this.#operationType();
      this.#expect(':');
      return { Operation, Type: this.#name(), Comment };
    });
    return {
      Description: description.text,
      Directives,
      OperationTypes: end.items,
      BeforeDescriptionComment: description.comment,
      AfterDescriptionComment: comment,
      EndOfDefinitionComment: end.comment,
    };
  }

  #extension(found: { SchemaExtension?: SchemaDefinition[]; Extensions?: Definition[] }): void {
    const comment = this.#keyword('extend');
    if (this.#token.value === 'schema') {
      this.#keyword('schema');
      const extension = this.#schemaDefinition(noDescription, comment);
      if (extension.Directives === undefined && extension.OperationTypes === undefined) this.#unexpected();
      found.SchemaExtension ??= [];
      found.SchemaExtension.push(extension);
      return;
    }
    const kind = this.#definitionKind();
    const extension = this.#definition(kind, noDescription, comment);
    const { Interfaces, Directives, Fields, Types, EnumValues } = extension;
    if ((Interfaces ?? Directives ?? Fields ?? Types ?? EnumValues) === undefined) this.#unexpected();
    if (kind === 'INTERFACE' && Interfaces !== undefined) this.#unexpected();
    found.Extensions ??= [];
    found.Extensions.push(extension);
  }

  #directiveDefinition(description: Description): DirectiveDefinition {
    const comment = this.#keyword('directive');
    this.#expect('@');
    const Name = this.#name();
    const Arguments = this.#some('(', ')', () => this.#inputDefinition());
    const IsRepeatable = this.#token.kind === 'name' && this.#token.value === 'repeatable';
    if (IsRepeatable) this.#next();
    this.#keyword('on');
    const Locations = this.#separated('|');
    if (!Locations.every((location) => directiveLocations.has(location))) this.#unexpected();
    return {
      Description: description.text,
      Name,
      Arguments,
      Locations,
      IsRepeatable,
      BeforeDescriptionComment: description.comment,
      AfterDescriptionComment: comment,
    };
  }
}
