// Tested by test/opa/builtins/rego.long.test.ts.
import { BuiltinError } from '../values/builtin.ts';

/** The kind of a token: a mark or keyword as it is written, or the name of a kind of text. */
export type TokenKind =
  | 'illegal'
  | 'end'
  | 'space'
  | 'comment'
  | 'identifier'
  | 'number'
  | 'string'
  /** A piece of a template string, before an expression. */
  | 'template part'
  | 'template end'
  | (string & {});

export interface Token {
  readonly kind: TokenKind;
  readonly text: string;
  readonly start: number;
  readonly end: number;
  /** The scanner complains, and goes on. */
  readonly wrong: boolean;
}

const keywords = ['package', 'import', 'as', 'default', 'else', 'not', 'some', 'with', 'null', 'true', 'false'];
/** Those that a module of Rego v1 has without an import. */
export const keywordsOfV1: ReadonlySet<string> = new Set([...keywords, 'in', 'every', 'contains', 'if']);
/** Those that `import future.keywords` can bring in beside them. */
export const importableKeywords: readonly string[] = ['not', 'and', 'or'];
export const futureKeywords: ReadonlySet<string> = new Set(['in', 'every', 'contains', 'if', ...importableKeywords]);

const identifier = /[A-Za-z_][A-Za-z_0-9\p{Nd}]*/uy;
const number = /[0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]*)?/y;
const marks = /:=|==|>=|<=|!=|[[\]{}(),:+\-*/%&|=><;.]/y;
const string = /"(?:[^"\\\n]|\\[\s\S])*"/y;

/**
 * Refuses what no Rego may hold anywhere, so that the scanner need not look for it.
 *
 * @throws BuiltinError
 */
export function checkCharacters(text: string): void {
  if (!text.isWellFormed() || text.includes('\0') || text.includes('\ufeff', 1)) {
    throw new BuiltinError('rego_parse_error: illegal character');
  }
}

/** @param words the keywords in force */
export function tokenAt(text: string, start: number, words: ReadonlySet<string>): Token {
  const token = (kind: TokenKind, length: number, wrong = false): Token => ({
    kind,
    text: text.slice(start, start + length),
    start,
    end: start + length,
    wrong,
  });
  const first = text.charAt(start);
  switch (first) {
    case '':
      return token('end', 0);
    case ' ':
    case '\t':
    case '\n':
    case '\r':
      return token('space', 1);
    case '#': {
      const newline = text.indexOf('\n', start);
      return token('comment', (newline < 0 ? text.length : newline) - start);
    }
    case '"':
      return stringAt(text, start, token);
    case '`': {
      const close = text.indexOf('`', start + 1);
      return close < 0 ? token('string', text.length - start, true) : token('string', close + 1 - start);
    }
    case '$': {
      const mark = text.charAt(start + 1);
      return mark === '"' || mark === '`' ? templateAt(text, start + 1, mark === '`') : token('illegal', 1, true);
    }
  }
  const word = matchAt(identifier, text, start);
  if (word !== undefined) return token(words.has(word) ? word : 'identifier', word.length);
  const digits = matchAt(number, text, start);
  if (digits !== undefined) return numberAt(text, start, digits, token);
  const mark = matchAt(marks, text, start);
  return mark === undefined ? token('illegal', 1, true) : token(mark, mark.length);
}

function matchAt(pattern: RegExp, text: string, start: number): string | undefined {
  pattern.lastIndex = start;
  return pattern.exec(text)?.[0];
}

type Make = (kind: TokenKind, length: number, wrong?: boolean) => Token;

function numberAt(text: string, start: number, digits: string, token: Make): Token {
  const tail = matchAt(identifier, text, start + digits.length) ?? '';
  return token('number', digits.length + tail.length, tail !== '' || /[.eE+-]$|\.[eE]/.test(digits));
}

function stringAt(text: string, start: number, token: Make): Token {
  const literal = matchAt(string, text, start);
  if (literal === undefined) return token('string', text.length - start, true);
  return token('string', literal.length, /\\(?!["\\/bfnrtu])/.test(literal.replace(/\\\\/g, '')));
}

/** From the quote, or the brace that ends an expression, up to the next expression or the end of the string. */
export function templateAt(text: string, start: number, raw: boolean): Token {
  const quote = raw ? '`' : '"';
  let wrong = false;
  for (let at = start + 1; at < text.length; at++) {
    const character = text.charAt(at);
    if (character === '\n' && !raw) break;
    if (character === quote || character === '{') {
      const kind = character === quote ? 'template end' : 'template part';
      return { kind, text: text.slice(start + 1, at), start, end: at + 1, wrong };
    }
    if (character !== '\\') continue;
    if (raw) {
      if (text.charAt(at + 1) === '{') at++;
    } else {
      at++;
      if (!/["\\/bfnrtu{]/.test(text.charAt(at))) wrong = true;
    }
  }
  return { kind: 'template end', text: '', start, end: text.length, wrong: true };
}
