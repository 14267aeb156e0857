// Tested by test/opa/builtins/printf.long.test.ts.
import { bytesOf } from '../values/text.ts';
import { RegoNumber } from '../values/value.ts';
import { formatFloat } from './float.ts';
import { canBackquote, isPrint, quote, quoteRune } from './quote.ts';
import { GoInt, GoSlice, type GoValue } from './values.ts';

/** Past this `fmt` takes a width or precision for nonsense. */
const sizeMax = 1_000_000;
const int64Max = 9_223_372_036_854_775_807n;
const int64Min = -9_223_372_036_854_775_808n;

function typeOf(argument: GoValue): string {
  switch (typeof argument) {
    case 'string':
      return 'string';
    case 'number':
      return 'float64';
    case 'bigint':
      return isInt64(argument) ? 'int64' : '*big.Int';
    case 'boolean':
      return 'bool';
    default:
      if (argument === null) return '<nil>';
      if (argument instanceof RegoNumber) return 'json.Number';
      if (argument instanceof GoInt) return argument.type;
      return argument instanceof GoSlice ? '[]interface {}' : 'map[string]interface {}';
  }
}

function isInt64(value: bigint): boolean {
  return value >= int64Min && value <= int64Max;
}

/**
 * Go's `fmt.Sprintf`, down to how it complains.
 *
 * @param charge is told how many characters are about to be made by padding
 */
export function sprintf(format: string, args: readonly GoValue[], charge: (units: number) => void): string {
  return new Printer(format, args, charge).print();
}

/** Go's `fmt.Sprint`: a space between two operands where neither is a string. */
export function sprint(args: readonly GoValue[], charge: (units: number) => void): string {
  return new Printer('', args, charge).printAll((before, after) => !isText(before) && !isText(after));
}

/** Go's `fmt.Sprintln`. */
export function sprintln(args: readonly GoValue[], charge: (units: number) => void): string {
  return `${new Printer('', args, charge).printAll(() => true)}\n`;
}

function isText(argument: GoValue): boolean {
  return typeof argument === 'string' || argument instanceof RegoNumber;
}

class Printer {
  readonly #format: string;
  readonly #args: readonly GoValue[];
  readonly #charge: (units: number) => void;
  #out = '';
  #at = 0;
  #next = 0;
  #reordered = false;
  #goodIndex = true;
  // Flags of the verb at hand.
  #sharp = false;
  #zero = false;
  #plus = false;
  #minus = false;
  #space = false;
  #sharpV = false;
  #width: number | undefined;
  #precision: number | undefined;

  constructor(format: string, args: readonly GoValue[], charge: (units: number) => void) {
    this.#format = format;
    this.#args = args;
    this.#charge = charge;
  }

  print(): string {
    const end = this.#format.length;
    while (this.#at < end) {
      const percent = this.#format.indexOf('%', this.#at);
      this.#out += this.#format.slice(this.#at, percent < 0 ? end : percent);
      if (percent < 0) break;
      this.#at = percent + 1;
      this.#clear();
      if (!this.#directive()) {
        this.#out += '%!(NOVERB)';
        break;
      }
    }
    if (!this.#reordered && this.#next < this.#args.length) this.#printExtra();
    return this.#out;
  }

  printAll(spaced: (before: GoValue, after: GoValue) => boolean): string {
    for (const [index, argument] of this.#args.entries()) {
      const before = this.#args[index - 1];
      if (before !== undefined && spaced(before, argument)) this.#out += ' ';
      this.#printArgument(argument, 'v');
    }
    return this.#out;
  }

  #clear(): void {
    this.#goodIndex = true;
    this.#sharp = this.#zero = this.#plus = this.#minus = this.#space = this.#sharpV = false;
    this.#width = this.#precision = undefined;
  }

  /** @returns false where the format ends before its verb */
  #directive(): boolean {
    this.#readFlags();
    let afterIndex = this.#readIndex();
    afterIndex = this.#readWidth(afterIndex);
    if (this.#at + 1 < this.#format.length && this.#format[this.#at] === '.')
      afterIndex = this.#readPrecision(afterIndex);
    if (!afterIndex) this.#readIndex();
    const code = this.#format.codePointAt(this.#at);
    if (code === undefined) return false;
    const verb = String.fromCodePoint(code);
    this.#at += verb.length;
    this.#printVerb(verb);
    return true;
  }

  #readFlags(): void {
    for (; ; this.#at++) {
      switch (this.#format[this.#at]) {
        case '#':
          this.#sharp = true;
          break;
        case '0':
          this.#zero = true;
          break;
        case '+':
          this.#plus = true;
          break;
        case '-':
          this.#minus = true;
          break;
        case ' ':
          this.#space = true;
          break;
        default:
          return;
      }
    }
  }

  /** `[n]`, which argument comes next. */
  #readIndex(): boolean {
    if (this.#format[this.#at] !== '[') return false;
    this.#reordered = true;
    const close = this.#format.indexOf(']', this.#at);
    if (close < 0 || this.#format.length - this.#at < 3) {
      this.#goodIndex = false;
      this.#at += 1;
      return false;
    }
    const digits = this.#format.slice(this.#at + 1, close);
    this.#at = close + 1;
    const wellFormed = /^\d+$/.test(digits) && !tooManyDigits(digits);
    const index = Number(digits) - 1;
    if (wellFormed && index >= 0 && index < this.#args.length) {
      this.#next = index;
      return true;
    }
    this.#goodIndex = false;
    return wellFormed;
  }

  #readWidth(afterIndex: boolean): boolean {
    if (this.#format[this.#at] === '*') {
      this.#at++;
      this.#width = this.#sizeArgument();
      if (this.#width === undefined) this.#out += '%!(BADWIDTH)';
      else if (this.#width < 0) {
        this.#width = -this.#width;
        this.#minus = true;
        this.#zero = false;
      }
      return false;
    }
    this.#width = this.#readNumber();
    if (afterIndex && this.#width !== undefined) this.#goodIndex = false;
    return afterIndex;
  }

  #readPrecision(afterIndex: boolean): boolean {
    this.#at++;
    if (afterIndex) this.#goodIndex = false;
    const indexed = this.#readIndex();
    if (this.#format[this.#at] === '*') {
      this.#at++;
      const size = this.#sizeArgument();
      this.#precision = size !== undefined && size >= 0 ? size : undefined;
      if (this.#precision === undefined) this.#out += '%!(BADPREC)';
      return false;
    }
    this.#precision = this.#readNumber() ?? 0;
    return indexed;
  }

  #readNumber(): number | undefined {
    let value = 0;
    let found = false;
    for (;;) {
      const digit = this.#format.charCodeAt(this.#at) - 0x30;
      if (!(digit >= 0 && digit <= 9)) return found ? value : undefined;
      if (value > sizeMax) {
        this.#at = this.#format.length;
        return undefined;
      }
      value = value * 10 + digit;
      found = true;
      this.#at++;
    }
  }

  #sizeArgument(): number | undefined {
    const given = this.#args[this.#next];
    if (given === undefined) return undefined;
    this.#next++;
    const argument = given instanceof GoInt ? given.value : given;
    if (typeof argument !== 'bigint' || argument > BigInt(sizeMax) || argument < BigInt(-sizeMax)) return undefined;
    return Number(argument);
  }

  #printVerb(verb: string): void {
    if (verb === '%') {
      this.#out += '%';
      return;
    }
    if (!this.#goodIndex) {
      this.#out += `%!${verb}(BADINDEX)`;
      return;
    }
    const argument = this.#args[this.#next];
    if (argument === undefined) {
      this.#out += `%!${verb}(MISSING)`;
      return;
    }
    if (verb === 'v' || verb === 'w') {
      this.#sharpV = this.#sharp;
      this.#sharp = false;
      // %+v is about struct fields; only *big.Int, which formats itself, still reads it as a sign.
      if (typeof argument !== 'bigint' || isInt64(argument)) this.#plus = false;
      else this.#sharp = this.#sharpV;
    }
    this.#charge((this.#width ?? 0) + (this.#precision ?? 0));
    this.#printArgument(argument, verb);
    this.#next++;
  }

  /** @param nested in a slice or map, where fmt knows that the type is an interface */
  #printArgument(argument: GoValue, verb: string, nested = false): void {
    if (verb === 'T') {
      this.#pad(this.#cut(typeOf(argument)));
      return;
    }
    switch (typeof argument) {
      case 'string':
        this.#printString(argument, argument, verb);
        return;
      case 'number':
        this.#printFloat(argument, verb);
        return;
      case 'bigint':
        if (isInt64(argument)) this.#printInteger(argument, argument, verb);
        else if (verb === 'w') this.#printBigStruct(argument);
        else this.#printBigInteger(argument, verb);
        return;
      case 'boolean':
        if (verb === 't' || verb === 'v') this.#pad(argument.toString());
        else this.#badVerb(argument, verb);
        return;
      default:
        if (argument === null) this.#printNil(verb, nested);
        else if (argument instanceof RegoNumber) this.#printString(argument.text, argument, verb);
        else if (argument instanceof GoInt) this.#printInteger(argument.value, argument, verb);
        // An address is nothing to tell.
        else if ((verb === 'w' && !nested) || verb === 'p') this.#badVerb(argument, verb);
        else if (argument instanceof GoSlice) this.#printSlice(argument, verb);
        else this.#printMap(argument, verb);
    }
  }

  #printNil(verb: string, nested: boolean): void {
    if (nested) this.#out += this.#sharpV ? 'interface {}(nil)' : '<nil>';
    else if (verb === 'v') this.#pad('<nil>');
    else this.#out += `%!${verb}(<nil>)`;
  }

  #printSlice(slice: GoSlice, verb: string): void {
    this.#out += this.#sharpV ? '[]interface {}{' : '[';
    for (const [index, item] of slice.items().entries()) {
      if (index > 0) this.#out += this.#sharpV ? ', ' : ' ';
      this.#printArgument(item, verb, true);
      this.#charge(1);
    }
    this.#out += this.#sharpV ? '}' : ']';
  }

  #printMap(map: ReadonlyMap<string, GoValue>, verb: string): void {
    this.#out += this.#sharpV ? 'map[string]interface {}{' : 'map[';
    let first = true;
    for (const [key, value] of map) {
      if (!first) this.#out += this.#sharpV ? ', ' : ' ';
      first = false;
      this.#printArgument(key, verb, true);
      this.#out += ':';
      this.#printArgument(value, verb, true);
      this.#charge(1);
    }
    this.#out += this.#sharpV ? '}' : ']';
  }

  #badVerb(argument: GoValue, verb: string): void {
    this.#out += `%!${verb}(${typeOf(argument)}=`;
    this.#printArgument(argument, 'v');
    this.#out += ')';
  }

  #printExtra(): void {
    this.#clear();
    this.#out += '%!(EXTRA ';
    for (const [index, argument] of this.#args.slice(this.#next).entries()) {
      if (index > 0) this.#out += ', ';
      if (argument !== null) this.#out += `${typeOf(argument)}=`;
      this.#printArgument(argument, 'v');
    }
    this.#out += ')';
  }

  #pad(text: string, zeroAllowed = true): void {
    const missing = (this.#width ?? 0) - [...text].length;
    if (missing <= 0) this.#out += text;
    else if (this.#minus) this.#out += text + ' '.repeat(missing);
    else this.#out += (this.#zero && zeroAllowed ? '0' : ' ').repeat(missing) + text;
  }

  #cut(text: string): string {
    return this.#precision === undefined ? text : [...text].slice(0, this.#precision).join('');
  }

  #printString(text: string, argument: GoValue, verb: string): void {
    switch (verb) {
      case 'v':
        if (this.#sharpV) this.#printQuoted(text);
        else this.#pad(this.#cut(text));
        return;
      case 's':
        this.#pad(this.#cut(text));
        return;
      case 'x':
      case 'X':
        this.#printHex(text, verb);
        return;
      case 'q':
        this.#printQuoted(text);
        return;
      default:
        this.#badVerb(argument, verb);
    }
  }

  #printQuoted(text: string): void {
    const cut = this.#cut(text);
    this.#pad(this.#sharp && canBackquote(cut) ? `\`${cut}\`` : quote(cut, this.#plus));
  }

  #printHex(text: string, verb: 'x' | 'X'): void {
    const all = bytesOf(text);
    const bytes = all.subarray(0, Math.min(this.#precision ?? all.length, all.length));
    const pairs = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0'));
    const prefix = this.#sharp && pairs.length > 0 ? '0x' : '';
    const digits = this.#space ? pairs.join(` ${prefix}`) : pairs.join('');
    const written = `${prefix}${digits}`;
    this.#pad(verb === 'X' ? written.toUpperCase() : written);
  }

  #printInteger(value: bigint, argument: GoValue, verb: string): void {
    switch (verb) {
      case 'v':
        if (this.#sharpV && argument instanceof GoInt && argument.type === 'uint8') this.#printUnsigned(value);
        else this.#printBase(value, 10, verb);
        return;
      case 'd':
        this.#printBase(value, 10, verb);
        return;
      case 'b':
        this.#printBase(value, 2, verb);
        return;
      case 'o':
      case 'O':
        this.#printBase(value, 8, verb);
        return;
      case 'x':
      case 'X':
        this.#printBase(value, 16, verb);
        return;
      case 'c':
        this.#pad(character(value));
        return;
      case 'q':
        this.#pad(quoteRune(runeOf(value), this.#plus));
        return;
      case 'U':
        this.#printUnicode(value);
        return;
      default:
        this.#badVerb(argument, verb);
        return;
    }
  }

  /** As %#v writes it. */
  #printUnsigned(value: bigint): void {
    const sharp = this.#sharp;
    this.#sharp = true;
    this.#printBase(value, 16, 'v');
    this.#sharp = sharp;
  }

  #printBase(value: bigint, base: number, verb: string): void {
    const negative = value < 0n;
    let digits = (negative ? -value : value).toString(base);
    if (this.#precision === 0 && value === 0n) {
      this.#out += ' '.repeat(this.#width ?? 0);
      return;
    }
    let least = this.#precision ?? 0;
    if (this.#precision === undefined && this.#zero && !this.#minus && this.#width !== undefined) {
      least = this.#width - (negative || this.#plus || this.#space ? 1 : 0);
    }
    digits = digits.padStart(least, '0');
    if (this.#sharp) {
      if (base === 2) digits = `0b${digits}`;
      if (base === 8 && !digits.startsWith('0')) digits = `0${digits}`;
      if (base === 16) digits = `0x${digits}`;
    }
    if (verb === 'O') digits = `0o${digits}`;
    if (verb === 'X') digits = digits.toUpperCase();
    this.#pad(`${negative ? '-' : this.#plus ? '+' : this.#space ? ' ' : ''}${digits}`, false);
  }

  #printUnicode(value: bigint): void {
    const unsigned = BigInt.asUintN(64, value);
    let text = `U+${unsigned
      .toString(16)
      .toUpperCase()
      .padStart(Math.max(this.#precision ?? 4, 4), '0')}`;
    if (this.#sharp && unsigned <= 0x10ffffn) {
      const shown = String.fromCodePoint(Number(unsigned));
      if (isPrint(shown)) text += ` '${shown}'`;
    }
    this.#pad(text, false);
  }

  /** math/big's own formatting. */
  #printBigInteger(value: bigint, verb: string): void {
    const base = { b: 2, o: 8, O: 8, d: 10, s: 10, v: 10, x: 16, X: 16 }[verb];
    if (base === undefined) {
      this.#out += `%!${verb}(big.Int=${value})`;
      return;
    }
    const sign = value < 0n ? '-' : this.#plus ? '+' : this.#space ? ' ' : '';
    const prefixes: Readonly<Record<string, string>> = { b: '0b', o: '0', x: '0x', X: '0X' };
    const prefix = verb === 'O' ? '0o' : this.#sharp ? (prefixes[verb] ?? '') : '';
    let digits = (value < 0n ? -value : value).toString(base);
    if (verb === 'X') digits = digits.toUpperCase();
    digits = digits.padStart(this.#precision ?? 0, '0');
    const missing = (this.#width ?? 0) - sign.length - prefix.length - digits.length;
    if (missing <= 0) this.#out += sign + prefix + digits;
    else if (this.#minus) this.#out += sign + prefix + digits + ' '.repeat(missing);
    else if (this.#zero && this.#precision === undefined) this.#out += sign + prefix + '0'.repeat(missing) + digits;
    else this.#out += ' '.repeat(missing) + sign + prefix + digits;
  }

  /** %w is not for Sprintf, and a complaint about a pointer shows what it points to, field by field. */
  #printBigStruct(value: bigint): void {
    const named = this.#plus || this.#sharpV;
    this.#plus = false;
    this.#out += `%!w(*big.Int=&${this.#sharpV ? 'big.Int' : ''}{${named ? 'neg:' : ''}`;
    this.#pad(`${value < 0n}`);
    this.#out += `${this.#sharpV ? ', ' : ' '}${named ? 'abs:' : ''}${this.#sharpV ? 'big.nat{' : '['}`;
    for (let rest = value < 0n ? -value : value; ; this.#out += this.#sharpV ? ', ' : ' ') {
      const word = BigInt.asUintN(64, rest);
      if (this.#sharpV) this.#printUnsigned(word);
      else this.#printBase(word, 10, 'v');
      rest >>= 64n;
      if (rest === 0n) break;
    }
    this.#out += this.#sharpV ? '}})' : ']})';
  }

  #printFloat(value: number, verb: string): void {
    switch (verb) {
      case 'v':
        // %#v itself does not come here with the flag; a bad verb's value does.
        this.#writeFloat(value, 'g', -1, this.#sharp);
        return;
      case 'b':
      case 'g':
      case 'G':
      case 'x':
      case 'X':
        this.#writeFloat(value, verb, -1, this.#sharp);
        return;
      case 'f':
      case 'e':
      case 'E':
        this.#writeFloat(value, verb, 6, this.#sharp);
        return;
      case 'F':
        this.#writeFloat(value, 'f', 6, this.#sharp);
        return;
      default:
        this.#badVerb(value, verb);
        return;
    }
  }

  #writeFloat(value: number, verb: Parameters<typeof formatFloat>[1], usual: number, sharp: boolean): void {
    const precision = this.#precision ?? usual;
    const text = formatFloat(value, verb, precision);
    const signed = /^[+-]/.test(text) ? text : `+${text}`;
    const sign = signed.startsWith('+') && this.#space && !this.#plus ? ' ' : (signed[0] ?? '+');
    let digits = signed.slice(1);
    if (sharp && verb !== 'b') digits = withPoint(digits, verb, precision);
    if (!this.#plus && sign === '+') {
      this.#pad(digits);
      return;
    }
    const missing = (this.#width ?? 0) - 1 - digits.length;
    if (this.#zero && !this.#minus && missing > 0) this.#out += sign + '0'.repeat(missing) + digits;
    else this.#pad(sign + digits);
  }
}

/** The `#` flag: the point is always written, and for %g the zeros behind it too. */
function withPoint(text: string, verb: string, precision: number): string {
  let wanted = /^[gGx]$/.test(verb) ? (precision < 0 ? 6 : precision) : 0;
  const tailAt = text.search(verb === 'x' || verb === 'X' ? /[pP]/ : /[eE]/);
  const tail = tailAt < 0 ? '' : text.slice(tailAt);
  let number = tailAt < 0 ? text : text.slice(0, tailAt);
  let seen = false;
  for (const digit of number) {
    if (digit === '.') continue;
    if (digit !== '0') seen = true;
    if (seen) wanted--;
  }
  if (!number.includes('.')) {
    if (number === '0') wanted--;
    number += '.';
  }
  return number + '0'.repeat(Math.max(wanted, 0)) + tail;
}

function tooManyDigits(digits: string): boolean {
  return Number(digits.slice(0, -1)) > sizeMax;
}

function runeOf(value: bigint): number {
  const unsigned = BigInt.asUintN(64, value);
  return unsigned > 0x10ffffn ? 0xfffd : Number(unsigned);
}

function character(value: bigint): string {
  const code = runeOf(value);
  return code >= 0xd800 && code <= 0xdfff ? '\ufffd' : String.fromCodePoint(code);
}
