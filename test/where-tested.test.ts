import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = join(import.meta.dirname, '..');
const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
  .sort();

/** The tests that a source file's path or first line names; a program's first line is its `#!`. */
function testsOf(path: string, code: string): readonly string[] {
  const [line = ''] = code.replace(/^#!.*\n/, '').split('\n');
  const named = /^\/\/ Tested by (.+)\.$/.exec(line)?.[1]?.split(', ') ?? [];
  const own = ['.test.ts', '.long.test.ts'].map((end) => `test/${path.replace(/\.ts$/, end)}`);
  return [...named, ...own.filter((name) => existsSync(join(root, name)))];
}

describe('a file of src/', () => {
  it('has its tests at its own path, or names them in its first line', () => {
    const without = sources.filter((path) => testsOf(path, readFileSync(join(root, 'src', path), 'utf8')).length === 0);
    expect(without).toEqual([]);
  });

  it('names tests that are there', () => {
    const gone = sources.flatMap((path) =>
      testsOf(path, readFileSync(join(root, 'src', path), 'utf8'))
        .filter((name) => !existsSync(join(root, name)))
        .map((name) => `${path}: ${name}`),
    );
    expect(gone).toEqual([]);
  });

  it('is read as its first line stands', () => {
    expect(testsOf('none/such.ts', '// Tested by test/a.test.ts, test/b.test.ts.\nexport {};')).toEqual([
      'test/a.test.ts',
      'test/b.test.ts',
    ]);
    expect(testsOf('none/such.ts', 'export {};')).toEqual([]);
  });
});
