// Tested by test/opa/builtins/texts.long.test.ts.
import { decodeBase64 } from './base64.ts';
import { parseIp } from './ip.ts';

/** Whether Go's `mail.ParseAddress` takes the text: one address, with or without a name, or a group of one. */
export function isAddress(text: string): boolean {
  return new AddressReader(text).isSingle();
}

const visible = /[!-~\u0080-\uffff]/;

/** Reads from a position; a step that fails says so and may leave the position anywhere. */
class AddressReader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  isSingle(): boolean {
    const addresses = this.#addresses(true);
    return addresses === 1 && this.#skipComments() && this.#at === this.#text.length;
  }

  /** @returns how many addresses were read; undefined for none where one should be */
  #addresses(groups: boolean): number | undefined {
    this.#skipSpace();
    if (this.#peek() === '') return undefined;
    const start = this.#at;
    if (this.#addrSpec()) {
      this.#skipSpace();
      return this.#peek() !== '(' || this.#nameComment() ? 1 : undefined;
    }
    this.#at = start;
    if (this.#peek() !== '<' && !this.#phrase()) return undefined;
    this.#skipSpace();
    if (groups && this.#consume(':')) return this.#group();
    return this.#consume('<') && this.#addrSpec() && this.#consume('>') ? 1 : undefined;
  }

  #group(): number | undefined {
    this.#skipSpace();
    if (this.#consume(';')) return this.#skipComments() ? 0 : undefined;
    for (let count = 1; ; count++) {
      this.#skipSpace();
      if (this.#addresses(false) === undefined || !this.#skipComments()) return undefined;
      if (this.#consume(';')) return this.#skipComments() ? count : undefined;
      if (!this.#consume(',')) return undefined;
    }
  }

  #addrSpec(): boolean {
    this.#skipSpace();
    const quoted = this.#peek() === '"';
    if (!(quoted ? (this.#quoted() ?? '') !== '' : this.#dotAtom())) return false;
    if (!this.#consume('@')) return false;
    this.#skipSpace();
    return this.#peek() === '[' ? this.#domainLiteral() : this.#dotAtom();
  }

  #dotAtom(): boolean {
    const atom = this.#atom();
    return atom !== undefined && !/^\.|\.\.|\.$/.test(atom);
  }

  /** Points may occur anywhere in it. */
  #atom(): string | undefined {
    let end = this.#at;
    for (; end < this.#text.length; end++) {
      const character = this.#text.charAt(end);
      if (isStrayByte(this.#text, end)) return undefined;
      if (!visible.test(character) || '()<>[]:;@\\,"'.includes(character)) break;
    }
    if (end === this.#at) return undefined;
    const atom = this.#text.slice(this.#at, end);
    this.#at = end;
    return atom;
  }

  #quoted(): string | undefined {
    let content = '';
    for (let at = this.#at + 1; at < this.#text.length; at++) {
      let character = this.#text.charAt(at);
      if (isStrayByte(this.#text, at)) return undefined;
      if (character === '"') {
        this.#at = at + 1;
        return content;
      }
      if (character === '\\') {
        at++;
        character = this.#text.charAt(at);
        if (character === '' || isStrayByte(this.#text, at)) return undefined;
      }
      if (!visible.test(character) && !isSpace(character)) return undefined;
      content += character;
    }
    return undefined;
  }

  #phrase(): boolean {
    for (let words = 0; ; words++) {
      if (words > 0 && !this.#skipComments()) return false;
      this.#skipSpace();
      if (this.#peek() === '') return true;
      if (this.#peek() === '"') {
        if (this.#quoted() === undefined) return words > 0;
      } else {
        const atom = this.#atom();
        if (atom === undefined || !hasKnownCharset(atom)) return words > 0;
      }
    }
  }

  #domainLiteral(): boolean {
    const end = this.#text.indexOf(']', this.#at);
    if (end < 0) return false;
    const address = this.#text.slice(this.#at + 1, end);
    this.#at = end + 1;
    return parseIp(address) !== undefined;
  }

  #nameComment(): boolean {
    this.#at++;
    const comment = this.#comment();
    return comment?.split(/[ \t]/).every(hasKnownCharset) === true;
  }

  #skipComments(): boolean {
    this.#skipSpace();
    while (this.#consume('(')) {
      if (this.#comment() === undefined) return false;
      this.#skipSpace();
    }
    return true;
  }

  /** From behind its parenthesis; it may contain others. */
  #comment(): string | undefined {
    let content = '';
    for (let depth = 1; this.#at < this.#text.length; this.#at++) {
      const character = this.#peek();
      if (character === '\\' && this.#at + 1 < this.#text.length) this.#at++;
      else if (character === '(') depth++;
      else if (character === ')') depth--;
      if (depth === 0) {
        this.#at++;
        return content;
      }
      content += this.#peek();
    }
    return undefined;
  }

  #consume(character: string): boolean {
    if (this.#peek() !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    while (isSpace(this.#peek())) this.#at++;
  }

  #peek(): string {
    return this.#text.charAt(this.#at);
  }
}

function isSpace(character: string): boolean {
  return character === ' ' || character === '\t';
}

/** A byte that is not UTF-8. */
function isStrayByte(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  if (unit < 0xdc00 || unit > 0xdfff) return false;
  const before = text.charCodeAt(at - 1);
  return !(before >= 0xd800 && before <= 0xdbff);
}

/** An encoded word (RFC 2047) of a character set that Go does not have is the only word that is refused. */
function hasKnownCharset(word: string): boolean {
  const [, charset = '', encoding = '', content = ''] = /^=\?([^?]+)\?([^?])\?([^?]*)\?=$/.exec(word) ?? [];
  if (charset === '' || /^(?:utf-8|iso-8859-1|us-ascii)$/i.test(charset)) return true;
  // Words that it fails to decode stay unchanged.
  if (/^[bB]$/.test(encoding)) return decodeBase64(content, 'std') === undefined;
  if (/^[qQ]$/.test(encoding)) return !/^(?:[ -<>-~\r\n]|=[0-9a-fA-F]{2})*$/.test(content);
  return true;
}
