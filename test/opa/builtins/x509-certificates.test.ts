import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  bitString,
  boolean,
  generalizedTime,
  integer,
  nothing,
  octets,
  oid,
  pem,
  sequence,
  set,
  tagged,
  utf8,
} from '../../support/der.ts';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, call } from './against-opa.ts';
import {
  attribute,
  authority,
  extension,
  extensions,
  issue,
  type KeyName,
  keys,
  nameOf,
  type Parts,
  pssParameters,
  signings,
  spkiOf,
  unsigned,
  version3,
} from './x509-parts.ts';

const latin = (tag: number, text: string): Buffer => tagged(tag, Buffer.from(text, 'latin1'));
const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const none = Buffer.alloc(0);

const versions = [
  none,
  ...[-1, 0, 1, 2, 3, 2n ** 64n].map((version) => tagged(0xa0, integer(version))),
  tagged(0xa0, integer(2), integer(2)),
  tagged(0xa0),
  tagged(0xa0, boolean(true)),
];
const serials = [
  ...[0, 1, 127, 128, -1, -129, 2n ** 64n, 2n ** 160n].map(integer),
  hex('0200'),
  hex('02020001'),
  hex('0202ffff'),
  hex('020400'),
  hex('02810101'),
  hex('0282000101'),
  hex('02800101'),
  hex('02850000000001'),
  hex('1f0101'),
  nothing,
];

const printable = "AZaz09 '()+,-./:=?*&";
const strings: readonly Buffer[] = [
  ...['', 'é', '\u{1f600}', '\0', printable].map(utf8),
  hex('0c01ff'),
  hex('0c03eda080'),
  ...['', printable, '@', '_', '"', '!', '\xe9', '\n'].map((text) => latin(0x13, text)),
  ...['', '0 9', 'a', '-'].map((text) => latin(0x12, text)),
  ...['', 'a@b\n\0', '\x7f', '\x80'].map((text) => latin(0x16, text)),
  ...['', 'a\xe9\0', '\x80'].map((text) => latin(0x14, text)),
  ...[
    '',
    '0061',
    '00610000',
    '0000',
    '006100',
    'd83dde00',
    'd800',
    'dc00',
    'fffe',
    'ffff',
    'fdd0',
    'fdf0',
    'feff0061',
  ].map((text) => tagged(0x1e, hex(text))),
  latin(0x1a, 'visible'),
  tagged(0x1c, hex('00000061')),
  integer(1),
  boolean(true),
  bitString(hex('0102'), 1),
  octets(hex('01')),
  oid('1.2.3'),
  latin(0x17, '200101000000Z'),
  nothing,
  sequence(utf8('a')),
];
const attributeTypes = ['3', '5', '6', '7', '8', '9', '10', '11', '17', '4', '42'].map((last) => `2.5.4.${last}`);
const names: readonly Buffer[] = [
  sequence(),
  set(),
  sequence(set()),
  sequence(sequence()),
  sequence(set(sequence())),
  sequence(set(sequence(oid('2.5.4.3')))),
  sequence(set(sequence(oid('2.5.4.3'), utf8('a'), utf8('b')))),
  sequence(set(sequence(utf8('a'), oid('2.5.4.3')))),
  sequence(...['a', 'b'].map((text) => attribute('2.5.4.3', utf8(text)))),
  sequence(set(...attributeTypes.map((type) => sequence(oid(type), utf8(type))))),
  sequence(...attributeTypes.flatMap((type) => ['a', 'b'].map((text) => attribute(type, utf8(text))))),
  sequence(attribute('1.2.840.113549.1.9.1', latin(0x16, 'a@b.c'))),
  ...['0.0', '1.39.1', '2.39', '2.999.1', '2.5.4.2147483647', '2.5.4.2147483648', '2.5.4.99999999999999'].map((type) =>
    sequence(attribute(type, utf8('a'))),
  ),
  ...['0600', '060180', '06028001', '060155ff', '06025504', '060355049f', '06058fffffff7f', '06068fffffffff7f'].map(
    (type) => sequence(set(sequence(hex(type), utf8('a')))),
  ),
  ...strings.flatMap((value) => ['2.5.4.3', '2.5.4.10', '2.5.4.4'].map((type) => sequence(attribute(type, value)))),
];

const utcTimes = [
  '500101000000Z',
  '491231235959Z',
  '000229000000Z',
  '010229000000Z',
  '201301000000Z',
  '200100000000Z',
  '200132000000Z',
  '200101240000Z',
  '200101006000Z',
  '200101000060Z',
  '2001010000Z',
  '200101000000',
  '200101000000z',
  '200101000000.5Z',
  '200101000000+0000',
  '200101000000+0130',
  '200101000000-1200',
  '200101000000+2400',
  '200101000000+0060',
  '2001010000-0130',
  '20010100Z',
  ' 00101000000Z',
  '-1-101000000Z',
  '',
  'Z',
];
const generalizedTimes = [
  '20200101000000Z',
  '00000101000000Z',
  '00010101000000Z',
  '99991231235959Z',
  '10000101000000Z',
  '20210229000000Z',
  '19000229000000Z',
  '20200101000000.5Z',
  '202001010000Z',
  '20200101000000',
  '20200101000000+0130',
  '20200101000000-0000',
  '20200101000000+0000',
  '20200101000000+1360',
  '120200101000000Z',
  '',
];
const times = [
  ...utcTimes.map((text) => latin(0x17, text)),
  ...[...generalizedTimes, ...utcTimes.map((text) => `20${text}`)].map(generalizedTime),
  utf8('20200101000000Z'),
  integer(1),
];
const validities = [
  ...times.flatMap((time) => [
    sequence(time, generalizedTime('21000101000000Z')),
    sequence(latin(0x17, '200101000000Z'), time),
  ]),
  sequence(),
  sequence(latin(0x17, '200101000000Z')),
  sequence(...['200101000000Z', '200101000000Z', '200101000000Z'].map((text) => latin(0x17, text))),
  set(),
];

const rsaId = sequence(oid('1.2.840.113549.1.1.1'), nothing);
const ecId = (curve: string): Buffer => sequence(oid('1.2.840.10045.2.1'), oid(curve));
const dsaId = (...numbers: readonly number[]): Buffer =>
  sequence(oid('1.2.840.10040.4.1'), sequence(...numbers.map((number) => integer(number))));
const point = spkiOf('p256').subarray(-65);
const publicKeys = [
  ...(Object.keys(keys) as KeyName[]).map(spkiOf),
  sequence(rsaId, bitString(sequence(integer(15), integer(3)))),
  sequence(rsaId, bitString(sequence(integer(0), integer(3)))),
  sequence(rsaId, bitString(sequence(integer(-15), integer(3)))),
  sequence(rsaId, bitString(sequence(integer(15), integer(0)))),
  sequence(rsaId, bitString(sequence(integer(15), integer(-3)))),
  sequence(rsaId, bitString(sequence(integer(15), integer(2n ** 62n)))),
  sequence(rsaId, bitString(sequence(integer(15), integer(2n ** 64n)))),
  sequence(rsaId, bitString(sequence(integer(15)))),
  sequence(rsaId, bitString(sequence(integer(15), integer(3), integer(1)))),
  sequence(rsaId, bitString(Buffer.concat([sequence(integer(15), integer(3)), hex('00')]))),
  sequence(rsaId, bitString(none)),
  sequence(rsaId, bitString(hex('3006020107020300'), 1)),
  sequence(rsaId, bitString(hex('3006020107020103'), 0), nothing),
  sequence(sequence(oid('1.2.840.113549.1.1.1')), bitString(sequence(integer(15), integer(3)))),
  sequence(sequence(oid('1.2.840.113549.1.1.1'), integer(1)), bitString(sequence(integer(15), integer(3)))),
  sequence(sequence(oid('1.2.840.113549.1.1.1'), nothing, nothing), bitString(sequence(integer(15), integer(3)))),
  sequence(ecId('1.2.840.10045.3.1.7'), bitString(point)),
  sequence(ecId('1.3.132.0.34'), bitString(point)),
  sequence(ecId('1.2.3'), bitString(point)),
  sequence(ecId('1.2.840.10045.3.1.7'), bitString(Buffer.concat([point, hex('00')]))),
  sequence(ecId('1.2.840.10045.3.1.7'), bitString(Buffer.concat([hex('02'), point.subarray(1, 33)]))),
  sequence(ecId('1.2.840.10045.3.1.7'), bitString(Buffer.concat([hex('05'), point.subarray(1)]))),
  sequence(ecId('1.2.840.10045.3.1.7'), bitString(Buffer.concat([hex('04'), Buffer.alloc(64, 1)]))),
  sequence(ecId('1.2.840.10045.3.1.7'), bitString(Buffer.concat([hex('04'), Buffer.alloc(64, 255)]))),
  sequence(ecId('1.2.840.10045.3.1.7'), bitString(hex('00'))),
  sequence(ecId('1.2.840.10045.3.1.7'), bitString(none)),
  sequence(sequence(oid('1.2.840.10045.2.1')), bitString(point)),
  sequence(sequence(oid('1.2.840.10045.2.1'), nothing), bitString(point)),
  sequence(dsaId(3, 5, 7), bitString(integer(2))),
  sequence(dsaId(3, 5, 0), bitString(integer(2))),
  sequence(dsaId(3, 0, 7), bitString(integer(2))),
  sequence(dsaId(-3, 5, 7), bitString(integer(2))),
  sequence(dsaId(3, 5), bitString(integer(2))),
  sequence(dsaId(3, 5, 7, 9), bitString(integer(2))),
  sequence(dsaId(3, 5, 7), bitString(integer(-2))),
  sequence(dsaId(3, 5, 7), bitString(none)),
  sequence(sequence(oid('1.2.840.10040.4.1')), bitString(integer(2))),
  sequence(sequence(oid('1.3.101.112')), bitString(Buffer.alloc(31))),
  sequence(sequence(oid('1.3.101.112')), bitString(Buffer.alloc(33))),
  sequence(sequence(oid('1.3.101.112'), nothing), bitString(Buffer.alloc(32))),
  sequence(sequence(oid('1.2.3')), bitString(none)),
  sequence(sequence(oid('1.2.3'), integer(1)), bitString(hex('80'), 7)),
  sequence(sequence(oid('1.2.3')), bitString(hex('81'), 7)),
  sequence(sequence(oid('1.2.3')), bitString(hex('80'), 8)),
  sequence(sequence(oid('1.2.3')), bitString(none, 1)),
  sequence(sequence(oid('1.2.3')), tagged(0x03)),
  sequence(sequence(), bitString(none)),
  sequence(),
  nothing,
];

const pssIdentifier = (...parameters: readonly Buffer[]): Buffer =>
  sequence(oid('1.2.840.113549.1.1.10'), ...parameters);
const sha256 = sequence(oid('2.16.840.1.101.3.4.2.1'));
const mask = (hash: Buffer): Buffer => tagged(0xa1, sequence(oid('1.2.840.113549.1.1.8'), hash));
const algorithms = [
  ...Object.values(signings).map(({ identifier }) => identifier),
  pssIdentifier(),
  pssIdentifier(nothing),
  pssIdentifier(sequence()),
  pssIdentifier(pssParameters('sha256', 32, tagged(0xa3, integer(1)))),
  pssIdentifier(pssParameters('sha256', 32, tagged(0xa3, integer(2)))),
  pssIdentifier(pssParameters('sha256', 48)),
  pssIdentifier(pssParameters('sha1', 20)),
  pssIdentifier(sequence(tagged(0xa0, sha256), mask(sha256), tagged(0xa2, integer(32)))),
  pssIdentifier(
    sequence(tagged(0xa0, sha256), mask(sequence(oid('2.16.840.1.101.3.4.2.2'))), tagged(0xa2, integer(32))),
  ),
  pssIdentifier(
    sequence(tagged(0xa0, sha256), tagged(0xa1, sequence(oid('1.2.3'), sha256)), tagged(0xa2, integer(32))),
  ),
  pssIdentifier(
    sequence(tagged(0xa0, sha256), tagged(0xa1, sequence(oid('1.2.840.113549.1.1.8'))), tagged(0xa2, integer(32))),
  ),
  pssIdentifier(
    sequence(
      tagged(0xa0, sequence(oid('2.16.840.1.101.3.4.2.1'), integer(1))),
      mask(sha256),
      tagged(0xa2, integer(32)),
    ),
  ),
  pssIdentifier(
    sequence(
      tagged(0xa0, sha256),
      mask(sequence(oid('2.16.840.1.101.3.4.2.1'), integer(1))),
      tagged(0xa2, integer(32)),
    ),
  ),
  pssIdentifier(sequence(tagged(0xa0, sha256), mask(sha256))),
  sequence(oid('1.2.840.10045.4.3.2'), nothing),
  sequence(oid('1.2.840.113549.1.1.11')),
  sequence(oid('1.2.840.113549.1.1.11'), nothing, nothing),
  sequence(),
  nothing,
];

const general = (number: number, text: string): Buffer => latin(0x80 | number, text);
const addresses = ['', '7f', '7f000001', '7f00000102', `${'00'.repeat(15)}01`, '00'.repeat(16), '00'.repeat(8)].map(
  (text) => tagged(0x87, hex(text)),
);
const uris = [
  'https://a.example/b?c#d',
  'https://user:pass@a.example:8080/b%2fc',
  'urn:x:y',
  'spiffe://trust/ns/a',
  '//host/path',
  '/path?',
  '',
  '*',
  'https://a..b/',
  'https://.a/',
  'https://a./',
  'https://[::1]:80/',
  'https://[::1/',
  'https://a b/',
  'https://\xe9/',
  'http://%41/',
  'https://a/%zz',
  ':',
  'http://a:b/',
  'mailto:a@b',
  'file:///x',
  'http://a/\x01',
];
const alternatives = [
  ...['a.example', '*.example', '', '.', 'a..b', '.a', 'a b', '\xe9'].map((text) => general(2, text)),
  ...['a@b.example', '', 'a', '@', '\xe9@b'].map((text) => general(1, text)),
  ...uris.map((text) => general(6, text)),
  ...addresses,
  general(0, 'x'),
  tagged(0xa0, oid('1.2.3')),
  tagged(0xa4, nameOf('x')),
  general(8, 'x'),
];
const subtree = (...parts: readonly Buffer[]): Buffer => sequence(...parts);
const domains = [
  'a.example',
  '.a.example',
  '',
  '.',
  'a.',
  'a..b',
  '..a',
  '*.a',
  'a b',
  '\xe9',
  '127.0.0.1',
  '::1',
  'a@b',
  '@b',
  'a@',
  '"a b"@c',
  'a@b@c',
];
const ranges = [
  '',
  '0a000000ff000000',
  '0a000000ff00ff00',
  '0a000000ffff',
  '00'.repeat(32),
  `${'00'.repeat(16)}${'ff'.repeat(16)}`,
  '0a000000ff000001',
  '0a000000fe000000',
];
const subtrees = [
  ...[1, 2, 6].flatMap((number) => domains.map((text) => subtree(general(number, text)))),
  ...ranges.map((text) => subtree(tagged(0x87, hex(text)))),
  subtree(general(0, 'x')),
  subtree(tagged(0xa4, nameOf('x'))),
  subtree(),
  subtree(general(2, 'a'), tagged(0x80, hex('00'))),
  nothing,
];
const usageIds = [
  '2.5.29.37.0',
  ...['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '17'].map((last) => `1.3.6.1.5.5.7.3.${last}`),
  '1.3.6.1.4.1.311.10.3.3',
  '2.16.840.1.113730.4.1',
  '1.3.6.1.4.1.311.2.1.22',
  '1.3.6.1.4.1.311.61.1.1',
];
const access = (method: string, ...location: readonly Buffer[]): Buffer => sequence(oid(method), ...location);
const broken = [
  none,
  nothing,
  sequence(),
  sequence(nothing),
  integer(1),
  octets(none),
  hex('30'),
  hex('3080'),
  hex('300100'),
];
const counts = [integer(0), integer(1), integer(-1), integer(2n ** 63n), integer(2n ** 64n), hex('0200')];
const implicit = (number: number, value: Buffer): Buffer =>
  Buffer.concat([Buffer.of(0x80 | number), value.subarray(1)]);

/** By its identifier, what could stand in each extension. */
const contents: Readonly<Record<string, readonly Buffer[]>> = {
  // The identifier of its own key, and its issuer's.
  '2.5.29.14': [octets(hex('0102')), octets(none), Buffer.concat([octets(hex('01')), nothing])],
  '2.5.29.35': [
    sequence(tagged(0x80, hex('0102'))),
    sequence(tagged(0x80)),
    sequence(tagged(0xa1, nameOf('x')), tagged(0x82, hex('01'))),
    sequence(tagged(0x80, hex('01')), tagged(0x82, hex('01'))),
    Buffer.concat([sequence(tagged(0x80, hex('01'))), nothing]),
  ],
  // What its key is for.
  '2.5.29.15': [
    ...[0, 1, 7].flatMap((padding) =>
      ['', '80', 'a0', '0480', 'ff80', 'ffff', '00', '0001'].map((text) => bitString(hex(text), padding)),
    ),
    tagged(0x03),
  ],
  '2.5.29.17': [
    ...alternatives.map((one) => sequence(one)),
    sequence(
      general(1, 'a@b'),
      general(2, 'c'),
      general(2, 'd'),
      general(6, 'https://e/'),
      tagged(0x87, hex('01020304')),
    ),
    sequence(general(2, 'a'), hex('82')),
    Buffer.concat([sequence(general(2, 'a')), nothing]),
    set(general(2, 'a')),
  ],
  // Whether it may sign others.
  '2.5.29.19': [
    sequence(boolean(true)),
    sequence(boolean(false)),
    sequence(hex('010101')),
    sequence(hex('0102ffff')),
    sequence(hex('0100')),
    ...counts.flatMap((count) => [sequence(count), sequence(boolean(true), count)]),
    sequence(boolean(true), integer(1), integer(2)),
    Buffer.concat([sequence(boolean(true)), nothing]),
  ],
  '2.5.29.30': [
    ...subtrees.flatMap((one) => [sequence(tagged(0xa0, one)), sequence(tagged(0xa1, one))]),
    sequence(
      tagged(0xa0, ...[1, 2, 6].map((number) => subtree(general(number, 'a.example')))),
      tagged(0xa1, subtree(general(2, 'b'))),
    ),
    sequence(tagged(0xa0), tagged(0xa1)),
    sequence(tagged(0xa0, subtree(general(2, 'a'))), tagged(0xa2)),
    sequence(tagged(0xa1, subtree(general(2, 'a'))), tagged(0xa0, subtree(general(2, 'a')))),
    Buffer.concat([sequence(tagged(0xa0, subtree(general(2, 'a')))), nothing]),
  ],
  // Where lists of revoked ones are.
  '2.5.29.31': [
    sequence(sequence(tagged(0xa0, tagged(0xa0, general(6, 'http://a/'), general(6, 'http://b/'))))),
    sequence(sequence(tagged(0xa0, tagged(0xa0, general(6, '\xe9'))))),
    sequence(sequence(tagged(0xa0, tagged(0xa0, general(2, 'x'), general(6, 'http://a/'))))),
    sequence(sequence(tagged(0xa0, tagged(0xa1, nameOf('x'))))),
    sequence(sequence(tagged(0xa0))),
    sequence(sequence(tagged(0xa2, tagged(0xa4, nameOf('x'))))),
    sequence(sequence(), sequence(tagged(0xa0, tagged(0xa0)))),
    sequence(sequence(tagged(0xa0, tagged(0xa0, general(6, 'a')), nothing), tagged(0x81, hex('0780')))),
  ],
  '2.5.29.32': [
    ...[
      '1.2.3',
      '2.5.29.32.0',
      '2.999.1',
      '0.0',
      '1.2.2147483647',
      '1.2.2147483648',
      '1.2.99999999999999999999999',
    ].map((id) => sequence(sequence(oid(id)))),
    sequence(
      sequence(oid('1.2.3')),
      sequence(oid('1.2.4'), sequence(sequence(oid('1.3.6.1.5.5.7.2.1'), latin(0x16, 'x')))),
    ),
    sequence(sequence(oid('1.2.3')), sequence(oid('1.2.3'))),
    ...['0600', '06022a80', '0603808001', '06032a8001', '06042a808001'].map((id) => sequence(sequence(hex(id)))),
    sequence(sequence(integer(1))),
    sequence(oid('1.2.3')),
  ],
  '2.5.29.33': [
    sequence(sequence(oid('1.2.3'), oid('1.2.4'))),
    sequence(sequence(oid('1.2.3'), oid('1.2.4')), sequence(oid('1.2.3'), oid('2.5.29.32.0'))),
    sequence(sequence(oid('1.2.3'), oid('1.2.4'), oid('1.2.5'))),
    sequence(sequence(oid('1.2.3'))),
    sequence(sequence(oid('1.2.3'), integer(1))),
    sequence(sequence(hex('0600'), oid('1.2.3'))),
    sequence(sequence(hex('06022a80'), hex('06022a80'))),
    sequence(oid('1.2.3')),
  ],
  '2.5.29.36': [
    ...counts.flatMap((count) => [sequence(implicit(0, count)), sequence(implicit(1, count))]),
    sequence(implicit(0, integer(1)), implicit(1, integer(2))),
    sequence(implicit(1, integer(1)), implicit(0, integer(2))),
    sequence(tagged(0xa0, integer(1))),
  ],
  '2.5.29.54': [...counts, Buffer.concat([integer(1), nothing])],
  '2.5.29.37': [
    ...usageIds.map((id) => sequence(oid(id))),
    sequence(...usageIds.map(oid)),
    sequence(oid('1.3.6.1.5.5.7.3.1'), integer(1)),
    sequence(hex('0600')),
    Buffer.concat([sequence(oid('1.3.6.1.5.5.7.3.1')), nothing]),
  ],
  // Where its issuer's certificate is, and who knows whether it is revoked.
  '1.3.6.1.5.5.7.1.1': [
    ...['1.3.6.1.5.5.7.48.1', '1.3.6.1.5.5.7.48.2', '1.3.6.1.5.5.7.48.3'].flatMap((method) => [
      sequence(access(method, general(6, 'http://a/'))),
      sequence(access(method, general(6, '\xe9'))),
      sequence(access(method, general(2, 'a'))),
      sequence(access(method)),
      sequence(access(method, general(6, 'a'), nothing), access(method, general(6, 'b'))),
    ]),
    sequence(sequence(integer(1))),
  ],
  '1.2.3.4': [utf8('x')],
  '2.5.29.99': [none],
};
const extensionLists = [
  ...Object.entries(contents).flatMap(([id, values]) =>
    [...values, ...broken].flatMap((value) => [undefined, true].map((critical) => [extension(id, value, critical)])),
  ),
  ...Object.entries(contents).flatMap(([id, [value = none]]) => [
    [extension(id, value, false)],
    [extension(id, value), extension(id, value)],
  ]),
  Object.entries(contents).map(([id, [value = none]]) => extension(id, value)),
  [],
  [sequence()],
  [sequence(oid('1.2.3'))],
  [sequence(oid('1.2.3'), boolean(true))],
  [sequence(oid('1.2.3'), hex('010102'), octets(none))],
  [sequence(oid('1.2.3'), octets(none), nothing)],
  [sequence(octets(none), oid('1.2.3'))],
  [nothing],
];
const usual = extensions(authority);
const rests = [
  [],
  [usual],
  [tagged(0x81, hex('00'))],
  [tagged(0x82, hex('00'))],
  [tagged(0x81, hex('0001')), tagged(0x82, hex('0001')), usual],
  [tagged(0xa1, hex('00')), usual],
  [tagged(0x82, hex('00')), tagged(0x81, hex('00'))],
  [tagged(0xa3)],
  [tagged(0xa3, set())],
  [tagged(0xa3, sequence(authority), nothing)],
  [usual, usual],
  [nothing],
];
const signatures = [
  bitString(none),
  bitString(hex('0102'), 0),
  bitString(hex('0180'), 7),
  bitString(hex('0181'), 7),
  tagged(0x03),
  octets(none),
  none,
];

function varied(part: keyof Parts, values: readonly Parts[typeof part][]): readonly Buffer[] {
  return values.map((value) => unsigned({ [part]: value }));
}

function parsed(certificate: Uint8Array): string {
  return call('crypto.x509.parse_certificates', Buffer.from(certificate).toString('base64'));
}

async function agree(
  expressions: readonly string[],
): Promise<{ readonly defined: number; readonly undefined: number }> {
  const { differences, ...counts } = await againstOpa(expressions);
  expect(differences).toEqual([]);
  return counts;
}

describe('crypto.x509.parse_certificates', () => {
  it(
    'reads and refuses what OPA does of each part but the extensions',
    async () => {
      const counts = await agree(
        [
          ...versions.flatMap((version) => rests.map((rest) => unsigned({ version, rest }))),
          ...varied('serial', serials),
          ...varied('issuer', names),
          ...varied('subject', names),
          ...varied('validity', validities),
          ...varied('publicKey', publicKeys),
          ...varied('algorithm', algorithms),
          ...algorithms.map((outerAlgorithm) => unsigned({ outerAlgorithm })),
          ...varied('signature', signatures),
          ...varied('behind', [nothing]),
        ].map(parsed),
      );
      expect(counts.defined).toBeGreaterThan(200);
      expect(counts.undefined).toBeGreaterThan(200);
    },
    opaMs,
  );

  it(
    'reads and refuses what OPA does of extensions',
    async () => {
      const counts = await agree(extensionLists.map((list) => parsed(unsigned({ rest: [extensions(...list)] }))));
      expect(counts.defined).toBeGreaterThan(200);
      expect(counts.undefined).toBeGreaterThan(200);
    },
    opaMs,
  );

  it(
    'reads and refuses what OPA does of certificates with bytes that are changed, or missing',
    async () => {
      const list = Object.entries(contents).map(([id, [value = none]]) => extension(id, value));
      const whole = unsigned({ version: version3, rest: [extensions(...list)] });
      const changed = fc
        .tuple(fc.nat(whole.length - 1), fc.constantFrom(0, 1, 2, 3, 4, 5, 6, 0x0c, 0x30, 0x31, 0x7f, 0x80, 0xa0, 0xff))
        .map(([at, byte]) => Buffer.concat([whole.subarray(0, at), Buffer.of(byte), whole.subarray(at + 1)]));
      const cut = fc.nat(whole.length - 1).map((at) => Buffer.concat([whole.subarray(0, at), whole.subarray(at + 1)]));
      const short = fc.nat(whole.length - 1).map((at) => whole.subarray(0, at));
      const sample = fc.sample(fc.oneof({ weight: 8, arbitrary: changed }, cut, short), { seed: 7, numRuns: 1_000 });
      const counts = await agree(sample.map(parsed));
      expect(counts.defined).toBeGreaterThan(100);
      expect(counts.undefined).toBeGreaterThan(100);
    },
    opaMs,
  );

  it(
    'finds certificates where OPA does: in DER, in PEM, in either in base64, one after the other',
    async () => {
      const ders = ['a', 'b'].map((name) => issue({ name, with: [authority] }).der);
      const [first = none] = ders;
      const text = ders.map((der) => pem('CERTIFICATE', der)).join('');
      const [one = ''] = text.split(/(?<=END CERTIFICATE-----\n)/);
      const base64 = (content: string | Buffer): string => Buffer.from(content).toString('base64');
      const texts = [
        text,
        one,
        one.trim(),
        one.replaceAll('\n', '\r\n'),
        one.replace('-----\n', '-----\nProc-Type: 4\nX: y\n\n'),
        one.replaceAll('\n', ' \n'),
        one.replace('-----\n', '-----\n\n\n'),
        `${one}rubbish\n${one}`,
        `${one}rubbish`,
        `rubbish\n${one}`,
        ` ${one}`,
        one.replace('BEGIN CERTIFICATE', 'BEGIN X'),
        one.replaceAll('CERTIFICATE', 'TRUSTED CERTIFICATE'),
        one.replaceAll('CERTIFICATE', ''),
        one.replace('-----END', '-----ENDS'),
        one.replace('M', '!'),
        one.replace('-----BEGIN CERTIFICATE-----\n', '-----BEGIN CERTIFICATE-----'),
        one.slice(0, -20),
        one + pem('PRIVATE KEY', Buffer.of(1)),
        pem('PRIVATE KEY', Buffer.of(1)) + one,
        pem('CERTIFICATE', none),
        pem('CERTIFICATE', Buffer.concat(ders)),
        one + pem('CERTIFICATE', first.subarray(1)),
        base64(text),
        base64(one),
        base64(`\n${one}`),
        base64(first),
        base64(Buffer.concat(ders)),
        base64(Buffer.concat([first, hex('00')])),
        base64(first).replace(/=*$/, ''),
        base64(first).replace(/(.{10})/, '$1\n'),
        base64(first).replaceAll('+', '-').replaceAll('/', '_'),
        base64(base64(first)),
        '-----BEGIN',
        '-----BEGIN CERTIFICATE-----',
        '-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----',
        '',
        'x',
        '====',
        'é',
      ];
      const mistyped = ['1', 'null', '["a"]'].map(
        (value) => `crypto.x509.parse_certificates(object.get({"x": ${value}}, "x", null))`,
      );
      const counts = await agree([...texts.map((each) => call('crypto.x509.parse_certificates', each)), ...mistyped]);
      expect(counts.defined).toBeGreaterThan(12);
      expect(counts.undefined).toBeGreaterThan(12);
    },
    opaMs,
  );
});
