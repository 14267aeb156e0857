// Tested by test/opa/builtins/template.long.test.ts.
import { BuiltinError } from '../values/builtin.ts';

export type TokenKind =
  | 'text'
  | 'leftDelim'
  | 'rightDelim'
  | 'space'
  | 'assign'
  | 'declare'
  | 'pipe'
  | 'leftParen'
  | 'rightParen'
  | 'character'
  | 'bool'
  | 'char'
  | 'number'
  | 'string'
  | 'rawString'
  | 'field'
  | 'variable'
  | 'identifier'
  | 'end of text'
  | Keyword;

const keywords = [
  '.',
  'block',
  'break',
  'continue',
  'define',
  'else',
  'end',
  'if',
  'range',
  'nil',
  'template',
  'with',
] as const;
export type Keyword = (typeof keywords)[number];

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
}

const spaces = /[ \t\r\n]/;
const word = /[\p{L}\p{Nd}_]*/uy;
const number =
  /[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?|0[oO][0-7_]*(?:\.[0-7_]*)?|0[bB][01_]*(?:\.[01_]*)?|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?/y;
const quoted = /"(?:[^"\\\n]|\\[^\n])*"/y;
const rawQuoted = /`[^`]*`/y;
const quotedRune = /'(?:[^'\\\n]|\\[^\n])*'/y;

/** The tokens of a template, as Go's text/template has them. */
export function tokensOf(text: string, charge: (units: number) => void): readonly Token[] {
  return new Lexer(text, charge).run();
}

class Lexer {
  readonly #text: string;
  readonly #charge: (units: number) => void;
  readonly #tokens: Token[] = [];
  #at = 0;
  #depth = 0;

  constructor(text: string, charge: (units: number) => void) {
    this.#text = text;
    this.#charge = charge;
  }

  run(): readonly Token[] {
    while (this.#at < this.#text.length) {
      const open = this.#text.indexOf('{{', this.#at);
      const end = open < 0 ? this.#text.length : open;
      const plain = this.#text.slice(this.#at, end);
      this.#at = end;
      const text = open >= 0 && this.#trimsLeft(open + 2) ? plain.replace(/[ \t\r\n]+$/, '') : plain;
      if (text !== '') this.#push('text', text);
      if (open >= 0) this.#action();
    }
    this.#push('end of text', '');
    return this.#tokens;
  }

  #push(kind: TokenKind, text: string): void {
    this.#charge(1);
    this.#tokens.push({ kind, text });
  }

  #trimsLeft(at: number): boolean {
    return this.#text.charAt(at) === '-' && spaces.test(this.#text.charAt(at + 1));
  }

  #action(): void {
    this.#at += 2;
    if (this.#trimsLeft(this.#at)) this.#at += 2;
    if (this.#text.startsWith('/*', this.#at)) {
      this.#comment();
      return;
    }
    this.#push('leftDelim', '{{');
    this.#depth = 0;
    while (!this.#rightDelim()) this.#inside();
  }

  #comment(): void {
    const end = this.#text.indexOf('*/', this.#at + 2);
    if (end < 0) throw new BuiltinError('unclosed comment');
    this.#at = end + 2;
    if (!this.#closes()) throw new BuiltinError('comment ends before closing delimiter');
  }

  #rightDelim(): boolean {
    const before = this.#at;
    if (!this.#closes()) return false;
    if (this.#depth > 0) throw new BuiltinError('unclosed left paren');
    this.#push('rightDelim', this.#text.slice(before, this.#at));
    return true;
  }

  /** Steps over the closing delimiter, and over the space behind one that trims. */
  #closes(): boolean {
    if (this.#text.startsWith('}}', this.#at)) {
      this.#at += 2;
      return true;
    }
    if (!this.#trimsRight(this.#at)) return false;
    this.#at += 4;
    while (spaces.test(this.#text.charAt(this.#at))) this.#at++;
    return true;
  }

  #trimsRight(at: number): boolean {
    return spaces.test(this.#text.charAt(at)) && this.#text.startsWith('-}}', at + 1);
  }

  #inside(): void {
    const character = this.#text.charAt(this.#at);
    switch (character) {
      case '':
        throw new BuiltinError('unclosed action');
      case ' ':
      case '\t':
      case '\r':
      case '\n':
        this.#space();
        return;
      case '=':
        this.#take('assign', 1);
        return;
      case ':':
        if (!this.#text.startsWith(':=', this.#at)) throw new BuiltinError('expected :=');
        this.#take('declare', 2);
        return;
      case '|':
        this.#take('pipe', 1);
        return;
      case '"':
        this.#match('string', quoted, 'unterminated quoted string');
        return;
      case '`':
        this.#match('rawString', rawQuoted, 'unterminated raw quoted string');
        return;
      case "'":
        this.#match('char', quotedRune, 'unterminated character constant');
        return;
      case '$':
        this.#name('variable');
        return;
      case '(':
        this.#depth++;
        this.#take('leftParen', 1);
        return;
      case ')':
        this.#depth--;
        if (this.#depth < 0) throw new BuiltinError('unexpected right paren');
        this.#take('rightParen', 1);
        return;
      default:
        this.#other(character);
    }
  }

  #other(character: string): void {
    if (character === '.' && !/[0-9]/.test(this.#text.charAt(this.#at + 1))) this.#name('field');
    else if (/[.+\-0-9]/.test(character)) this.#number();
    else if (/[\p{L}\p{Nd}_]/u.test(String.fromCodePoint(this.#text.codePointAt(this.#at) ?? 0))) this.#identifier();
    else if (character > ' ' && character < '\x7f') this.#take('character', 1);
    else throw new BuiltinError('unrecognized character in action');
  }

  #take(kind: TokenKind, length: number): void {
    this.#push(kind, this.#text.slice(this.#at, this.#at + length));
    this.#at += length;
  }

  #match(kind: TokenKind, pattern: RegExp, problem: string): void {
    pattern.lastIndex = this.#at;
    const length = pattern.exec(this.#text)?.[0].length;
    if (length === undefined) throw new BuiltinError(problem);
    this.#take(kind, length);
  }

  /** A run of spaces, but for one that belongs to a closing delimiter that trims. */
  #space(): void {
    let end = this.#at;
    while (spaces.test(this.#text.charAt(end)) && !this.#trimsRight(end)) end++;
    this.#take('space', end - this.#at);
  }

  #wordLength(at: number): number {
    word.lastIndex = at;
    return word.exec(this.#text)?.[0].length ?? 0;
  }

  /** `.name` or `$name`, or the point or dollar alone. */
  #name(kind: 'field' | 'variable'): void {
    const length = this.#terminates(this.#at + 1) ? 0 : this.#wordLength(this.#at + 1);
    if (!this.#terminates(this.#at + 1 + length)) throw new BuiltinError('bad character');
    this.#take(kind === 'field' && length === 0 ? '.' : kind, 1 + length);
  }

  #identifier(): void {
    const length = this.#wordLength(this.#at);
    const text = this.#text.slice(this.#at, this.#at + length);
    if (!this.#terminates(this.#at + length)) throw new BuiltinError('bad character');
    const keyword = keywords.find((one) => one === text);
    this.#take(keyword ?? (text === 'true' || text === 'false' ? 'bool' : 'identifier'), length);
  }

  #number(): void {
    number.lastIndex = this.#at;
    const length = number.exec(this.#text)?.[0].length ?? 0;
    if (this.#wordLength(this.#at + length) > 0) throw new BuiltinError('bad number syntax');
    // Go would go on to a complex number.
    if (/[+-]/.test(this.#text.charAt(this.#at + length))) throw new BuiltinError('complex numbers are not supported');
    this.#take('number', length);
  }

  #terminates(at: number): boolean {
    const character = this.#text.charAt(at);
    return character === '' || ' \t\r\n.,|:)('.includes(character) || this.#text.startsWith('}}', at);
  }
}
