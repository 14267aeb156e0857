import { readdirSync, readFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { citationsOf, commentsOf, isThere, proseOf } from './citations.ts';
import { root } from './terminal.ts';

/** Citations of files that are not there, each with the reason. */
const allowed: Readonly<Record<string, string>> = {
  'CONTRIBUTING.md: utils.ts': 'a name that is not wanted',
  'CONTRIBUTING.md: index.ts': 'a name that is not wanted',
};

const folders = ['src', 'docs', 'test', 'bench', 'deploy', 'rego', 'bundles', '.ci'];
const entries = folders.flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, withFileTypes: true }).map((entry) => ({
    path: relative(root, join(entry.parentPath, entry.name)),
    isFile: entry.isFile(),
  })),
);
const files = [
  ...readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name),
  ...entries.filter(({ isFile }) => isFile).map(({ path }) => path),
].sort();
const targets = [...textOf('Makefile').matchAll(/^([a-z][a-z -]*):(?!=)/gm)].flatMap(([, names = '']) =>
  names.split(' ').map((name) => `make ${name}`),
);
const paths: ReadonlySet<string> = new Set([...folders, ...files, ...entries.map(({ path }) => path), ...targets]);

function textOf(file: string): string {
  return readFileSync(join(root, file), 'utf8');
}

function wordsOf(file: string): string | undefined {
  return file.endsWith('.md') ? proseOf(textOf(file)) : commentsOf(basename(file), textOf(file));
}

describe('the reader of comments', () => {
  it('takes blocks, lines and what stands behind code, as one line', () => {
    const code = [
      '/** One',
      ' * two. */',
      "const url = 'http://three'; // four",
      '  // five',
      'const six = 2 * 3;',
      '/*',
      ' */',
    ].join('\n');
    expect(commentsOf('a.ts', code)).toBe('One two. */ four five');
    expect(commentsOf('Makefile', '# one\nall: two # three\n\techo four#five\n')).toBe('one three');
    expect(commentsOf('data.json', '{"a": "# no comment"}')).toBeUndefined();
  });

  it('leaves the fenced blocks of a page aside', () => {
    expect(proseOf('see `src/a.ts`\n\n```sh\ncat src/b.ts\n```\n\nand\n')).toBe('see `src/a.ts`\n\n\n\nand\n');
  });
});

describe('a citation', () => {
  it.each([
    ['a path', 'see src/a/b.ts, and bench/c.ts.', ['src/a/b.ts', 'bench/c.ts']],
    ['a folder', '`src/a/` … `test/b/`', ['src/a/', 'test/b/']],
    ['many files', 'test/cases/*.yaml', ['test/cases/*.yaml']],
    ['a file by its name', '(main.ts has it; see ../values/value.ts)', ['main.ts', '../values/value.ts']],
    ['a page', '[map](architecture.md#tree)', ['architecture.md']],
    [
      'a document that is elsewhere',
      'design section 5; Section 3 of the design',
      ['design section', 'Section 3 of the design'],
    ],
    ['a folder that is elsewhere', 'in ../shared/style.md, shared/cases', ['../shared/style.md', 'shared/cases']],
    ['a target of make', '`make soak` and `make test ONLY=x`, which make haste', ['make soak', 'make test']],
    ['none', 'https://example.org/docs/a.md, RFC 9470 section 3, fs/promises, a.tsx, @types/node/test/', []],
  ])('is read: %s', (_what, text, found) => {
    expect(citationsOf(text).toSorted()).toEqual([...new Set(found)].toSorted());
  });

  const there = new Set(['src', 'src/a', 'src/a/b.ts', 'docs/c.md', 'make test']);

  it.each(['src/', 'src/a', 'src/a/b.ts', 'b.ts', 'a/b.ts', '../a/b.ts', 'src/a/*.ts', 'c.md', 'make test'])(
    'leads to what is there: %s',
    (citation) => {
      expect(isThere(citation, there)).toBe(true);
    },
  );

  it.each([
    'src/b.ts',
    'src/a/b',
    'src/*.ts',
    'x.ts',
    'xb.ts',
    'ab.ts',
    'd.md',
    'docs/a/',
    'make all',
    'design section',
    'shared/b.ts',
  ])('leads nowhere: %s', (citation) => {
    expect(isThere(citation, there)).toBe(false);
  });
});

describe('the comments and pages of the repository', () => {
  const cited = files.flatMap((file) =>
    citationsOf(wordsOf(file) ?? '').map((citation) => ({ name: `${file}: ${citation}`, citation })),
  );

  it('are many', () => {
    expect(cited.length).toBeGreaterThan(200);
  });

  it('cite nothing that the repository does not have', () => {
    const nowhere = cited.filter(({ citation }) => !isThere(citation, paths)).map(({ name }) => name);
    expect(nowhere.filter((name) => !Object.hasOwn(allowed, name))).toEqual([]);
    expect(Object.keys(allowed).filter((name) => !nowhere.includes(name))).toEqual([]);
  });
});
