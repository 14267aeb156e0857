// Tested by test/opa/builtins/x509-certificates.test.ts.
import { formatTime, parseTime } from '../go/layout.ts';
import { BuiltinError } from '../values/builtin.ts';
import { type Der, tags } from './der.ts';

/** The text of one of ASN.1's many string types, with what is commonly written against their rules. */
export function stringOf(tag: number, content: Buffer): string {
  const latin = content.toString('latin1');
  switch (tag) {
    // T.61 is read as Latin-1, as everybody does.
    case tags.t61String:
      return latin;
    case tags.printableString:
      return checked(latin, /^[A-Za-z0-9'()+,\-./ :=?*&]*$/);
    case tags.numericString:
      return checked(latin, /^[0-9 ]*$/);
    case tags.ia5String:
      return ia5(content);
    case tags.utf8String: {
      const text = content.toString('utf8');
      if (!Buffer.from(text).equals(content)) throw new BuiltinError('invalid string');
      return text;
    }
    case tags.bmpString:
      return bmp(content);
    default:
      throw new BuiltinError('unsupported string type');
  }
}

/** @throws BuiltinError for what is not ASCII */
export function ia5(content: Buffer): string {
  if (content.some((byte) => byte > 0x7f)) throw new BuiltinError('invalid string');
  return content.toString('latin1');
}

function checked(text: string, pattern: RegExp): string {
  if (!pattern.test(text)) throw new BuiltinError('invalid string');
  return text;
}

function bmp(content: Buffer): string {
  if (content.length % 2 !== 0) throw new BuiltinError('invalid string');
  const text = Buffer.from(content).swap16().toString('utf16le').replace(/\0$/, '');
  return checked(text, /^[^\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]*$/);
}

export interface Instant {
  readonly ns: bigint;
  /** As RFC 3339 writes it, with the offset that it was given with. */
  readonly text: string;
}

export function readTime(der: Der): Instant {
  if (der.peek(tags.generalizedTime)) return instantOf(der.read(tags.generalizedTime).toString('latin1'));
  const text = der.read(tags.utcTime).toString('latin1');
  // Two digits of the year, of the hundred years from 1950.
  return instantOf(`${Number(text.slice(0, 2)) >= 50 ? '19' : '20'}${text}`, true);
}

function instantOf(text: string, short = false): Instant {
  const [, date = '', clock = '', zone = ''] = /^(\d{8})(\d{4}(?:\d{2})?)(Z|[+-]\d{4})$/.exec(text) ?? [];
  const layout = `2006010215${clock.length === 6 ? '0405' : '04'}Z0700`;
  const parsed = date === '' || (clock.length !== 6 && !short) ? undefined : parseTime(layout, text);
  if (parsed === undefined) throw new BuiltinError('malformed time');
  const minutes = zone === 'Z' ? 0 : Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3));
  const offset = zone.startsWith('-') ? -minutes * 60 : minutes * 60;
  const span = { start: -Infinity, end: Infinity, offset, abbreviation: '' };
  const place = { at: () => span };
  if (formatTime(parsed.seconds, 0, place, layout) !== text) throw new BuiltinError('malformed time');
  return {
    ns: BigInt(parsed.seconds) * 1_000_000_000n,
    text: formatTime(parsed.seconds, 0, place, '2006-01-02T15:04:05Z07:00'),
  };
}
