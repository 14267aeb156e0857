import { generatePrimeSync, type KeyObject } from 'node:crypto';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  bitString,
  boolean,
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
import { attribute, extension, issue, type KeyName, keys, nameOf, signings, spkiOf } from './x509-parts.ts';

const none = Buffer.alloc(0);
const names = Object.keys(keys) as KeyName[];
const hex = (text: string): Buffer => Buffer.from(text, 'hex');
const latin = (tag: number, text: string): Buffer => tagged(tag, Buffer.from(text, 'latin1'));

async function agree(
  expressions: readonly string[],
): Promise<{ readonly defined: number; readonly undefined: number }> {
  const { differences, defined, ...counts } = await againstOpa(expressions);
  expect(differences).toEqual([]);
  return { defined, undefined: counts.undefined };
}

function pkcs8Of(name: KeyName): Buffer {
  return keys[name].privateKey.export({ type: 'pkcs8', format: 'der' });
}

interface Rsa {
  readonly n: bigint;
  readonly e: bigint;
  readonly d: bigint;
  readonly primes: readonly bigint[];
}

function inverse(value: bigint, modulus: bigint): bigint {
  let [a, b, x, y] = [value % modulus, modulus, 1n, 0n];
  while (a !== 0n) [a, b, x, y] = [b % a, a, y - (b / a) * x, x];
  return ((y % modulus) + modulus) % modulus;
}

function rsaOf(...primes: readonly bigint[]): Rsa {
  const e = 65_537n;
  const n = primes.reduce((product, prime) => product * prime, 1n);
  return {
    n,
    e,
    d: inverse(
      e,
      primes.reduce((product, prime) => product * (prime - 1n), 1n),
    ),
    primes,
  };
}

/** One whose own inverse there is. */
function prime(bits: number): bigint {
  for (;;) {
    const found = generatePrimeSync(bits, { bigint: true });
    if ((found - 1n) % 65_537n !== 0n) return found;
  }
}

type Field = 'version' | 'n' | 'e' | 'd' | 'p' | 'q' | 'dp' | 'dq' | 'qInverse';

/** A key in PKCS #1, with other fields than it should have. */
function pkcs1(
  { n, e, d, primes }: Rsa,
  changes: Partial<Record<Field, Buffer>> = {},
  ...more: readonly Buffer[]
): Buffer {
  const [p = 0n, q = 0n, ...rest] = primes;
  let product = p * q;
  const others = rest.map((one) => {
    const info = sequence(integer(one), integer(d % (one - 1n)), integer(inverse(product, one)));
    product *= one;
    return info;
  });
  const fields: Record<Field, Buffer> = {
    version: integer(others.length === 0 ? 0 : 1),
    n: integer(n),
    e: integer(e),
    d: integer(d),
    p: integer(p),
    q: integer(q),
    dp: integer(d % (p - 1n)),
    dq: integer(d % (q - 1n)),
    qInverse: integer(inverse(q, p)),
  };
  const list = others.length === 0 ? [] : [sequence(...others)];
  return sequence(...Object.values({ ...fields, ...changes }), ...list, ...more);
}

function numberOf(text: string | undefined): bigint {
  return BigInt(`0x${Buffer.from(text ?? '', 'base64url').toString('hex')}`);
}

function rsaOfKey(key: KeyObject): Rsa {
  const { n, e, d, p, q } = key.export({ format: 'jwk' });
  return { n: numberOf(n), e: numberOf(e), d: numberOf(d), primes: [numberOf(p), numberOf(q)] };
}

const rsa = rsaOfKey(keys.shortRsa.privateKey);
const [p = 0n, q = 0n] = rsa.primes;
const near = (() => {
  const first = prime(512);
  let second = first + 2n;
  while (inverse(3n, second) === 0n || second % 3n === 0n || second % 5n === 0n || second % 7n === 0n) second += 2n;
  return rsaOf(first, second);
})();

const wrong = [none, integer(0), integer(-1), integer(1), integer(2), integer(2n ** 70n), nothing, hex('0200')];
const fields: readonly Field[] = ['version', 'n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qInverse'];
const pkcs1Keys: readonly Buffer[] = [
  pkcs1(rsa),
  pkcs1(rsaOfKey(keys.rsaOf3.privateKey)),
  pkcs1({ ...rsa, primes: [q, p] }),
  pkcs1({ ...rsa, primes: [p, p] }),
  pkcs1({ ...rsa, e: rsa.e + 2n }),
  pkcs1({ ...rsa, d: rsa.d + 1n }),
  pkcs1({ ...rsa, d: rsa.d + (p - 1n) * (q - 1n) }),
  pkcs1({ ...rsa, n: rsa.n + 2n }),
  pkcs1({ ...rsa, d: inverse(rsa.e, ((p - 1n) * (q - 1n)) / 2n) }),
  pkcs1(rsa, { qInverse: integer(inverse(q, p) + p) }),
  pkcs1(rsa, { dp: integer((rsa.d % (p - 1n)) + p - 1n) }),
  pkcs1(rsa, { dp: none, dq: none, qInverse: none }),
  pkcs1(rsa, { dq: none, qInverse: none }),
  pkcs1(rsa, { qInverse: none }),
  pkcs1(rsa, {}, nothing),
  pkcs1(rsa, { version: integer(1) }),
  pkcs1(rsa, { version: integer(2) }),
  pkcs1(rsa, {}, sequence()),
  pkcs1(rsa, { version: integer(1) }, sequence(sequence(integer(1), integer(1), integer(1)))),
  pkcs1(rsa, { version: integer(1) }, sequence(sequence(integer(3), integer(1), integer(1)))),
  pkcs1(rsa, { version: integer(1) }, sequence(sequence(integer(3), integer(1)))),
  pkcs1(rsa, { version: integer(1) }, sequence(sequence(integer(-3), integer(1), integer(1)))),
  Buffer.concat([pkcs1(rsa), hex('00')]),
  pkcs1(near),
  pkcs1(rsaOf(prime(512), prime(256))),
  pkcs1(rsaOf(prime(256), prime(256))),
  pkcs1(rsaOf(11n, 13n)),
  pkcs1(rsaOf(prime(342), prime(341), prime(341))),
  pkcs1(rsaOf(prime(256), prime(256), prime(256), prime(256))),
  pkcs1({ ...rsaOf(prime(342), prime(341), prime(341)), e: 3n }),
  // Small, so that what hides the exponent is small, too.
  pkcs1({ ...rsa, e: inverse(65_537n, (p - 1n) * (q - 1n)), d: 65_537n }),
  ...fields.flatMap((field) => wrong.map((value) => pkcs1(rsa, { [field]: value }))),
  ...wrong,
  sequence(),
];

const sec1 = (version: Buffer, ...rest: readonly Buffer[]): Buffer => sequence(version, ...rest);
const curves = {
  p224: '1.3.132.0.33',
  p256: '1.2.840.10045.3.1.7',
  p384: '1.3.132.0.34',
  p521: '1.3.132.0.35',
  k256: '1.3.132.0.10',
};
const order = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const p256 = tagged(0xa0, oid(curves.p256));
const scalars = [
  '',
  '00',
  '01',
  '0001',
  `${'00'.repeat(40)}02`,
  'ff'.repeat(32),
  order.toString(16),
  (order - 1n).toString(16),
];
const ecKeys: readonly Buffer[] = [
  ...(['p224', 'p256', 'p384', 'p521', 'k256'] as const).map((name) =>
    keys[name].privateKey.export({ type: 'sec1', format: 'der' }),
  ),
  ...scalars.map((scalar) => sec1(integer(1), octets(hex(scalar)), p256)),
  sec1(integer(0), octets(hex('01')), p256),
  sec1(integer(2), octets(hex('01')), p256),
  sec1(integer(1), octets(hex('01'))),
  sec1(integer(1), octets(hex('01')), tagged(0xa0, oid('1.2.3'))),
  sec1(integer(1), octets(hex('01')), tagged(0xa0, nothing)),
  sec1(integer(1), octets(hex('01')), tagged(0xa0)),
  sec1(integer(1), octets(hex('01')), p256, tagged(0xa1, bitString(hex('04')))),
  sec1(integer(1), octets(hex('01')), p256, tagged(0xa1, nothing)),
  sec1(integer(1), octets(hex('01')), p256, tagged(0xa1, hex('030208ff'))),
  sec1(integer(1), octets(hex('01')), p256, nothing),
  sec1(integer(1), octets(hex('01')), tagged(0xa1, bitString(hex('04'))), p256),
  sec1(integer(1), tagged(0x05), p256),
  sec1(integer(1)),
  Buffer.concat([sec1(integer(1), octets(hex('01')), p256), nothing]),
  nothing,
];

const wrapped = (algorithm: Buffer, content: Buffer, ...more: readonly Buffer[]): Buffer =>
  sequence(integer(0), algorithm, octets(content), ...more);
const rsaId = sequence(oid('1.2.840.113549.1.1.1'), nothing);
const ecId = (...parameters: readonly Buffer[]): Buffer => sequence(oid('1.2.840.10045.2.1'), ...parameters);
const bareEc = sec1(integer(1), octets(hex('01')));
const pkcs8Keys: readonly Buffer[] = [
  ...names.map(pkcs8Of),
  ...[pkcs1(rsa), pkcs1(near), none, nothing].flatMap((content) => [
    wrapped(rsaId, content),
    wrapped(sequence(oid('1.2.840.113549.1.1.1')), content),
    wrapped(sequence(oid('1.2.840.113549.1.1.1'), integer(1)), content),
  ]),
  ...[bareEc, sec1(integer(1), octets(hex('01')), p256), none].flatMap((content) =>
    [
      [oid(curves.p256)],
      [oid(curves.p384)],
      [oid('1.2.3')],
      [nothing],
      [],
      [hex('060180')],
      [p256],
      [oid(curves.p256), nothing],
    ].map((parameters) => wrapped(ecId(...parameters), content)),
  ),
  ...['112', '110'].flatMap((last) =>
    [
      octets(Buffer.alloc(32, 7)),
      octets(Buffer.alloc(31, 7)),
      octets(Buffer.alloc(33, 7)),
      Buffer.alloc(32, 7),
      none,
      Buffer.concat([octets(Buffer.alloc(32, 7)), nothing]),
    ].flatMap((content) => [
      wrapped(sequence(oid(`1.3.101.${last}`)), content),
      wrapped(sequence(oid(`1.3.101.${last}`), nothing), content),
    ]),
  ),
  wrapped(sequence(oid('1.2.3')), none),
  wrapped(sequence(), none),
  wrapped(nothing, none),
  sequence(integer(1), rsaId, octets(pkcs1(rsa))),
  sequence(integer(2n ** 65n), rsaId, octets(pkcs1(rsa))),
  sequence(utf8('x'), rsaId, octets(pkcs1(rsa))),
  sequence(integer(0), rsaId),
  wrapped(rsaId, pkcs1(rsa), tagged(0xa0, nothing)),
  wrapped(rsaId, pkcs1(rsa), nothing),
  Buffer.concat([wrapped(rsaId, pkcs1(rsa)), nothing]),
  sequence(),
  none,
];

const blocks: readonly (readonly [label: string, der: Buffer])[] = [
  ...pkcs1Keys.map((der) => ['RSA PRIVATE KEY', der] as const),
  ...ecKeys.map((der) => ['EC PRIVATE KEY', der] as const),
  ...pkcs8Keys.map((der) => ['PRIVATE KEY', der] as const),
];
const pems = blocks.map(([label, der]) => pem(label, der));
const goodPems = [
  pem('RSA PRIVATE KEY', pkcs1(rsa)),
  pem('PRIVATE KEY', pkcs8Of('p256')),
  pem('PRIVATE KEY', pkcs8Of('ed25519')),
];
const [rsaPem = '', ecPem = '', edPem = ''] = goodPems;
const base64 = (content: string | Buffer): string => Buffer.from(content).toString('base64');
const texts = [
  '',
  'x',
  'AAAA',
  '-----BEGIN',
  '-----BEGIN X-----',
  'é',
  goodPems.join(''),
  goodPems.join('rubbish\n'),
  `${edPem}${rsaPem}`,
  `${pem('PUBLIC KEY', spkiOf('p256'))}${ecPem}`,
  pem('PUBLIC KEY', spkiOf('p256')),
  pem('ENCRYPTED PRIVATE KEY', pkcs8Of('p256')),
  pem('DSA PRIVATE KEY', pkcs8Of('dsa')),
  pem('RSA PRIVATE KEY', pkcs8Of('rsa')),
  pem('EC PRIVATE KEY', pkcs8Of('p256')),
  pem('PRIVATE KEY', pkcs1(rsa)),
  `${ecPem}${pem('PRIVATE KEY', none)}`,
  `${ecPem}rubbish`,
  `rubbish${ecPem}`,
  ` ${ecPem}`,
  ecPem.replaceAll('\n', '\r\n'),
  ecPem.replace('-----\n', '-----\nProc-Type: 4,ENCRYPTED\n\n'),
  ecPem.trim(),
  base64(ecPem),
  base64(base64(ecPem)),
  base64(pkcs8Of('p256')),
  base64(`rubbish\n${ecPem}`),
];

describe('crypto.parse_private_keys and crypto.x509.parse_rsa_private_key', () => {
  it(
    'read and refuse the keys that OPA does, in PKCS #1, PKCS #8 and SEC 1',
    async () => {
      const counts = await agree(
        [...pems, ...texts].flatMap((text) => [
          call('crypto.parse_private_keys', text),
          // Its numbers as texts, which have all digits.
          `{digits | walk(${call('crypto.parse_private_keys', text)}, [_, v]); is_number(v); digits := sprintf("%d", [v])}`,
          call('crypto.x509.parse_rsa_private_key', text),
          call('crypto.x509.parse_rsa_private_key', base64(text)),
        ]),
      );
      expect(counts.defined).toBeGreaterThan(150);
      expect(counts.undefined).toBeGreaterThan(150);
    },
    opaMs,
  );

  it(
    'read and refuse what OPA does of keys with bytes that are changed, or missing',
    async () => {
      const changed = fc
        .constantFrom(
          ...[pkcs1(rsa), pkcs8Of('shortRsa')].map((der) => ['RSA PRIVATE KEY', der] as const),
          ...(['p256', 'p521', 'ed25519', 'x25519'] as const).map((name) => ['PRIVATE KEY', pkcs8Of(name)] as const),
        )
        .chain(([label, der]) =>
          fc
            .tuple(fc.nat(Math.min(der.length - 1, 60)), fc.nat(255), fc.boolean())
            .map(([at, byte, cut]) =>
              pem(label, Buffer.concat([der.subarray(0, at), cut ? none : Buffer.of(byte), der.subarray(at + 1)])),
            ),
        );
      const counts = await agree(
        fc.sample(changed, { seed: 7, numRuns: 400 }).map((text) => call('crypto.parse_private_keys', text)),
      );
      expect(counts.defined).toBeGreaterThan(20);
      expect(counts.undefined).toBeGreaterThan(50);
    },
    opaMs,
  );
});

describe('crypto.x509.parse_keypair', () => {
  it(
    'pairs what OPA pairs',
    async () => {
      const held = names.filter((name) => !['ed448', 'x25519', 'k256'].includes(name));
      const certificates = held.map((key) => issue({ name: key, key, with: [] }).der);
      const privates = names.map(pkcs8Of);
      const [first = none, second = none] = certificates;
      const certificate = pem('CERTIFICATE', issue({ name: 'x', key: 'p256' }).der);
      const mixed = [
        certificate,
        `${certificate}${pem('CERTIFICATE', first)}`,
        `${pem('CERTIFICATE', second)}${certificate}`,
        `${certificate}${pem('CERTIFICATE', none)}`,
        `${certificate}${ecPem}`,
        `${ecPem}${certificate}`,
        `rubbish\n${certificate}`,
        pem('CERTIFICATE', Buffer.concat([first, second])),
        pem('CERTIFICATE', none),
        pem('X', first),
        base64(certificate),
        base64(issue({ name: 'x', key: 'p256' }).der),
        base64(Buffer.concat([first, second])),
        'x',
        '',
        '-----BEGIN ',
        '-----BEGIN',
      ];
      const sec1Pem = pem('EC PRIVATE KEY', keys.p256.privateKey.export({ type: 'sec1', format: 'der' }));
      const keyTexts = [
        ecPem,
        sec1Pem,
        `${certificate}${ecPem}`,
        `${edPem}${ecPem}`,
        `rubbish\n${ecPem}`,
        base64(ecPem),
        base64(sec1Pem),
        base64(pkcs8Of('p256')),
        pem('X PRIVATE KEY', pkcs8Of('p256')),
        pem('XPRIVATE KEY', pkcs8Of('p256')),
        pem('PRIVATE KEYS', pkcs8Of('p256')),
        pem('PRIVATE KEY', none),
        'x',
        '',
        '-----BEGIN ',
        '-----BEGIN',
      ];
      const counts = await agree([
        ...certificates.flatMap((der) =>
          privates.map((key) => call('crypto.x509.parse_keypair', pem('CERTIFICATE', der), pem('PRIVATE KEY', key))),
        ),
        ...[...pkcs1Keys, ...pkcs8Keys].map((key) =>
          call(
            'crypto.x509.parse_keypair',
            pem('CERTIFICATE', issue({ name: 'x', key: 'shortRsa' }).der),
            pem('RSA PRIVATE KEY', key),
          ),
        ),
        ...mixed.flatMap((one) => keyTexts.map((key) => call('crypto.x509.parse_keypair', one, key))),
        'crypto.x509.parse_keypair(object.get({"x": 1}, "x", null), "")',
        'crypto.x509.parse_keypair("", object.get({"x": 1}, "x", null))',
      ]);
      expect(counts.defined).toBeGreaterThan(50);
      expect(counts.undefined).toBeGreaterThan(200);
    },
    opaMs,
  );
});

describe('crypto.x509.parse_certificate_request', () => {
  const requested = (...list: readonly Buffer[]): Buffer => sequence(oid('1.2.840.113549.1.9.14'), set(...list));
  const names = extension(
    '2.5.29.17',
    sequence(latin(0x82, 'a.example'), latin(0x81, 'a@b'), latin(0x86, 'https://a/b'), tagged(0x87, hex('7f000001'))),
  );
  const requestOf = (parts: {
    version?: Buffer;
    subject?: Buffer;
    publicKey?: Buffer;
    attributes?: Buffer;
    algorithm?: Buffer;
    signature?: Buffer;
    behind?: Buffer;
    more?: Buffer;
  }): Buffer =>
    sequence(
      sequence(
        parts.version ?? integer(0),
        parts.subject ?? nameOf('x'),
        parts.publicKey ?? spkiOf('p256'),
        parts.attributes ?? tagged(0xa0),
        parts.more ?? none,
      ),
      parts.algorithm ?? signings.sha256Ecdsa.identifier,
      parts.signature ?? bitString(hex('0102')),
      parts.behind ?? none,
    );
  const values: readonly Buffer[] = [
    ...[0x0c, 0x12, 0x13, 0x14, 0x16, 0x17, 0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1e].flatMap((tag) =>
      ['', 'ab', '20', '@', '\xe9', '200101000000Z', '20200101000000Z', '20200101000000+2400', '200101000000+0130'].map(
        (text) => latin(tag, text),
      ),
    ),
    utf8('é'),
    utf8('x'.repeat(200)),
    utf8('x'.repeat(70_000)),
    ...[0, -1, 127, 128, 2n ** 62n, 2n ** 63n - 1n, 2n ** 63n, -(2n ** 63n), 2n ** 64n].map(integer),
    hex('0200'),
    hex('02020001'),
    hex('0202ff80'),
    boolean(true),
    boolean(false),
    hex('010101'),
    hex('0100'),
    bitString(hex('0180'), 3),
    bitString(Buffer.alloc(200, 1)),
    bitString(Buffer.alloc(70_000, 1)),
    bitString(hex('0181'), 3),
    bitString(none),
    tagged(0x03),
    octets(hex('0102')),
    octets(none),
    nothing,
    tagged(0x05, hex('00')),
    ...['1.2.3', '2.999', '2.5.4.2147483648'].map(oid),
    hex('0600'),
    hex('060180'),
    tagged(0x0a, hex('01')),
    sequence(),
    sequence(utf8('a')),
    set(utf8('a')),
    tagged(0x80, hex('01')),
    tagged(0xa0, utf8('a')),
    hex('1f8101020101'),
    hex('2c03'),
    tagged(0x2c, utf8('a')),
    hex('0c8101'),
    hex('0c810161'),
    hex('0c800000'),
  ];
  const attributeLists: readonly Buffer[] = [
    none,
    requested(sequence(names)),
    requested(sequence(names), sequence(extension('1.2.3', none))),
    requested(sequence(names, names)),
    requested(sequence(names, extension('1.2.3', hex('01'), true))),
    requested(sequence(extension('2.5.29.17', sequence()))),
    requested(sequence(extension('2.5.29.17', none))),
    requested(sequence(extension('2.5.29.17', sequence(latin(0x86, ':'))))),
    requested(sequence(extension('2.5.29.17', nothing))),
    requested(sequence(sequence(oid('1.2.3')))),
    requested(sequence(sequence(oid('1.2.3'), boolean(true), octets(none), nothing))),
    requested(sequence(sequence(oid('1.2.3'), hex('010101'), octets(none)))),
    requested(sequence()),
    requested(),
    requested(nothing),
    requested(sequence(nothing)),
    requested(utf8('a')),
    requested(sequence(names), nothing),
    Buffer.concat([requested(sequence(names)), requested(sequence(extension('1.2.3', none)))]),
    Buffer.concat([requested(sequence(names)), requested(sequence(names))]),
    sequence(oid('1.2.840.113549.1.9.14'), sequence(names)),
    sequence(oid('1.2.840.113549.1.9.14')),
    sequence(oid('1.2.840.113549.1.9.14'), set(sequence(names)), nothing),
    sequence(oid('1.2.840.113549.1.9.7'), set(utf8('challenge'))),
    sequence(oid('1.2.3'), set()),
    sequence(oid('1.2.3'), set(sequence())),
    sequence(oid('1.2.3'), set(sequence(sequence(oid('1.2.4'))))),
    sequence(oid('1.2.3'), set(sequence(sequence(oid('1.2.4'), utf8('a'), utf8('b'))))),
    sequence(
      oid('1.2.3'),
      set(sequence(sequence(oid('1.2.4'), utf8('a')), sequence(oid('1.2.5'), integer(1))), sequence()),
    ),
    sequence(oid('1.2.3'), set(sequence(sequence(oid('1.2.4'), utf8('a')))), nothing),
    sequence(oid('1.2.3'), set(sequence(utf8('a')))),
    sequence(integer(1), set()),
    sequence(),
    set(),
    nothing,
    utf8('a'),
    ...values.map((value) => sequence(oid('1.2.3'), set(sequence(sequence(oid('1.2.4'), value))))),
    hex('30'),
    hex('3005'),
  ];
  const subjects: readonly Buffer[] = [
    sequence(),
    set(),
    nothing,
    utf8('x'),
    sequence(set()),
    sequence(nothing),
    sequence(set(nothing)),
    sequence(set(sequence())),
    sequence(set(sequence(oid('2.5.4.3')))),
    sequence(set(sequence(oid('2.5.4.3'), utf8('a'), utf8('b')))),
    sequence(
      ...['3', '5', '6', '7', '8', '9', '10', '11', '17', '42'].flatMap((last) =>
        ['a', 'b'].map((text) => attribute(`2.5.4.${last}`, utf8(text))),
      ),
    ),
    ...values.flatMap((value) => ['3', '10', '42'].map((last) => sequence(attribute(`2.5.4.${last}`, value)))),
  ];
  const requests = [
    ...attributeLists.map((list) => requestOf({ attributes: tagged(0xa0, list) })),
    ...subjects.map((subject) => requestOf({ subject })),
    ...(Object.keys(keys) as KeyName[]).map((key) => requestOf({ publicKey: spkiOf(key) })),
    ...[integer(0), integer(1), integer(-1), integer(2n ** 63n), integer(2n ** 64n), nothing, none, hex('0200')].map(
      (version) => requestOf({ version }),
    ),
    ...[none, tagged(0xa1), sequence(), set(), tagged(0x80), nothing].map((attributes) => requestOf({ attributes })),
    ...[
      none,
      nothing,
      sequence(),
      sequence(oid('1.2.3')),
      sequence(oid('1.2.3'), nothing, nothing),
      ...Object.values(signings).map(({ identifier }) => identifier),
    ].map((algorithm) => requestOf({ algorithm })),
    ...[none, nothing, bitString(none), bitString(hex('0180'), 3), bitString(hex('0181'), 3), tagged(0x03)].map(
      (signature) => requestOf({ signature }),
    ),
    requestOf({ behind: nothing }),
    requestOf({ more: nothing }),
    Buffer.concat([requestOf({}), hex('00')]),
    none,
    nothing,
    sequence(),
  ];
  it(
    'reads and refuses the requests that OPA does',
    async () => {
      const whole = requestOf({ attributes: tagged(0xa0, requested(sequence(names))) });
      const asPem = pem('CERTIFICATE REQUEST', whole);
      const forms = [
        asPem,
        `${asPem}rubbish`,
        asPem + asPem,
        ` ${asPem}`,
        asPem.trim(),
        pem('NEW CERTIFICATE REQUEST', whole),
        pem('CERTIFICATE', whole),
        base64(asPem),
        base64(pem('CERTIFICATE', whole)),
        base64(`x\n${asPem}`),
        asPem.replace('-----END', '----END'),
        asPem.replace('M', '!'),
        'x',
        '',
      ];
      const changed = fc
        .tuple(fc.nat(whole.length - 1), fc.constantFrom(0, 1, 2, 3, 4, 6, 0x0c, 0x30, 0x31, 0x7f, 0x80, 0xa0, 0xff))
        .map(([at, byte]) => Buffer.concat([whole.subarray(0, at), Buffer.of(byte), whole.subarray(at + 1)]));
      const sample = fc.sample(changed, { seed: 7, numRuns: 400 });
      const counts = await agree([
        ...[...requests, ...sample].map((der) => call('crypto.x509.parse_certificate_request', base64(der))),
        ...forms.map((text) => call('crypto.x509.parse_certificate_request', text)),
        'crypto.x509.parse_certificate_request(object.get({"x": 1}, "x", null))',
      ]);
      expect(counts.defined).toBeGreaterThan(150);
      expect(counts.undefined).toBeGreaterThan(150);
    },
    opaMs,
  );
});
