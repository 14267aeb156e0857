// Tested by test/opa/builtins/identifiers.test.ts.
import { civilAt, daysIn, daysOf, instantOf, isLeap, secondsPerDay, weekdayOf } from './calendar.ts';
import { utc, type Zone } from './zones.ts';

const longMonths = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];
const longDays = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const shortMonths = longMonths.map((name) => name.slice(0, 3));
const shortDays = longDays.map((name) => name.slice(0, 3));

export function dayName(days: number): string {
  return longDays[weekdayOf(days)] ?? '';
}

/**
 * The reference time's parts, the longer before what it begins with. Fractions of a second stand apart, because they
 * may have any length.
 */
const chunk = new RegExp(
  [
    'January|Jan(?![a-z])|Monday|Mon(?![a-z])|MST',
    '002|0[1-6]|15|1|2006|2|_2(?!006)|__2|3|4|5|PM|pm',
    '-07:00:00|-070000|-07:00|-0700|-07|Z07:00:00|Z070000|Z07:00|Z0700|Z07',
    '[.,](?:0+|9+)(?!\\d)',
  ].join('|'),
);

interface Chunk {
  readonly prefix: string;
  /** Empty where the layout holds no further part. */
  readonly part: string;
  readonly suffix: string;
}

function nextChunk(layout: string): Chunk {
  const match = chunk.exec(layout);
  if (match === null) return { prefix: layout, part: '', suffix: '' };
  const [part] = match;
  return { prefix: layout.slice(0, match.index), part, suffix: layout.slice(match.index + part.length) };
}

/** Go's `Time.Format`. */
export function formatTime(seconds: number, nanoseconds: number, zone: Zone, layout: string): string {
  const { year, month, day, hour, minute, second } = civilAt(seconds, zone);
  const { offset, abbreviation } = zone.at(seconds);
  const days = daysOf(year, month, day);
  const hour12 = hour % 12 === 0 ? 12 : hour % 12;
  const dayOfYear = days - daysOf(year, 1, 1) + 1;
  const write = (part: string): string => {
    switch (part) {
      case '2006':
        return year < 0 ? `-${padded(-year, 4)}` : padded(year, 4);
      case '06':
        return padded(Math.abs(year) % 100, 2);
      case 'January':
        return longMonths[month - 1] ?? '';
      case 'Jan':
        return shortMonths[month - 1] ?? '';
      case '1':
        return month.toString();
      case '01':
        return padded(month, 2);
      case 'Monday':
        return dayName(days);
      case 'Mon':
        return shortDays[weekdayOf(days)] ?? '';
      case '2':
        return day.toString();
      case '_2':
        return day.toString().padStart(2);
      case '02':
        return padded(day, 2);
      case '__2':
        return dayOfYear.toString().padStart(3);
      case '002':
        return padded(dayOfYear, 3);
      case '15':
        return padded(hour, 2);
      case '3':
        return hour12.toString();
      case '03':
        return padded(hour12, 2);
      case '4':
        return minute.toString();
      case '04':
        return padded(minute, 2);
      case '5':
        return second.toString();
      case '05':
        return padded(second, 2);
      case 'PM':
        return hour >= 12 ? 'PM' : 'AM';
      case 'pm':
        return hour >= 12 ? 'pm' : 'am';
      case 'MST':
        return abbreviation === '' ? writeOffset(offset, '-0700') : abbreviation;
      default:
        return /^[.,]/.test(part) ? writeFraction(nanoseconds, part) : writeOffset(offset, part);
    }
  };
  let text = '';
  for (let rest = layout; rest !== ''; ) {
    const { prefix, part, suffix } = nextChunk(rest);
    text += prefix + (part === '' ? '' : write(part));
    rest = suffix;
  }
  return text;
}

function padded(value: number, digits: number): string {
  return value.toString().padStart(digits, '0');
}

function writeFraction(nanoseconds: number, part: string): string {
  const digits = padded(nanoseconds, 9)
    .slice(0, part.length - 1)
    .padEnd(part.length - 1, '0');
  if (part[1] === '0') return part.charAt(0) + digits;
  const trimmed = padded(nanoseconds, 9)
    .slice(0, part.length - 1)
    .replace(/0+$/, '');
  return trimmed === '' ? '' : part.charAt(0) + trimmed;
}

function writeOffset(offset: number, part: string): string {
  if (part.startsWith('Z') && offset === 0) return 'Z';
  const colon = part.includes(':') ? ':' : '';
  // Go cuts the offset to minutes before it looks at the sign.
  const minutes = Math.trunc(offset / 60);
  const size = Math.abs(minutes);
  let text = `${minutes < 0 ? '-' : '+'}${padded(Math.floor(size / 60), 2)}`;
  if (part.length > 3) text += colon + padded(size % 60, 2);
  if (part.length > 6) text += colon + padded((minutes < 0 ? -offset : offset) % 60, 2);
  return text;
}

export interface Parsed {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/**
 * Go's `time.Parse`, on a machine whose local time is UTC.
 *
 * @returns undefined where the text is not of the layout
 */
export function parseTime(layout: string, text: string): Parsed | undefined {
  const parser = new TimeParser(text);
  for (let rest = layout; ; ) {
    const { prefix, part, suffix } = nextChunk(rest);
    if (!parser.skip(prefix)) return undefined;
    if (part === '') break;
    rest = suffix;
    if (!parser.read(part, rest)) return undefined;
  }
  return parser.result();
}

class TimeParser {
  #rest: string;
  #year = 0;
  #month = -1;
  #day = -1;
  #dayOfYear = -1;
  #hour = 0;
  #minute = 0;
  #second = 0;
  #nanoseconds = 0;
  #half: 'am' | 'pm' | undefined;
  #utc = false;
  #offset: number | undefined;

  constructor(text: string) {
    this.#rest = text;
  }

  /** A run of spaces in the layout takes any run of them, even none at the end. */
  skip(prefix: string): boolean {
    let wanted = prefix;
    while (wanted !== '') {
      if (wanted.startsWith(' ')) {
        if (this.#rest !== '' && !this.#rest.startsWith(' ')) return false;
        wanted = wanted.replace(/^ +/, '');
        this.#rest = this.#rest.replace(/^ +/, '');
      } else {
        if (this.#rest === '' || this.#rest[0] !== wanted[0]) return false;
        wanted = wanted.slice(1);
        this.#rest = this.#rest.slice(1);
      }
    }
    return true;
  }

  /** @param following the rest of the layout */
  read(part: string, following: string): boolean {
    switch (part) {
      case '06':
        return this.#take(/^(?:\d|[+-])\d/, (digits) => {
          this.#year = Number(digits) + (Number(digits) >= 69 ? 1_900 : 2_000);
        });
      case '2006':
        return this.#take(/^\d{4}/, (digits) => {
          this.#year = Number(digits);
        });
      case 'Jan':
        return this.#name(shortMonths, (index) => {
          this.#month = index + 1;
        });
      case 'January':
        return this.#name(longMonths, (index) => {
          this.#month = index + 1;
        });
      case '1':
      case '01':
        return this.#number(part, 1, 12, (value) => {
          this.#month = value;
        });
      case 'Mon':
        return this.#name(shortDays, () => undefined);
      case 'Monday':
        return this.#name(longDays, () => undefined);
      case '_2':
      case '2':
      case '02':
        if (part === '_2') this.#rest = this.#rest.replace(/^ /, '');
        return this.#number(part === '02' ? '02' : '2', 0, 99, (value) => {
          this.#day = value;
        });
      case '__2':
      case '002':
        if (part === '__2') this.#rest = this.#rest.replace(/^ {1,2}/, '');
        return this.#take(part === '002' ? /^\d{3}/ : /^\d{1,3}/, (digits) => {
          this.#dayOfYear = Number(digits);
        });
      case '15':
        return this.#number('3', 0, 23, (value) => {
          this.#hour = value;
        });
      case '3':
      case '03':
        return this.#number(part, 0, 12, (value) => {
          this.#hour = value;
        });
      case '4':
      case '04':
        return this.#number(part, 0, 59, (value) => {
          this.#minute = value;
        });
      case '5':
      case '05':
        return (
          this.#number(part, 0, 59, (value) => {
            this.#second = value;
          }) && this.#unaskedFraction(following)
        );
      case 'PM':
        return this.#take(/^[AP]M/, (half) => {
          this.#half = half === 'PM' ? 'pm' : 'am';
        });
      case 'pm':
        return this.#take(/^[ap]m/, (half) => {
          this.#half = half === 'pm' ? 'pm' : 'am';
        });
      case 'MST':
        return this.#readZoneName();
      default:
        return /^[.,]/.test(part) ? this.#readFraction(part) : this.#readOffset(part);
    }
  }

  #take(pattern: RegExp, keep: (text: string) => void): boolean {
    const match = pattern.exec(this.#rest);
    if (match === null) return false;
    this.#rest = this.#rest.slice(match[0].length);
    keep(match[0]);
    return true;
  }

  #name(names: readonly string[], keep: (index: number) => void): boolean {
    const index = names.findIndex((name) => this.#rest.slice(0, name.length).toLowerCase() === name.toLowerCase());
    if (index < 0) return false;
    this.#rest = this.#rest.slice(names[index]?.length);
    keep(index);
    return true;
  }

  /** @param part with a leading zero, both digits have to be there */
  #number(part: string, from: number, to: number, keep: (value: number) => void): boolean {
    let inRange = false;
    const found = this.#take(part.startsWith('0') ? /^\d{2}/ : /^\d{1,2}/, (digits) => {
      inRange = Number(digits) >= from && Number(digits) <= to;
      keep(Number(digits));
    });
    return found && inRange;
  }

  /** Digits behind the second are read even where the layout does not ask for them. */
  #unaskedFraction(following: string): boolean {
    if (!/^[.,]\d/.test(this.#rest) || /^[.,]/.test(nextChunk(following).part)) return true;
    return this.#take(/^[.,]\d+/, (text) => this.#keepFraction(text));
  }

  #readFraction(part: string): boolean {
    if (part[1] === '9') {
      if (/^[.,]\d/.test(this.#rest)) this.#take(/^[.,]\d+/, (text) => this.#keepFraction(text));
      return true;
    }
    return this.#take(new RegExp(`^[.,]\\d{${part.length - 1}}`), (text) => this.#keepFraction(text));
  }

  #keepFraction(text: string): void {
    this.#nanoseconds = Number(text.slice(1, 10).padEnd(9, '0'));
  }

  #readOffset(part: string): boolean {
    if (part.startsWith('Z') && this.#rest.startsWith('Z')) {
      this.#rest = this.#rest.slice(1);
      this.#utc = true;
      return true;
    }
    const pattern = {
      3: /^([+-])(\d{2})/,
      5: /^([+-])(\d{2})(\d{2})/,
      6: /^([+-])(\d{2}):(\d{2})/,
      7: /^([+-])(\d{2})(\d{2})(\d{2})/,
      9: /^([+-])(\d{2}):(\d{2}):(\d{2})/,
    }[part.length];
    const match = pattern?.exec(this.#rest);
    if (match === null || match === undefined) return false;
    this.#rest = this.#rest.slice(match[0].length);
    const [, sign, hours, minutes = '0', seconds = '0'] = match;
    if (Number(hours) > 24 || Number(minutes) > 60 || Number(seconds) > 60) return false;
    const size = Number(hours) * 3_600 + Number(minutes) * 60 + Number(seconds);
    this.#offset = sign === '-' ? -size : size;
    return true;
  }

  #readZoneName(): boolean {
    if (this.#rest.startsWith('UTC')) {
      this.#rest = this.#rest.slice(3);
      this.#utc = true;
      return true;
    }
    if (this.#rest.length < 3) return false;
    // Other abbreviations have no certain offset, and Go takes them for UTC.
    const keep = (): void => undefined;
    if (/^(?:ChST|MeST)/.test(this.#rest)) return this.#take(/^.{4}/, keep);
    if (this.#rest.startsWith('GMT')) return this.#take(/^GMT(?:[+-](?:0*(?:1?\d|2[0-3]))(?!\d))?/, keep);
    if (/^[+-]/.test(this.#rest)) return this.#take(/^[+-]0*(?:1?\d|2[0-3])(?!\d)/, keep);
    const letters = /^[A-Z]{0,6}/.exec(this.#rest)?.[0] ?? '';
    const length =
      letters.length === 3 ||
      (letters.length === 4 && (letters.endsWith('T') || letters === 'WITA')) ||
      (letters.length === 5 && letters.endsWith('T'))
        ? letters.length
        : 0;
    return length > 0 && this.#take(new RegExp(`^.{${length}}`), keep);
  }

  result(): Parsed | undefined {
    if (this.#rest !== '') return undefined;
    let hour = this.#hour;
    if (this.#half === 'pm' && hour < 12) hour += 12;
    else if (this.#half === 'am' && hour === 12) hour = 0;
    const date = this.#date();
    if (date === undefined) return undefined;
    const civil = { year: this.#year, ...date, hour, minute: this.#minute, second: this.#second };
    const seconds = instantOf(civil, utc) - (this.#utc ? 0 : (this.#offset ?? 0));
    return { seconds, nanoseconds: this.#nanoseconds };
  }

  #date(): { readonly month: number; readonly day: number } | undefined {
    let month = this.#month < 0 ? 1 : this.#month;
    let day = this.#day < 0 ? 1 : this.#day;
    if (this.#dayOfYear >= 0) {
      if (this.#dayOfYear < 1 || this.#dayOfYear > (isLeap(this.#year) ? 366 : 365)) return undefined;
      const days = daysOf(this.#year, 1, 1) + this.#dayOfYear - 1;
      ({ month, day } = civilAt(days * secondsPerDay, utc));
      if (this.#month >= 0 && this.#month !== month) return undefined;
      if (this.#day >= 0 && this.#day !== day) return undefined;
    }
    return day < 1 || day > daysIn(month, this.#year) ? undefined : { month, day };
  }
}
