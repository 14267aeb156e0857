import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, type Call, call, callsAgainstOpa } from './against-opa.ts';

function pairs<T>(values: readonly T[]): (readonly [T, T])[] {
  return values.flatMap((one) => values.map((other) => [one, other] as const));
}

describe('semver', () => {
  it(
    'orders versions, and knows what is none, as OPA does',
    async () => {
      const numbers = [
        '1.2.3',
        'v1.2.3',
        '0.0.0',
        '01.2.3',
        '1.2',
        '1.2.3.4',
        '1.10.0',
        '9223372036854775807.0.0',
        '9223372036854775808.0.0',
        '-1.2.3',
        '',
        'V1.0.0',
        ' 1.2.3',
      ];
      const releases = [
        '',
        '-',
        '-a',
        '-a.b',
        '-1',
        '-01',
        '-0',
        '-10',
        '-2',
        '-a.1',
        '-a.b.c',
        '-A',
        '-a-b',
        '-é',
        '-a..b',
        '+x',
        '+01.a',
        '-a+b',
        '-a+',
        '+x+y',
      ];
      const versions = [...numbers, ...releases.map((release) => `1.2.3${release}`)];
      const { differences, defined, ...rest } = await callsAgainstOpa([
        ...pairs(versions).map(([one, other]): Call => ['semver.compare', one, other]),
        ...versions.map((version): Call => ['semver.is_valid', version]),
        ...[1, null, ['1.2.3']].flatMap((odd): Call[] => [
          ['semver.is_valid', odd],
          ['semver.compare', odd, '1.0.0'],
        ]),
      ]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(300);
      expect(rest.undefined).toBeGreaterThan(300);
    },
    opaMs,
  );
});

describe('uuid.parse', () => {
  it(
    'tells what a UUID says about itself as OPA does',
    async () => {
      const versions = [...'0123456789abcdef'].flatMap((version) =>
        [...'0189abcdef'].map((variant) => `6ba7b810-9dad-${version}1d1-${variant}0b4-00c04fd430c8`),
      );
      const plain = '6BA7B810-9dad-21d1-8002-03c04fd430c8';
      const bare = plain.replaceAll('-', '');
      const written = [
        plain,
        bare,
        `{${plain}}`,
        `(${plain}x`,
        `urn:uuid:${plain}`,
        `URN:UUID:${plain}`,
        `urn:uuix:${plain}`,
        `${bare.slice(1)}g`,
        plain.replace('-', '_'),
        `${plain} `,
        '',
        'x',
        `${plain}${plain}`,
        plain.replace('8002', '8000'),
        plain.replace('8002', '8001'),
        plain.replace('8002', '80ff'),
        '00000000-0000-1000-8000-000000000000',
        'ffffffff-ffff-1fff-ffff-ffffffffffff',
      ];
      const { differences, defined, ...rest } = await callsAgainstOpa(
        [...versions, ...written, 1, null].map((text): Call => ['uuid.parse', text]),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(160);
      expect(rest.undefined).toBeGreaterThan(5);
    },
    opaMs,
  );
});

const networks = [
  '10.0.0.0/8',
  '10.1.2.3/30',
  '10.1.2.3/32',
  '0.0.0.0/0',
  '255.255.255.254/31',
  '192.168.0.0/33',
  '10.0.0/8',
  '::/0',
  'fe80::/126',
  '2001:db8::1/128',
  '2001:db8::/127',
  '::ffff:10.0.0.0/104',
  '::ffff:10.1.2.0/126',
  'x',
  '',
  '10.0.0.0/',
  '10.0.0.0/08',
  '::1%eth0/128',
  '10.1.0.0/16',
  '2001:db8::/32',
  '2001:db8:1::/48',
  '10.1.2.0/24',
];
const addresses = [
  '10.1.2.3',
  '010.1.2.3',
  '10.1.2',
  '::1',
  '::ffff:10.1.2.3',
  'fe80::1',
  'fe80::1%eth0',
  '2001:db8::1',
  '1::2::3',
  'x',
  '255.255.255.255',
  '224.1.1.1',
  '192.0.2.1',
  '128.0.0.1',
  ':::',
  '1:2:3:4:5:6:7:8',
  '1:2:3:4:5:6:7::',
  '::1.2.3.4',
  '::1.2.3',
  '12345::',
  '1:2:3:4:5:6:1.2.3.4',
];

describe('net', () => {
  it(
    'contains, expands and merges networks as OPA does',
    async () => {
      const all = [...networks, ...addresses];
      const expandable = all.filter((text) => !/\/0?(?:0|8|16|24|32|48|104)$/.test(text) || text === '10.1.2.3/32');
      // OPA itself ends in a panic where it is to merge an IPv4 network written as IPv6.
      const mergeable = all.filter((text) => !text.startsWith('::ffff'));
      const lists = fc.sample(
        fc.array(fc.constantFrom(...mergeable.filter((text) => /^[12f:].*[^x]$/.test(text))), { maxLength: 6 }),
        { seed: 1, numRuns: 1_500 },
      );
      const random = fc.sample(
        fc.array(fc.tuple(fc.nat({ max: 15 }), fc.integer({ min: 24, max: 32 })), { minLength: 1, maxLength: 8 }),
        { seed: 2, numRuns: 400 },
      );
      const { differences, defined, ...rest } = await callsAgainstOpa([
        ...pairs(all).flatMap(([one, other]): Call[] => [
          ['net.cidr_contains_matches', one, other],
          ['net.cidr_contains_matches', [one], { k: [other, 1] }],
        ]),
        ...[[[]], [1], null, 7, [[1]], { a: [] }].flatMap((odd): Call[] => [
          ['net.cidr_contains_matches', odd, '10.0.0.0/8'],
          ['net.cidr_contains_matches', '10.0.0.0/8', odd],
        ]),
        ...expandable.map((text): Call => ['net.cidr_expand', text]),
        ...[...all, 1, null].map((text): Call => ['net.cidr_is_valid', text]),
        ...[...lists, ...mergeable.map((one) => [one]), [1], 'x', { a: 1 }].map(
          (list): Call => ['net.cidr_merge', list],
        ),
        ...random.map((some): Call => ['net.cidr_merge', some.map(([octet, bits]) => `10.0.0.${octet * 16}/${bits}`)]),
        ...random.map(
          (some): Call => [
            'net.cidr_merge',
            some.map(([octet, bits]) => `2001:db8::${octet.toString(16)}0/${bits + 96}`),
          ],
        ),
      ]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(1_500);
      expect(rest.undefined).toBeGreaterThan(500);
      const sets = [new Set(['10.0.0.0/9', '10.128.0.0/9']), new Set(['10.1.2.3', '::1']), new Set()];
      const others = await againstOpa([
        ...sets.map((set) => call('net.cidr_merge', set)),
        ...sets.map((set) => call('net.cidr_contains_matches', '10.0.0.0/8', set)),
        ...sets.map((set) => call('net.cidr_contains_matches', set, [...set])),
      ]);
      expect(others.differences).toEqual([]);
      expect(others.defined).toBeGreaterThan(4);
    },
    opaMs,
  );
});

describe('what a policy says while it is written', () => {
  it(
    'changes nothing, as in OPA',
    async () => {
      const said = [
        call('trace', 'x'),
        ...['internal.print', 'internal.test_case'].map((name) => `[1 | ${name}([{"x"}])]`),
      ];
      expect(await againstOpa(said)).toMatchObject({ defined: said.length, undefined: 0, differences: [] });
    },
    opaMs,
  );
});

describe('numbers, encodings and members', () => {
  it(
    'are what they are in OPA, whatever is given',
    async () => {
      const odd = [
        0,
        1,
        -1,
        3,
        1.5,
        2.0,
        '1',
        '',
        null,
        true,
        [],
        {},
        ['a', 'b', 'a'],
        ['a', 1],
        { a: 'x' },
        { a: ['x', 'y&='] },
        { a: 1 },
        { a: [1] },
        'a=1&b=2&a=3',
        '%zz',
        'a;b',
        '616',
        '6162',
        'é',
        '&&',
        'a+b%20c',
      ];
      const one = [
        'base64url.encode_no_pad',
        'hex.encode',
        'hex.decode',
        'urlquery.encode',
        'urlquery.decode',
        'urlquery.encode_object',
        'urlquery.decode_object',
        'uri.is_valid',
        'uri.parse',
        'yaml.marshal',
        'time.parse_duration_ns',
        'crypto.md5',
        'crypto.sha1',
        'crypto.sha256',
        'json.verify_schema',
        'graphql.schema_is_valid',
      ];
      const two = [
        'strings.any_prefix_match',
        'strings.any_suffix_match',
        'strings.count',
        'indexof_n',
        'crypto.hmac.md5',
        'crypto.hmac.sha1',
        'crypto.hmac.sha256',
        'crypto.hmac.sha512',
        'crypto.hmac.equal',
        'object.subset',
        'json.marshal_with_options',
        'graph.reachable_paths',
        'strings.render_template',
        'json.match_schema',
      ];
      const { differences, defined, ...rest } = await callsAgainstOpa([
        ...one.flatMap((name) => odd.map((value): Call => [name, value])),
        ...two.flatMap((name) => pairs(odd).map(([value, other]): Call => [name, value, other])),
        ...pairs(odd).flatMap(([value, other]): Call[] => [
          ['numbers.range_step', value, other, 1],
          ['numbers.range_step', 1, value, other],
          ['strings.split_n', value, '', other],
          ['strings.split_n', 'a.b', value, other],
        ]),
        ...[0, 1, -1, 1.5, 'x'].map((limit): Call => ['rand.intn', 'x', limit]),
        ['urlquery.decode_object', '&'.repeat(10_001)],
        ['indexof_n', '😀a😀a', 'a'],
        ['strings.count', '😀a', ''],
      ]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(1_000);
      expect(rest.undefined).toBeGreaterThan(1_000);
    },
    opaMs,
  );
});
