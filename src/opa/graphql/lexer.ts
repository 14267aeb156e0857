// Tested by test/opa/builtins/graphql.long.test.ts.
export class GraphqlError extends Error {}

export type TokenKind = 'end' | 'name' | 'int' | 'float' | 'string' | 'block' | 'comment' | Punctuator;
type Punctuator = '!' | '$' | '&' | '(' | ')' | '...' | ':' | '=' | '@' | '[' | ']' | '{' | '|' | '}';

export interface Token {
  readonly kind: TokenKind;
  readonly value: string;
}

const nameAt = /[_A-Za-z][_0-9A-Za-z]*/y;
const numberAt = /-?(?:0(?!\d)|[1-9]\d*)(?:\.\d+)?(?:[eE][-+]?\d+)?/y;
const unfinishedNumber = /[.eE]/y;
const punctuatorAt = /\.\.\.|[!$&():=@[\]{|}]/y;
const blankAt = /[\t ,\n\r\ufeff]*/y;
const commentAt = /#(?:[^\p{Cc}]|[\t\x7f-\x9f])*/uy;

/**
 * GraphQL's tokens, comments among them.
 *
 * @see github.com/vektah/gqlparser/v2, lexer
 */
export class Lexer {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  next(): Token {
    this.#match(blankAt);
    if (this.#at >= this.#text.length) return { kind: 'end', value: '' };
    const name = this.#match(nameAt);
    if (name !== undefined) return { kind: 'name', value: name };
    const punctuator = this.#match(punctuatorAt);
    if (punctuator !== undefined) return { kind: punctuator as Punctuator, value: '' };
    const comment = this.#match(commentAt);
    if (comment !== undefined) return { kind: 'comment', value: comment };
    const number = this.#match(numberAt);
    if (number !== undefined) return this.#number(number);
    if (this.#text.startsWith('"""', this.#at)) return this.#block();
    if (this.#text[this.#at] === '"') return this.#string();
    throw new GraphqlError('unexpected character');
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text)?.[0];
    if (match === undefined) return undefined;
    this.#at += match.length;
    return match;
  }

  #number(text: string): Token {
    // With digits the match would have continued.
    unfinishedNumber.lastIndex = this.#at;
    const next = unfinishedNumber.exec(this.#text)?.[0];
    const isFloat = /[.eE]/.test(text);
    if (next !== undefined && (next !== '.' ? !/[eE]/.test(text) : !isFloat)) throw new GraphqlError('invalid number');
    return { kind: isFloat ? 'float' : 'int', value: text };
  }

  #string(): Token {
    let value = '';
    for (this.#at++; ; ) {
      const character = this.#text.charAt(this.#at);
      if (character === '"') {
        this.#at++;
        return { kind: 'string', value };
      }
      if (character === '\\') value += this.#escape();
      else if (character < ' ' && character !== '\t') throw new GraphqlError('unterminated string');
      else {
        value += character;
        this.#at++;
      }
    }
  }

  #escape(): string {
    const letter = this.#text.charAt(this.#at + 1);
    if (letter === 'u') {
      const digits = this.#text.slice(this.#at + 2, this.#at + 6);
      // One character has to follow, which in a terminated string the quote does.
      if (!/^[0-9a-fA-F]{4}$/.test(digits) || this.#at + 6 >= this.#text.length) {
        throw new GraphqlError('invalid escape');
      }
      this.#at += 6;
      const code = Number.parseInt(digits, 16);
      return code >= 0xd800 && code <= 0xdfff ? '\ufffd' : String.fromCharCode(code);
    }
    const plain = { '"': '"', '/': '/', '\\': '\\', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }[letter];
    if (plain === undefined) throw new GraphqlError('invalid escape');
    this.#at += 2;
    return plain;
  }

  #block(): Token {
    let raw = '';
    for (this.#at += 3; ; ) {
      const quotes = /^"{3,}/.exec(this.#text.slice(this.#at, this.#at + 65_536))?.[0].length ?? 0;
      if (quotes >= 3) {
        this.#at += quotes;
        return { kind: 'block', value: blockValue(raw + '"'.repeat(quotes - 3)) };
      }
      if (this.#text.startsWith('\\"""', this.#at)) {
        raw += '"""';
        this.#at += 4;
        continue;
      }
      const character = this.#text.charAt(this.#at);
      if (character === '' || (character < ' ' && !/[\t\n\r]/.test(character)))
        throw new GraphqlError('unterminated string');
      const lineEnd = /^(?:\r\n|\r)/.exec(this.#text.slice(this.#at, this.#at + 2))?.[0];
      raw += lineEnd === undefined ? character : '\n';
      this.#at += lineEnd?.length ?? 1;
    }
  }
}

/** A block string without the indentation that its lines have in common and without the blank lines around it. */
function blockValue(raw: string): string {
  const lines = raw.split('\n');
  const indents = lines.map(indentOf).filter((indent) => indent !== undefined);
  const common = Math.min(...indents);
  const trimmed = lines.map((line, index) => (index === 0 || common === Infinity ? line : line.slice(common)));
  const start = trimmed.findIndex((line) => indentOf(line) !== undefined);
  const end = trimmed.findLastIndex((line) => indentOf(line) !== undefined);
  return start < 0 ? '' : trimmed.slice(start, end + 1).join('\n');
}

/** @returns undefined for a line of nothing but blanks */
function indentOf(line: string): number | undefined {
  const indent = line.search(/[^ \t]/);
  return indent < 0 ? undefined : indent;
}
