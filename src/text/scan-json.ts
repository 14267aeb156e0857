import { RequestRefused } from '../domain/errors.ts';

export interface JsonLimits {
  /** Arrays and objects inside each other, the outermost counted. */
  readonly depthMax: number;
  /** Members of objects down to this nesting are noted; left out, four. */
  readonly notedDepth?: number;
}

/** OPA's `input` wraps AuthZEN's three levels once more. */
const notedDepthOfRequests = 4;

/**
 * The places of a JSON text's members. Member `i` has its name at `names[i]`, its value at
 * `[starts[i], ends[i])` and belongs to the object whose value starts at `parents[i]`.
 */
export interface Scan {
  readonly text: string;
  readonly names: readonly string[];
  readonly starts: readonly number[];
  readonly ends: readonly number[];
  readonly parents: readonly number[];
  /** Where the document's value starts. */
  readonly root: number;
  /** Whether line breaks or tabs occur between tokens; inside strings JSON forbids them. */
  readonly hasLineBreaks: boolean;
}

const quote = 0x22;
const backslash = 0x5c;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const comma = 0x2c;
const colon = 0x3a;
const minus = 0x2d;
const dot = 0x2e;
const zero = 0x30;
const nine = 0x39;

/** Few members are searched one by one; from here on a set is cheaper. */
const fewMembers = 12;

/**
 * Checks a text against RFC 8259 and, beyond it, refuses what two readers could read differently: a member twice in one
 * object (however it is escaped), half a surrogate pair, a number outside a double's range, nesting past the limit.
 * It builds no values: the caller's own text goes on to policy and record, so no digit is ever rounded on the way.
 *
 * One pass by hand, where JSON.parse with checks around it would take three: bench/scan-json.ts shows both.
 *
 * @throws RequestRefused 400 `body_not_json` and the codes beside it; it says where (`character 17`), never what
 */
export function scanJson(text: string, limits: JsonLimits): Scan {
  return new Scanner(text, limits).scan();
}

class Scanner implements Scan {
  readonly text: string;
  readonly names: string[] = [];
  readonly starts: number[] = [];
  readonly ends: number[] = [];
  readonly parents: number[] = [];
  root = 0;
  hasLineBreaks = false;
  readonly #depthMax: number;
  /** Zero inside arrays: members are not looked up there. */
  #notedDepth: number;
  #at = 0;
  /** Whether the string just read holds an escape. */
  #escaped = false;

  constructor(text: string, { depthMax, notedDepth = notedDepthOfRequests }: JsonLimits) {
    this.text = text;
    this.#depthMax = depthMax;
    this.#notedDepth = notedDepth;
  }

  scan(): Scan {
    this.#blanks();
    this.root = this.#at;
    this.#value(0);
    this.#blanks();
    if (this.#at < this.text.length) this.#refuse('body_not_json');
    return this;
  }

  #refuse(
    code: 'body_not_json' | 'body_too_deep' | 'member_repeated' | 'number_out_of_range' | 'text_not_unicode',
  ): never {
    throw new RequestRefused(code, 400, `character ${this.#at + 1}`);
  }

  #blanks(): void {
    const { text } = this;
    for (;;) {
      const unit = text.charCodeAt(this.#at);
      if (unit === 0x20) this.#at += 1;
      else if (unit === 0x0a || unit === 0x0d || unit === 0x09) {
        this.hasLineBreaks = true;
        this.#at += 1;
      } else return;
    }
  }

  #value(depth: number): void {
    const unit = this.text.charCodeAt(this.#at);
    if (unit === quote) this.#string();
    else if (unit === openBrace) this.#object(depth + 1);
    else if (unit === openBracket) this.#array(depth + 1);
    else if (unit === minus || (unit >= zero && unit <= nine)) this.#number();
    else if (unit === 0x74) this.#word('true');
    else if (unit === 0x66) this.#word('false');
    else if (unit === 0x6e) this.#word('null');
    else this.#refuse('body_not_json');
  }

  #word(word: string): void {
    if (!this.text.startsWith(word, this.#at)) this.#refuse('body_not_json');
    this.#at += word.length;
  }

  #object(depth: number): void {
    if (depth > this.#depthMax) this.#refuse('body_too_deep');
    const { text } = this;
    const parent = this.#at;
    this.#at += 1;
    this.#blanks();
    if (text.charCodeAt(this.#at) === closeBrace) {
      this.#at += 1;
      return;
    }
    const seen: string[] = [];
    let seenMany: Set<string> | undefined;
    for (;;) {
      if (text.charCodeAt(this.#at) !== quote) this.#refuse('body_not_json');
      const nameStart = this.#at;
      this.#string();
      const name = this.#escaped
        ? (JSON.parse(text.slice(nameStart, this.#at)) as string)
        : text.slice(nameStart + 1, this.#at - 1);
      if (seenMany === undefined) {
        if (seen.includes(name)) this.#refuse('member_repeated');
        seen.push(name);
        if (seen.length === fewMembers) seenMany = new Set(seen.map(seededKey));
      } else {
        const size = seenMany.size;
        if (seenMany.add(seededKey(name)).size === size) this.#refuse('member_repeated');
      }
      this.#blanks();
      if (text.charCodeAt(this.#at) !== colon) this.#refuse('body_not_json');
      this.#at += 1;
      this.#blanks();
      if (depth <= this.#notedDepth) {
        const index = this.names.length;
        this.names.push(name);
        this.starts.push(this.#at);
        this.ends.push(0);
        this.parents.push(parent);
        this.#value(depth);
        this.ends[index] = this.#at;
      } else this.#value(depth);
      this.#blanks();
      const unit = text.charCodeAt(this.#at);
      this.#at += 1;
      if (unit === closeBrace) return;
      if (unit !== comma) {
        this.#at -= 1;
        this.#refuse('body_not_json');
      }
      this.#blanks();
    }
  }

  #array(depth: number): void {
    if (depth > this.#depthMax) this.#refuse('body_too_deep');
    const { text } = this;
    this.#at += 1;
    this.#blanks();
    if (text.charCodeAt(this.#at) === closeBracket) {
      this.#at += 1;
      return;
    }
    const notedDepth = this.#notedDepth;
    this.#notedDepth = 0;
    for (;;) {
      this.#value(depth);
      this.#blanks();
      const unit = text.charCodeAt(this.#at);
      this.#at += 1;
      if (unit === closeBracket) {
        this.#notedDepth = notedDepth;
        return;
      }
      if (unit !== comma) {
        this.#at -= 1;
        this.#refuse('body_not_json');
      }
      this.#blanks();
    }
  }

  #string(): void {
    const { text } = this;
    this.#escaped = false;
    let at = this.#at + 1;
    for (;;) {
      const unit = text.charCodeAt(at);
      if (unit === quote) {
        this.#at = at + 1;
        return;
      }
      if (unit === backslash) {
        this.#escaped = true;
        at = this.#escape(at);
      } else if (unit >= 0x20)
        at += 1; // a raw surrogate has its other half: the bytes were valid UTF-8
      else {
        // Past the end charCodeAt gives NaN, which is not >= 0x20 either.
        this.#at = at;
        this.#refuse('body_not_json');
      }
    }
  }

  /** @returns the place after the escape, or after both escapes of a surrogate pair */
  #escape(at: number): number {
    const kind = this.text[at + 1];
    if (kind !== 'u') {
      if (kind !== undefined && '"\\/bfnrt'.includes(kind)) return at + 2;
      this.#at = at;
      return this.#refuse('body_not_json');
    }
    const unit = this.#hex4(at + 2);
    if (unit < 0xd800 || unit > 0xdfff) return at + 6;
    const pairs = unit <= 0xdbff && this.text.startsWith('\\u', at + 6);
    const low = pairs ? this.#hex4(at + 8) : 0;
    if (low >= 0xdc00 && low <= 0xdfff) return at + 12;
    this.#at = at;
    return this.#refuse('text_not_unicode');
  }

  #hex4(at: number): number {
    const digits = this.text.slice(at, at + 4);
    if (!/^[0-9a-fA-F]{4}$/.test(digits)) {
      this.#at = at;
      this.#refuse('body_not_json');
    }
    return Number.parseInt(digits, 16);
  }

  #number(): void {
    const { text } = this;
    const start = this.#at;
    let at = start;
    if (text.charCodeAt(at) === minus) at += 1;
    if (text.charCodeAt(at) === zero) at += 1;
    else at = this.#digits(at);
    if (text.charCodeAt(at) === dot) at = this.#digits(at + 1);
    const unit = text.charCodeAt(at);
    let exponentDigits = 0;
    if (unit === 0x65 || unit === 0x45) {
      at += 1;
      const sign = text.charCodeAt(at);
      if (sign === 0x2b || sign === minus) at += 1;
      const digitsAt = at;
      at = this.#digits(at);
      exponentDigits = at - digitsAt;
    }
    // Neither up to 200 characters nor a power of ten below a hundred can leave a double's range by themselves or together.
    if (exponentDigits > 2 || at - start > 200) {
      const token = text.slice(start, at);
      const value = Number(token);
      const vanished = value === 0 && /[1-9]/.test(token.split(/[eE]/, 1)[0] ?? '');
      if (!Number.isFinite(value) || vanished) this.#refuse('number_out_of_range');
    }
    this.#at = at;
  }

  /** @returns the place after one or more digits */
  #digits(from: number): number {
    let at = from;
    for (;;) {
      const unit = this.text.charCodeAt(at);
      if (!(unit >= zero && unit <= nine)) break;
      at += 1;
    }
    if (at === from) {
      this.#at = at;
      this.#refuse('body_not_json');
    }
    return at;
  }
}

/** The engine hashes names that look like array indexes without its seed: a caller could make them collide. */
function seededKey(name: string): string {
  const unit = name.charCodeAt(0);
  return (unit >= zero && unit <= nine) || unit === dot ? `.${name}` : name;
}
