declare const brand: unique symbol;

/** Milliseconds since 1970-01-01T00:00:00Z, as the sidecar's wall clock reads them. */
export type EpochMs = number & { readonly [brand]: 'EpochMs' };

/** The wall clock is read once per request; the monotonic one only measures durations and is never an age's base. */
export interface Clock {
  now(): EpochMs;
  /** Milliseconds from an arbitrary start, with a fraction; never goes back. */
  monotonicMs(): number;
}

/** Timers that a test can hold still. */
export interface Timers {
  /** @returns what cancels it */
  after(ms: number, run: () => void): () => void;
}

/**
 * Runs something again and again, the first time after `ms`.
 *
 * @returns what ends it
 */
export function every(timers: Timers, ms: number, run: () => void): () => void {
  let cancel = timers.after(ms, again);
  function again(): void {
    cancel = timers.after(ms, again);
    run();
  }
  return () => cancel();
}

export function epochMs(value: number): EpochMs {
  return value as EpochMs;
}

/** RFC 3339 has years of four digits. An offset may lead out of them, to a moment that could not be written back. */
const yearsBegin = Date.parse('0000-01-01T00:00:00Z');
const yearsEnd = Date.parse('+010000-01-01T00:00:00Z');

const rfc3339 = /^(\d{4}-\d{2}-\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?([Zz]|[+-]\d{2}:\d{2})$/;

/**
 * Reads a date-time as RFC 3339 section 5.6 writes it, with an offset; digits past the millisecond are cut.
 *
 * @returns undefined for anything else: a leap second (`:60`), a day that its month does not have and a moment that is
 *   outside of the years 0000 to 9999 in UTC included
 */
export function parseRfc3339(text: string): EpochMs | undefined {
  const match = rfc3339.exec(text);
  if (match === null) return undefined;
  const [, date, hours, minutes, seconds, fraction = '', offset = 'Z'] = match;
  if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
  const day = Date.parse(`${date}T00:00:00Z`);
  // Date.parse takes 31 February for 3 March; the round trip does not.
  if (Number.isNaN(day) || new Date(day).toISOString().slice(0, 10) !== date) return undefined;
  const millis = `${fraction}000`.slice(0, 3);
  const zone = offset.toUpperCase() === 'Z' ? 'Z' : offset;
  const parsed = Date.parse(`${date}T${hours}:${minutes}:${seconds}.${millis}${zone}`);
  return parsed >= yearsBegin && parsed < yearsEnd ? (parsed as EpochMs) : undefined;
}

/** @returns e.g. `2026-11-02T10:00:00.123Z` */
export function rfc3339Of(at: EpochMs): string {
  return new Date(at).toISOString();
}
