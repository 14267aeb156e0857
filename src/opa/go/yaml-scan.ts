// Tested by test/opa/go/yaml-as-opa.test.ts.
import type { Charge } from '../values/charge.ts';
import { YamlError } from './yaml-scalar.ts';

export type YamlToken =
  | { readonly kind: 'scalar'; readonly text: string; readonly plain: boolean }
  | { readonly kind: 'anchor' | 'alias'; readonly text: string }
  | { readonly kind: 'tag' | 'tag-directive'; readonly handle: string; readonly text: string }
  | { readonly kind: 'version-directive'; readonly text: string }
  | { readonly kind: Mark };

/** Tokens that are a character or an indentation in the text. */
export type Mark =
  | 'document-start'
  | 'document-end'
  | 'stream-end'
  | 'block-sequence'
  | 'block-mapping'
  | 'block-end'
  | 'flow-sequence'
  | 'flow-sequence-end'
  | 'flow-mapping'
  | 'flow-mapping-end'
  | 'block-entry'
  | 'flow-entry'
  | 'key'
  | 'value';

/** A token that becomes a key if a colon follows it on its line. */
interface SimpleKey {
  possible: boolean;
  required: boolean;
  /** Of the token that it begins with. */
  token: number;
  at: number;
  line: number;
  column: number;
}

const depthMax = 10_000;
const simpleKeyLengthMax = 1_024;
/** So far ahead a comment is looked for. */
const lookAheadMax = 512;

const flowMarks: Readonly<Record<string, Mark>> = {
  '[': 'flow-sequence',
  '{': 'flow-mapping',
  ']': 'flow-sequence-end',
  '}': 'flow-mapping-end',
};
const escapes: Readonly<Record<string, string>> = {
  '0': '\0',
  a: '\x07',
  b: '\b',
  t: '\t',
  '\t': '\t',
  n: '\n',
  v: '\v',
  f: '\f',
  r: '\r',
  e: '\x1b',
  ' ': ' ',
  '"': '"',
  "'": "'",
  '\\': '\\',
  N: '\u0085',
  _: '\u00a0',
  L: '\u2028',
  P: '\u2029',
};
const escapedDigits: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 };

const isBlank = (character: string): boolean => character === ' ' || character === '\t';
const isBreak = (character: string): boolean => /^[\r\n\u0085\u2028\u2029]$/.test(character);
/** Or the end of the stream. */
const isBreakOrEnd = (character: string): boolean => character === '' || isBreak(character);
const isBlankOrEnd = (character: string): boolean => isBlank(character) || isBreakOrEnd(character);
const isWord = (character: string): boolean => /^[0-9A-Za-z_-]$/.test(character);
const isUri = (character: string): boolean => /^[0-9A-Za-z_\-;/?:@&=+$,.!~*'()[\]%]$/.test(character);

/**
 * The tokens of a YAML stream as go-yaml cuts it. Other readers of YAML forgive more or less: what a text means depends on
 * where a tab is allowed, which names an anchor may have, and what ends a plain scalar.
 *
 * @throws YamlError
 * @see go.yaml.in/yaml/v3, scannerc.go
 */
export function scanYaml(text: string, charge: Charge): readonly YamlToken[] {
  return new Scanner(text, charge).scan();
}

class Scanner {
  readonly #characters: readonly string[];
  readonly #charge: Charge;
  readonly #tokens: YamlToken[] = [];
  /** Tokens to insert before a key that was recognised only at its colon. */
  readonly #before = new Map<number, readonly YamlToken[]>();
  #at = 0;
  #line = 0;
  #column = 0;
  /** Line breaks since the last character that is neither blank nor break. */
  #newlines = 0;
  #indent = -1;
  readonly #indents: number[] = [];
  /** One for each flow collection that is open, and the outermost. */
  readonly #simpleKeys: SimpleKey[] = [noKey()];
  #simpleKeyAllowed = true;

  constructor(text: string, charge: Charge) {
    this.#charge = charge;
    // A byte order mark further on is a character like any other: that is where go-yaml looks for it in vain.
    this.#characters = [...text.replace(/^\ufeff/, '')];
    // With two of them go-yaml drops the first character of each line; nothing is a better answer.
    if (this.#peek() === '\ufeff') throw new YamlError('found a second byte order mark');
  }

  scan(): readonly YamlToken[] {
    while (this.#tokens.at(-1)?.kind !== 'stream-end') {
      const before = this.#at;
      this.#next();
      this.#charge(1 + (this.#at - before) / 8);
    }
    return this.#tokens.flatMap((token, index) => [...(this.#before.get(index) ?? []), token]);
  }

  #peek(ahead = 0): string {
    return this.#characters[this.#at + ahead] ?? '';
  }

  #read(): string {
    const character = this.#peek();
    if (!isBlank(character)) this.#newlines = 0;
    this.#at += 1;
    this.#column += 1;
    return character;
  }

  /** @returns the break as it counts in a scalar; nothing where there is none */
  #readBreak(): string {
    const character = this.#peek();
    if (!isBreak(character)) return '';
    this.#at += character === '\r' && this.#peek(1) === '\n' ? 2 : 1;
    this.#column = 0;
    this.#line += 1;
    this.#newlines += 1;
    return character === '\u2028' || character === '\u2029' ? character : '\n';
  }

  get #isFlow(): boolean {
    return this.#simpleKeys.length > 1;
  }

  #push(token: YamlToken): void {
    this.#tokens.push(token);
  }

  #next(): void {
    this.#toNextToken();
    this.#unrollIndent(this.#column);
    const character = this.#peek();
    if (character === '') {
      this.#endStream();
      return;
    }
    if (this.#column === 0 && character === '%') {
      this.#leaveBlocks();
      this.#directive();
      return;
    }
    const indicator = this.#documentIndicator();
    if (indicator !== undefined) {
      this.#leaveBlocks();
      for (let count = 0; count < 3; count += 1) this.#read();
      this.#push({ kind: indicator });
      return;
    }
    this.#token(character);
    // A comment may follow a token without a blank between, except after a dash.
    if (this.#tokens.at(-1)?.kind !== 'block-entry') this.#lineComment();
  }

  #token(character: string): void {
    const ends = isBlankOrEnd(this.#peek(1));
    switch (character) {
      case '[':
      case '{':
        this.#saveSimpleKey();
        if (this.#simpleKeys.length > depthMax) throw new YamlError('exceeded max depth');
        this.#simpleKeys.push(noKey());
        this.#mark(flowMarks[character] ?? 'flow-mapping', true);
        return;
      case ']':
      case '}':
        this.#removeSimpleKey();
        if (this.#isFlow) this.#simpleKeys.pop();
        this.#mark(flowMarks[character] ?? 'flow-mapping-end', false);
        return;
      case ',':
        this.#removeSimpleKey();
        this.#mark('flow-entry', true);
        return;
      case '*':
      case '&':
        this.#saveSimpleKey();
        this.#simpleKeyAllowed = false;
        this.#anchor(character === '&' ? 'anchor' : 'alias');
        return;
      case '!':
        this.#saveSimpleKey();
        this.#simpleKeyAllowed = false;
        this.#tag();
        return;
      case "'":
      case '"':
        this.#saveSimpleKey();
        this.#simpleKeyAllowed = false;
        this.#quotedScalar(character);
        return;
      default:
    }
    if (character === '-' && ends) this.#blockEntry();
    else if (character === '?' && (this.#isFlow || ends)) this.#key();
    else if (character === ':' && (this.#isFlow || ends)) this.#value();
    else if ((character === '|' || character === '>') && !this.#isFlow) {
      this.#removeSimpleKey();
      this.#simpleKeyAllowed = true;
      this.#blockScalar(character === '|');
    } else if (this.#startsPlain(character)) {
      this.#saveSimpleKey();
      this.#simpleKeyAllowed = false;
      this.#plainScalar();
    } else throw new YamlError('found character that cannot start any token');
  }

  #startsPlain(character: string): boolean {
    if (character === '-') return true;
    if (character === '?' || character === ':') return !this.#isFlow;
    return !isBlankOrEnd(character) && !/^[,[\]{}#&*!|>'"%@`]$/.test(character);
  }

  /** @param allowed whether a simple key may come next */
  #mark(kind: Mark, allowed: boolean): void {
    this.#simpleKeyAllowed = allowed;
    this.#read();
    this.#push({ kind });
  }

  #toNextToken(): void {
    for (;;) {
      while (this.#peek() === ' ' || ((this.#isFlow || !this.#simpleKeyAllowed) && this.#peek() === '\t')) this.#read();
      if (this.#peek() === '#') this.#comments();
      if (!isBreak(this.#peek())) return;
      this.#readBreak();
      if (!this.#isFlow) this.#simpleKeyAllowed = true;
    }
  }

  /** Comments in a row: those behind the first may be indented by tabs, which nothing else may. */
  #comments(): void {
    this.#comment();
    for (let ahead = 0; ahead < lookAheadMax; ahead += 1) {
      const character = this.#peek(ahead);
      if (isBlank(character) || isBreak(character)) continue;
      if (character !== '#') return;
      const end = this.#at + ahead;
      while (this.#at < end) if (this.#readBreak() === '') this.#read();
      this.#comment();
      ahead = -1;
    }
  }

  #lineComment(): void {
    if (this.#newlines > 0) return;
    let ahead = 0;
    while (ahead < lookAheadMax && isBlank(this.#peek(ahead))) ahead += 1;
    if (this.#peek(ahead) === '#') this.#comment();
  }

  #comment(): void {
    while (!isBreakOrEnd(this.#peek())) this.#read();
  }

  #documentIndicator(): 'document-start' | 'document-end' | undefined {
    if (this.#column !== 0 || !isBlankOrEnd(this.#peek(3))) return undefined;
    const three = this.#peek() + this.#peek(1) + this.#peek(2);
    return three === '---' ? 'document-start' : three === '...' ? 'document-end' : undefined;
  }

  #leaveBlocks(): void {
    this.#unrollIndent(-1);
    this.#removeSimpleKey();
    this.#simpleKeyAllowed = false;
  }

  #endStream(): void {
    if (this.#column !== 0) {
      this.#column = 0;
      this.#line += 1;
    }
    this.#leaveBlocks();
    this.#push({ kind: 'stream-end' });
  }

  /** @returns whether an indentation begins here */
  #rollIndent(column: number): boolean {
    if (this.#isFlow || this.#indent >= column) return false;
    this.#indents.push(this.#indent);
    this.#indent = column;
    if (this.#indents.length > depthMax) throw new YamlError('exceeded max depth');
    return true;
  }

  #unrollIndent(column: number): void {
    if (this.#isFlow) return;
    while (this.#indent > column) {
      this.#push({ kind: 'block-end' });
      this.#indent = this.#indents.pop() ?? -1;
    }
  }

  #saveSimpleKey(): void {
    const required = !this.#isFlow && this.#indent === this.#column;
    if (!this.#simpleKeyAllowed) return;
    this.#removeSimpleKey();
    this.#simpleKeys[this.#simpleKeys.length - 1] = {
      possible: true,
      required,
      token: this.#tokens.length,
      at: this.#at,
      line: this.#line,
      column: this.#column,
    };
  }

  #removeSimpleKey(): void {
    const key = this.#simpleKeys.at(-1);
    if (key?.possible !== true) return;
    if (key.required) throw new YamlError('could not find expected ":"');
    key.possible = false;
  }

  #isValid(key: SimpleKey): boolean {
    if (!key.possible) return false;
    if (key.line >= this.#line && key.at + simpleKeyLengthMax >= this.#at) return true;
    if (key.required) throw new YamlError('could not find expected ":"');
    key.possible = false;
    return false;
  }

  #blockEntry(): void {
    if (!this.#isFlow) {
      if (!this.#simpleKeyAllowed) throw new YamlError('block sequence entries are not allowed in this context');
      if (this.#rollIndent(this.#column)) this.#push({ kind: 'block-sequence' });
    }
    this.#removeSimpleKey();
    this.#mark('block-entry', true);
  }

  #key(): void {
    if (!this.#isFlow) {
      if (!this.#simpleKeyAllowed) throw new YamlError('mapping keys are not allowed in this context');
      if (this.#rollIndent(this.#column)) this.#push({ kind: 'block-mapping' });
    }
    this.#removeSimpleKey();
    this.#mark('key', !this.#isFlow);
  }

  #value(): void {
    const key = this.#simpleKeys.at(-1);
    if (key !== undefined && this.#isValid(key)) {
      const begins = this.#rollIndent(key.column);
      this.#before.set(key.token, [...(begins ? [{ kind: 'block-mapping' } as const] : []), { kind: 'key' }]);
      key.possible = false;
      this.#mark('value', false);
      return;
    }
    if (!this.#isFlow) {
      if (!this.#simpleKeyAllowed) throw new YamlError('mapping values are not allowed in this context');
      if (this.#rollIndent(this.#column)) this.#push({ kind: 'block-mapping' });
    }
    this.#mark('value', !this.#isFlow);
  }

  #anchor(kind: 'anchor' | 'alias'): void {
    this.#read();
    const text = this.#words();
    if (text === '' || !(isBlankOrEnd(this.#peek()) || /^[?:,\]}%@`]$/.test(this.#peek())))
      throw new YamlError('did not find expected alphabetic or numeric character');
    this.#push({ kind, text });
  }

  #words(): string {
    let text = '';
    while (isWord(this.#peek())) text += this.#read();
    return text;
  }

  #tag(): void {
    let handle = '';
    let text: string;
    if (this.#peek(1) === '<') {
      this.#read();
      this.#read();
      text = this.#uri('');
      if (this.#peek() !== '>') throw new YamlError('did not find the expected ">"');
      this.#read();
    } else {
      const start = this.#tagHandle();
      if (start.length > 1 && start.endsWith('!')) {
        handle = start;
        text = this.#uri('');
      } else {
        text = this.#uri(start);
        handle = '!';
        if (text === '') [handle, text] = ['', '!'];
      }
    }
    if (!isBlankOrEnd(this.#peek())) throw new YamlError('did not find expected whitespace or line break');
    this.#push({ kind: 'tag', handle, text });
  }

  #tagHandle(): string {
    if (this.#peek() !== '!') throw new YamlError('did not find expected "!"');
    const handle = this.#read() + this.#words();
    return this.#peek() === '!' ? handle + this.#read() : handle;
  }

  /** @param head what was read of it, with an exclamation mark that is none of it */
  #uri(head: string): string {
    let text = head.slice(1);
    let isThere = head !== '';
    while (isUri(this.#peek())) {
      text += this.#peek() === '%' ? this.#uriEscape() : this.#read();
      isThere = true;
    }
    if (!isThere) throw new YamlError('did not find expected tag URI');
    return text;
  }

  /** One character, of as many bytes as its first one says. */
  #uriEscape(): string {
    const octet = (): number => {
      const digits = this.#peek(1) + this.#peek(2);
      if (this.#peek() !== '%' || !/^[0-9a-fA-F]{2}$/.test(digits))
        throw new YamlError('did not find URI escaped octet');
      for (let count = 0; count < 3; count += 1) this.#read();
      return Number.parseInt(digits, 16);
    };
    const first = octet();
    const width = first < 0x80 ? 1 : (first & 0xe0) === 0xc0 ? 2 : (first & 0xf0) === 0xe0 ? 3 : 4;
    if (width > 1 && ((first & 0xc0) !== 0xc0 || first >= 0xf8))
      throw new YamlError('found an incorrect leading UTF-8 octet');
    const octets = [first];
    while (octets.length < width) {
      const next = octet();
      if ((next & 0xc0) !== 0x80) throw new YamlError('found an incorrect trailing UTF-8 octet');
      octets.push(next);
    }
    return Buffer.from(octets).toString('utf8');
  }

  #blanks(): void {
    while (isBlank(this.#peek())) this.#read();
  }

  #directive(): void {
    this.#read();
    const name = this.#words();
    if (name === '' || !isBlankOrEnd(this.#peek())) throw new YamlError('found unexpected directive name');
    this.#blanks();
    if (name === 'YAML') {
      const major = this.#versionNumber();
      if (this.#peek() !== '.') throw new YamlError('did not find expected digit or "." character');
      this.#read();
      this.#push({ kind: 'version-directive', text: `${major}.${this.#versionNumber()}` });
    } else if (name === 'TAG') {
      const handle = this.#tagHandle();
      if (handle !== '!' && !handle.endsWith('!')) throw new YamlError('did not find expected "!"');
      if (!isBlank(this.#peek())) throw new YamlError('did not find expected whitespace');
      this.#blanks();
      const text = this.#uri('');
      if (!isBlankOrEnd(this.#peek())) throw new YamlError('did not find expected whitespace or line break');
      this.#push({ kind: 'tag-directive', handle, text });
    } else throw new YamlError('found unknown directive name');
    this.#blanks();
    if (this.#peek() === '#') this.#comment();
    if (!isBreakOrEnd(this.#peek())) throw new YamlError('did not find expected comment or line break');
    this.#readBreak();
  }

  #versionNumber(): number {
    let digits = '';
    while (/^\d$/.test(this.#peek())) digits += this.#read();
    if (digits === '' || digits.length > 2) throw new YamlError('did not find expected version number');
    return Number(digits);
  }

  #blockScalar(isLiteral: boolean): void {
    this.#read();
    const { chomping, increment } = this.#blockHeader();
    this.#blanks();
    if (this.#peek() === '#') this.#comment();
    if (!isBreakOrEnd(this.#peek())) throw new YamlError('did not find expected comment or line break');
    this.#readBreak();
    const given = increment === 0 ? 0 : Math.max(this.#indent, 0) + increment;
    let { indent, breaks } = this.#blockBreaks(given);
    let text = '';
    let leadingBreak = '';
    let wasBlank = false;
    while (this.#column === indent && this.#peek() !== '') {
      const isBlankHere = isBlank(this.#peek());
      const isFolded = !isLiteral && !wasBlank && !isBlankHere && leadingBreak === '\n';
      if (!isFolded) text += leadingBreak;
      else if (breaks === '') text += ' ';
      text += breaks;
      wasBlank = isBlankHere;
      while (!isBreakOrEnd(this.#peek())) text += this.#read();
      leadingBreak = this.#readBreak();
      ({ indent, breaks } = this.#blockBreaks(indent));
    }
    if (chomping !== '-') text += leadingBreak;
    if (chomping === '+') text += breaks;
    this.#push({ kind: 'scalar', text, plain: false });
  }

  /** A sign and a digit, in either order. */
  #blockHeader(): { readonly chomping: string; readonly increment: number } {
    let chomping = '';
    let increment = 0;
    const sign = (): void => {
      if (/^[-+]$/.test(this.#peek())) chomping = this.#read();
    };
    sign();
    if (/^\d$/.test(this.#peek())) {
      increment = Number(this.#read());
      if (increment === 0) throw new YamlError('found an indentation indicator equal to 0');
      if (chomping === '') sign();
    }
    return { chomping, increment };
  }

  /** @param given the scalar's indentation; 0: it follows from the first line that is not empty */
  #blockBreaks(given: number): { readonly indent: number; readonly breaks: string } {
    let breaks = '';
    let deepest = 0;
    for (;;) {
      while ((given === 0 || this.#column < given) && this.#peek() === ' ') this.#read();
      deepest = Math.max(deepest, this.#column);
      if ((given === 0 || this.#column < given) && this.#peek() === '\t')
        throw new YamlError('found a tab character where an indentation space is expected');
      if (!isBreak(this.#peek())) break;
      breaks += this.#readBreak();
    }
    return { indent: given === 0 ? Math.max(deepest, this.#indent + 1, 1) : given, breaks };
  }

  #quotedScalar(quote: string): void {
    this.#read();
    let text = '';
    for (;;) {
      if (this.#documentIndicator() !== undefined) throw new YamlError('found unexpected document indicator');
      if (this.#peek() === '') throw new YamlError('found unexpected end of stream');
      let isContinued = false;
      while (!isBlankOrEnd(this.#peek()) && !isContinued) {
        if (quote === "'" && this.#peek() === quote && this.#peek(1) === quote) {
          this.#read();
          text += this.#read();
        } else if (this.#peek() === quote) break;
        else if (quote === '"' && this.#peek() === '\\') {
          if (isBreak(this.#peek(1))) {
            this.#read();
            this.#readBreak();
            isContinued = true;
          } else text += this.#escape();
        } else text += this.#read();
      }
      if (this.#peek() === quote) break;
      text += this.#folded(isContinued, () => undefined).text;
    }
    this.#read();
    this.#push({ kind: 'scalar', text, plain: false });
  }

  #escape(): string {
    this.#read();
    const kind = this.#read();
    const simple = Object.hasOwn(escapes, kind) ? escapes[kind] : undefined;
    if (simple !== undefined) return simple;
    const length = Object.hasOwn(escapedDigits, kind) ? (escapedDigits[kind] ?? 0) : 0;
    if (length === 0) throw new YamlError('found unknown escape character');
    let digits = '';
    while (digits.length < length) {
      if (!/^[0-9a-fA-F]$/.test(this.#peek())) throw new YamlError('did not find expected hexadecimal number');
      digits += this.#read();
    }
    const code = Number.parseInt(digits, 16);
    if ((code >= 0xd800 && code <= 0xdfff) || code > 0x10_ffff)
      throw new YamlError('found invalid Unicode character escape code');
    return String.fromCodePoint(code);
  }

  /**
   * Blanks and breaks inside a scalar, as they count in it: one break is a blank, more are one less.
   *
   * @param hadBreak whether a break was read before that counts for nothing
   * @param check called at each blank behind a break
   */
  #folded(hadBreak: boolean, check: () => void): { readonly text: string; readonly hasBreak: boolean } {
    let [blanks, first, more, hasBreak] = ['', '', '', hadBreak];
    for (;;) {
      if (isBlank(this.#peek())) {
        if (hasBreak) {
          check();
          this.#read();
        } else blanks += this.#read();
      } else if (!isBreak(this.#peek())) break;
      else if (hasBreak) more += this.#readBreak();
      else {
        first = this.#readBreak();
        hasBreak = true;
      }
    }
    if (!hasBreak) return { text: blanks, hasBreak };
    if (first === '\n') return { text: more === '' ? ' ' : more, hasBreak };
    return { text: first + more, hasBreak };
  }

  #plainScalar(): void {
    const indent = this.#indent + 1;
    let text = '';
    let between = { text: '', hasBreak: false };
    const check = (): void => {
      if (this.#column < indent && this.#peek() === '\t')
        throw new YamlError('found a tab character that violates indentation');
    };
    for (;;) {
      if (this.#documentIndicator() !== undefined || this.#peek() === '#') break;
      while (!isBlankOrEnd(this.#peek())) {
        if (this.#peek() === ':' && isBlankOrEnd(this.#peek(1))) break;
        if (this.#isFlow && /^[,?[\]{}]$/.test(this.#peek())) break;
        text += between.text + this.#read();
        between = { text: '', hasBreak: false };
      }
      if (!isBlank(this.#peek()) && !isBreak(this.#peek())) break;
      between = this.#folded(false, check);
      if (!this.#isFlow && this.#column < indent) break;
    }
    this.#push({ kind: 'scalar', text, plain: true });
    if (between.hasBreak) this.#simpleKeyAllowed = true;
  }
}

function noKey(): SimpleKey {
  return { possible: false, required: false, token: 0, at: 0, line: 0, column: 0 };
}
