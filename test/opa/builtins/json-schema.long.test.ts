import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, term } from './against-opa.ts';

/** As many as one policy stays small enough to compile with. */
const atOnce = 1_500;

const drafts = [
  '',
  'http://json-schema.org/draft-04/schema#',
  'http://json-schema.org/draft-06/schema#',
  'http://json-schema.org/draft-07/schema',
  'http://json-schema.org/draft/2020-12/schema',
];

/** Documents and schemas are texts here, so that a number can be written in any way. */
const documents = [
  'null',
  'true',
  'false',
  ...[
    '0',
    '-0',
    '1',
    '1.0',
    '-1',
    '1.5',
    '2',
    '10e-1',
    '1e2',
    '100',
    '0.1',
    '0.3',
    '1e400',
    '123456789012345678901234567890',
  ],
  ...['""', '"a"', '"ab"', '"abc"', '"é"', '"😀"', String.raw`"\ud83d"`, '"1"', '"A b"'],
  ...[
    '[]',
    '[1]',
    '[1, 1]',
    '[1, 1.0]',
    '["a"]',
    '["a", 1]',
    '["a", "b", "c"]',
    '[[1], [1]]',
    '[{"a": 1}, {"a": 1.0}]',
    '[null, false, 0, ""]',
  ],
  ...[
    '{}',
    '{"a": 1}',
    '{"a": "x"}',
    '{"b": 1}',
    '{"aa": 1}',
    '{"a": 1, "b": 2}',
    '{"a": {"a": {"a": 1}}}',
    '{"a": [1, {"b": "x"}]}',
    '{"": 1, "a.b": 2}',
    '{"a": null}',
  ],
];
const broken = [
  '',
  '{',
  '[1,]',
  '{"a" 1}',
  'x',
  '"a',
  '01',
  '1 2',
  '{"a": 1, "a": "x"}',
  '"\n"',
  'nul',
  String.raw`"\x"`,
  '-',
  '[1] ',
];

const values = [
  ...[
    'null',
    'true',
    'false',
    '0',
    '1',
    '2',
    '-1',
    '1.0',
    '1.5',
    '1e2',
    '0.1',
    '1e400',
    '9223372036854775807',
    '9223372036854775808',
  ],
  ...['""', '"a"', '"string"', '"integer"', '"("', '"^a+$"', '"#"', '":"', '"email"'],
  ...[
    '[]',
    '["a"]',
    '["a", "a"]',
    '["string", "number"]',
    '["string", "x"]',
    '[1]',
    '[1, 1.0]',
    '[{}]',
    '[true]',
    '[false, true]',
    '[{"type": "string"}, {"minimum": 1}]',
    '[{"type": "string"}, {"type": "string"}]',
    '[[1]]',
  ],
  ...[
    '{}',
    '{"a": true}',
    '{"a": false}',
    '{"a": {"type": "string"}}',
    '{"a": ["b"]}',
    '{"a": [1]}',
    '{"a": 1}',
    '{"(": {}}',
    '{"^a": {"type": "integer"}}',
    '{"type": "string"}',
    '{"type": "x"}',
    '{"minimum": 1}',
    '{"not": {}}',
  ],
];
const keywords = [
  ...['type', 'enum', 'const', 'multipleOf', 'minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  ...[
    'minLength',
    'maxLength',
    'pattern',
    'format',
    'items',
    'additionalItems',
    'minItems',
    'maxItems',
    'uniqueItems',
    'contains',
  ],
  ...[
    'properties',
    'additionalProperties',
    'patternProperties',
    'propertyNames',
    'minProperties',
    'maxProperties',
    'required',
    'dependencies',
  ],
  ...[
    'allOf',
    'anyOf',
    'oneOf',
    'not',
    'if',
    'then',
    'else',
    'definitions',
    'id',
    '$id',
    '$schema',
    '$ref',
    'title',
    'description',
    'default',
    'unknown',
  ],
];

function schemaText(draft: string, ...members: readonly string[]): string {
  return `{${[...(draft === '' ? [] : [`"$schema": ${JSON.stringify(draft)}`]), ...members].join(', ')}}`;
}

function verified(schema: string): string {
  return `json.verify_schema(${term(schema)})`;
}

/** OPA 1.22.2 itself dies of a number past float64 that it is to compare. */
function kills(document: string, schema: string): boolean {
  return document === '1e400' && /"(?:const|enum)"/.test(schema);
}

/** What is wrong, in no order: Go takes members in a new one each time. */
function matched(document: string, schema: string): string {
  const match = `json.match_schema(${term(document)}, ${term(schema)})`;
  return `[[m[0], {e | some e in m[1]}] | m := ${match}][0]`;
}

async function agree(
  all: Iterable<string>,
): Promise<{ readonly yes: number; readonly no: number; readonly undefined: number }> {
  const expressions = [...new Set(all)];
  const counts = { yes: 0, no: 0, undefined: 0 };
  for (let from = 0; from < expressions.length; from += atOnce) {
    const { differences, answers } = await againstOpa(expressions.slice(from, from + atOnce));
    expect(differences).toEqual([]);
    for (const answer of answers) {
      if (!Array.isArray(answer)) counts.undefined += 1;
      else if (answer[0] === true) counts.yes += 1;
      else counts.no += 1;
    }
  }
  return counts;
}

const simple = keywords.flatMap((keyword) => values.map((value) => `"${keyword}": ${value}`));

/** Keywords with what they are meant to have. */
const telling: readonly (readonly [keyword: string, values: readonly string[]])[] = [
  [
    'type',
    ['"string"', '"integer"', '"number"', '"null"', '"boolean"', '"array"', '"object"', '["string", "number"]', '[]'],
  ],
  ['enum', ['[1]', '["a", null, true]', '[[1], {"a": 1.0}]', '[]', '[100, "😀"]']],
  ['const', ['1', '1.0', 'null', '"a"', '[1]', '{"a": 1}', '"é"', '"<&>"', '1e21', '1e-7']],
  ['multipleOf', ['1', '2', '0.1', '1.5', '1e400', '1e-7', '3000000', '123456.789', '0.00001']],
  ['minimum', ['1', '1.5', '-1', '1e400', '1000000', '123456.7', '0.0001', '1e-5']],
  ['maximum', ['1', '1.5', '-1', '1e2', '0', '-0']],
  ['exclusiveMinimum', ['1', '1.0', '-1', '0.1']],
  ['exclusiveMaximum', ['1', '1.0', '100', '0.1']],
  ['minLength', ['0', '1', '2']],
  ['maxLength', ['0', '1', '2']],
  ['pattern', ['"a"', '"^.$"', '"^\\\\p{L}+$"', '"[0-9]"']],
  [
    'items',
    [
      '{"type": "string"}',
      '[{"type": "string"}]',
      '[{"type": "string"}, {"type": "number"}]',
      '[]',
      'true',
      'false',
      '{"items": {"minimum": 2}}',
    ],
  ],
  ['minItems', ['0', '1', '2']],
  ['maxItems', ['0', '1', '2']],
  ['uniqueItems', ['true', 'false']],
  ['contains', ['{"type": "string"}', 'false', '{"minimum": 2}', '{"anyOf": [{"type": "null"}]}']],
  [
    'properties',
    [
      '{"a": {"type": "string"}}',
      '{"a": false}',
      '{"a": {"properties": {"a": {"required": ["b"]}}}}',
      '{"a.b": {"minimum": 3}, "": {"minimum": 2}}',
    ],
  ],
  ['additionalProperties', ['true', 'false', '{"type": "string"}']],
  ['patternProperties', ['{"^a": {"type": "string"}}', '{"a": {"minimum": 2}, "b": {"minimum": 2}}']],
  ['propertyNames', ['{"maxLength": 1}', 'false', '{"pattern": "^a$"}']],
  ['minProperties', ['1', '2']],
  ['maxProperties', ['0', '1']],
  ['required', ['["a"]', '["a", "b"]', '[]']],
  [
    'dependencies',
    ['{"a": ["b"]}', '{"a": {"required": ["b"]}}', '{"a": []}', '{"a": false}', '{"a": ["b", "c"], "b": ["a"]}'],
  ],
  ['allOf', ['[]', '[{"type": "string"}, {"minLength": 2}]', '[false]', '[true, {"minimum": 2}]']],
  [
    'anyOf',
    [
      '[]',
      '[{"type": "string"}, {"minimum": 2}]',
      '[{"minLength": 3}, {"minimum": 2}]',
      '[false]',
      '[{"type": "integer", "minimum": 2}, {"type": "string", "minLength": 2, "pattern": "b"}]',
    ],
  ],
  [
    'oneOf',
    [
      '[]',
      '[{"type": "string"}, {"minimum": 2}]',
      '[{}, {}]',
      '[false, {"type": "null"}]',
      '[{"minLength": 3}, {"type": "string"}]',
    ],
  ],
  ['not', ['{}', 'false', '{"type": "string"}', '{"minimum": 2}']],
];
const meant = telling.flatMap(([keyword, list]) => list.map((value) => `"${keyword}": ${value}`));

describe('json.verify_schema', () => {
  it(
    'takes and refuses what OPA does of each keyword with each value, in OPA’s words',
    async () => {
      const counts = await agree([
        ...drafts.flatMap((draft) => simple.map((member) => verified(schemaText(draft, member)))),
        ...values.map(verified),
        ...broken.map(verified),
        // Where one keyword stands beside another.
        ...['Length', 'Items', 'Properties'].flatMap((of) =>
          ['0', '1', '2', '1.5'].flatMap((least) =>
            ['0', '1', '2', '-1'].map((most) => verified(`{"min${of}": ${least}, "max${of}": ${most}}`)),
          ),
        ),
        ...drafts.flatMap((draft) =>
          ['minimum', 'maximum'].flatMap((bound) =>
            ['true', 'false', '1', '"a"', 'null'].flatMap((exclusive) =>
              ['1', '"a"'].map((value) =>
                verified(
                  schemaText(draft, `"exclusive${bound.replace('m', 'M')}": ${exclusive}`, `"${bound}": ${value}`),
                ),
              ),
            ),
          ),
        ),
      ]);
      expect(counts.yes).toBeGreaterThan(1_000);
      expect(counts.no).toBeGreaterThan(1_000);
    },
    opaMs,
  );

  it(
    'takes the operands that OPA takes',
    async () => {
      const operands = [
        '{"type": "string"}',
        '{"type": "x"}',
        '[]',
        '[1]',
        'set()',
        '{1}',
        '1',
        'null',
        'true',
        '"{}"',
        '"x"',
        '{1: 2}',
        '{"type": {"string"}}',
        '{"required": {"a"}}',
        '{[1]: 2, {"a"}: 3}',
      ];
      const wrapped = operands.map((operand) => `object.get({"x": ${operand}}, "x", null)`);
      const counts = await agree([
        ...wrapped.map((operand) => `json.verify_schema(${operand})`),
        ...wrapped.flatMap((document) => wrapped.map((schema) => `json.match_schema(${document}, ${schema})`)),
      ]);
      expect(counts.no).toBeGreaterThan(5);
      expect(counts.undefined).toBeGreaterThan(50);
    },
    opaMs,
  );
});

describe('json.match_schema', () => {
  it(
    'finds the violations that OPA finds of each keyword, in OPA’s words',
    async () => {
      const together = [
        '"properties": {"a": {}}, "additionalProperties": false',
        '"properties": {"a": {}}, "additionalProperties": {"type": "string"}',
        '"patternProperties": {"^a": {}}, "additionalProperties": false',
        '"patternProperties": {"^a": {"minimum": 2}}, "properties": {"a": {"maximum": 0}}',
        '"items": [{"type": "string"}], "additionalItems": false',
        '"items": [{"type": "string"}], "additionalItems": {"type": "string"}',
        '"items": {"type": "string"}, "additionalItems": false',
        '"items": [], "additionalItems": false',
        '"additionalItems": false',
        '"if": {"type": "string"}, "then": {"minLength": 2}, "else": {"minimum": 2}',
        '"if": {"type": "string"}, "then": false',
        '"if": {"type": "string"}, "else": false',
        '"if": true',
        '"then": false',
        '"type": "string", "minLength": 2, "pattern": "b", "format": "email", "enum": ["ab"]',
        '"type": ["number", "null"], "minimum": 2, "multipleOf": 3, "const": 6',
        '"minimum": 1, "exclusiveMinimum": 1, "maximum": 1, "exclusiveMaximum": 1',
        '"anyOf": [{"properties": {"a": {"type": "string"}}}, {"required": ["b", "c"]}], "oneOf": [{"minProperties": 2}, {"required": ["a"]}]',
        '"anyOf": [{"items": {"type": "string"}}, {"maxItems": 0}, {"contains": {"type": "null"}}]',
      ];
      const strict = drafts
        .slice(1, 3)
        .flatMap((draft) =>
          [
            '"const": 1',
            '"contains": false',
            '"propertyNames": false',
            '"if": true, "then": false',
            '"properties": {"a": {"const": 2}}',
            '"minimum": 1',
          ].map((members) => schemaText(draft, members)),
        );
      const booleans = drafts
        .slice(0, 2)
        .flatMap((draft) =>
          ['minimum', 'maximum'].flatMap((bound) =>
            ['true', 'false'].map((exclusive) =>
              schemaText(draft, `"${bound}": 1`, `"exclusive${bound.replace('m', 'M')}": ${exclusive}`),
            ),
          ),
        );
      const all = [...[...meant, ...together].map((members) => schemaText('', members)), ...strict, ...booleans];
      const counts = await agree([
        ...all.flatMap((schema) =>
          documents.filter((document) => !kills(document, schema)).map((document) => matched(document, schema)),
        ),
        ...['true', 'false', '[]', '1'].flatMap((schema) =>
          documents.slice(0, 5).map((document) => matched(document, schema)),
        ),
        ...broken.flatMap((text) => [matched(text, '{}'), matched('{}', text)]),
      ]);
      expect(counts.yes).toBeGreaterThan(2_000);
      expect(counts.no).toBeGreaterThan(1_000);
    },
    opaMs,
  );

  it(
    'holds texts to formats as OPA does',
    async () => {
      const formats =
        'date time date-time hostname email idn-email ipv4 ipv6 uri iri uri-reference iri-reference uri-template uuid regex json-pointer relative-json-pointer idn-hostname x'.split(
          ' ',
        );
      const texts = [
        ...['', ' ', 'a', 'é', 'a b', '1', '/', '#', '\\', '{', '}', '{}', '{a', 'a}b{', '\0', '\n'],
        ...[
          '2020-02-29',
          '2021-02-29',
          '2020-2-9',
          '2020-13-01',
          '12:00:00',
          '12:00',
          '24:00:00',
          '12:00:60',
          '12:00:00Z',
          '12:00:00.5Z',
          '12:00:00+01:00',
          '12:00:00.5',
          '12:00:00+0100',
        ],
        ...[
          '2020-01-01T00:00:00Z',
          '2020-01-01t00:00:00z',
          '2020-01-01 00:00:00Z',
          '2020-01-01T00:00:00.123456789+23:59',
          '2020-01-01T00:00:00',
          '2020-01-01T24:00:00Z',
          '2020-01-01T00:00:00,5Z',
          '2020-01-01T00:00:00+24:00',
        ],
        ...[
          'example',
          'a.example',
          'a..b',
          '-a',
          'a-',
          'a-b.c',
          'a_b',
          'a.',
          '.a',
          `${'a'.repeat(63)}.b`,
          `${'a'.repeat(64)}.b`,
          'a.'.repeat(127),
          `${'a.'.repeat(127)}aa`,
        ],
        ...[
          'a@b',
          'A <a@b>',
          'a@',
          '@b',
          'a@b@c',
          '"a b"@c',
          'a.@b',
          'é@b',
          'a@[127.0.0.1]',
          '<a@b>',
          'a@b, c@d',
          'a@b (c)',
        ],
        ...[
          '127.0.0.1',
          '127.0.0.01',
          '127.0.0',
          '256.0.0.1',
          '::1',
          '::',
          '::ffff:127.0.0.1',
          '::1%eth0',
          '1:2:3:4:5:6:7:8',
          '1::2::3',
          'fe80::g',
        ],
        ...[
          'http://a',
          'http://a/b?c#d',
          'urn:a',
          '//a',
          'a:b',
          '1:b',
          ':a',
          'http://a b',
          'http://[::1',
          'http://a\\b',
          '%zz',
          'a%20b',
          'http://é',
          '/a/{b}',
          '/a/{b',
          '/{a}{b}',
          '?{a',
          '#{a',
          'mailto:a@b',
        ],
        ...[
          '12345678-1234-1234-1234-123456789abc',
          '12345678-1234-1234-1234-123456789ABC',
          '12345678-1234-1234-1234-123456789abg',
          '123456781234123412341234567890ab',
          '{12345678-1234-1234-1234-123456789abc}',
          '12345678-1234-1234-1234-123456789abc\n',
        ],
        ...[
          '(',
          'a*',
          '(?=a)',
          '[',
          '\\d',
          '\\',
          'a{1001}',
          '/a',
          '/a~0~1',
          '/a~2',
          '/~',
          'a/b',
          '0',
          '0#',
          '1/a',
          '01/a',
          '-1',
          '10/~',
          '1a',
          '0##',
        ],
      ];
      const counts = await agree(
        formats.flatMap((format) => texts.map((text) => matched(JSON.stringify(text), JSON.stringify({ format })))),
      );
      expect(counts.yes).toBeGreaterThan(500);
      expect(counts.no).toBeGreaterThan(500);
    },
    opaMs,
  );

  it(
    'follows the references that OPA follows within a schema, and to the drafts’ own',
    async () => {
      const references = [
        ...[
          '',
          '#',
          '#/',
          '#/definitions',
          '#/definitions/a',
          '#/definitions/b',
          '#/definitions/missing',
          '#/definitions/a/type',
          '#/definitions/a~1b',
          '#/definitions/a%2fb',
          '#/definitions/a%20b',
          '#/definitions/a b',
          '#/definitions/é',
          '#/definitions/~0',
        ],
        ...[
          '#/items/0',
          '#/items/1',
          '#/items/2',
          '#/items/-1',
          '#/items/x',
          '#/items/+1',
          '#/items/00',
          '#a',
          '#b',
          '#missing',
          'a',
          'b',
          'x.json',
          '%zz',
          ':',
          'http://[',
          '#%zz',
          '#/definitions/%7E0',
        ],
        ...[
          'http://a.example/root',
          'http://a.example/root#/definitions/a',
          'http://a.example/b',
          '/b',
          '../b',
          './b',
          'b?c',
          '//a.example/b',
          'http://a.example/root#a',
          'http://a.example/b#/not',
          'HTTP://a.example/b',
          'urn:x',
          'urn:x#/not',
        ],
        ...[
          'http://json-schema.org/draft-04/schema',
          'http://json-schema.org/draft-06/schema#',
          'http://json-schema.org/draft-07/schema#',
          'http://json-schema.org/draft-07/schema#/definitions/nonNegativeInteger',
          'http://json-schema.org/draft-07/schema#/definitions/x',
        ],
      ];
      const contents = (inner: string): string =>
        `"definitions": {"a": {"type": "string"}, "b": {"${inner}": "b", "not": {"type": "string"}}, "a/b": {"type": "integer"}, "a b": {"type": "null"}, "é": false, "~": true, "c": {"${inner}": "#a", "type": "array"}, "d": {"${inner}": "urn:x", "not": {"type": "array"}}}, "items": [{"type": "string"}, {"type": "number"}]`;
      // What OPA would ask the network for is no part of this.
      const remote = (reference: string, base: string): boolean =>
        base === ''
          ? /^(?:https?:|\/\/)/i.test(reference) && !/^http:(?:\/\/json-schema\.org|\/\/\[)/.test(reference)
          : ['a', 'x.json', 'b?c'].includes(reference);
      const schemas = ['', 'http://a.example/root'].flatMap((base) =>
        ['id', '$id'].flatMap((name) =>
          references
            .filter((reference) => !remote(reference, base))
            .map((reference) => {
              const own = base === '' ? [] : [`"${name}": "${base}"`];
              return schemaText(
                '',
                ...own,
                contents(name),
                `"properties": {"a": {"$ref": ${JSON.stringify(reference)}}}`,
              );
            }),
        ),
      );
      const others = [
        '{"$ref": "#/a", "a": {"$ref": "#/b"}, "b": {"minimum": 2}}',
        '{"$ref": "#/a", "a": 1}',
        '{"$ref": "#/a", "a": [1]}',
        '{"$ref": "#/a", "a": {"type": "x"}}',
        '{"$ref": 1}',
        '{"properties": {"a": {"$ref": "#"}, "b": {"type": "integer"}}, "additionalProperties": false}',
        '{"properties": {"a": {"$ref": "#/definitions/a", "minimum": 5}, "b": {"$ref": "#/definitions/a", "minimum": 5}}, "definitions": {"a": {"type": "integer"}}}',
        '{"properties": {"$ref": {"type": "string"}, "a": {"type": "string"}}}',
        '{"enum": [{"$ref": "#/x"}]}',
        '{"const": {"$ref": "#/x"}}',
        '{"definitions": {"a": {"id": "x"}, "b": {"id": "x"}}}',
        '{"definitions": {"a": {"id": "x", "$id": "y"}}, "$ref": "x"}',
        '{"definitions": {"a": {"id": "x", "$id": "y"}}, "$ref": "y"}',
        '{"definitions": {"a": {"id": "%zz"}}}',
        '{"id": "%zz"}',
        '{"id": 1}',
        '{"$id": ""}',
        '{"id": "#"}',
        '{"dependencies": {"a": {"$ref": "#/definitions/b"}}, "definitions": {"b": {"required": ["b"]}}}',
        '{"patternProperties": {"a": {"$ref": "#/definitions/b"}}, "definitions": {"b": {"minimum": 2}}}',
        '{"items": {"$ref": "#/definitions/b"}, "definitions": {"b": {"minimum": 2}}}',
        '{"anyOf": [{"$ref": "#/definitions/b"}, {"$ref": "#/definitions/b"}], "definitions": {"b": {"minimum": 2}}}',
        ...drafts.map(
          (draft) =>
            `{"definitions": {"b": {"$schema": "${draft}", "exclusiveMinimum": 1}}, "$ref": "#/definitions/b"}`,
        ),
      ];
      const faulty = [
        ...[
          '\x01',
          'a\x7f',
          ':',
          ':a',
          'a b:c',
          '1:2',
          'a/b:c',
          '%',
          '%z',
          '%zz',
          'a%2',
          '%é',
          'a?%zz',
          '#%',
          '%zz#%zz',
          'x:%zz',
          'x:/%zz',
        ],
        ...[
          '//a b',
          '//a%20b',
          '//a%zz',
          '//a%25',
          '//%c3%a9',
          '//a"b',
          '//a\\b',
          '//a^',
          '//é',
          '//a:b',
          '//a:1:2',
          'http://a:1:2',
          'x://a:1:2',
          '//a:1b/%zz',
          '//a:/',
        ],
        ...[
          '//[::1',
          '//a[',
          '//[::1]:x',
          '//[::1]:1',
          '//[::1%25eth0]',
          '//[::1 ]',
          '//u@a',
          '//u:p@a',
          '//u:p@a:x',
          '//u v@a',
          '//u%zz@a',
          '//u@v@a',
          '//ü@a',
          '//u%41@a/%4',
        ],
      ].map((id) => JSON.stringify({ $id: id }));
      // For ever, if they were to be matched.
      const endless = [
        '{"$ref": "#"}',
        '{"$ref": "#/a", "a": {"$ref": "#/a"}}',
        '{"allOf": [{"$ref": "#"}]}',
        '{"properties": {"a": {"$ref": "#/properties/a"}}}',
      ];
      const counts = await agree([
        ...[...endless, ...faulty].map(verified),
        ...[...schemas, ...others].flatMap((schema) => [
          verified(schema),
          ...[
            '{}',
            '{"a": "x"}',
            '{"a": 1}',
            '{"a": {"a": 1}}',
            '{"a": {"type": "string", "minLength": 1}}',
            '{"a": {"type": 1}}',
            '[1, 2]',
            '{"a": null}',
            '{"$ref": 1}',
          ].map((document) => matched(document, schema)),
        ]),
      ]);
      expect(counts.yes).toBeGreaterThan(200);
      expect(counts.no).toBeGreaterThan(200);
    },
    opaMs,
  );

  it(
    'agrees with OPA on schemas and documents at random',
    async () => {
      const odd = simple.filter((text) => !/^"(?:id|\$id|\$schema|\$ref|definitions|if|then|else)":/.test(text));
      const member = fc.oneof({ weight: 30, arbitrary: fc.constantFrom(...meant) }, fc.constantFrom(...odd));
      const { schema } = fc.letrec<{ schema: string; members: string }>((tie) => ({
        members: fc.oneof(
          { maxDepth: 3 },
          member,
          fc
            .tuple(fc.constantFrom('items', 'contains', 'additionalProperties', 'not', 'propertyNames'), tie('schema'))
            .map(([name, inner]) => `"${name}": ${inner}`),
          fc
            .tuple(fc.constantFrom('allOf', 'anyOf', 'oneOf'), tie('schema'), tie('schema'))
            .map(([name, a, b]) => `"${name}": [${a}, ${b}]`),
          fc
            .tuple(fc.constantFrom('properties', 'patternProperties', 'dependencies'), tie('schema'))
            .map(([name, inner]) => `"${name}": {"a": ${inner}}`),
          fc
            .tuple(tie('schema'), tie('schema'), tie('schema'))
            .map(([a, b, c]) => `"if": ${a}, "then": ${b}, "else": ${c}`),
        ),
        schema: fc
          .uniqueArray(tie('members'), { minLength: 1, maxLength: 2, selector: (text) => /^"[^"]*"/.exec(text)?.[0] })
          .map((list) => `{${list.join(', ')}}`),
      }));
      const pair = fc.tuple(fc.constantFrom(...documents), schema);
      const sample = fc.sample(pair, { seed: 7, numRuns: 3_000 });
      const counts = await agree(
        sample.flatMap(([document, text]) => [
          ...(kills(document, text) ? [] : [matched(document, text)]),
          verified(text),
        ]),
      );
      expect(counts.yes).toBeGreaterThan(300);
      expect(counts.no).toBeGreaterThan(300);
    },
    opaMs,
  );
});
