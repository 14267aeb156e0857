import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Undecided } from '../../../src/domain/errors.ts';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, type Call, call, callsAgainstOpa } from './against-opa.ts';

const variables = {
  s: 'héllo <b>&\'"=\n\u2028',
  empty: '',
  n: 7,
  float: -2.5,
  zero: 0,
  big: 123_456_789_012,
  yes: true,
  no: false,
  nil: null,
  list: [1, 'two', [3.5, null], { k: 'v' }, false],
  none: [],
  map: { a: 1, b: { c: ['deep'] }, z: null },
  void: {},
};

function rendered(templates: readonly string[], given: unknown = variables): Call[] {
  return templates.map((template) => ['strings.render_template', template, given]);
}

/** Operands of every kind, as a template writes them. */
const operands = [
  ...['.', '$', '.s', '.empty', '.n', '.float', '.zero', '.big', '.yes', '.no', '.nil', '.list', '.none', '.map'],
  ...['.void', '.absent', '.map.b.c', '.map.z', '.map.z.y', '.absent.y', '.s.y', '.n.y', '(index .list 2)', 'nil'],
  ...['true', 'false', '0', '1', '-3', '1.5', "'a'", '"x"', '`y`', '(print 1)', '(len .list)', '(.map).b', '(nil).x'],
  ...['(index .s 0)', '(slice .list 1 3)', '$.map', '(not .yes)', '18446744073709551615'],
];
const functions = [
  ...['and', 'call', 'eq', 'ge', 'gt', 'html', 'index', 'js', 'le', 'len', 'lt', 'ne', 'not', 'or', 'print', 'printf'],
  ...['println', 'slice', 'urlquery', 'absent'],
];

describe('strings.render_template', () => {
  it(
    'calls every function on operands of every kind as OPA does',
    async () => {
      const templates = [
        ...operands.map((one) => `{{${one}}}`),
        ...functions.flatMap((name) => [`{{${name}}}`, `{{${name}`, `{{${name} /* c`]),
        ...functions.flatMap((name) => operands.map((one) => `{{${name} ${one}}}`)),
        ...functions.flatMap((name) => operands.map((one) => `{{${one} | ${name}}}`)),
        ...['eq', 'ge', 'gt', 'lt', 'le', 'ne', 'and', 'or', 'print', 'index'].flatMap((name) =>
          operands.flatMap((one) => operands.map((other) => `{{${name} ${one} ${other}}}`)),
        ),
      ];
      const { differences, defined, ...rest } = await callsAgainstOpa(rendered(templates));
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(5_000);
      expect(rest.undefined).toBeGreaterThan(5_000);
    },
    opaMs,
  );

  it(
    'takes parts out of lists and texts, and formats them, as OPA does',
    async () => {
      const places = ['0', '1', '2', '3', '5', '6', '7', '8', '9', '-1', '1.0', '"a"', "'\\x02'", '.n', 'nil', '0x3'];
      const holders = ['.list', '.s', '.map', '"abc"', '.none', '.n', '(slice .list 1 2)'];
      const formats = [
        '%v',
        '%d',
        '%s',
        '%q',
        '%x',
        '%T',
        '%#v',
        '%+v',
        '%5.1f',
        '%t',
        '%c',
        '%U',
        '%[2]v %[1]v',
        '%*d',
        '%w',
        '%08v',
        '%#9v',
        '%-9v|',
        '%!',
        '%',
      ];
      const templates = [
        ...holders.flatMap((holder) =>
          places.flatMap((from) => [
            `{{index ${holder} ${from}}}`,
            ...places.flatMap((to) => [`{{slice ${holder} ${from} ${to}}}`, `{{index ${holder} ${from} ${to}}}`]),
          ]),
        ),
        ...['.list', '.s', '.none', '(slice .list 1 2)'].flatMap((holder) =>
          ['0 1 2', '1 2 8', '1 2 9', '2 1 3', '0 3 2', '0 0 0', '1 4 5', '0 1 2 3'].map(
            (bounds) => `{{slice ${holder} ${bounds}}}`,
          ),
        ),
        ...formats.flatMap((format) =>
          operands.flatMap((one) => [
            `{{printf "${format}" ${one}}}`,
            `{{printf "${format}" ${one} (index .s 1)}}`,
            `{{printf "${format}" 4 ${one} nil}}`,
          ]),
        ),
      ];
      const { differences, defined, ...rest } = await callsAgainstOpa(rendered(templates));
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(2_000);
      expect(rest.undefined).toBeGreaterThan(2_000);
    },
    opaMs,
  );

  it(
    'reads numbers, characters and strings as OPA does',
    async () => {
      const pieces = [
        '0',
        '1',
        '7',
        '9',
        '_',
        '__',
        '.',
        'e',
        'E',
        'p',
        'P',
        'x',
        'X',
        'b',
        'o',
        'O',
        'a',
        'f',
        '+',
        '-',
        '63',
        '64',
      ];
      const numbers = fc
        .sample(fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 6 }), { seed: 1, numRuns: 6_000 })
        .map((some) => some.join(''));
      const written = [
        ...['9223372036854775807', '9223372036854775808', '-9223372036854775808', '-9223372036854775809'],
        ...[
          '18446744073709551616',
          '0xffffffffffffffff',
          '0x1p-2',
          '0x1.8p1',
          '-0x.8p0',
          '0x_1p4',
          '1e400',
          '0b102',
          '1e2',
        ],
        ...[
          '0o17',
          '0O_17',
          '017',
          '08',
          '1_000.5',
          '0x10000000000000000',
          '0xp1',
          '1e-400',
          '0x1p2000',
          '0x1p1023',
          '0x1.fffffffffffffp1023',
          '0x1.fffffffffffff8p1023',
        ],
        ...[
          '0x1.fffffffffffff8p0',
          '0x1.00000000000008p0',
          '0x1.000000000000080000001p0',
          '0x1p-1074',
          '0x1p-1075',
          '0x1.8p-1075',
          '0x1.8p-1074',
          '0x1p-99999999',
          '0x0p5',
        ],
        ...['+5', '-.5', '5.', '+', '-', '.5.5', '1..2', '0x', '0b', '0o', '1e+', '--1', '100000000000000000000.0'],
      ];
      const escapes = [
        'a',
        'b',
        'f',
        'n',
        'r',
        't',
        'v',
        '\\',
        "'",
        '"',
        'x41',
        'xff',
        'x4',
        'u00e9',
        'ud800',
        'U0001F600',
        'U00110000',
        '101',
        '377',
        '400',
        '18',
        'z',
        '',
      ];
      const quoted = [
        ...escapes.flatMap((name) => [`"\\${name}"`, `"a\\${name}b"`, `'\\${name}'`]),
        ...[
          "''",
          "'ab'",
          "'é'",
          "'\u{1f600}'",
          "'\n'",
          "'",
          '"',
          '"a\n"',
          '`',
          '`a\nb\\n`',
          '"\'"',
          "'\"'",
          '`\r`',
          '"{{}}"',
        ],
      ];
      const templates = [...written, ...new Set(numbers), ...quoted].map(
        (text) => `{{printf "%T %v" ${text} ${text}}}`,
      );
      const { differences, defined, ...rest } = await callsAgainstOpa(rendered(templates));
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(200);
      expect(rest.undefined).toBeGreaterThan(1_000);
    },
    opaMs,
  );

  it(
    'runs every action as OPA does, well and badly nested',
    async () => {
      const openings = [
        ...['{{if .yes}}', '{{if .none}}', '{{with .map}}', '{{with $x := .s}}', '{{with .nil}}', '{{range .list}}'],
        ...[
          '{{range $i, $e := .list}}',
          '{{range $e := .map}}',
          '{{range $k, $v := .map}}',
          '{{range .none}}',
          '{{range 3}}',
        ],
        ...[
          '{{range $i := 2}}',
          '{{define "d"}}',
          '{{block "u" .map}}',
          '{{else}}',
          '{{else if .yes}}',
          '{{else with .s}}',
        ],
      ];
      const bodies = [
        ...[
          '{{.}}',
          '{{$}}',
          '{{$x}}',
          '{{$i}}={{$e}},',
          '{{$k}}{{$v}};',
          '{{break}}',
          '{{continue}}',
          'text',
          '{{ - }}',
        ],
        ...['{{if eq . 1}}{{continue}}{{end}}', '{{$x := 1}}', '{{$x = 2}}', '{{template "t"}}', '{{template "t" .}}'],
        ...['{{end}}', '{{end}}', '{{end}}', '{{/* c */}}', ' {{- .n -}} ', '{{- /* c */ -}}'],
      ];
      const templates = fc
        .sample(fc.array(fc.constantFrom(...openings, ...bodies, ...bodies), { minLength: 1, maxLength: 9 }), {
          seed: 2,
          numRuns: 8_000,
        })
        .map((some) => `${some.join('')}{{define "t"}}<{{.}}>{{end}}`);
      const closed = fc
        .sample(
          fc.tuple(
            fc.constantFrom(...openings.slice(0, 14)),
            fc.array(fc.constantFrom(...bodies.slice(0, 15)), { maxLength: 3 }),
            fc.constantFrom('', '{{else}}no', '{{else}}{{.}}', '{{else if .no}}a{{else}}b', '{{else with .s}}{{.}}'),
            fc.constantFrom(
              ...['', '{{template "t" .s}}', '{{define "t"}}<{{.}}>{{end}}', '{{$x}}', '{{define "t"}} {{end}}'],
              ...[
                '{{define "t"}}a{{end}}{{define "t"}}b{{end}}',
                '{{define "template"}}x{{end}}',
                '{{define "v"}}{{$.s}}{{end}}{{template "v" .}}',
              ],
            ),
          ),
          { seed: 3, numRuns: 4_000 },
        )
        .map(([opening, body, otherwise, after]) => `${opening}${body.join('')}${otherwise}{{end}}${after}`);
      const { differences, defined, ...rest } = await callsAgainstOpa(rendered([...templates, ...closed]));
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(1_000);
      expect(rest.undefined).toBeGreaterThan(3_000);
    },
    opaMs,
  );

  it(
    'reads any run of tokens as OPA does',
    async () => {
      const tokens = [
        ...[
          '.n',
          '.s',
          '.list',
          '$',
          '$x',
          '$y',
          ':=',
          '=',
          ',',
          '|',
          '(',
          ')',
          ' ',
          ' ',
          ' ',
          '.',
          'nil',
          'true',
          '1',
        ],
        ...['"q"', '`r`', "'c'", 'print', 'len', 'eq', 'if', 'else', 'end', 'range', 'define', 'block', 'template'],
        ...[
          'break',
          'continue',
          '-',
          '/*',
          '*/',
          '}}',
          '{{',
          '{{- ',
          ' -}}',
          '\n',
          '\t',
          'é',
          'ñame',
          '&',
          '\u0000',
          '\u00a0',
        ],
      ];
      const templates = fc
        .sample(fc.array(fc.constantFrom(...tokens), { minLength: 1, maxLength: 7 }), { seed: 4, numRuns: 6_000 })
        .map((some) => `a {{${some.join('')}}} b`);
      const pipes = fc
        .sample(
          fc.array(
            fc.constantFrom(
              '.n',
              '$x',
              '$x := ',
              '$x, $y := ',
              ', ',
              '(',
              ')',
              ' | ',
              'print ',
              'print',
              '1',
              ' ',
              '.a',
            ),
            {
              minLength: 2,
              maxLength: 8,
            },
          ),
          { seed: 5, numRuns: 3_000 },
        )
        .flatMap((some) => [
          `{{${some.join('')}}}`,
          `{{$x := 1}}{{${some.join('')}}}`,
          `{{range ${some.join('')}}}{{.}}{{end}}`,
        ]);
      const { differences, defined, ...rest } = await callsAgainstOpa(rendered([...templates, ...pipes]));
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(500);
      expect(rest.undefined).toBeGreaterThan(3_000);
    },
    opaMs,
  );

  it(
    'has no variables that JSON has no notation for, as in OPA',
    async () => {
      const values = [new Set([1]), [new Set()], { k: { l: new Set(['x']) } }];
      const template = 'strings.render_template';
      const { differences, ...rest } = await againstOpa([
        ...values.map((x) => call(template, '{{.x}}', { x })),
        `${template}("{{.x}}", {"x": "\\u0007\\u0000"})`,
      ]);
      expect(differences).toEqual([]);
      expect(rest.undefined).toBeGreaterThan(values.length - 1);
    },
    opaMs,
  );

  it(
    'is no decision where it calls itself without end',
    async () => {
      const endless = '{{define "t"}}{{template "t"}}{{end}}{{template "t"}}';
      await expect(callsAgainstOpa(rendered([endless]))).rejects.toThrow(Undecided);
    },
    opaMs,
  );
});
