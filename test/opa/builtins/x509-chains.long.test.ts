import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { bitString, boolean, generalizedTime, integer, octets, oid, pem, sequence, tagged } from '../../support/der.ts';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, call, term } from './against-opa.ts';
import {
  type Authority,
  authority,
  extension,
  type Issue,
  issue,
  type KeyName,
  type SigningName,
  signings,
} from './x509-parts.ts';

const none = Buffer.alloc(0);
const usual = 'crypto.x509.parse_and_verify_certificates';
const withOptions = 'crypto.x509.parse_and_verify_certificates_with_options';

function textOf(certificates: readonly Pick<Authority, 'der'>[]): string {
  return Buffer.concat(certificates.map(({ der }) => der)).toString('base64');
}

function verified(...certificates: readonly Pick<Authority, 'der'>[]): string {
  return call(usual, textOf(certificates));
}

/** Only whether it is, where there are so many that their contents would be too much. */
function isVerified(certificates: readonly Pick<Authority, 'der'>[], options: object = {}): string {
  return `${call(withOptions, textOf(certificates), options)}[0]`;
}

async function agree(
  expressions: readonly string[],
): Promise<{ readonly defined: number; readonly undefined: number }> {
  const { differences, ...counts } = await againstOpa(expressions);
  expect(differences).toEqual([]);
  return counts;
}

/** How many of each answer there were, for tests that could have all of one. */
async function answers(expressions: readonly string[]): Promise<{ readonly yes: number; readonly no: number }> {
  const { differences, answers: said } = await againstOpa(expressions);
  expect(differences).toEqual([]);
  return { yes: said.filter((one) => one === true).length, no: said.filter((one) => one === false).length };
}

const root = issue({ name: 'root', with: [authority] });
const middle = issue({ name: 'middle', by: root, key: 'p384', with: [authority] });
const lower = issue({ name: 'lower', by: middle, key: 'rsa', with: [authority] });
const leaf = issue({ name: 'leaf', by: lower, with: [] });
const other = issue({ name: 'other', with: [authority] });

/** A root, one between, and a leaf; each can be changed. */
function chain(changes: {
  readonly root?: Partial<Issue>;
  readonly middle?: Partial<Issue>;
  readonly leaf?: Partial<Issue>;
}): readonly Authority[] {
  const top = issue({ name: 'root', with: [authority], ...changes.root });
  const between = issue({ name: 'middle', by: top, with: [authority], ...changes.middle });
  return [top, between, issue({ name: 'leaf', by: between, with: [], ...changes.leaf })];
}

const places = ['root', 'middle', 'leaf'] as const;

describe('crypto.x509.parse_and_verify_certificates', () => {
  it(
    'finds the chains that OPA finds, whatever stands between root and leaf',
    async () => {
      const middles = [middle, lower, other, root, leaf];
      const between = middles.flatMap((a) => [[a], ...middles.map((b) => [a, b])]);
      const sets = [root, other, middle, lower, leaf].flatMap((first) =>
        [[], ...between].flatMap((list) => [leaf, lower].map((last) => [first, ...list, last])),
      );
      const counts = await agree([
        ...sets.map((certificates) => verified(...certificates)),
        verified(),
        verified(root),
        verified(root, root),
        verified(root, middle),
        call(usual, 'x'),
        call(usual, pem('CERTIFICATE', root.der)),
        call(usual, pem('CERTIFICATE', root.der) + pem('CERTIFICATE', middle.der)),
        call(usual, pem('PRIVATE KEY', root.der)),
        `${usual}(object.get({"x": 1}, "x", null))`,
      ]);
      expect(counts.defined).toBeGreaterThan(200);
    },
    opaMs,
  );

  it(
    'trusts the signatures that OPA trusts',
    async () => {
      const byKey: readonly (readonly [KeyName, readonly SigningName[]])[] = [
        ['p224', ['sha256Ecdsa', 'sha512Ecdsa']],
        ['p256', ['sha1Ecdsa', 'sha256Ecdsa', 'sha384Ecdsa', 'sha512Ecdsa']],
        ['p384', ['sha384Ecdsa']],
        ['p521', ['sha512Ecdsa']],
        [
          'rsa',
          [
            'md5Rsa',
            'sha1Rsa',
            'oldSha1Rsa',
            'sha256Rsa',
            'sha384Rsa',
            'sha512Rsa',
            'pss256',
            'pss384',
            'pss512',
            'pssOddSalt',
            'unknown',
          ],
        ],
        ['shortRsa', ['sha256Rsa']],
        ['tooShortRsa', ['sha256Rsa']],
        ['rsaOf3', ['sha256Rsa']],
        ['pss', ['pss256']],
        ['ed25519', ['ed25519', 'ed25519WithNull']],
        ['dsa', ['sha1Dsa', 'sha256Dsa']],
      ];
      const signed = byKey.flatMap(([key, names]) =>
        names.flatMap((signing) => {
          const top = issue({ name: 'root', key, signing, with: [authority] });
          const good = issue({ name: 'leaf', by: top, signing, with: [] });
          return [
            [top, good],
            // By another key of the same name, by what is no signature, and by one of another algorithm.
            [issue({ name: 'root', key: key === 'p256' ? 'rsa' : 'p256', with: [authority] }), good],
            [top, issue({ name: 'leaf', by: top, signing, signature: bitString(Buffer.of(1, 2, 3)) })],
            [top, issue({ name: 'leaf', by: top, signing, algorithm: signings.sha256Ecdsa.identifier })],
          ];
        }),
      );
      const { yes, no } = await answers(signed.map((certificates) => isVerified(certificates)));
      expect(yes).toBeGreaterThan(10);
      expect(no).toBeGreaterThan(40);
    },
    opaMs,
  );

  it(
    'takes the authorities that OPA takes',
    async () => {
      const constraints = (...parts: readonly Buffer[]): Buffer => extension('2.5.29.19', sequence(...parts), true);
      const usages = ['00', '04', '80', '84', '06'].map((bits) =>
        extension('2.5.29.15', bitString(Buffer.from(bits, 'hex'))),
      );
      const lists: readonly (readonly Buffer[])[] = [
        [],
        [constraints()],
        [constraints(boolean(false))],
        ...[-1, 0, 1, 2, 2n ** 62n].map((length) => [constraints(boolean(true), integer(length))]),
        ...usages.map((usage) => [authority, usage]),
        [authority, extension('1.2.3', none, true)],
        [authority, extension('1.2.3', none)],
        [authority, extension('2.5.29.17', sequence(tagged(0x80)), true)],
      ];
      const first = { version: none, with: undefined };
      const changes: readonly Partial<Issue>[] = [
        ...lists.map((list) => ({ with: list })),
        first,
        { with: undefined },
        { subject: sequence() },
        { issuer: root.subject },
        { validity: sequence(generalizedTime('20000101000000Z'), generalizedTime('20010101000000Z')) },
        { validity: sequence(generalizedTime('20900101000000Z'), generalizedTime('20910101000000Z')) },
        { validity: sequence(generalizedTime('20910101000000Z'), generalizedTime('20000101000000Z')) },
      ];
      const chains = changes.flatMap((change) => places.map((place) => chain({ [place]: change })));
      const deep = [0, 1, 2, 3].map((length) => {
        const top = issue({ name: 'root', with: [constraints(boolean(true), integer(length))] });
        const a = issue({ name: 'a', by: top, with: [authority] });
        const b = issue({ name: 'b', by: a, with: [authority] });
        return [top, a, b, issue({ name: 'leaf', by: b })];
      });
      const { yes, no } = await answers([...chains, ...deep].map((certificates) => isVerified(certificates)));
      expect(yes).toBeGreaterThan(10);
      expect(no).toBeGreaterThan(20);
    },
    opaMs,
  );

  it(
    'chooses among authorities of one name as OPA does, and gives up where OPA does',
    async () => {
      const id = (text: string): Buffer => extension('2.5.29.14', octets(Buffer.from(text)));
      const wanted = (text: string): Buffer => extension('2.5.29.35', sequence(tagged(0x80, Buffer.from(text))));
      const names = (text: string): Buffer => extension('2.5.29.17', sequence(tagged(0x82, Buffer.from(text))));
      const ids = [[], [id('a')], [id('b')]];
      const pools = ids.flatMap((one, first) =>
        ids.map((two, second) => [
          issue({ name: 'middle', by: root, serial: integer(first), with: [authority, ...one] }),
          issue({ name: 'middle', by: root, serial: integer(10 + second), with: [authority, ...two] }),
        ]),
      );
      const choices = pools.flatMap(([a, b]) =>
        [[], [wanted('a')]].map((list) => {
          if (a === undefined || b === undefined) throw new Error('no pool');
          return [root, a, b, issue({ name: 'leaf', by: a, with: list })];
        }),
      );
      // Each has signed all others, which is a way of its own through each of their orders.
      const loop = (size: number, ...more: readonly Authority[]): readonly Authority[] => {
        const itself = issue({ name: 'loop', with: [authority] });
        const members = Array.from({ length: size }, (_, index) =>
          issue({ name: 'loop', by: itself, with: [authority, names(`n${index}`)] }),
        );
        return [root, ...members, ...more, issue({ name: 'leaf', by: itself })];
      };
      const out = issue({ name: 'loop', by: root, with: [authority, names('out')] });
      const twice = issue({ name: 'twice', by: root, with: [authority, names('a')] });
      const again = issue({ name: 'twice', by: twice, with: [authority, names('b')] });
      const same = issue({ name: 'twice', by: twice, with: [authority, names('a')] });
      const counts = await agree(
        [
          ...choices,
          ...[1, 2, 3, 4, 5, 6].flatMap((size) => [loop(size), loop(size, out)]),
          ...[[again], [same], [same, again], [twice, same], [twice, twice]].map((list) => [
            root,
            ...list,
            twice,
            issue({ name: 'leaf', by: again }),
          ]),
        ].map((certificates) => verified(...certificates)),
      );
      expect(counts.defined).toBeGreaterThan(30);
    },
    opaMs,
  );

  it(
    'holds every certificate to what it may be used for, as OPA does',
    async () => {
      const usages = ['2.5.29.37.0', '1.3.6.1.5.5.7.3.1', '1.3.6.1.5.5.7.3.2', '1.2.3'];
      const usage = (...ids: readonly string[]): readonly Buffer[] =>
        ids.length === 0 ? [] : [extension('2.5.29.37', sequence(...ids.map(oid)))];
      const [any = '', server = '', client = '', unknown = ''] = usages;
      const lists = [
        usage(),
        usage(any),
        usage(server),
        usage(client),
        usage(server, client),
        usage(unknown),
        usage(client, unknown),
      ];
      const wishes = [
        [],
        ['KeyUsageAny'],
        ['KeyUsageServerAuth'],
        ['KeyUsageClientAuth'],
        ['KeyUsageServerAuth', 'KeyUsageClientAuth'],
        ['KeyUsageCodeSigning'],
      ];
      const expressions = lists.flatMap((above) =>
        lists.flatMap((below) => {
          const certificates = chain({ middle: { with: [authority, ...above] }, leaf: { with: below } });
          return wishes.map((KeyUsages) => isVerified(certificates, { KeyUsages }));
        }),
      );
      const { yes, no } = await answers(expressions);
      expect(yes).toBeGreaterThan(50);
      expect(no).toBeGreaterThan(50);
    },
    opaMs,
  );

  it(
    'takes the options that OPA takes, and means the same by them',
    async () => {
      const values = [
        '',
        '""',
        'x',
        '"x"',
        'KeyUsageAny',
        0,
        1,
        -1,
        1.5,
        1e19,
        1.7e18,
        null,
        true,
        [],
        ['KeyUsageAny'],
        ['KeyUsageNone'],
        [1],
        {},
        new Set(['KeyUsageAny']),
        new Set(['x']),
        new Set([1]),
      ];
      const names = ['DNSName', 'CurrentTime', 'MaxConstraintComparisons', 'KeyUsages', 'Roots', ''];
      const text = textOf([root, middle]);
      const options = [
        ...names.flatMap((name) => values.map((value) => `{${term(name)}: ${term(value)}}`)),
        ...values.map((value) => term(value)),
        '{1: 2}',
        '{["a"]: 2}',
        '{"DNSName": "x", 1: 2}',
        '{}',
      ];
      const usageNames =
        'Any ServerAuth ClientAuth CodeSigning EmailProtection IPSECEndSystem IPSECTunnel IPSECUser TimeStamping OCSPSigning MicrosoftServerGatedCrypto NetscapeServerGatedCrypto MicrosoftCommercialCodeSigning MicrosoftKernelCodeSigning'.split(
          ' ',
        );
      const times = [
        '1999-12-31T23:59:59.999999999Z',
        '2000-01-01T00:00:00Z',
        '2000-01-01T00:00:01Z',
        '2100-01-01T00:00:00Z',
        '2100-01-01T00:00:00.000000001Z',
        '1970-01-01T00:00:00Z',
      ];
      const counts = await agree([
        ...options.map((given) => `${withOptions}(${term(text)}, object.get({"x": ${given}}, "x", null))`),
        ...usageNames.map((name) => call(withOptions, text, { KeyUsages: [`KeyUsage${name}`] })),
        ...times.map((time) => `${withOptions}(${term(text)}, {"CurrentTime": time.parse_rfc3339_ns(${term(time)})})`),
        call(withOptions, 'x', { CurrentTime: 'x' }),
        call(withOptions, textOf([root]), { CurrentTime: 'x' }),
        `${withOptions}(object.get({"x": 1}, "x", null), {})`,
      ]);
      expect(counts.defined).toBeGreaterThan(40);
      expect(counts.undefined).toBeGreaterThan(30);
    },
    opaMs,
  );

  it(
    'finds a host among the names that OPA finds it among',
    async () => {
      const name = (text: string): Buffer => tagged(0x82, Buffer.from(text, 'latin1'));
      const ip = (text: string): Buffer => tagged(0x87, Buffer.from(text, 'hex'));
      const patterns = [
        'a.example',
        'A.Example',
        '*.example',
        '*.a.example',
        'a.*.example',
        '*',
        '*.',
        '.',
        '',
        'a_b.example',
        '-a.example',
        'a.example.',
        'b*.example',
        '127.0.0.1',
        'a b',
        '[::1]',
      ];
      const hosts = [
        'a.example',
        'A.EXAMPLE',
        'a.example.',
        'b.a.example',
        'example',
        '*.example',
        '',
        '.',
        '*',
        'a_b.example',
        '-a.example',
        'b*.example',
        'a..example',
        '127.0.0.1',
        '[127.0.0.1]',
        '::1',
        '[::1]',
        '[]',
        '0.0.0.0',
        '::ffff:127.0.0.1',
        'a b',
        'é.example',
        '"a.example"',
        '[::1',
      ];
      const lists = [
        ...patterns.map((text) => [name(text)]),
        [ip('7f000001')],
        [ip(`${'00'.repeat(15)}01`)],
        [ip(`${'00'.repeat(10)}ffff7f000001`)],
        [name('b'), name('a.example'), ip('00000000')],
        [],
      ];
      const leaves = [
        ...lists.map((list) =>
          issue({ name: 'a.example', by: root, with: [extension('2.5.29.17', sequence(...list))] }),
        ),
        issue({ name: 'a.example', by: root, with: [] }),
      ];
      const { yes, no } = await answers(
        leaves.flatMap((one) => hosts.map((DNSName) => isVerified([root, one], { DNSName }))),
      );
      expect(yes).toBeGreaterThan(30);
      expect(no).toBeGreaterThan(200);
    },
    opaMs,
  );

  it(
    'holds names to the constraints that OPA holds them to',
    async () => {
      const general = (number: number, text: string): Buffer => tagged(0x80 | number, Buffer.from(text, 'latin1'));
      const address = (text: string): Buffer => tagged(0x87, Buffer.from(text, 'hex'));
      const names = [
        ...[
          'a.example',
          'A.EXAMPLE',
          'b.a.example',
          'xa.example',
          '*.example',
          '*.a.example',
          '*',
          'example',
          'a..example',
          'a.example.',
          '',
        ].map((text) => general(2, text)),
        ...[
          'u@a.example',
          'U@a.example',
          'u@A.example',
          'u@b.a.example',
          '"u"@a.example',
          '"u v"@a.example',
          'u\\ v@a.example',
          '"u\\"v"@a.example',
          '"u',
          '"\x01\t"@a',
          'u..v@a',
          '.u@a',
          'u@',
          '@a.example',
          'u',
          'u@a b',
          'u@a..b',
          'u v@a',
        ].map((text) => general(1, text)),
        ...[
          'https://a.example/',
          'https://A.example:80/',
          'https://b.a.example',
          'https://127.0.0.1/',
          'https://[::1]/',
          'https://[::1]:80/',
          'urn:x',
          'https://u@a.example/',
          'https://a.example:/',
          '//a.example',
        ].map((text) => general(6, text)),
        ...['0a000001', '0b000001', `${'00'.repeat(15)}01`, `${'00'.repeat(10)}ffff0a000001`].map(address),
        general(0, 'x'),
      ];
      const subtrees = [
        ...['a.example', '.a.example', '', 'example', '*.example', 'A.example', 'a'].map((text) => general(2, text)),
        ...['a.example', '.a.example', '', 'u@a.example', 'u@A.EXAMPLE', '"u v"@a.example', 'x@y'].map((text) =>
          general(1, text),
        ),
        ...['a.example', '.a.example', '', 'A.example'].map((text) => general(6, text)),
        ...[
          '0a000000ff000000',
          '0a000001ffffffff',
          '0000000000000000',
          '00'.repeat(32),
          `${'00'.repeat(12)}0a000000${'ff'.repeat(12)}ff000000`,
          `${'00'.repeat(15)}01${'ff'.repeat(16)}`,
        ].map(address),
      ];
      const constraints = (...parts: readonly Buffer[]): Buffer => extension('2.5.29.30', sequence(...parts), true);
      const permits = (...list: readonly Buffer[]): Buffer => tagged(0xa0, ...list.map((one) => sequence(one)));
      const excludes = (...list: readonly Buffer[]): Buffer => tagged(0xa1, ...list.map((one) => sequence(one)));
      const all = [
        ...subtrees.flatMap((one) => [constraints(permits(one)), constraints(excludes(one))]),
        constraints(permits(general(2, 'example'), general(1, 'example')), excludes(general(2, 'a.example'))),
        constraints(permits(general(0, 'x'))),
        constraints(permits(general(2, 'b'), general(2, 'a.example'))),
      ];
      const tops = all.map((one) => issue({ name: 'root', with: [authority, one] }));
      const expressions = tops.flatMap((top) =>
        names.map((one) =>
          isVerified([top, issue({ name: 'leaf', by: top, with: [extension('2.5.29.17', sequence(one))] })]),
        ),
      );
      // Where the names are the authority's own, or the constraints those of one below, or of the leaf itself.
      const dns = extension('2.5.29.17', sequence(general(2, 'a.example')));
      const not = constraints(excludes(general(2, 'a.example')));
      const elsewhere = places.flatMap((place) =>
        places.map((named) => {
          const lists = { root: [authority], middle: [authority], leaf: [] as Buffer[] };
          lists[place].push(not);
          lists[named].push(dns);
          return isVerified(
            chain({ root: { with: lists.root }, middle: { with: lists.middle }, leaf: { with: lists.leaf } }),
          );
        }),
      );
      const { yes, no } = await answers([
        ...expressions,
        ...elsewhere,
        isVerified(chain({ root: { with: [authority, not] } })),
      ]);
      expect(yes).toBeGreaterThan(500);
      expect(no).toBeGreaterThan(300);
    },
    opaMs,
  );

  it(
    'holds chains to the policies that OPA holds them to',
    async () => {
      const policy = (id: string): Buffer => oid(id === 'any' ? '2.5.29.32.0' : `1.2.3.${id}`);
      const id = fc.constantFrom('1', '2', '3', 'any');
      const policies = fc
        .uniqueArray(id, { maxLength: 3 })
        .map((ids) =>
          ids.length === 0 ? [] : [extension('2.5.29.32', sequence(...ids.map((one) => sequence(policy(one)))))],
        );
      const mapped = fc.constantFrom('1', '2', '3', '1', '2', '3', 'any');
      const mappings = fc
        .array(fc.tuple(mapped, mapped), { maxLength: 2 })
        .map((list) =>
          list.length === 0
            ? []
            : [extension('2.5.29.33', sequence(...list.map(([a, b]) => sequence(policy(a), policy(b)))))],
        );
      const count = fc.constantFrom(undefined, undefined, 0, 1, 2, -1);
      const tagOf = (number: number, value: number | undefined): readonly Buffer[] =>
        value === undefined ? [] : [tagged(0x80 | number, integer(value).subarray(2))];
      const constraints = fc
        .tuple(count, count, count)
        .map(([explicit, mapping, any]) => [
          ...(explicit === undefined && mapping === undefined
            ? []
            : [extension('2.5.29.36', sequence(...tagOf(0, explicit), ...tagOf(1, mapping)))]),
          ...(any === undefined ? [] : [extension('2.5.29.54', integer(any))]),
        ]);
      const list = fc.tuple(policies, mappings, constraints).map((parts) => parts.flat());
      const certificates = fc
        .tuple(fc.constantFrom(0, 0, 1), list, list, list, list)
        .map(([explicit, forRoot, first, second, last]) => {
          const needed = extension('2.5.29.36', sequence(...tagOf(0, explicit)));
          const top = issue({
            name: 'root',
            with: [authority, ...forRoot.filter((one) => !one.includes(needed.subarray(2, 7))), needed],
          });
          const a = issue({ name: 'a', by: top, with: [authority, ...first] });
          // Sometimes issued by itself, which is not counted.
          const b = issue({ name: explicit === 1 ? 'a' : 'b', by: a, key: 'p384', with: [authority, ...second] });
          return [top, a, b, issue({ name: 'leaf', by: b, with: last })];
        });
      const { yes, no } = await answers(
        fc.sample(certificates, { seed: 7, numRuns: 1_000 }).map((one) => isVerified(one)),
      );
      expect(yes).toBeGreaterThan(50);
      expect(no).toBeGreaterThan(50);
    },
    opaMs,
  );
});
