import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, type Call, callsAgainstOpa } from './against-opa.ts';

function texts(tokens: readonly string[], numRuns: number, maxLength: number, seed = 1): readonly string[] {
  const drawn = fc.sample(fc.array(fc.constantFrom(...tokens), { maxLength }), { seed, numRuns });
  return [...new Set(drawn.map((some) => some.join('')))];
}

describe('uri.parse and uri.is_valid', () => {
  it(
    'read every form of a reference as OPA does',
    async () => {
      const schemes = ['', 'http:', 'HTTPS:', 'file:', 'mailto:', 'postgres:', '1a:', 'a+b-c.9:', ':', 'ä:', 'a_b:'];
      const authorities =
        '|//|///|//h|//h:80|//h:|//h:x|//u@h|//u:p@h|//u:p:q@h:1|//u%40:%41@h|//u%4@h|//u@v@h|//[::1]|//[::1]:80|//[::1]x|//[::1%25eth0]|//[fe80::1%25%65n]|//[::1%25%00]|//[::1%]|//[1.2.3.4]|//[v1.x]|//[|//a[::1]|//a]|//h%41|//h%e4%80|//h%25|//h%zz|//ä.de|//h h|//h<>"|//h{|//h:1:2|//[::1]:1:2|//u^@h|//@|//[::ffff:1.2.3.4]|//[%3a:1]|//[::1%25 ]|//[::1%25%20]|//[::1%25]|//h\\'.split(
          '|',
        );
      const paths = [
        '',
        '/',
        '/a/b',
        '/a%2Fb',
        '/a b',
        '/%',
        '/%zz',
        '/ä',
        '/%c3%a4',
        '/a:b',
        'a:b',
        'a/b:c',
        '*',
        '/*',
        '/a"\\^`{}',
        '/%ff',
        "/!'()[]",
        '/\u0007',
        '/a//',
        'p',
      ];
      const tails = [
        '',
        '?',
        '?q=1',
        '?q?r',
        '??',
        '#',
        '#f',
        '#f%20g',
        '#%',
        '#f#g',
        '?q#f',
        '?%zz',
        '#ä',
        '#%c3%a4',
        '?\u007f',
        '#\u0080',
        '#!\'"',
      ];
      const crossed = schemes.flatMap((scheme) =>
        authorities.flatMap((authority) => paths.map((path) => scheme + authority + path)),
      );
      const references = [
        ...crossed,
        ...tails.flatMap((tail) => ['http://h/p', 'a', 'mailto:x', '', '//h', '*'].map((head) => head + tail)),
      ];
      const { differences, defined, ...rest } = await callsAgainstOpa(
        references.flatMap((text): Call[] => [
          ['uri.parse', text],
          ['uri.is_valid', text],
        ]),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(5_000);
      expect(rest.undefined).toBeGreaterThan(2_000);
    },
    opaMs,
  );

  it(
    'read any run of characters as OPA does',
    async () => {
      const tokens = [
        ...'ab:/?#[]@%4125.!$&\'()*+,;= <>"\\^`{|}~-_äZ',
        '::1',
        '%25',
        '%41',
        '%ff',
        '//',
        'http://',
        '\t',
        '\u0000',
      ];
      const references = [...texts(tokens, 4_000, 8), ...texts(tokens, 3_000, 6, 2).map((text) => `x://${text}`)];
      const { differences, defined, ...rest } = await callsAgainstOpa(
        references.flatMap((text): Call[] => [
          ['uri.parse', text],
          ['urlquery.decode_object', text],
        ]),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(2_000);
      expect(rest.undefined).toBeGreaterThan(2_000);
    },
    opaMs,
  );
});

describe('yaml.marshal', () => {
  it(
    'quotes texts, breaks lines and orders keys as OPA does',
    async () => {
      const words =
        '|~|null|Null|true|True|yes|Y|n|off|.nan|.inf|-.Inf|+.inf|.5|.5e3|.5_0|.5__0|.5_|._5|.1e1_0|.1e_1|1|-1|+1|1_000|0x1F|0b11|0o17|017|08|1.5|1e3|1.e3|12:30|1:2:3.5|190:20:30|2024-02-29|2023-02-29|2024-2-9|2024-13-01|2001-12-14t21:59:43.10-05:00|2001-12-14 21:59:43|2001-12-14 21:59:43.1 Z|2001-12-14T1:2:3|2001-12-14T1:2:61Z|18446744073709551616|18446744073709551615|-9223372036854775809|-9223372036854775808|+9223372036854775808|0x|_1|-|--|---|---x|...|?|? a|?a|:|: a|:a|a:|a: b|a:b|- a|-a|#|a #b|a#b|&a|*a|!a|%a|@a|`a|"|a"b|\'|a\'b|,|[|{|]|}|>|=|<<|a\\b| a|a |1e400|-0|0.0|+.5|1__0|0X1|0B1|0O7'.split(
          '|',
        );
      const strange = [
        'a\nb',
        'a\n',
        '\n',
        '\na',
        'a\n\n',
        ' a\nb',
        'a \nb',
        'a\n b',
        'a\r\nb',
        'a\rb',
        'a\tb',
        '\t',
        'a\n\tb',
        'a\u0085b',
        ' \u0085 ',
        'a\u2028b',
        'a\u2028',
        'a\u2028\u2029b',
        'a\u2028 b',
        'a\u2028\nb',
        '\u00a0',
        'é',
        '\ufeff',
        'a\ufeffb',
        '\u{1f600}',
        '\u0007',
        '\u007f',
        '\u0080',
        '\ufffe',
        'x'.repeat(200),
        `${'word '.repeat(40)}end`,
        'a\u2029#b',
        'e\u0000',
        '\u001b',
        'a\n\u2028',
        "it's\u2028x",
        '\u2028',
        'k\u0085',
      ];
      const tokens = [
        'a',
        ' ',
        '\n',
        '\t',
        ':',
        '#',
        '-',
        '?',
        "'",
        '"',
        '\\',
        '\u2028',
        '\u0085',
        'é',
        '\ufeff',
        '1',
        '.',
        '\u{1f600}',
        '\r',
        '!',
        '%',
        '{',
        ',',
      ];
      const all = [...words, ...strange, ...texts(tokens, 2_500, 6)];
      const numbers = [0, -1, 1.5, 1e21, 1e-7, 123456789.125, -0.1, 1e100, 5e-324, 100000000000000000000];
      const calls = [
        ...all.flatMap((text): Call[] => [
          ['yaml.marshal', text],
          ['yaml.marshal', [text, { k: text, l: [text, [text]] }]],
          ['yaml.marshal', { [text]: 1, a: { [text]: [text] } }],
          ['yaml.marshal', { [`${text}x`]: [{}, [], { [text]: {} }] }],
        ]),
        ...[...numbers, true, false, null, [], {}, [[]], [{}], { a: [] }, [[[1, [2]], 3], { a: { b: [] } }]].map(
          (value): Call => ['yaml.marshal', value],
        ),
        ...numbers.map((value): Call => ['yaml.marshal', { [value]: [value] }]),
      ];
      const { differences, defined, ...rest } = await callsAgainstOpa(calls);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(5_000);
      expect(rest.undefined).toBeGreaterThan(100);
    },
    opaMs,
  );

  it(
    'puts keys in the natural order that OPA has',
    async () => {
      const tokens = ['a', 'b', 'A', 'é', '1', '2', '10', '0', '00', '٣', '_', '-', '.', ' ', '\u{1f600}', 'Z', '999'];
      const keys = texts(tokens, 1_500, 5);
      const objects = fc
        .sample(fc.uniqueArray(fc.constantFrom(...keys), { minLength: 2, maxLength: 8 }), { seed: 5, numRuns: 1_500 })
        .map((some) => Object.fromEntries(some.map((key) => [key, 0])));
      // Past 64 bits the order is none, and more than two keys have no place of their own.
      const pairs = texts([...tokens, '99999999999999999999'], 1_500, 4, 6).map((key, at, all) => ({
        [key]: 0,
        [all.at(-at) ?? '']: 1,
      }));
      const sets = [
        '{1, "a", null}',
        '{{1: 2}, [3], {4}}',
        '{"k": {3, 2, 1}, 4: set(), [1, "x"]: 5, null: 6, true: {}}',
        '{1.5: 1e3, 1e2: 1.0}',
      ];
      const { differences, defined } = await callsAgainstOpa(
        [...objects, ...pairs].map((value) => ['yaml.marshal', value] as const),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(2_000);
      const others = await againstOpa(sets.map((value) => `yaml.marshal(${value})`));
      expect(others).toMatchObject({ defined: sets.length, undefined: 0, differences: [] });
    },
    opaMs,
  );
});

describe('an e-mail address in a JSON schema', () => {
  it(
    'is one where it is one in OPA',
    async () => {
      const schema = { properties: { a: { format: 'email' } } };
      const tokens = [
        'a',
        'b.c',
        '.',
        '@',
        '<',
        '>',
        '"',
        '\\',
        '(',
        ')',
        ' ',
        '\t',
        ',',
        ':',
        ';',
        '[',
        ']',
        '127.0.0.1',
        '::1',
        'é',
        '\n',
        '😀',
        '=?utf-8?q?x?=',
        '=?latin9?q?x?=',
        '=?latin9?b?eA==?=',
        '=?latin9?b?e?=',
        '=?latin9?x?e?=',
        '=?x?q?=zz?=',
      ];
      const written = [
        'a@b',
        'a@b.c',
        'A <a@b>',
        '"A B" <a@b>',
        '"A\\"" <a@b>',
        '<a@b>',
        'a@b (c)',
        'a@b (c (d))',
        'a@b (c',
        'g: a@b;',
        'g: a@b, c@d;',
        'g:;',
        'g: A <a@b> (x);',
        'a@[1.2.3.4]',
        'a@[x]',
        'a@[1',
        '"a b"@c',
        '""@c',
        'a..b@c',
        '.a@b',
        'a.@b',
        'a@.b',
        'A (x) <a@b>',
        '(x) a@b',
        'A <a@b> (x)',
        'A. B. <a@b>',
        '"a\\',
        'a @ b',
        'a@b c',
        'g: (x) a@b (y) ; (z)',
        'g: a@b',
        'g: g: a@b;;',
        'a@b,',
        'é@é',
        'a@b (\\))',
        'a@b (=?latin9?q?x?=)',
        '"\n"@b',
        '"\\\n"@b',
      ];
      const all = [
        ...written,
        ...texts(tokens, 6_000, 6),
        ...texts(tokens, 3_000, 3, 2).flatMap((text) => [`${text}<a@b>`, `a@b${text}`, `g:a@b${text};`]),
      ];
      const { differences, defined } = await callsAgainstOpa(
        all.map((a) => ['json.match_schema', { a }, schema] as const),
      );
      expect(differences).toEqual([]);
      expect(defined).toBe(all.length);
    },
    opaMs,
  );
});
