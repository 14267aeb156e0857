// Tested by test/opa/builtins/identifiers.test.ts.
import type { Zone } from './zones.ts';

/** A date and a time of day, as a place's clock shows them. Months count from 1. */
export interface Civil {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
}

export const secondsPerDay = 86_400;

export function isLeap(year: number): boolean {
  return year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0);
}

export function daysIn(month: number, year: number): number {
  if (month === 2) return isLeap(year) ? 29 : 28;
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31;
}

/** Days since 1970-01-01 in the proleptic Gregorian calendar. */
export function daysOf(year: number, month: number, day: number): number {
  const years = month <= 2 ? year - 1 : year;
  const era = Math.floor(years / 400);
  const yearOfEra = years - era * 400;
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1;
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear;
  return era * 146_097 + dayOfEra - 719_468;
}

export function dateOf(days: number): { readonly year: number; readonly month: number; readonly day: number } {
  const shifted = days + 719_468;
  const era = Math.floor(shifted / 146_097);
  const dayOfEra = shifted - era * 146_097;
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1_460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  );
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const shiftedMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9;
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shiftedMonth + 2) / 5) + 1,
  };
}

/** The clock of a place at an instant. */
export function civilAt(seconds: number, zone: Zone): Civil {
  const local = seconds + zone.at(seconds).offset;
  const days = Math.floor(local / secondsPerDay);
  const rest = local - days * secondsPerDay;
  return {
    ...dateOf(days),
    hour: Math.floor(rest / 3_600),
    minute: Math.floor((rest % 3_600) / 60),
    second: rest % 60,
  };
}

/**
 * Go's `time.Date`: members past their range carry over, and a time that a place's clock skips or repeats is read as
 * Go reads it.
 */
export function instantOf({ year, month, day, hour, minute, second }: Civil, zone: Zone): number {
  const months = year * 12 + month - 1;
  const inYear = ((months % 12) + 12) % 12;
  const days = daysOf((months - inYear) / 12, inYear + 1, 1) + day - 1;
  const unix = days * secondsPerDay + hour * 3_600 + minute * 60 + second;
  const span = zone.at(unix);
  if (span.offset === 0) return unix;
  const guess = unix - span.offset;
  return unix - (guess < span.start || guess >= span.end ? zone.at(guess).offset : span.offset);
}

/** 0 is Sunday. */
export function weekdayOf(days: number): number {
  return (((days + 4) % 7) + 7) % 7;
}
