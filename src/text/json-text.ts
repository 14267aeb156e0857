// Tested by test/author/policy-author-doc.long.test.ts.
import { compareStrings } from './utf8-order.ts';

/**
 * The members of an object in a text that `scanJson` has found sound, each value as it is written.
 *
 * @returns undefined if the text is not an object
 */
export function membersOf(text: string): Map<string, string> | undefined {
  return new Reader(text).members();
}

/** The items of an array in a sound text, each as it is written; none if the text is not an array. */
export function itemsOf(text: string): readonly string[] {
  return new Reader(text).items();
}

/** The other way round: an object of values that are JSON text already. */
export function objectText(members: Iterable<readonly [string, string]>): string {
  const written = Array.from(members, ([name, value]) => `${JSON.stringify(name)}:${value}`);
  return `{${written.join(',')}}`;
}

/**
 * The text that OPA's signatures hash: members sorted by their names' bytes, no blanks, strings escaped as Go's encoder
 * does without its HTML escapes, numbers as they are written (`2.50` is not `2.5`).
 *
 * @param text found sound by `scanJson`
 * @see OPA documentation, "Bundles", signature format; `v1/bundle/hash.go`
 */
export function canonicalText(text: string): string {
  return new Reader(text).canonical();
}

const quote = 0x22;
const backslash = 0x5c;

/** Reads a sound text; what it does not look at it takes on trust. */
class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  members(): Map<string, string> | undefined {
    this.#blanks();
    if (this.#text[this.#at] !== '{') return undefined;
    const members = new Map<string, string>();
    this.#each('}', () => {
      const name = JSON.parse(this.#string()) as string;
      this.#colon();
      const start = this.#at;
      this.#skip();
      members.set(name, this.#text.slice(start, this.#at));
    });
    return members;
  }

  items(): readonly string[] {
    this.#blanks();
    const items: string[] = [];
    if (this.#text[this.#at] !== '[') return items;
    this.#each(']', () => {
      const start = this.#at;
      this.#skip();
      items.push(this.#text.slice(start, this.#at));
    });
    return items;
  }

  canonical(): string {
    this.#blanks();
    switch (this.#text[this.#at]) {
      case '{':
        return this.#canonicalObject();
      case '[':
        return this.#canonicalArray();
      case '"':
        return canonicalString(this.#string());
      default:
        return this.#scalar();
    }
  }

  #canonicalObject(): string {
    const members: { readonly name: string; readonly written: string }[] = [];
    this.#each('}', () => {
      const key = canonicalString(this.#string());
      this.#colon();
      members.push({ name: JSON.parse(key) as string, written: `${key}:${this.canonical()}` });
    });
    members.sort((a, b) => compareStrings(a.name, b.name));
    return `{${members.map(({ written }) => written).join(',')}}`;
  }

  #canonicalArray(): string {
    const items: string[] = [];
    this.#each(']', () => items.push(this.canonical()));
    return `[${items.join(',')}]`;
  }

  /** Calls `read` at each member or item, from the opening bracket to past the closing one. */
  #each(closing: string, read: () => void): void {
    this.#at += 1;
    this.#blanks();
    while (this.#text[this.#at] !== closing) {
      read();
      this.#blanks();
      if (this.#text[this.#at] === ',') this.#at += 1;
      this.#blanks();
    }
    this.#at += 1;
  }

  #colon(): void {
    this.#blanks();
    this.#at += 1;
    this.#blanks();
  }

  #blanks(): void {
    for (;;) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return;
      this.#at += 1;
    }
  }

  #string(): string {
    const start = this.#at;
    for (this.#at += 1; ; this.#at += 1) {
      const unit = this.#text.charCodeAt(this.#at);
      if (unit === quote) break;
      if (unit === backslash) this.#at += 1;
    }
    this.#at += 1;
    return this.#text.slice(start, this.#at);
  }

  #scalar(): string {
    const start = this.#at;
    while (this.#at < this.#text.length && !/[\s,\]}]/.test(this.#text[this.#at] ?? '')) this.#at += 1;
    return this.#text.slice(start, this.#at);
  }

  #skip(): void {
    const opening = this.#text[this.#at];
    if (opening === '"') this.#string();
    else if (opening === '{' || opening === '[') this.#skipNested();
    else this.#scalar();
  }

  #skipNested(): void {
    let depth = 0;
    do {
      const unit = this.#text[this.#at];
      if (unit === '"') {
        this.#string();
        continue;
      }
      if (unit === '{' || unit === '[') depth += 1;
      if (unit === '}' || unit === ']') depth -= 1;
      this.#at += 1;
    } while (depth > 0);
  }
}

const lineSeparators = /[\u2028\u2029]/g;

/** @param source a JSON string with its quotes */
function canonicalString(source: string): string {
  const written = source.includes('\\') ? JSON.stringify(JSON.parse(source)) : source;
  // Go's encoder escapes these two even where it leaves HTML alone; JSON.stringify does not.
  return written.replace(lineSeparators, (unit) => `\\u${unit.charCodeAt(0).toString(16)}`);
}
