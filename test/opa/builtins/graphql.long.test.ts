import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, type Call, callsAgainstOpa } from './against-opa.ts';

const schema = `
schema { query: Query mutation: Mutation }
extend schema { subscription: Sub }
directive @auth(role: String! = "x", n: [Int!]) repeatable on FIELD | FIELD_DEFINITION | OBJECT | QUERY
scalar Date
enum Color { RED GREEN @deprecated(reason: "old") }
interface Node { id: ID! }
interface Named implements Node { id: ID! name: String }
type Query implements Node { id: ID! hero(id: ID!, color: Color = RED, at: Date): Hero heroes(in: [In!]): [Hero!]! any: Any n: Int }
type Hero implements Node & Named @auth { id: ID! name: String friends(first: Int = 1): [Hero] height: Float ok: Boolean }
type Mutation { set(in: In!): Hero }
type Sub { a: Int b: Int }
union Any = Hero | Query
input In { a: Int! b: [String] c: In d: Color = GREEN f: Float }
extend type Query { more: String }
extend union Any = Mutation
`;
const queries = [
  '{ id }',
  'query Q { id n more }',
  '{ hero(id: 1) { name friends { ...F } } } fragment F on Hero { id name }',
  'query ($id: ID!, $c: Color = RED) { hero(id: $id, color: $c) { name } }',
  '{ any { ... on Hero { name } ... on Query { n } __typename } }',
  '{ heroes(in: [{a: 1, b: ["x"], c: {a: 2}}]) { id } }',
  'mutation { set(in: {a: 1, d: RED, f: 1}) { id ok } }',
  'subscription { a }',
  '{ heroes(in: [{a: 1, f: 1.5}]) { id } heroes(in: [{a: 1, f: 2.5}]) { id } }',
  '{ a: id @include(if: true) b: id @skip(if: false) hero(id: "x", at: "2024") { height @auth } }',
  '{ __schema { types { name } } __type(name: "Hero") { fields { name } } }',
  'query A { id } query B { n }',
  '{ hero(id: 1) { ... { name } ... @include(if: true) { id } } }',
];
const pieces =
  '{ } ( ) [ ] ! $ : = @ | & ... id n hero name Hero Query F query mutation fragment on type enum union input interface scalar extend schema directive implements repeatable FIELD true null 1 -0 01 1.5 1e3 "s" """b""" "\\u00e9" "\\x" "\u0000" # é \n , In RED a'.split(
    ' ',
  );

/** A text with some of its tokens left out, put twice, or changed for others. */
function mutants(text: string, numRuns: number, seed: number): readonly string[] {
  const tokens = text.match(/\w+|"""|"[^"]*"|\.\.\.|\s+|[^\s\w]/g) ?? [];
  const change = fc.tuple(
    fc.nat(tokens.length - 1),
    fc.constantFrom('drop', 'twice', 'change', 'insert'),
    fc.constantFrom(...pieces),
  );
  return fc.sample(fc.array(change, { minLength: 1, maxLength: 2 }), { seed, numRuns }).map((changes) => {
    const now = [...tokens];
    for (const [at, how, piece] of changes) {
      const token = now[at] ?? '';
      now[at] = { drop: '', twice: `${token} ${token}`, change: piece, insert: `${token} ${piece} ` }[how] ?? '';
    }
    return now.join('');
  });
}

describe('graphql', () => {
  it(
    'reads and judges queries as OPA does',
    async () => {
      const changed = queries.flatMap((query, at) => mutants(query, 250, at));
      const { differences, defined, ...rest } = await callsAgainstOpa([
        ...[...queries, ...changed].flatMap((query): Call[] => [
          ['graphql.parse_query', query],
          ['graphql.is_valid', query, schema],
        ]),
        ...queries.flatMap((query): Call[] => [
          ['graphql.parse_and_verify', query, schema],
          ['graphql.parse', query, schema],
        ]),
      ]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(3_000);
      expect(rest.undefined).toBeGreaterThan(1_000);
    },
    opaMs,
  );

  it(
    'reads and judges schemas as OPA does',
    async () => {
      const lines = schema.split('\n').filter((line) => line !== '');
      const changed = [
        ...mutants(schema, 800, 1),
        ...lines.flatMap((line, at) => mutants(line, 60, at).map((other) => schema.replace(line, other))),
      ];
      const alone = lines.flatMap((line, at) => mutants(line, 80, at + 100));
      const { differences, defined, ...rest } = await callsAgainstOpa([
        ...[schema, ...changed].map((text): Call => ['graphql.schema_is_valid', text]),
        ...[schema, ...lines, ...alone].map((text): Call => ['graphql.parse_schema', text]),
        ...changed.slice(0, 800).map((text): Call => ['graphql.is_valid', queries[2], text]),
      ]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(1_500);
      expect(rest.undefined).toBeGreaterThan(300);
    },
    opaMs,
  );

  it(
    'takes documents that were read before, whole and spoilt, as OPA does',
    async () => {
      const members = [
        'Name',
        'Alias',
        'SelectionSet',
        'Arguments',
        'Directives',
        'Type',
        'Value',
        'Definitions',
        'Fields',
        'Types',
        'Fragments',
        'Operations',
        'NamedType',
        'NonNull',
        'Children',
        'Raw',
        'TypeCondition',
        'Interfaces',
        'EnumValues',
        'DefaultValue',
        'VariableDefinitions',
        'Schema',
        'OperationTypes',
        'Locations',
        'IsRepeatable',
        'Elem',
      ];
      const spoilt = members.flatMap((member) =>
        ['7', '"x"', 'true', '[]', '[1]'].map((value) => [member, value] as const),
      );
      const patched = (document: string, member: string, value: string): string =>
        `json.patch(${document}, [{"op": "replace", "path": path, "value": ${value}} | walk(${document}, [path, _]); path[count(path) - 1] == "${member}"; count(path) < 6])`;
      const query = (text: string): string => `graphql.parse_query(${JSON.stringify(text)})`;
      const document = `graphql.parse_schema(${JSON.stringify(schema)})`;
      const expressions = [
        ...queries.map((text) => `graphql.is_valid(${query(text)}, ${document})`),
        ...queries.map((text) => `graphql.parse(${query(text)}, ${JSON.stringify(schema)})`),
        ...spoilt.map(
          ([member, value]) =>
            `graphql.is_valid(${patched(query(queries[3] ?? ''), member, value)}, ${JSON.stringify(schema)})`,
        ),
        ...spoilt.map(([member, value]) => `graphql.schema_is_valid(${patched(document, member, value)})`),
      ];
      const { differences, defined } = await againstOpa(expressions);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(200);
    },
    opaMs,
  );

  it(
    'judges interfaces, circles and directives as OPA does',
    async () => {
      const types = ['Int', 'Int!', '[Int]', '[Int!]', '[Int]!', 'I', 'O', 'U', '[I]', '[O!]', 'V'];
      const given = [
        '',
        '(a: Int)',
        '(a: Int!)',
        '(a: [Int])',
        '(a: [Int!])',
        '(a: String)',
        '(a: Int b: Int)',
        '(a: Int b: Int! = 1)',
        '(a: Int b: Int!)',
      ];
      const rest = 'interface J { g: Int } type P { x: Int } union U = O | P type Query { o: O }';
      const implemented = [
        ...types.flatMap((one) => types.map((other) => ['', one, '', other] as const)),
        ...given.flatMap((one) => given.map((other) => [one, 'Int', other, 'Int'] as const)),
      ].map(
        ([one, first, other, second]) =>
          `interface I { f${one}: ${first} } type O implements I { f${other}: ${second} } ${rest}`,
      );
      const ancestors = ['I', 'J', 'I & J', 'P', 'N', 'I & I'].flatMap((names) =>
        ['', 'implements J'].map(
          (also) => `interface I ${also} { f: Int g: Int } type O implements ${names} { f: Int g: Int } ${rest}`,
        ),
      );
      const members = ['A', 'A!', 'B', 'B!', '[A!]', '[B!]!', 'C!', 'Int'];
      const circles = members.flatMap((one) =>
        members.flatMap((other) =>
          ['C', 'A!'].map(
            (third) =>
              `input A { b: ${one} } input B { a: ${other} } input C { c: ${third} } type Query { x(a: A): Int }`,
          ),
        ),
      );
      const places = [
        'SCALAR',
        'OBJECT',
        'FIELD_DEFINITION',
        'ARGUMENT_DEFINITION',
        'INTERFACE',
        'UNION',
        'ENUM',
        'ENUM_VALUE',
        'INPUT_OBJECT',
        'INPUT_FIELD_DEFINITION',
        'SCHEMA',
      ];
      const uses = ['@d', '@d(x: 1)', '@d @d', '@d(x: null)', '@d(y: 1)', '@e', '@__d'];
      const definitions = [
        '@d on',
        '@d repeatable on',
        '@d(x: Int) on',
        '@d(x: Int!) on',
        '@d(x: Int! = 1) on',
        '@d(x: Int @d) on',
      ];
      const directives = definitions.flatMap((definition) =>
        uses.flatMap((use) =>
          places.flatMap((place, at) => {
            const here = places.map((_, index) => (index === at ? use : ''));
            const [scalar, object, field, argument, face, union, list, entry, input, member, root] = here;
            const text = `scalar S ${scalar} type T ${object} { f(a: Int ${argument}): Int ${field} } interface F ${face} { f: Int } union N ${union} = T enum E ${list} { A ${entry} } input Q ${input} { q: Int ${member} } schema ${root} { query: T }`;
            return [place, places[(at + 1) % places.length]].map((where) => `directive ${definition} ${where} ${text}`);
          }),
        ),
      );
      const schemas = [...implemented, ...ancestors, ...circles, ...directives];
      const { differences, defined } = await callsAgainstOpa(
        schemas.map((text) => ['graphql.schema_is_valid', text] as const),
      );
      expect(differences).toEqual([]);
      expect(defined).toBe(schemas.length);
    },
    opaMs,
  );

  it(
    'reads texts in quotes as OPA does',
    async () => {
      const tokens = [
        'a',
        ' ',
        '"',
        '""',
        '"""',
        '\\"""',
        '\\',
        '\\n',
        '\\u00e9',
        '\\ud800',
        '\\u12',
        '\\x',
        '\\/',
        '\n',
        '\r\n',
        '\r',
        '\t',
        '  ',
        '\u0001',
        'é',
        '😀',
        '\n  b',
        '\\t\\b\\f\\r\\\\\\"',
      ];
      const quoted = ['"', '"""'].flatMap((mark, seed) =>
        fc
          .sample(fc.array(fc.constantFrom(...tokens), { maxLength: 6 }), { seed, numRuns: 1_500 })
          .map((some) => `{ a(s: ${mark}${some.join('')}${mark}) }`),
      );
      const { differences, defined, ...rest } = await callsAgainstOpa(
        quoted.map((text) => ['graphql.parse_query', text] as const),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(500);
      expect(rest.undefined).toBeGreaterThan(500);
    },
    opaMs,
  );
});
