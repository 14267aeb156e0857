import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { opaMs } from '../../support/opa.ts';
import { type Call, callsAgainstOpa } from './against-opa.ts';

function drawn(tokens: readonly string[], numRuns: number, maxLength: number, seed: number): readonly string[] {
  return fc.sample(fc.array(fc.constantFrom(...tokens), { maxLength }), { seed, numRuns }).map((some) => some.join(''));
}

const syntax =
  'a b ab é 😀 . ^ $ * + ? *? +? ( ) (?: (?P<n> (?<m> (?i) (?s) (?m) (?U) | [ ] [^ a-c] [a-c] [^b] [[:alpha:]] \\d \\w \\b \\B \\A \\z \\Q \\E \\pL \\p{Greek} \\P{L} \\x{e9} \\x61 {2} {1,} {0,2} {1001} \\ \\1 \\n'.split(
    ' ',
  );
const texts = ['', 'a', 'ab', 'aab ba', 'abcabc', 'é', 'a😀b', 'A\nb\na', 'aaa.bbb', 'αβ', 'a b c', '\n', 'xaxbx'];
const braced = ['1', 'n', 'é', 'm'].map((name) => `<$\{${name}}x`);
const templates = ['', 'x', '$0', '$1', '$n', '$nx', '$$', '$', '${', '$1x', '<$0>', '$10', '$01', ...braced];

describe('regex', () => {
  it(
    'finds, splits and replaces by any pattern as OPA does',
    async () => {
      const patterns = ['', ...syntax, ...drawn(syntax, 1_500, 5, 1)];
      const calls = patterns.flatMap((pattern, at): Call[] => {
        const text = texts[at % texts.length] ?? '';
        return [
          ['regex.find_n', pattern, text, -1],
          ['regex.find_n', pattern, texts[(at + 5) % texts.length], at % 4],
          ['regex.split', pattern, text],
          ['regex.replace', text, pattern, templates[at % templates.length]],
          ['regex.replace', texts[(at + 3) % texts.length], pattern, templates[(at + 7) % templates.length]],
        ];
      });
      const named = ['(?P<n>a)(?<m>b)?', '(a)|(b)', '(?P<n>)', '((((((((((a))))))))))'];
      const crossed = named.flatMap((pattern) =>
        templates.flatMap((template) => texts.map((text): Call => ['regex.replace', text, pattern, template])),
      );
      const odd = [
        [1, 'a', 1],
        ['a', null, 1],
        ['a', 'a', 1.5],
        ['a', 'a', '1'],
      ].map((given): Call => ['regex.find_n', ...given]);
      const { differences, defined, ...rest } = await callsAgainstOpa([...calls, ...crossed, ...odd]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(3_000);
      expect(rest.undefined).toBeGreaterThan(1_000);
    },
    opaMs,
  );

  it(
    'reads long texts as OPA does',
    async () => {
      const long = 'ab cd '.repeat(4_000);
      const patterns = ['(a|b)+ c', '\\bcd\\b', 'x', '(?i)(A.*){3}$', '[^ ]+'];
      const calls = patterns.flatMap((pattern): Call[] => [
        ['regex.find_n', pattern, long, 3],
        ['regex.replace', long, pattern, '-'],
        ['regex.template_match', `a{${pattern}}`, long, '{', '}'],
      ]);
      const { differences, defined } = await callsAgainstOpa(calls);
      expect(differences).toEqual([]);
      expect(defined).toBe(calls.length);
    },
    opaMs,
  );

  it(
    'matches templates of patterns as OPA does',
    async () => {
      const pieces = ['{', '}', '{{', '}}', 'a', '.*', '[a-z]+', '(', ':', '.', 'é', '{a}', '{.*}', '{[0-9]{2}}', '|'];
      const templates = ['', 'urn:{.*}:b', ...drawn(pieces, 1_500, 5, 2)];
      const delimiters = [
        ['{', '}'],
        ['<', '>'],
        ['{', '{'],
        ['', '}'],
        ['{', 'ab'],
        ['é', '}'],
      ] as const;
      const calls = templates.flatMap((template, at) =>
        ['', 'a', 'urn:x:b', 'a.b', '{a}', '12', 'é'].map((text): Call => {
          const [start, end] = delimiters[at % 9] ?? ['{', '}'];
          return ['regex.template_match', template, text, start, end];
        }),
      );
      const { differences, defined, ...rest } = await callsAgainstOpa(calls);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(2_000);
      expect(rest.undefined).toBeGreaterThan(1_000);
    },
    opaMs,
  );

  it(
    'says which globs have a text in common as OPA does',
    async () => {
      const pieces = [
        'a',
        'b',
        '.',
        '*',
        '+',
        'a*',
        'b+',
        '.*',
        '.+',
        '[ab]',
        '[a-c]*',
        '[b-a]',
        '[-',
        ']',
        '[',
        '[a-]',
        '[]',
        '\\',
        '\\.',
        '\\[',
        '[\\]]+',
        '[a\\-b]',
        'é',
        '[a-c-e]',
        '[x--]',
      ];
      const globs = drawn(pieces, 3_000, 5, 3);
      const alike = drawn(pieces.slice(0, 11), 6_000, 5, 4);
      const pairs = [globs, alike].flatMap((some) =>
        some.slice(1).map((glob, at): Call => ['regex.globs_match', some[at], glob]),
      );
      const quoted = ['a*b', '{[?]}', '\\', 'é*', ''].map((text): Call => ['glob.quote_meta', text]);
      const { differences, defined, ...rest } = await callsAgainstOpa([...pairs, ...quoted]);
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(3_000);
      expect(rest.undefined).toBeGreaterThan(1_000);
    },
    opaMs,
  );
});
