import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parseSync } from '@swc/core';
import { parse } from 'yaml';

const here = import.meta.dirname;

interface Node {
  readonly type: string;
  readonly [member: string]: unknown;
}

function isNode(value: unknown): value is Node {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

function* within(value: unknown): Generator<Node> {
  if (isNode(value)) yield value;
  if (typeof value === 'object' && value !== null) for (const child of Object.values(value)) yield* within(child);
}

function named(value: unknown): string | undefined {
  return isNode(value) && value.type === 'Identifier' ? String(value['value']) : undefined;
}

/** Whether a title, or the table that fills one in, is the first argument: `describe`, `it.each`, `it.each(rows)`. */
function isTest(callee: unknown): boolean {
  if (!isNode(callee)) return false;
  if (callee.type === 'CallExpression') return isTest(callee['callee']);
  if (callee.type === 'MemberExpression') return isTest(callee['object']);
  return ['describe', 'it', 'test'].includes(named(callee) ?? '');
}

/** The texts in a title or in the rows of a table, but not the arguments of functions that are called in a row. */
function textsIn(value: unknown, constants: ReadonlyMap<string, unknown>): readonly string[] {
  if (!isNode(value)) return [];
  switch (value.type) {
    case 'StringLiteral':
      return [String(value['value'])];
    case 'TemplateLiteral':
      return (value['quasis'] as readonly { readonly cooked: string }[]).map(({ cooked }) => cooked);
    case 'ArrayExpression':
      return (value['elements'] as readonly ({ readonly expression: unknown } | undefined)[]).flatMap((one) =>
        textsIn(one?.expression, constants),
      );
    case 'TsConstAssertion':
    case 'TsAsExpression':
      return textsIn(value['expression'], constants);
    case 'Identifier':
      return textsIn(constants.get(String(value['value'])), constants);
    default:
      return [];
  }
}

/** The titles of a test file, and the texts in the tables that fill them in. */
function titlesOf(code: string): readonly string[] {
  const nodes = [...within(parseSync(code, { syntax: 'typescript', target: 'es2024' }).body)];
  const constants = new Map(
    nodes
      .filter(({ type }) => type === 'VariableDeclarator')
      .map((node) => [named(node['id']) ?? '', node['init']] as const),
  );
  return nodes
    .filter((node) => node.type === 'CallExpression' && isTest(node['callee']))
    .flatMap((call) => {
      const [first] = call['arguments'] as readonly { readonly expression: unknown }[];
      return textsIn(first?.expression, constants);
    });
}

/** A time such as `T24:00:00Z` is not an id. */
function idsIn(text: string): readonly string[] {
  return [...text.matchAll(/(?<![\w-])[A-Z]\d\d(?![\w-]|:\d)/g)].map(([id]) => id);
}

interface Row {
  readonly ids: readonly string[];
  /** Undefined in a table without that column. */
  readonly whyUntested: string | undefined;
  readonly text: string;
}

/** `R01–R09` are nine ids. */
function expanded(cell: string): readonly string[] {
  return cell.split(', ').flatMap((part) => {
    const range = /^([A-Z])(\d\d)–\1(\d\d)$/.exec(part);
    if (range === null) return [part];
    const [, letter, first, last] = range;
    return Array.from(
      { length: Number(last) - Number(first) + 1 },
      (_, index) => `${letter}${String(Number(first) + index).padStart(2, '0')}`,
    );
  });
}

function rowsOf(page: string): readonly Row[] {
  let reasoned = false;
  return page.split('\n').flatMap((line) => {
    if (/^\| ids? \|/.test(line)) reasoned = line.includes('| why there is no test |');
    const cells = /^\| (.*) \|$/.exec(line)?.[1]?.split(' | ');
    const [ids = ''] = cells ?? [];
    if (cells === undefined || !/^[A-Z]\d\d/.test(ids)) return [];
    return [
      { ids: expanded(ids), whyUntested: reasoned ? (cells[2] ?? '') : undefined, text: cells.slice(1).join(' ') },
    ];
  });
}

interface Title {
  readonly file: string;
  readonly ids: readonly string[];
}

/** The differences between titles and page. */
function faultsOf(titles: readonly Title[], rows: readonly Row[]): readonly string[] {
  const listed = rows.flatMap(({ ids }) => ids);
  const known = new Set(listed);
  const tested = new Set(titles.flatMap(({ ids }) => ids));
  return [
    ...titles.flatMap(({ file, ids }) =>
      ids.filter((id) => !known.has(id)).map((id) => `${file} names ${id}, which test/faults.md does not have`),
    ),
    ...listed.filter((id, index) => listed.indexOf(id) !== index).map((id) => `${id} has two rows`),
    ...rows.flatMap(({ ids, whyUntested }) =>
      ids.flatMap((id) => {
        if (whyUntested === undefined) return tested.has(id) ? [] : [`no title names ${id}, and no reason is given`];
        if (whyUntested.length < 10) return [`${id} is not tested, for no reason`];
        return tested.has(id) ? [`${id} has a test by now: move its row`] : [];
      }),
    ),
    ...rows.flatMap(({ ids, text }) =>
      idsIn(text)
        .filter((id) => !known.has(id))
        .map((id) => `the row of ${ids.join(', ')} names ${id}, which is not there`),
    ),
  ];
}

const files = readdirSync(here, { recursive: true, encoding: 'utf8' }).sort();
const textOf = (file: string) => readFileSync(join(here, file), 'utf8');
const titles: readonly Title[] = [
  ...files
    // Its own examples are not tests of these faults.
    .filter((file) => file.endsWith('.test.ts') && file !== 'faults.test.ts')
    .map((file) => ({ file, ids: titlesOf(textOf(file)).flatMap(idsIn) })),
  ...files
    .filter((file) => /^cases\/.*\.yaml$/.test(file))
    .map((file) => ({
      file,
      ids: (parse(textOf(file)) as readonly { readonly says: string }[]).flatMap(({ says }) => idsIn(says)),
    })),
];
const page = textOf('faults.md');

describe('the reader of titles', () => {
  it('sees every kind of title, and the tables that fill them in', () => {
    const code = `
      const rows = [['P01 P02', device('Z01')], ['a']] as const;
      describe('H01 one', () => {
        it(\`H02 of \${count}\`, () => expect('Z02').toBe('Z03'));
        it.each(rows)('%s', () => ask('Z04'));
        it.each([['J01 row', 'x']])('%s and X01', () => {});
        describe.each(['S01'])('%s', () => {});
      });
      log('Z05');`;
    expect(titlesOf(code).flatMap(idsIn).toSorted()).toEqual(['H01', 'H02', 'J01', 'P01', 'P02', 'S01', 'X01']);
  });

  it('takes no time, name or longer number for an id', () => {
    expect(idsIn('X08, V11: T24:00:00Z, ES256, P256, CVE-A01-2 and (B02)')).toEqual(['X08', 'V11', 'B02']);
  });

  it('sees enough of them to be believed', () => {
    expect(titles.flatMap(({ ids }) => ids).length).toBeGreaterThan(400);
    expect(new Set(titles.flatMap(({ ids }) => ids)).size).toBeGreaterThan(100);
  });
});

describe('the comparison of titles and page', () => {
  const table = '| id | fault | must happen |\n| --- | --- | --- |\n';
  const untested = '| ids | about | why there is no test |\n| --- | --- | --- |\n';
  const title = (...ids: string[]): readonly Title[] => [{ file: 'a.test.ts', ids }];

  it.each([
    ['an id that is not listed', title('J01', 'J02'), `${table}| J01 | a | b |`, 'a.test.ts names J02'],
    ['an id in two rows', title('J01'), `${table}| J01 | a | b |\n| J01 | c | d |`, 'J01 has two rows'],
    [
      'an id in a range as well',
      title(),
      `${untested}| R01–R03 | a | it is not built |\n| R02 | a | it is not built |`,
      'R02 has two',
    ],
    ['an id that no title names', title(), `${table}| J01 | a | b |`, 'no title names J01'],
    ['a reason that is none', title(), `${untested}| J01 | a |  |`, 'for no reason'],
    ['a reason that is over', title('R02'), `${untested}| R01–R03 | a | it is not built |`, 'R02 has a test by now'],
    ['a row that names another id', title('J01'), `${table}| J01 | a | as J09 |`, 'the row of J01 names J09'],
  ])('finds %s', (_what, used, rows, found) => {
    expect(faultsOf(used, rowsOf(rows))).toEqual([expect.stringContaining(found)]);
  });

  it('finds nothing where they agree', () => {
    const rows = `${table}| J01 | a | as R01 |\n\n${untested}| R01–R03, X01 | a | it is not built |`;
    expect(faultsOf(title('J01'), rowsOf(rows))).toEqual([]);
  });
});

describe('test/faults.md', () => {
  it('has a row for each id in a title, and a test or a reason for each id', () => {
    expect(faultsOf(titles, rowsOf(page))).toEqual([]);
  });

  it('has every table in a form that is read', () => {
    const lines = page.split('\n').filter((line) => line.startsWith('|') && !line.startsWith('| ---'));
    expect(lines.length).toBe(rowsOf(page).length + lines.filter((line) => /^\| ids? \|/.test(line)).length);
  });
});
