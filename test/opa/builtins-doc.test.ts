import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

const root = join(import.meta.dirname, '../..');
const page = readFileSync(join(root, 'docs/builtins.md'), 'utf8');
const table = readFileSync(join(root, 'src/opa/builtin-table.ts'), 'utf8');

/** From the code: each file with the builtins that are loaded from it. */
const families = [...table.matchAll(/names: \[([^\]]*)\],\s*load: .*?'\.\/builtins\/([^']+)'/g)].map(
  ([, names = '', file = '']) => [file, [...names.matchAll(/'([^']+)'/g)].map(([, name]) => name)] as const,
);
const rows = [...page.matchAll(/^\| `([a-z0-9-]+\.ts)` \| (`.*?`) \| (.*) \|$/gm)];

describe('the page on builtins', () => {
  it('lists each file with the builtins that it has', () => {
    const told = rows.map(([, file, names = '']) => [file, [...names.matchAll(/`([^`]+)`/g)].map(([, name]) => name)]);
    expect(families.length).toBeGreaterThan(20);
    expect(told).toEqual(families);
  });

  it('names tests that are there, and every one beside the page’s builtins', () => {
    const named = rows.flatMap(([, , , tests = '']) => [...tests.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name));
    const paths = named
      .filter((name) => name !== 'make conformance')
      .map((name) => (name.includes('/') ? name : `test/opa/builtins/${name}`));
    expect(paths.filter((path) => !existsSync(join(root, path)))).toEqual([]);
    const suites = readdirSync(join(root, 'test/opa/builtins')).filter((name) => name.endsWith('.test.ts'));
    expect(suites.filter((name) => !page.includes(`${name}\``))).toEqual([]);
  });
});
