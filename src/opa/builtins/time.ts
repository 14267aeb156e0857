import { integerOf } from '../../text/decimal.ts';
import { type Civil, civilAt, daysIn, daysOf, instantOf } from '../go/calendar.ts';
import { parseDuration } from '../go/duration.ts';
import { formatFloat } from '../go/float.ts';
import { dayName, formatTime, parseTime } from '../go/layout.ts';
import { utc, type Zone, zoneNamed } from '../go/zones.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { integer, intOperand, isArray, mustBe, numberOperand, stringOperand } from '../values/operands.ts';
import type { RegoNumber, Value } from '../values/value.ts';

const int64Max = 9_223_372_036_854_775_807n;
const int64Min = -9_223_372_036_854_775_808n;

const namedLayouts: ReadonlyMap<string, string> = new Map([
  ['ANSIC', 'Mon Jan _2 15:04:05 2006'],
  ['UnixDate', 'Mon Jan _2 15:04:05 MST 2006'],
  ['RubyDate', 'Mon Jan 02 15:04:05 -0700 2006'],
  ['RFC822', '02 Jan 06 15:04 MST'],
  ['RFC822Z', '02 Jan 06 15:04 -0700'],
  ['RFC850', 'Monday, 02-Jan-06 15:04:05 MST'],
  ['RFC1123', 'Mon, 02 Jan 2006 15:04:05 MST'],
  ['RFC1123Z', 'Mon, 02 Jan 2006 15:04:05 -0700'],
  ['RFC3339', '2006-01-02T15:04:05Z07:00'],
  ['RFC3339Nano', '2006-01-02T15:04:05.999999999Z07:00'],
]);

export const builtins: BuiltinFamily = {
  'time.now_ns': (context) => integer(context.nowNs),

  'time.parse_ns': (_context, layout, value) => {
    const name = stringOperand(layout, 1);
    return parsedNs(namedLayouts.get(name) ?? name, stringOperand(value, 2));
  },

  'time.parse_rfc3339_ns': (_context, value) => parsedNs('2006-01-02T15:04:05Z07:00', stringOperand(value, 1)),

  'time.parse_duration_ns': (_context, duration) => {
    const text = stringOperand(duration, 1);
    const ns = /[dwy]/.test(text) ? extendedDuration(text) : parseDuration(text);
    if (ns === undefined) throw new BuiltinError('time: invalid duration');
    return integer(ns);
  },

  'time.format': (context, value) => {
    const { seconds, nanoseconds, zone, layout } = timeOperand(context, value);
    return formatTime(seconds, nanoseconds, zone, namedLayouts.get(layout || 'RFC3339Nano') ?? layout);
  },

  'time.date': (context, value) => {
    const { year, month, day } = civilOf(context, value);
    return [year, month, day].map(integer);
  },

  'time.clock': (context, value) => {
    const { hour, minute, second } = civilOf(context, value);
    return [hour, minute, second].map(integer);
  },

  'time.weekday': (context, value) => {
    const { year, month, day } = civilOf(context, value);
    return dayName(daysOf(year, month, day));
  },

  'time.add_date': (context, value, years, months, days) => {
    const { seconds, nanoseconds, zone } = timeOperand(context, value);
    const civil = civilAt(seconds, zone);
    const later = instantOf(
      {
        ...civil,
        year: civil.year + intOperand(years, 2),
        month: civil.month + intOperand(months, 3),
        day: civil.day + intOperand(days, 4),
      },
      zone,
    );
    return nsOf(later, nanoseconds);
  },

  'time.diff': (context, first, second) => {
    const a = timeOperand(context, first);
    const b = timeOperand(context, second);
    const inOrder = a.seconds < b.seconds || (a.seconds === b.seconds && a.nanoseconds <= b.nanoseconds);
    const [from, to] = inOrder ? [a, b] : [b, a];
    return difference(civilAt(from.seconds, a.zone), civilAt(to.seconds, a.zone)).map(integer);
  },
};

function parsedNs(layout: string, text: string): RegoNumber {
  const parsed = parseTime(layout, text);
  if (parsed === undefined) throw new BuiltinError('parsing time: the text is not of the layout');
  return nsOf(parsed.seconds, parsed.nanoseconds);
}

function nsOf(seconds: number, nanoseconds: number): RegoNumber {
  const ns = Number.isSafeInteger(seconds) ? BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds) : int64Max + 1n;
  if (ns > int64Max || ns < int64Min) throw new BuiltinError('time outside of valid range');
  return integer(ns);
}

interface TimeOperand {
  readonly seconds: number;
  readonly nanoseconds: number;
  readonly zone: Zone;
  readonly layout: string;
}

/** Nanoseconds, or `[nanoseconds, zone?, layout?]`. */
function timeOperand(context: BuiltinContext, value: Value): TimeOperand {
  const [nsValue, zoneName, layout] = isArray(value) ? value : [value];
  if (nsValue === undefined) return mustBe(1, value, 'either number (ns) or [number (ns), string (tz)]');
  const zone = zoneName === undefined ? utc : zoneOperand(context, stringOperand(zoneName, 1));
  const layoutText = layout === undefined ? '' : stringOperand(layout, 1);
  const ns = integerOf(numberOperand(nsValue, 1).text);
  if (ns === undefined || ns > int64Max || ns < int64Min) throw new BuiltinError('timestamp too big');
  const nanoseconds = ((ns % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return {
    seconds: Number((ns - nanoseconds) / 1_000_000_000n),
    nanoseconds: Number(nanoseconds),
    zone,
    layout: layoutText,
  };
}

/** `Local` would make a decision depend on the machine: here the local time is UTC. */
function zoneOperand(context: BuiltinContext, name: string): Zone {
  if (name === '' || name === 'UTC' || name === 'Local') return utc;
  if (!/^[A-Za-z0-9_+\-/]{1,64}$/.test(name)) throw new BuiltinError('unknown time zone');
  const zone = context.kept('zone', name, () => zoneNamed(name) ?? null);
  if (zone === null) throw new BuiltinError('unknown time zone');
  return zone;
}

function civilOf(context: BuiltinContext, value: Value): Civil {
  const { seconds, zone } = timeOperand(context, value);
  return civilAt(seconds, zone);
}

/** Years, months, days, hours, minutes and seconds from one to the other. */
function difference(from: Civil, to: Civil): readonly number[] {
  let year = to.year - from.year;
  let month = to.month - from.month;
  let day = to.day - from.day;
  let hour = to.hour - from.hour;
  let minute = to.minute - from.minute;
  let second = to.second - from.second;
  if (second < 0) {
    second += 60;
    minute--;
  }
  if (minute < 0) {
    minute += 60;
    hour--;
  }
  if (hour < 0) {
    hour += 24;
    day--;
  }
  if (day < 0) {
    day += daysIn(from.month, from.year);
    month--;
  }
  if (month < 0) {
    month += 12;
    year--;
  }
  return [year, month, day, hour, minute, second];
}

const hoursPer: Readonly<Record<string, number>> = { d: 24, w: 168, y: 8_760 };

/** OPA's days, weeks and years, rewritten as hours. */
function extendedDuration(text: string): bigint | undefined {
  if (!/^[+-]?(?:[\d.]+(?:ms|us|µs|ns|[a-z]))+$/.test(text)) return undefined;
  let valid = true;
  const rewritten = text.replace(/([\d.]+)(ms|us|µs|ns|[a-z])/g, (segment, digits: string, unit: string) => {
    const hours = hoursPer[unit];
    if (hours === undefined) return segment;
    if (!/^(?:\d+\.?\d*|\.\d+)$/.test(digits)) valid = false;
    return `${formatFloat(Number(digits) * hours, 'f', -1)}h`;
  });
  return valid ? parseDuration(rewritten) : undefined;
}
