// Tested by test/opa/builtins/x509-certificates.test.ts.
import { BuiltinError } from '../values/builtin.ts';

/** Context-specific tags, primitive and constructed. */
export const context = (number: number): number => 0x80 | number;
export const constructed = (number: number): number => 0xa0 | number;

export const tags = {
  boolean: 0x01,
  integer: 0x02,
  bitString: 0x03,
  octetString: 0x04,
  oid: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  set: 0x31,
  numericString: 0x12,
  printableString: 0x13,
  t61String: 0x14,
  ia5String: 0x16,
  utcTime: 0x17,
  generalizedTime: 0x18,
  bmpString: 0x1e,
} as const;

export interface Element {
  readonly tag: number;
  readonly content: Buffer;
  /** With its tag and length. */
  readonly whole: Buffer;
}

export interface BitString {
  readonly bytes: Buffer;
  readonly length: number;
}

/**
 * Reads DER from its beginning, as strictly as Go's cryptobyte: lengths and integers in their shortest form. Requests and
 * keys Go reads by its encoding/asn1, which knows tags of more than one byte.
 */
export class Der {
  readonly #bytes: Buffer;
  readonly #rules: 'cryptobyte' | 'asn1';
  #at = 0;

  constructor(bytes: Buffer, rules: 'cryptobyte' | 'asn1' = 'cryptobyte') {
    this.#bytes = bytes;
    this.#rules = rules;
  }

  get empty(): boolean {
    return this.#at >= this.#bytes.length;
  }

  peek(tag: number): boolean {
    return this.#bytes[this.#at] === tag;
  }

  any(): Element {
    const start = this.#at;
    const tag = this.#bytes[start];
    if (tag === undefined) throw malformed();
    const lengthAt = (tag & 0x1f) === 0x1f ? this.#tagEnd(start + 1) : start + 1;
    const first = this.#bytes[lengthAt];
    if (first === undefined) throw malformed();
    let length = first;
    let contentAt = lengthAt + 1;
    if (first >= 0x80) {
      const size = first - 0x80;
      if (size === 0 || size > 4 || contentAt + size > this.#bytes.length) throw malformed();
      length = this.#bytes.readUIntBE(contentAt, size);
      if (length < 0x80 || length < 2 ** ((size - 1) * 8)) throw malformed();
      contentAt += size;
    }
    const end = contentAt + length;
    if (end > this.#bytes.length) throw malformed();
    this.#at = end;
    return { tag, content: this.#bytes.subarray(contentAt, end), whole: this.#bytes.subarray(start, end) };
  }

  #tagEnd(start: number): number {
    let number = 0;
    for (let at = start; at < start + 5 && this.#rules === 'asn1'; at++) {
      const octet = this.#bytes[at];
      if (octet === undefined || (at === start && octet === 0x80)) break;
      number = number * 128 + (octet & 0x7f);
      if (octet >= 0x80) continue;
      if (number < 0x1f || number >= 2 ** 31) break;
      return at + 1;
    }
    throw malformed();
  }

  element(tag: number): Element {
    const element = this.any();
    if (element.tag !== tag) throw malformed();
    return element;
  }

  read(tag: number): Buffer {
    return this.element(tag).content;
  }

  /** The inside of what is made of parts. */
  enter(tag: number): Der {
    return new Der(this.read(tag), this.#rules);
  }

  optional(tag: number): Buffer | undefined {
    return this.peek(tag) ? this.read(tag) : undefined;
  }

  /** What is tagged explicitly, and left where it is, or not there, where something else is in its place. */
  explicit(number: number, tag: number): Der | undefined {
    if (this.empty) return undefined;
    const start = this.#at;
    const { tag: outer, content } = this.any();
    if (content.length === 0 && (this.empty || outer === constructed(number))) throw malformed();
    const inner = new Der(content, this.#rules);
    if (outer === constructed(number) && inner.peek(tag)) return inner;
    this.#at = start;
    return undefined;
  }

  boolean(): boolean {
    const [value, more] = this.read(tags.boolean);
    if (more !== undefined || (value !== 0 && value !== 0xff)) throw malformed();
    return value !== 0;
  }

  integer(tag: number = tags.integer): bigint {
    return integerOf(this.read(tag));
  }

  /** One that fits Go's int. */
  int(tag: number = tags.integer): number {
    const content = this.read(tag);
    if (content.length > 8) throw malformed();
    return Number(integerOf(content));
  }

  oid(): readonly number[] {
    return oidOf(this.read(tags.oid));
  }

  bitString(): BitString {
    const content = this.read(tags.bitString);
    const padding = content[0];
    const last = content.at(-1) ?? 0;
    if (padding === undefined || padding > 7 || (content.length === 1 && padding > 0)) throw malformed();
    if (content.length > 1 && (last & ((1 << padding) - 1)) !== 0) throw malformed();
    return { bytes: content.subarray(1), length: (content.length - 1) * 8 - padding };
  }
}

export function malformed(): BuiltinError {
  return new BuiltinError('malformed ASN.1');
}

function integerOf(content: Buffer): bigint {
  const [first, second] = content;
  if (first === undefined) throw malformed();
  if (second !== undefined && ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))) throw malformed();
  const value = BigInt(`0x${content.toString('hex')}`);
  return first >= 0x80 ? value - (1n << BigInt(content.length * 8)) : value;
}

export function oidOf(content: Buffer): readonly number[] {
  const numbers: number[] = [];
  let value = 0;
  let octets = 0;
  for (const octet of content) {
    if ((octets === 0 && octet === 0x80) || octets === 5 || value >= 2 ** 24) throw malformed();
    value = value * 128 + (octet & 0x7f);
    octets++;
    if (octet >= 0x80) continue;
    if (numbers.length === 0) numbers.push(Math.min(Math.floor(value / 40), 2), value < 80 ? value % 40 : value - 80);
    else numbers.push(value);
    value = 0;
    octets = 0;
  }
  if (content.length === 0 || octets > 0) throw malformed();
  return numbers;
}

/** The bits as a number's are, with the padding at the front. */
export function rightAligned({ bytes, length }: BitString): Buffer {
  const shift = (8 - (length % 8)) % 8;
  if (shift === 0) return bytes;
  return Buffer.from(bytes.map((byte, index) => (byte >> shift) | (((bytes[index - 1] ?? 0) << (8 - shift)) & 0xff)));
}

export function bytesOfInteger(value: bigint): Buffer {
  const hex = value.toString(16);
  return value === 0n ? Buffer.alloc(0) : Buffer.from(hex.length % 2 === 1 ? `0${hex}` : hex, 'hex');
}
