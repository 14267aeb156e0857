// Tested by test/opa/builtins/time.test.ts.
import { createRequire } from 'node:module';

/** A stretch of time in which a place keeps one offset from UTC. Seconds since 1970. */
export interface ZoneSpan {
  readonly start: number;
  readonly end: number;
  /** East of UTC. */
  readonly offset: number;
  readonly abbreviation: string;
}

export interface Zone {
  at(seconds: number): ZoneSpan;
}

export const utc: Zone = {
  at: () => ({ start: -Infinity, end: Infinity, offset: 0, abbreviation: 'UTC' }),
};

interface PackedZones {
  readonly zones: readonly string[];
  /** `<zone>|<other name>` */
  readonly links: readonly string[];
}

/**
 * A zone of the IANA database. The data is moment-timezone's, which has the abbreviations that Go prints; the engine's
 * own (Intl) has them for few places.
 *
 * @returns undefined for a name that the database does not have, to the letter
 */
export function zoneNamed(name: string): Zone | undefined {
  const { zones, links } = createRequire(import.meta.url)('moment-timezone/data/packed/latest.json') as PackedZones;
  const link = links.find((names) => names.endsWith(`|${name}`))?.split('|')[0];
  const packed = zones.find((zone) => zone.startsWith(`${link ?? name}|`));
  return packed === undefined ? undefined : unpack(packed);
}

/** @see moment-timezone's documentation, "Packed Format" */
function unpack(packed: string): Zone {
  const [, abbreviations = '', offsets = '', indices = '', differences = ''] = packed.split('|');
  const names = abbreviations.split(' ');
  const wests = offsets.split(' ').map(base60Seconds);
  const spans: ZoneSpan[] = [];
  const steps = differences === '' ? [] : differences.split(' ');
  let start = -Infinity;
  for (const [at, character] of [...indices].entries()) {
    const index = digitOf(character);
    const step = steps[at];
    const end = step === undefined ? Infinity : (start === -Infinity ? 0 : start) + base60Seconds(step);
    spans.push({ start, end, offset: -(wests[index] ?? 0), abbreviation: names[index] ?? '' });
    start = end;
  }
  return { at: (seconds) => spans.find(({ end }) => seconds < end) ?? utc.at(seconds) };
}

/** A number of minutes in base 60, with the seconds behind the point. */
function base60Seconds(text: string): number {
  const negative = text.startsWith('-');
  const [whole = '', fraction = ''] = (negative ? text.slice(1) : text).split('.');
  let minutes = 0;
  for (const digit of whole) minutes = minutes * 60 + digitOf(digit);
  const seconds = minutes * 60 + (fraction === '' ? 0 : digitOf(fraction.charAt(0)));
  return negative ? -seconds : seconds;
}

function digitOf(character: string): number {
  const code = character.charCodeAt(0);
  if (code > 96) return code - 87;
  return code > 64 ? code - 29 : code - 48;
}
