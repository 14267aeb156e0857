// Tested by test/opa/builtins/patterns.test.ts.
import { type Matcher, RE2JS, RE2JSException } from 're2js';
import type { Charge } from '../values/charge.ts';
import { compileUs } from './regexp-cost.ts';

/** Of a pattern's program, steps for characters that take no longer than a millisecond whatever they meet. */
const stepsPerCharge = 30_000;
/** So much is run at once; what could take longer is counted as it reads. */
const uncountedSteps = 3 * stepsPerCharge;

/** A text that counts how often it is read: the engine's work is bounded by that, times the pattern's size. */
class CountedText extends String {
  readonly #text: string;
  readonly #charge: Charge;
  readonly #readsPerCharge: number;
  #reads = 0;

  constructor(text: string, size: number, charge: Charge) {
    super(text);
    this.#text = text;
    this.#charge = charge;
    this.#readsPerCharge = Math.max(1, Math.floor(stepsPerCharge / size));
  }

  override charCodeAt(index: number): number {
    if (++this.#reads % this.#readsPerCharge === 0) this.#charge(unitsPerCharge);
    return this.#text.charCodeAt(index);
  }
}

/** As the host counts: enough for it to look at the clock. */
const unitsPerCharge = 256;

/** One match: where each group begins and ends, -1 for a group that took no part. The first is the whole. */
export type Match = readonly number[];

/** Go's `regexp` on top of RE2's engine, whose time grows no faster than the text. Places are in UTF-16 units. */
export class Regexp {
  readonly #pattern: RE2JS;
  readonly #source: string;
  /** Of the compiled program: a step for a character costs no more than this much. */
  readonly size: number;

  private constructor(pattern: RE2JS, source: string) {
    this.#pattern = pattern;
    this.#source = source;
    this.size = pattern.programSize();
  }

  /** @returns undefined for a pattern that RE2 does not have */
  static compile(source: string, charge: Charge): Regexp | undefined {
    charge(source.length, compileUs(source));
    try {
      return new Regexp(RE2JS.compile(source), source);
    } catch (cause) {
      if (cause instanceof RE2JSException) return undefined;
      throw cause;
    }
  }

  test(text: string, charge: Charge): boolean {
    return this.#matcher(text, charge).find();
  }

  #matcher(text: string, charge: Charge): Matcher {
    const long = text.length * this.size > uncountedSteps;
    return this.#pattern.matcher(long ? (new CountedText(text, this.size, charge) as unknown as string) : text);
  }

  /** @param limit negative for all */
  findAll(text: string, limit: number, charge: Charge): readonly Match[] {
    const matches: Match[] = [];
    const matcher = this.#matcher(text, charge);
    let from = 0;
    let previousEnd = -1;
    while (matches.length !== limit && from <= text.length && matcher.find(from)) {
      charge(1);
      const start = matcher.start();
      const end = matcher.end();
      // No empty match right behind the one before.
      if (end > start || start !== previousEnd) {
        const places: number[] = [];
        for (let group = 0; group <= matcher.groupCount(); group++)
          places.push(matcher.start(group), matcher.end(group));
        matches.push(places);
      }
      previousEnd = end;
      from = end > from ? end : from + ((text.codePointAt(from) ?? 0) > 0xffff ? 2 : 1);
      if (end > start) from = end;
    }
    return matches;
  }

  split(text: string, charge: Charge): readonly string[] {
    if (this.#source !== '' && text === '') return [''];
    const parts: string[] = [];
    let begin = 0;
    let end = 0;
    for (const [start = 0, after = 0] of this.findAll(text, -1, charge)) {
      end = start;
      if (after !== 0) parts.push(text.slice(begin, end));
      begin = after;
    }
    if (end !== text.length) parts.push(text.slice(begin));
    return parts;
  }

  /** `ReplaceAllString`: `$1`, `${name}` and `$$` in the template. */
  replaceAll(text: string, template: string, charge: Charge): string {
    let replaced = '';
    let last = 0;
    for (const match of this.findAll(text, -1, charge)) {
      const [start = 0, end = 0] = match;
      replaced += text.slice(last, start) + this.#expand(template, text, match);
      last = end;
    }
    return replaced + text.slice(last);
  }

  #expand(template: string, text: string, match: Match): string {
    return template.replace(
      /\$(?:(\$)|([\p{L}\p{Nd}_]+)|\{([\p{L}\p{Nd}_]+)\})/gu,
      (_all, dollar: string | undefined, bare: string | undefined, braced: string | undefined) => {
        if (dollar !== undefined) return '$';
        const name = bare ?? braced ?? '';
        const number = /^(?:0|[1-9]\d{0,8})$/.test(name) ? Number(name) : this.#pattern.namedGroups()[name];
        const start = number === undefined ? undefined : match[number * 2];
        return number === undefined || start === undefined || start < 0 ? '' : text.slice(start, match[number * 2 + 1]);
      },
    );
  }
}

/** Go's `regexp.QuoteMeta`. */
export function quoteMeta(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}
