// Tested by test/opa/builtins/template.long.test.ts.
import { unquote, unquoteRune } from '../go/unquote.ts';
import { GoInt } from '../go/values.ts';
import { BuiltinError } from '../values/builtin.ts';
import type { FunctionName } from './functions.ts';
import { functionNames } from './functions.ts';
import { type Token, type TokenKind, tokensOf } from './lexer.ts';
import { numberOf } from './number.ts';

export type Node =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'action'; readonly pipe: Pipe }
  | Branch
  | { readonly kind: 'template'; readonly name: string; readonly pipe: Pipe | undefined }
  | { readonly kind: 'break' | 'continue' };

/** A token that ends a list of nodes and is not part of it. */
type Ending = { readonly kind: 'end' } | { readonly kind: 'else' };

export interface Branch {
  readonly kind: 'if' | 'with' | 'range';
  readonly pipe: Pipe;
  readonly list: readonly Node[];
  readonly otherwise: readonly Node[] | undefined;
}

export interface Pipe {
  readonly kind: 'pipe';
  /** `=`, not `:=` */
  readonly assigns: boolean;
  readonly declared: readonly string[];
  readonly commands: readonly (readonly [Operand, ...Operand[]])[];
}

export type Operand =
  | { readonly kind: 'bool'; readonly value: boolean }
  /** Without a value where it fits no int: an error where it is used. */
  | { readonly kind: 'number'; readonly value: GoInt | number | undefined }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'nil' | 'dot' }
  | { readonly kind: 'field'; readonly names: readonly string[] }
  | { readonly kind: 'variable'; readonly variable: string; readonly names: readonly string[] }
  | { readonly kind: 'function'; readonly name: FunctionName }
  | { readonly kind: 'chain'; readonly operand: Operand; readonly names: readonly string[] }
  | Pipe;

export type Templates = ReadonlyMap<string, readonly Node[]>;

/** Go's name of the outermost template here; a definition of this name takes its place where the text is empty. */
export const mainName = 'template';

/**
 * Parses a template as Go's text/template does.
 *
 * @throws BuiltinError
 */
export function parseTemplate(text: string, charge: (units: number) => void): Templates {
  const templates = new Map<string, readonly Node[]>();
  new Parser(tokensOf(text, charge), templates).main();
  return templates;
}

/** The nodes that a pipeline may contain. */
const operandKinds: ReadonlySet<TokenKind> = new Set([
  'bool',
  'char',
  '.',
  'field',
  'identifier',
  'number',
  'nil',
  'rawString',
  'string',
  'variable',
  'leftParen',
]);

class Parser {
  readonly #tokens: readonly Token[];
  readonly #templates: Map<string, readonly Node[]>;
  #at = 0;
  /** Of the definition at hand. */
  #variables = ['$'];
  #ranges = 0;

  constructor(tokens: readonly Token[], templates: Map<string, readonly Node[]>) {
    this.#tokens = tokens;
    this.#templates = templates;
  }

  main(): void {
    const root: Node[] = [];
    while (this.#peek().kind !== 'end of text') {
      const start = this.#at;
      if (this.#peek().kind === 'leftDelim') {
        this.#at++;
        if (this.#nextNonSpace().kind === 'define') {
          this.#definition();
          continue;
        }
        this.#at = start;
      }
      const node = this.#textOrAction();
      if (node.kind === 'end' || node.kind === 'else') throw unexpected(node.kind);
      root.push(node);
    }
    this.#add(mainName, root);
  }

  #peek(): Token {
    // The last token ends the text, and nothing goes past it.
    return this.#tokens[Math.min(this.#at, this.#tokens.length - 1)] as Token;
  }

  #next(): Token {
    const token = this.#peek();
    this.#at++;
    return token;
  }

  #nextNonSpace(): Token {
    this.#peekNonSpace();
    return this.#next();
  }

  #peekNonSpace(): Token {
    while (this.#peek().kind === 'space') this.#at++;
    return this.#peek();
  }

  #expect(...kinds: readonly TokenKind[]): Token {
    const token = this.#nextNonSpace();
    if (!kinds.includes(token.kind)) throw unexpected(token.text);
    return token;
  }

  #add(name: string, nodes: readonly Node[]): void {
    const before = this.#templates.get(name);
    if (before === undefined || isEmpty(before)) this.#templates.set(name, nodes);
    else if (!isEmpty(nodes)) throw new BuiltinError(`multiple definition of template ${name}`);
  }

  #definition(): void {
    const name = this.#templateName();
    this.#expect('rightDelim');
    this.#body(name);
  }

  /** A template of its own, which sees none of the variables around it. */
  #body(name: string): void {
    const variables = this.#variables;
    const ranges = this.#ranges;
    this.#variables = ['$'];
    this.#ranges = 0;
    const { list, end } = this.#list();
    if (end !== 'end') throw unexpected(end);
    this.#variables = variables;
    this.#ranges = ranges;
    this.#add(name, list);
  }

  #templateName(): string {
    return unquoted(this.#expect('string', 'rawString').text);
  }

  #list(): { readonly list: readonly Node[]; readonly end: 'end' | 'else' } {
    const list: Node[] = [];
    while (this.#peekNonSpace().kind !== 'end of text') {
      const node = this.#textOrAction();
      if (node.kind === 'end' || node.kind === 'else') return { list, end: node.kind };
      list.push(node);
    }
    throw new BuiltinError('unexpected EOF');
  }

  #textOrAction(): Node | Ending {
    const token = this.#nextNonSpace();
    if (token.kind === 'text') return { kind: 'text', text: token.text };
    if (token.kind === 'leftDelim') return this.#action();
    throw unexpected(token.text);
  }

  #action(): Node | Ending {
    const token = this.#nextNonSpace();
    switch (token.kind) {
      case 'block':
        return this.#block();
      case 'break':
      case 'continue':
        this.#expect('rightDelim');
        if (this.#ranges === 0) throw new BuiltinError(`{{${token.kind}}} outside {{range}}`);
        return { kind: token.kind };
      case 'else': {
        const { kind } = this.#peekNonSpace();
        if (kind !== 'if' && kind !== 'with') this.#expect('rightDelim');
        return { kind: 'else' };
      }
      case 'end':
        this.#expect('rightDelim');
        return { kind: 'end' };
      case 'if':
      case 'range':
      case 'with':
        return this.#branch(token.kind);
      case 'template':
        return this.#template();
      default:
        this.#at--;
        return { kind: 'action', pipe: this.#pipeline('command', 'rightDelim') };
    }
  }

  #block(): Node {
    const name = this.#templateName();
    const pipe = this.#pipeline('block clause', 'rightDelim');
    this.#body(name);
    return { kind: 'template', name, pipe };
  }

  #template(): Node {
    const name = this.#templateName();
    if (this.#peekNonSpace().kind === 'rightDelim') {
      this.#at++;
      return { kind: 'template', name, pipe: undefined };
    }
    return { kind: 'template', name, pipe: this.#pipeline('template clause', 'rightDelim') };
  }

  #branch(kind: 'if' | 'with' | 'range'): Node {
    const variables = this.#variables.length;
    const pipe = this.#pipeline(kind, 'rightDelim');
    if (kind === 'range') this.#ranges++;
    const { list, end } = this.#list();
    if (kind === 'range') this.#ranges--;
    let otherwise: readonly Node[] | undefined;
    if (end === 'else') {
      if (kind !== 'range' && this.#peek().kind === kind) {
        // `{{else if …}}` shares the end of what it belongs to.
        this.#at++;
        otherwise = [this.#branch(kind)];
      } else {
        const rest = this.#list();
        if (rest.end !== 'end') throw unexpected('else');
        otherwise = rest.list;
      }
    }
    this.#variables.length = variables;
    return { kind, pipe, list, otherwise };
  }

  #pipeline(context: string, end: TokenKind): Pipe {
    const { assigns, declared } = this.#declarations(context);
    const commands: [Operand, ...Operand[]][] = [];
    for (;;) {
      const { kind, text } = this.#peekNonSpace();
      if (kind === end) break;
      if (!operandKinds.has(kind)) throw unexpected(text);
      commands.push(this.#command());
    }
    this.#at++;
    if (commands.length === 0) throw new BuiltinError(`missing value for ${context}`);
    for (const [first] of commands.slice(1)) {
      if (['bool', 'dot', 'nil', 'number', 'string'].includes(first.kind)) {
        throw new BuiltinError('non executable command in pipeline');
      }
    }
    return { kind: 'pipe', assigns, declared, commands };
  }

  #declarations(context: string): { readonly assigns: boolean; readonly declared: readonly string[] } {
    const declared: string[] = [];
    while (this.#peekNonSpace().kind === 'variable') {
      const start = this.#at;
      const { text: name } = this.#next();
      const { kind, text } = this.#peekNonSpace();
      if (kind === 'assign' || kind === 'declare') {
        this.#at++;
        declared.push(name);
        this.#variables.push(name);
        return { assigns: kind === 'assign', declared };
      }
      if (kind !== 'character' || text !== ',') {
        this.#at = start;
        break;
      }
      this.#at++;
      declared.push(name);
      this.#variables.push(name);
      if (context !== 'range' || declared.length > 1) throw new BuiltinError(`too many declarations in ${context}`);
      if (!['variable', 'rightDelim', 'rightParen'].includes(this.#peekNonSpace().kind)) {
        throw new BuiltinError('range can only initialize variables');
      }
    }
    return { assigns: false, declared };
  }

  #command(): [Operand, ...Operand[]] {
    const operands: Operand[] = [];
    for (;;) {
      this.#peekNonSpace();
      const operand = this.#operand();
      if (operand !== undefined) operands.push(operand);
      const token = this.#next();
      if (token.kind === 'space') continue;
      if (token.kind === 'rightDelim' || token.kind === 'rightParen') this.#at--;
      else if (token.kind !== 'pipe') throw unexpected(token.text);
      break;
    }
    const [first, ...rest] = operands;
    if (first === undefined) throw new BuiltinError('empty command');
    return [first, ...rest];
  }

  #operand(): Operand | undefined {
    const term = this.#term();
    if (term === undefined || this.#peek().kind !== 'field') return term;
    const names: string[] = [];
    while (this.#peek().kind === 'field') names.push(this.#next().text.slice(1));
    switch (term.kind) {
      case 'field':
      case 'variable':
        return { ...term, names: [...term.names, ...names] };
      case 'bool':
      case 'string':
      case 'number':
      case 'nil':
      case 'dot':
        throw unexpected('.');
      default:
        return { kind: 'chain', operand: term, names };
    }
  }

  #term(): Operand | undefined {
    const { kind, text } = this.#peekNonSpace();
    if (!operandKinds.has(kind)) return undefined;
    this.#at++;
    switch (kind) {
      case 'identifier': {
        const name = functionNames.find((one) => one === text);
        if (name === undefined) throw new BuiltinError(`function "${text}" not defined`);
        return { kind: 'function', name };
      }
      case '.':
        return { kind: 'dot' };
      case 'nil':
        return { kind: 'nil' };
      case 'variable':
        if (!this.#variables.includes(text)) throw new BuiltinError(`undefined variable "${text}"`);
        return { kind: 'variable', variable: text, names: [] };
      case 'field':
        return { kind: 'field', names: [text.slice(1)] };
      case 'bool':
        return { kind: 'bool', value: text === 'true' };
      case 'char': {
        const code = unquoteRune(text);
        if (code === undefined) throw new BuiltinError('malformed character constant');
        return { kind: 'number', value: new GoInt(code) };
      }
      case 'number':
        return { kind: 'number', value: numberOf(text) };
      case 'leftParen':
        return this.#pipeline('parenthesized pipeline', 'rightParen');
      default:
        return { kind: 'string', value: unquoted(text) };
    }
  }
}

function isEmpty(nodes: readonly Node[]): boolean {
  return nodes.every((node) => node.kind === 'text' && node.text.trim() === '');
}

function unquoted(literal: string): string {
  const text = unquote(literal);
  if (text === undefined) throw new BuiltinError('invalid syntax');
  return text;
}

function unexpected(what: string): BuiltinError {
  return new BuiltinError(`unexpected ${what}`);
}
