import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { opaMs } from '../../support/opa.ts';
import { type Call, callsAgainstOpa } from './against-opa.ts';

const parts = [
  ...['January', 'Jan', 'Monday', 'Mon', 'MST', '002', '01', '02', '03', '04', '05', '06', '15', '1', '2006', '2'],
  ...['_2', '__2', '3', '4', '5', 'PM', 'pm', '-07:00:00', '-070000', '-07:00', '-0700', '-07', 'Z07:00:00'],
  ...['Z070000', 'Z07:00', 'Z0700', 'Z07', '.000', ',000000000', '.999', '.99999999999', '.0', '_2006', 'Janet'],
  ...['Monat', '0', '9', '.', ' ', '-', ':', 'T', 'é', '  ', 'June'],
];
const named = ['ANSIC', 'UnixDate', 'RubyDate', 'RFC822', 'RFC822Z', 'RFC850', 'RFC1123', 'RFC1123Z', 'RFC3339', ''];
const zones = [
  '',
  'UTC',
  'Local',
  'America/New_York',
  'Asia/Kathmandu',
  'Africa/Monrovia',
  'Europe/Dublin',
  'Mars/X',
  '../x',
];
const instants = [
  ...[0, 1, -1, 1_709_164_800_000_000_000, 1_709_210_096_123_456_000, -2_208_988_800_000_000_000],
  ...[951_782_400_000_000_000, 1_710_054_000_000_000_000, 1_793_613_600_000_000_000, -9_000_000_000_000_000_000],
  ...[9_000_000_000_000_000_000, 10_000_000_000_000_000_000, 1.5, '0', null],
];
const layouts = [
  ...named,
  'RFC3339Nano',
  ...parts,
  ...fc
    .sample(fc.array(fc.constantFrom(...parts), { minLength: 1, maxLength: 6 }), { seed: 1, numRuns: 300 })
    .map((some) => some.join('')),
];

describe('time.format', () => {
  it(
    'writes instants in every zone by every part of a layout as OPA does',
    async () => {
      const some = instants.slice(0, 9);
      const calls = [
        ...layouts.flatMap((layout) => some.map((ns, at) => [ns, zones[at % 7], layout])),
        ...instants.flatMap((ns) => [ns, [ns], ...zones.map((zone) => [ns, zone])]),
        ...[[], {}, [0, 1], [0, 'UTC', 1], [0, 'UTC', 'RFC3339', 4]],
      ].map((given): Call => ['time.format', given]);
      const { differences, defined, ...rest } = await callsAgainstOpa(calls);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(3_000);
      expect(rest.undefined).toBeGreaterThan(20);
    },
    opaMs,
  );
});

const texts: Readonly<Record<string, readonly string[]>> = {
  year: ['2024', '1969', '0000', '-001', '24', '68', '69', '+1', '12345', '2262', '1677', ''],
  month: ['1', '01', '12', '13', '0', '00', 'feb', 'February', 'FEB', 'June', 'x', ' 2', '2'],
  day: ['1', '01', '29', '30', '31', '32', '0', ' 5', '  5', '060', '366', '1x', '5'],
  clock: [
    '0',
    '00',
    '12',
    '23',
    '24',
    '59',
    '60',
    '5.5',
    '05,123',
    '05.',
    '07.1234567890',
    ' 7',
    'AM',
    'pm',
    'PM',
    'aM',
  ],
  zone: [
    'Z',
    'UTC',
    'GMT',
    'GMT+3',
    'GMT-24',
    'GMT+x',
    'MST',
    'EST5',
    'WITA',
    'ChST',
    'MeST',
    'ABCDT',
    'ABCDE',
    'AB',
    'ABCDEFT',
    '+03',
    '-23',
    '+24',
    '+0300',
    '+03:00',
    '-03:00:30',
    '+030030',
    '+25:00',
    '+23:61',
    '+23:00:61',
    '-00:00',
    '+3',
    '-0',
    '.5',
  ],
};
const readBy: readonly (readonly [keyof typeof texts, readonly string[]])[] = [
  ['year', ['2006', '06', '_2006']],
  ['month', ['1', '01', 'Jan', 'January', 'Mon', 'Monday']],
  ['day', ['2', '02', '_2', '__2', '002']],
  [
    'clock',
    ['15', '3', '03', '4', '04', '5', '05', '05.000', '05.999', '05,9', '5.0 PM', 'PM', 'pm', '3PM', '05 .000'],
  ],
  ['zone', ['MST', 'Z07', 'Z0700', 'Z07:00', 'Z070000', 'Z07:00:00', '-07', '-0700', '-07:00', '-070000', '-07:00:00']],
];

describe('time.parse_ns', () => {
  it(
    'reads each part of a layout, written well and badly, as OPA does',
    async () => {
      const calls = readBy.flatMap(([kind, layouted]) =>
        layouted.flatMap((layout) =>
          (texts[kind] ?? []).flatMap((text): Call[] => [
            ['time.parse_ns', layout, text],
            ['time.parse_ns', `2006 ${layout}`, `2024 ${text}`],
            ['time.parse_ns', `2006  ${layout} x`, `2023 ${text}  x`],
            ['time.parse_ns', `${layout}/2006`, `${text}/2000`],
            ['time.parse_ns', `2006-01-02 ${layout}`, `2024-02-05 ${text}`],
          ]),
        ),
      );
      const days = ['2024-02-29', '2023-02-29', '2023-04-31', '2024-13-01', '1900-02-29', '2000-02-29', '2262-04-12'];
      const dated = days.flatMap((day): Call[] => [
        ['time.parse_ns', '2006-01-02', day],
        ['time.parse_rfc3339_ns', `${day}T00:00:00Z`],
        ['time.parse_rfc3339_ns', `${day}T23:59:59.999999999+05:30`],
        ['time.parse_rfc3339_ns', `${day} 00:00:00Z`],
        ['time.parse_rfc3339_ns', `${day}T24:00:00Z`],
        ['time.parse_rfc3339_ns', `${day}T1:02:03Z`],
      ]);
      const ordinals = ['060 02 29', '060 03 01', '366 12 31', '000 01 01', '061 02 29'].flatMap((text): Call[] => [
        ['time.parse_ns', '2006 002 01 02', `2024 ${text}`],
        ['time.parse_ns', '2006 002 01 02', `2023 ${text}`],
      ]);
      const halves = ['12', '11', '00', '1'].flatMap((hour) =>
        ['AM', 'PM', 'Am'].map((half): Call => ['time.parse_ns', '2006 3 PM', `2006 ${hour} ${half}`]),
      );
      const { differences, defined, ...rest } = await callsAgainstOpa([...calls, ...dated, ...ordinals, ...halves]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(500);
      expect(rest.undefined).toBeGreaterThan(700);
    },
    opaMs,
  );

  it(
    'reads back what each layout writes, as OPA does',
    async () => {
      const written = fc.sample(
        fc.tuple(fc.constantFrom(...layouts), fc.array(fc.constantFrom(...parts), { maxLength: 3 })),
        { seed: 3, numRuns: 500 },
      );
      const calls = written.flatMap(([layout, more]): Call[] => [
        ['time.parse_ns', layout, layout],
        ['time.parse_ns', `2006 ${more.join('')}`, `2023 ${more.join('').replaceAll('2006', '2023')}`],
      ]);
      const dates = [
        'Thu Feb 29 09:08:07 2024',
        '29 Feb 24 09:08 UTC',
        'Thursday, 29-Feb-24 09:08:07 GMT',
        'Thu, 29 Feb 2024 09:08:07 -0330',
        'Thu Feb 29 09:08:07 EST 2024',
        'Thu Feb 29 09:08:07 -0330 2024',
      ];
      const byName = [...named, 'RFC3339Nano'].flatMap((name) =>
        dates.map((date): Call => ['time.parse_ns', name, date]),
      );
      const { differences, defined } = await callsAgainstOpa([...calls, ...byName]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(200);
    },
    opaMs,
  );
});

describe('the parts of a time, and sums of times', () => {
  it(
    'are what they are in OPA',
    async () => {
      const calls = instants.flatMap((ns) =>
        [ns, ...zones.map((zone) => [ns, zone])].flatMap((given): Call[] => [
          ['time.date', given],
          ['time.clock', given],
          ['time.weekday', given],
          ...[0, 1, -1, 13, 40_000, 1.5, '1'].flatMap((size): Call[] => [
            ['time.add_date', given, size, 0, 0],
            ['time.add_date', given, 0, size, 0],
            ['time.add_date', given, 1, -25, size],
          ]),
          ...instants.slice(0, 9).map((other): Call => ['time.diff', given, [other, 'America/New_York']]),
        ]),
      );
      const { differences, defined, ...rest } = await callsAgainstOpa(calls);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(2_000);
      expect(rest.undefined).toBeGreaterThan(1_000);
    },
    opaMs,
  );
});

describe('time.parse_duration_ns', () => {
  it(
    'reads sums of amounts with units as OPA does',
    async () => {
      const amounts = [
        '0',
        '1',
        '1.5',
        '.5',
        '5.',
        '.',
        '',
        '+1',
        '-2',
        '9223372036',
        '9223372036854775807',
        '9223372036854775808',
        '0.9223372036854775808',
        '0.99999999999999999999',
        '106751.99',
        '1e3',
        '1_0',
      ];
      const units = [
        'ns',
        'us',
        'µs',
        'μs',
        'ms',
        's',
        'm',
        'h',
        'd',
        'w',
        'y',
        '',
        'x',
        'S',
        'ds',
        'toString',
        '\u0000',
      ];
      const single = amounts.flatMap((amount) => units.map((unit) => amount + unit));
      const sums = fc.sample(fc.array(fc.constantFrom(...single), { minLength: 2, maxLength: 4 }), {
        seed: 4,
        numRuns: 700,
      });
      const endless = `${'9'.repeat(400)}d`;
      const texts = [
        endless,
        ...single,
        ...sums.map((sum) => sum.join('')),
        '-',
        '+',
        '--1s',
        '-9223372036854775808ns',
        '1h 2m',
      ];
      const { differences, defined, ...rest } = await callsAgainstOpa(
        texts.map((text) => ['time.parse_duration_ns', text] as const),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(100);
      expect(rest.undefined).toBeGreaterThan(300);
    },
    opaMs,
  );
});
