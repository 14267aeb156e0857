import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { jsonTextOfYaml } from '../../../src/bundle/reading/read-yaml-text.ts';
import { BundleRefused } from '../../../src/domain/errors.ts';
import { canonicalJson, type JsonValue } from '../../../src/domain/json-value.ts';
import { opaMs, realOpa } from '../../support/opa.ts';

const scalars = [
  ...['a', 'on', 'yes', 'y', 'n', 'off', 'true', 'True', 'TRUE', 'false', 'null', 'Null', '~', '', '=', '<<'],
  ...['0', '-0', '1', '-1', '+1', '443', '010', '0o14', '0x10', '0b11', '08', '1_000', '007', '12:30', '1:2:3'],
  ...['1.0', '1.5', '1.10', '.5', '1.', '-0.5', '1e3', '1E3', '1e+3', '12e03', '1.5E+10', '1e400', '0.1', '1.23456789'],
  ...['9007199254740993', '18446744073709551615', '18446744073709551616', '123456789012345678901234567890'],
  ...['2026-11-02', '2026-11-02T10:00:00Z', '2026-13-02', '.inf', '-.inf', '.nan', '"010"', "'yes'", '"\\x41"', 'é'],
];

/** @returns undefined where it is refused */
function ours(text: string): JsonValue | undefined {
  try {
    return JSON.parse(jsonTextOfYaml(Buffer.from(text), 'data.yaml')) as JsonValue;
  } catch (cause) {
    if (cause instanceof BundleRefused) return undefined;
    throw cause;
  }
}

function refusalOf(text: string): string {
  try {
    return `taken: ${jsonTextOfYaml(Buffer.from(text), 'data.yaml')}`;
  } catch (cause) {
    return cause instanceof BundleRefused ? cause.message : String(cause);
  }
}

describe('B12 data in YAML', () => {
  it(
    'B12 is what OPA loads, keys and values, or is refused',
    async () => {
      const texts = scalars.flatMap((scalar) => [`k: ${scalar}\n`, `${scalar}: v\n`, `k: [${scalar}]\n`]);
      const taken = texts.flatMap((text) => {
        const value = ours(text);
        return value === undefined ? [] : [{ text, value }];
      });
      const directory = await mkdtemp(join(tmpdir(), 'yaml-'));
      try {
        for (const [index, { text }] of taken.entries()) {
          await mkdir(join(directory, `q${index}`));
          await writeFile(join(directory, `q${index}/data.yaml`), text);
        }
        const args = ['eval', '--format', 'raw', '--bundle', directory, 'data'];
        const { stdout } = await promisify(execFile)((await realOpa()).path, args);
        const theirs = JSON.parse(stdout) as Readonly<Record<string, JsonValue>>;
        const differing = taken.filter(
          ({ value }, index) => canonicalJson(value) !== canonicalJson(theirs[`q${index}`] ?? 'nothing'),
        );
        expect(differing).toEqual([]);
        // Neither all nor nothing is taken: the comparison is of something.
        expect([taken.length > 50, texts.length - taken.length > 50]).toEqual([true, true]);
      } finally {
        await rm(directory, { recursive: true });
      }
    },
    opaMs,
  );

  it.each(['010', '1.0', '0x10', '1_000', '1e3', '~', 'null', 'True', '18446744073709551616'])(
    'B12 is refused where OPA makes another key of the one that stands there: %s',
    (key) => {
      expect(refusalOf(`a: 1\n${key}: 2\n`)).toMatch(/^data\.yaml:2: .* put it in quotes/);
      expect(ours(`"${key}": 2\n`)).toEqual({ [key]: 2 });
    },
  );

  it.each(['443', '-1', '1.5', 'true', 'a b', 'yes'])(
    'B12 is taken with keys that are what stands there: %s',
    (key) => {
      expect(ours(`${key}: 1\n`)).toEqual({ [key]: 1 });
    },
  );

  it.each([
    ['a date', 'a: 1\nb: 2026-11-02\n', 2, 'put it in quotes'],
    ['a word that is true to some', 'a: yes it is\nb:\n  - no\n', 3, 'put it in quotes'],
    ['an infinity', '\na: .inf\n', 2, 'put it in quotes'],
    ['an integer past 64 bits, of which OPA makes a float', 'a: 18446744073709551616\n', 1, 'put it in quotes'],
    ['an alias', 'a: &x\n  k: 1\nb:\n  c: *x\n', 4, 'aliases are not read; write out what it stands for'],
    ['a merged alias', 'a: &x {k: 1}\nb:\n  <<: *x\n', 3, 'aliases are not read; write out what it stands for'],
    ['a key twice', 'a: 1\nb: 2\na: 3\n', 3, 'a key that its object has already'],
    ['a tag', 'a: 1\nb: !mine 1\n', 2, 'no YAML that is read here (TAG_RESOLVE_FAILED)'],
    ['a second document', 'a: 1\n---\nb: 2\n', 2, 'no YAML that is read here (MULTIPLE_DOCS)'],
  ])('B12 is refused with line and remedy, and without what stands there: %s', (_what, text, line, remedy) => {
    expect(refusalOf(text)).toContain(`data.yaml:${line}: `);
    expect(refusalOf(text)).toContain(remedy);
  });

  it('B12 of fifty thousand keys is read, and one of them that stands there twice found', () => {
    const many = Array.from({ length: 50_000 }, (_, index) => `k${index}: ${index}\n`).join('');
    expect(Object.keys(ours(many) ?? {})).toHaveLength(50_000);
    expect(refusalOf(`${many}k25000: 1\n`)).toContain('data.yaml:50001: a key that its object has already');
  }, 20_000);

  it.each([257, 1_000, 5_000, 20_000])('B12 is refused when it is %d levels deep, however it is written', (depth) => {
    for (const [open, close] of [
      ['[', ']'],
      ['{a: ', '}'],
      ['- ', ''],
    ] as const)
      expect(refusalOf(`${open.repeat(depth)}1${close.repeat(depth)}\n`)).toMatch(/^data\.yaml/);
  });

  it('B12 is refused where only OPA reads something else, or nothing', () => {
    for (const text of ['a: \u2028b\n', '<<: {a: 1}\n']) {
      expect(refusalOf(text)).toMatch(/^data\.yaml/);
      expect(refusalOf(text)).toContain('write JSON');
    }
  });
});
