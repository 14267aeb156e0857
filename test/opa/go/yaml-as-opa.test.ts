import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson, type JsonValue } from '../../../src/domain/json-value.ts';
import { readYaml } from '../../../src/opa/go/yaml-read.ts';
import { YamlError } from '../../../src/opa/go/yaml-scalar.ts';
import { writeJson } from '../../../src/opa/values/write-value.ts';
import { opaMs, realOpa } from '../../support/opa.ts';

const seed = Number(process.env['YAML_SEED'] ?? 20_261_123);
const textsEach = Number(process.env['YAML_TEXTS'] ?? 3_000);

/** What YAML's readers disagree on: indicators at odd places, tabs, breaks, anchors, tags, directives. */
const pieces = [
  ...[
    'a',
    'b',
    'k: v',
    'k: [1, 2]',
    '- 1\n',
    'a: 1\n',
    '1',
    '01',
    '-',
    '.5',
    'null',
    '~',
    'true',
    'é',
    '𝄞',
    '2001-01-01',
  ],
  ...[': ', ':', '- ', '? ', '?', ',', ', ', '[', ']', '{', '}', '|', '|\n', '>', '>-\n ', '|2\n', '|+1\n'],
  ...[
    '&',
    '&a ',
    '&=; ',
    '*a',
    '* a',
    '!',
    '! ',
    '!!str ',
    '!!int ',
    '!!binary ',
    '!a!b ',
    '!<x> ',
    '!%41 ',
    '<<',
    '<<: ',
  ],
  ...['\n', '\n  ', '\n ', '\n\t', '\t', ' ', '  ', '\r\n', '\r', '\u0085', '\u2028', '\ufeff', '#', ' # c', '\n# c\n'],
  ...[
    '"',
    "'",
    '"x"',
    "'y'",
    '\\',
    '\\n',
    '\\x41',
    '\\/',
    '"\\',
    '@',
    '`',
    '%',
    '=',
    ';',
    '---',
    '---\n',
    '...',
    '...\n',
  ],
  ...['%YAML 1.1\n', '%YAML 1.2\n', '%TAG !a! b:\n', '%X\n'],
];
/** Two byte order marks, behind which go-yaml drops the first character of each line: refused here. */
const isMarkedTwice = (text: string): boolean => text.startsWith('\ufeff\ufeff');
const odd = fc.array(fc.constantFrom(...pieces), { minLength: 1, maxLength: 9 }).map((parts) => parts.join(''));

/** Lines of documents as people write them, some of them indented wrongly. */
const lines = [
  ...[
    'a: 1',
    'b: "x: y"',
    "c: 'it''s'",
    '- 1',
    '- a: b',
    'd:',
    'd: &x',
    'e: *x',
    '<<: *x',
    '<<: [*x, *x]',
    'f: |',
    'g: >-',
    'text',
  ],
  ...[
    'k: {a: 1, b: [2, 3]}',
    'k: [',
    ']',
    '? q',
    ': r',
    '# c',
    '---',
    '...',
    '!!map',
    'n: 0x1F',
    'o: 0o17',
    'p: 1_000',
    'q: .inf',
  ],
  ...[
    'r: !!float 1',
    's: 1e3',
    't: ~',
    'u: yes',
    'v: "a\\',
    '"',
    'w: a #b',
    'x: a#b',
    '- - - 1',
    '-',
    'a : b',
    `${'l'.repeat(1_030)}: 1`,
  ],
  ...[
    '"q": 1',
    '{a: 1}: 2',
    '1.50: x',
    'true: y',
    '!!str 1: z',
    '- &y [a]',
    '- *y',
    '&z a: 1',
    '*z : 2',
    '!!binary aGk=',
    '- !!set {a}',
  ],
];
const indented = fc
  .array(fc.tuple(fc.constantFrom('', '', '', '  ', '  ', '    ', ' ', '\t', '  \t'), fc.constantFrom(...lines)), {
    minLength: 1,
    maxLength: 7,
  })
  .map((parts) => parts.map(([indentation, line]) => `${indentation}${line}`).join('\n'));

const uncharged = (): void => undefined;

function ours(text: string): string {
  try {
    return canonicalJson(JSON.parse(writeJson(readYaml(text, uncharged))) as JsonValue);
  } catch (cause) {
    if (!(cause instanceof YamlError)) throw cause;
    return 'refused';
  }
}

describe('yaml.unmarshal and yaml.is_valid', () => {
  it.each([
    ['a tab on a last line', 'a: 1\n\t'],
    ['an anchor of other characters', 'a: &=; 1'],
    ['a tab that violates indentation', 'a: b\n\tc'],
    ['an escape of JSON alone', '"\\/"'],
    ['an indentation that no indicator says', '|\n-'],
  ])('refuse what another reader forgives: %s', (_, text) => {
    expect(() => readYaml(text, uncharged)).toThrow(YamlError);
  });

  it.each([
    ['odd pieces', odd],
    ['lines', indented],
  ])(
    'read what OPA reads, refuse what it refuses: %s',
    async (_, texts) => {
      const asked = [...new Set(fc.sample(texts, { numRuns: textsEach, seed }))].filter((text) => !isMarkedTwice(text));
      const directory = await mkdtemp(join(tmpdir(), 'postern-yaml-'));
      try {
        const file = join(directory, 'texts.json');
        await writeFile(file, JSON.stringify({ texts: asked }));
        const query = '[[yaml.is_valid(text), [value | value := yaml.unmarshal(text)]] | some text in data.texts]';
        const { path } = await realOpa();
        const args = ['eval', '--format', 'raw', '--data', file, query];
        const { stdout } = await promisify(execFile)(path, args, { maxBuffer: 2 ** 28 });
        const answers = JSON.parse(stdout) as readonly (readonly [boolean, readonly JsonValue[]])[];
        const differing = asked.flatMap((text, index) => {
          const [isValid, [value]] = answers[index] ?? [false, []];
          const theirs = isValid && value !== undefined ? canonicalJson(value) : 'refused';
          return ours(text) === theirs ? [] : [{ text, ours: ours(text), theirs }];
        });
        expect(differing.slice(0, 10)).toEqual([]);
        const refused = answers.filter(([isValid]) => !isValid).length;
        // Neither all rubbish nor all sound: the comparison is of both.
        expect(Math.min(refused, asked.length - refused)).toBeGreaterThan(100);
      } finally {
        await rm(directory, { recursive: true });
      }
    },
    opaMs,
  );
});
