// Tested by test/opa/values/value.test.ts.
import type { Charge } from './charge.ts';
import { RegoNumber, RegoObject, RegoSet, type Value } from './value.ts';

/**
 * Reads a value as `opa_value_dump` writes it: JSON with sets in braces, `set()`, and any value for an object's key.
 * The text comes out of the policy's own module; what is not of that form is a fault, not input.
 *
 * @throws SyntaxError
 */
export function readValue(text: string, charge?: Charge): Value {
  const reader = new Reader(text, charge);
  const value = reader.value(0);
  reader.end();
  return value;
}

/** More than any document needs, and few enough for the stack of code that walks the value. */
const depthMax = 1_000;

/** More than JSON has: the module keeps a number as policy or input wrote it, and Rego writes `.5` and reads "+5". */
const numberAt = /[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y;

class Reader {
  readonly #text: string;
  readonly #charge: Charge | undefined;
  #at = 0;

  constructor(text: string, charge: Charge | undefined) {
    this.#text = text;
    this.#charge = charge;
  }

  value(depth: number): Value {
    if (depth > depthMax) throw new SyntaxError(`nested more than ${depthMax} deep`);
    this.#charge?.(1);
    this.#skipSpace();
    switch (this.#text.charCodeAt(this.#at)) {
      case 0x22: // "
        return this.#string();
      case 0x5b: // [
        return this.#array(depth + 1);
      case 0x7b: // {
        return this.#objectOrSet(depth + 1);
      case 0x6e: // n
        return this.#word('null', null);
      case 0x74: // t
        return this.#word('true', true);
      case 0x66: // f
        return this.#word('false', false);
      case 0x73: // s
        return this.#word('set()', new RegoSet());
      default:
        return this.#number();
    }
  }

  end(): void {
    this.#skipSpace();
    if (this.#at !== this.#text.length) this.#fail();
  }

  #word<T>(word: string, value: T): T {
    if (!this.#text.startsWith(word, this.#at)) this.#fail();
    this.#at += word.length;
    return value;
  }

  #string(): string {
    const start = this.#at;
    let at = start + 1;
    let escaped = false;
    for (;;) {
      const unit = this.#text.charCodeAt(at);
      if (unit === 0x22) break;
      if (Number.isNaN(unit)) this.#fail();
      if (unit === 0x5c) {
        escaped = true;
        at++;
      }
      at++;
    }
    this.#at = at + 1;
    return escaped ? (JSON.parse(this.#text.slice(start, at + 1)) as string) : this.#text.slice(start + 1, at);
  }

  #number(): RegoNumber {
    numberAt.lastIndex = this.#at;
    const match = numberAt.exec(this.#text);
    if (match === null) this.#fail();
    this.#at = numberAt.lastIndex;
    return new RegoNumber(jsonNumber(match[0]));
  }

  /** @param depth of what is in it */
  #array(depth: number): Value[] {
    this.#at++;
    const items: Value[] = [];
    if (this.#taken(0x5d)) return items;
    do items.push(this.value(depth));
    while (this.#taken(0x2c));
    this.#expect(0x5d);
    return items;
  }

  #objectOrSet(depth: number): RegoObject | RegoSet {
    this.#at++;
    if (this.#taken(0x7d)) return new RegoObject();
    const first = this.value(depth);
    return this.#taken(0x3a) ? this.#object(first, depth) : this.#set(first, depth);
  }

  #object(first: Value, depth: number): RegoObject {
    const object = new RegoObject();
    object.set(first, this.value(depth), this.#charge);
    while (this.#taken(0x2c)) {
      const key = this.value(depth);
      this.#expect(0x3a);
      object.set(key, this.value(depth), this.#charge);
    }
    this.#expect(0x7d);
    return object;
  }

  #set(first: Value, depth: number): RegoSet {
    const set = new RegoSet();
    set.add(first, this.#charge);
    while (this.#taken(0x2c)) set.add(this.value(depth), this.#charge);
    this.#expect(0x7d);
    return set;
  }

  #taken(unit: number): boolean {
    this.#skipSpace();
    if (this.#text.charCodeAt(this.#at) !== unit) return false;
    this.#at++;
    return true;
  }

  #expect(unit: number): void {
    if (!this.#taken(unit)) this.#fail();
  }

  #skipSpace(): void {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.#at++;
    }
  }

  #fail(): never {
    throw new SyntaxError(`no value at ${this.#at} of ${this.#text.length}`);
  }
}

/** The same number as JSON writes it: no sign before it but a minus, and digits on both sides of the point. */
function jsonNumber(text: string): string {
  if (/^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE]|$)/.test(text)) return text;
  return text
    .replace(/^\+/, '')
    .replace(/^(-?)0+(?=\d)/, '$1')
    .replace(/^(-?)\./, '$10.')
    .replace(/\.(?!\d)/, '');
}
