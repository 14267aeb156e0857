// Tested by test/opa/builtins/rego.long.test.ts.
import type { Token, TokenKind } from './scanner.ts';
import { keywordsOfV1, templateAt, tokenAt } from './scanner.ts';
import type { Term } from './syntax.ts';

export interface Comments {
  readonly token: Token;
  readonly before: Comments | undefined;
}

/** All that is undone where an attempt fails. */
export interface State {
  readonly token: Token;
  readonly keywords: ReadonlySet<string>;
  readonly lastEnd: number;
  readonly skippedNewline: boolean;
  readonly wildcards: number;
  readonly errors: number;
  readonly comments: Comments | undefined;
}

/** Terms read before, the last in the text first: attempts that fail read them again. */
export interface Remembered {
  readonly start: number;
  readonly term: Term | undefined;
  readonly after: State;
  readonly next: Remembered | undefined;
}

/** Reads tokens one by one, and goes back to any place where it was. */
export class TokenReader {
  protected readonly text: string;
  readonly #charge: (units: number) => void;
  protected state: State;
  /** Tokens that earlier attempts have read are not read again. */
  protected remembered: Remembered | undefined;

  constructor(text: string, charge: (units: number) => void) {
    this.text = text;
    this.#charge = charge;
    this.state = {
      token: { kind: 'space', text: '', start: 0, end: 0, wrong: false },
      keywords: keywordsOfV1,
      lastEnd: 0,
      skippedNewline: false,
      wildcards: 0,
      errors: 0,
      comments: undefined,
    };
    this.scan();
  }

  protected get kind(): TokenKind {
    return this.state.token.kind;
  }

  protected get start(): number {
    return this.state.token.start;
  }

  protected scan(skipSpace = true): void {
    this.#take((start, keywords) => tokenAt(this.text, start, keywords), skipSpace);
  }

  /** Scans on inside a template string, behind the brace at hand. */
  protected scanTemplate(raw: boolean): void {
    const { start } = this.state.token;
    let first = true;
    this.#take((next, keywords) => {
      const token = first ? templateAt(this.text, start, raw) : tokenAt(this.text, next, keywords);
      first = false;
      return token;
    }, false);
  }

  #take(read: (start: number, keywords: ReadonlySet<string>) => Token, skipSpace: boolean): void {
    let { token, lastEnd, skippedNewline, errors, comments } = this.state;
    if (token.kind !== 'space') {
      lastEnd = token.end;
      skippedNewline = false;
    }
    for (;;) {
      this.#charge(1);
      token = read(token.end, this.state.keywords);
      if (token.wrong) {
        errors++;
        token = { ...token, kind: 'illegal' };
      }
      if (token.kind === 'space') {
        if (token.text === '\n') skippedNewline = true;
        if (skipSpace) continue;
      }
      if (token.kind !== 'comment') break;
      comments = { token, before: comments };
    }
    this.state = { ...this.state, token, lastEnd, skippedNewline, errors, comments };
  }

  protected retag(kind: TokenKind): void {
    this.state = { ...this.state, token: { ...this.state.token, kind } };
  }

  protected error(): undefined {
    this.state = { ...this.state, errors: this.state.errors + 1 };
    return undefined;
  }

  /** The text directly after the current token, a space included. */
  protected following(skipSpace = false): TokenKind {
    const before = this.state;
    this.scan(skipSpace);
    const kind = this.kind;
    this.state = before;
    return kind;
  }

  protected isRefKeyword(): boolean {
    const name = this.kind === '|' ? 'or' : this.kind === '&' ? 'and' : this.kind;
    return keywordsOfV1.has(name) || this.state.keywords.has(name);
  }

  /** A keyword is a name where a reference goes on behind it. */
  protected keywordAsRef(): boolean {
    if (!this.isRefKeyword()) return false;
    const next = this.following();
    if (next !== '.' && next !== '[') return false;
    this.retag('identifier');
    return true;
  }

  protected logicalKeywords(): boolean {
    return this.state.keywords.has('and') || this.state.keywords.has('or');
  }

  protected isLogical(): boolean {
    return this.kind === 'and' || this.kind === 'or';
  }

  protected rememberedTerm(read: () => Term | undefined): Term | undefined {
    const start = this.start;
    for (let at = this.remembered; at !== undefined && at.start >= start; at = at.next) {
      if (at.start !== start) continue;
      this.state = at.after;
      return at.term;
    }
    const term = read();
    let next = this.remembered;
    while (next !== undefined && next.start >= start) next = next.next;
    this.remembered = { start, term, after: this.state, next };
    return term;
  }
}
