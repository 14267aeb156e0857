// Tested by test/opa/builtins/patterns.test.ts.
import type { Charge } from '../values/charge.ts';

/**
 * Whether two globs have a text in common that both match. These globs are of their own kind: `.` for any character,
 * `[a-z]` for one of a set, and `+` or `*` behind any of them.
 *
 * @see github.com/yashtewari/glob-intersection
 */
type Flag = '' | '+' | '*';
type Token = { readonly flag: Flag } & (
  | { readonly kind: 'character'; readonly code: number }
  | { readonly kind: 'dot' }
  | { readonly kind: 'set'; readonly codes: ReadonlySet<number> }
);
type Glob = readonly Token[];
/** @returns undefined where one of the two is malformed */
export function globsIntersect(first: string, second: string, charge: Charge): boolean | undefined {
  const a = globOf(first, charge);
  const b = globOf(second, charge);
  if (a === undefined || b === undefined) return undefined;
  const trimmed = trim(a, b);
  return trimmed !== undefined && intersectNormal(trimmed.a, trimmed.b, charge);
}

function globOf(text: string, charge: Charge): Glob | undefined {
  const tokens = new Tokenizer(text, charge).tokens();
  if (tokens === undefined) return undefined;
  const simple: Token[] = [];
  for (const token of tokens) {
    const last = simple.at(-1);
    if (last !== undefined && token.flag !== '' && last.flag !== '' && sameContent(token, last)) {
      simple[simple.length - 1] = { ...last, flag: token.flag === '+' || last.flag === '+' ? '+' : '*' };
    } else {
      simple.push(token);
    }
  }
  return simple;
}

function sameContent(a: Token, b: Token): boolean {
  if (a.kind === 'character') return b.kind === 'character' && a.code === b.code;
  if (a.kind === 'dot') return b.kind === 'dot';
  return b.kind === 'set' && a.codes.size === b.codes.size && [...a.codes].every((code) => b.codes.has(code));
}

class Tokenizer {
  readonly #codes: readonly number[];
  readonly #charge: Charge;
  #at = 0;

  constructor(text: string, charge: Charge) {
    this.#codes = Array.from(text, (character) => character.codePointAt(0) ?? 0);
    this.#charge = charge;
  }

  tokens(): Token[] | undefined {
    const tokens: Token[] = [];
    this.#charge(this.#codes.length);
    while (this.#at < this.#codes.length) {
      const token = this.#token();
      if (token === undefined) return undefined;
      tokens.push(token);
    }
    return tokens;
  }

  #token(): Token | undefined {
    const rune = this.#rune();
    if (rune === undefined) return undefined;
    if (rune.escaped) return { kind: 'character', code: rune.code, flag: this.#flag() };
    switch (String.fromCodePoint(rune.code)) {
      case '.':
        return { kind: 'dot', flag: this.#flag() };
      case '[': {
        const codes = this.#set();
        return codes === undefined ? undefined : { kind: 'set', codes, flag: this.#flag() };
      }
      case ']':
      case '+':
      case '*':
        return undefined;
      default:
        return { kind: 'character', code: rune.code, flag: this.#flag() };
    }
  }

  /** @returns undefined where a backslash has nothing to escape */
  #rune(): { readonly code: number; readonly escaped: boolean } | undefined {
    const code = this.#codes[this.#at++];
    if (code !== 0x5c) return code === undefined ? undefined : { code, escaped: false };
    const next = this.#codes[this.#at++];
    return next === undefined ? undefined : { code: next, escaped: true };
  }

  #flag(): Flag {
    const code = this.#codes[this.#at];
    if (code !== 0x2b && code !== 0x2a) return '';
    this.#at++;
    return code === 0x2b ? '+' : '*';
  }

  #set(): ReadonlySet<number> | undefined {
    const codes = new Set<number>();
    let previous: number | undefined;
    for (;;) {
      const rune = this.#rune();
      if (rune === undefined) return undefined;
      if (!rune.escaped && rune.code === 0x5d) return codes;
      if (rune.escaped || rune.code !== 0x2d) {
        codes.add(rune.code);
        previous = rune.code;
        continue;
      }
      if (previous === undefined || this.#at >= this.#codes.length - 1) return undefined;
      const end = this.#rune();
      if (end === undefined || (!end.escaped && (end.code === 0x5d || end.code === 0x2d)) || end.code < previous) {
        return undefined;
      }
      this.#charge(end.code - previous);
      for (let code = previous; code <= end.code; code++) codes.add(code);
      previous = undefined;
    }
  }
}

function matches(a: Token, b: Token): boolean {
  if (a.kind === 'dot' || b.kind === 'dot') return true;
  if (a.kind === 'character') return b.kind === 'character' ? a.code === b.code : b.codes.has(a.code);
  if (b.kind === 'character') return a.codes.has(b.code);
  for (const code of a.codes) if (b.codes.has(code)) return true;
  return false;
}

/** Removes the common part of both ends, up to the first flag. */
function trim(a: Glob, b: Glob): { readonly a: Glob; readonly b: Glob } | undefined {
  let left = 0;
  for (; ; left++) {
    const [x, y] = [a[left], b[left]];
    if (x === undefined || y === undefined || x.flag !== '' || y.flag !== '') break;
    if (!matches(x, y)) return undefined;
  }
  if (left > 0) left--;
  let rightA = a.length - 1;
  let rightB = b.length - 1;
  for (; rightA >= left && rightB >= left; rightA--, rightB--) {
    const [x, y] = [a[rightA], b[rightB]];
    if (x === undefined || y === undefined || x.flag !== '' || y.flag !== '') break;
    if (!matches(x, y)) return undefined;
  }
  if (rightA < a.length - 1) {
    rightA++;
    rightB++;
  }
  return { a: a.slice(left, rightA + 1), b: b.slice(left, rightB + 1) };
}

function intersectNormal(a: Glob, b: Glob, charge: Charge): boolean {
  for (let at = 0; ; at++) {
    charge(1);
    const [x, y] = [a[at], b[at]];
    if (x === undefined || y === undefined) return x === y;
    if (x.flag !== '' || y.flag !== '') {
      const flagged = x.flag !== '' ? x : y;
      const [starred, other] = x.flag !== '' ? [a.slice(at), b.slice(at)] : [b.slice(at), a.slice(at)];
      return flagged.flag === '+' ? intersectPlus(starred, other, charge) : intersectStar(starred, other, charge);
    }
    if (!matches(x, y)) return false;
  }
}

function intersectPlus(plussed: Glob, other: Glob, charge: Charge): boolean {
  const [x, y] = [plussed[0], other[0]];
  if (x === undefined || y === undefined || !matches(x, y)) return false;
  if (intersectStar(plussed, other.slice(1), charge)) return true;
  return y.flag !== '' && intersectNormal(plussed.slice(1), other, charge);
}

/** Tries every place where the star could end: the number of tries can be exponential in the number of stars. */
function intersectStar(starred: Glob, other: Glob, charge: Charge): boolean {
  const [star, next] = starred;
  if (star === undefined) return false;
  for (const [at, token] of other.entries()) {
    charge(1);
    if (next !== undefined && matches(token, next) && intersectNormal(starred.slice(1), other.slice(at), charge)) {
      return true;
    }
    if (!matches(token, star)) return false;
  }
  return next === undefined;
}
