import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parseSync } from '@swc/core';

const src = join(import.meta.dirname, '../src');

/**
 * What each room may import besides itself and `domain/`: a folder stands for all that is in it, unless a longer name in
 * this table says otherwise; a file is named whole. Arrows point inward: a step never knows another, and what steps share
 * is an idea in `domain/`, a tool in `text/`, or a room of its own.
 */
const mayImport: Readonly<Record<string, readonly string[] | 'everything'>> = {
  domain: [],
  text: [],
  system: [],
  telemetry: ['text'],
  http: ['system'],
  outbound: ['system'],
  config: [],
  // OPA's meanings, in layers; whatever is outside takes them through the one door, opa/opa.ts.
  'opa/opa.ts': ['opa'],
  'opa/builtin-table.ts': ['opa/builtins', 'opa/values'],
  'opa/builtins': [
    'opa/values',
    'opa/go',
    'opa/go-template',
    'opa/json-schema',
    'opa/x509',
    'opa/rego',
    'opa/graphql',
    'text',
  ],
  'opa/go-template': ['opa/go', 'opa/values', 'text'],
  'opa/json-schema': ['opa/go', 'opa/values', 'text'],
  'opa/x509': ['opa/go', 'opa/values', 'text'],
  'opa/rego': ['opa/values', 'text'],
  'opa/graphql': ['opa/values', 'text'],
  'opa/go': ['opa/values', 'text'],
  'opa/values': ['text'],
  // The way of a request.
  'request/listen': ['http'],
  'request/receive': ['text'],
  'request/identify': [],
  'request/enrich': [],
  'request/evaluate': ['opa/opa.ts'],
  'request/decide': ['text'],
  'request/record': ['text', 'telemetry'],
  'request/respond': [],
  'request/authorize.ts': ['request', 'text'],
  // What stands beside it.
  'knowledge/check-text.ts': [],
  'knowledge/store': ['system'],
  'knowledge/signals': ['knowledge/store', 'knowledge/check-text.ts'],
  'knowledge/grants': ['knowledge/store', 'knowledge/check-text.ts'],
  'knowledge/attestations': ['knowledge/store', 'system'],
  'knowledge/open-stores.ts': ['knowledge'],
  'bundle/reading': ['request/evaluate', 'opa/opa.ts', 'text', 'system'],
  'bundle/sources': ['system'],
  'bundle/serving': ['bundle/reading', 'bundle/sources', 'request/evaluate', 'system'], // to try a policy before it serves
  'bundle/shadow': ['bundle/serving', 'bundle/sources', 'request/evaluate', 'system'],
  control: ['text', 'http', 'system'],
  author: ['bundle'], // to try what it built
  // What puts the parts together, and what people run.
  'bundle/open-bundles.ts': 'everything',
  sidecar: 'everything',
  cli: 'everything',
  'main.ts': 'everything',
};
const rooms = Object.keys(mayImport).sort((a, b) => b.length - a.length);

interface Source {
  readonly path: string;
  readonly imports: readonly string[];
  /** Files it names without importing them: what it starts as a thread or a process. */
  readonly starts: readonly string[];
  readonly faults: readonly string[];
}

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

function text(value: unknown): string | undefined {
  return isNode(value) && value.type === 'StringLiteral' && typeof value['value'] === 'string'
    ? value['value']
    : undefined;
}

function named(value: unknown): string | undefined {
  return isNode(value) && value.type === 'Identifier' && typeof value['value'] === 'string'
    ? value['value']
    : undefined;
}

/** What a statement or an `import()` imports, for its values or its types. */
function importOf(node: Node): string | undefined {
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
    case 'ExportAllDeclaration':
      return text(node['source']);
    case 'CallExpression': {
      if (!isNode(node['callee']) || node['callee'].type !== 'Import') return undefined;
      const [first] = Array.isArray(node['arguments']) ? node['arguments'] : [];
      return text((first as { readonly expression?: unknown } | undefined)?.expression);
    }
    default:
      return undefined;
  }
}

/** The world outside is handed in: only main.ts, and what is started as a program of its own, reaches for it. */
function reachesOut(node: Node): string | undefined {
  if (node.type === 'NewExpression' && named(node['callee']) === 'Date') {
    return Array.isArray(node['arguments']) && node['arguments'].length > 0 ? undefined : 'new Date()';
  }
  if (node.type !== 'MemberExpression') return undefined;
  const object = named(node['object']);
  const member = `${object}.${named(node['property'])}`;
  return object === 'process' || ['Date.now', 'performance.now', 'Math.random'].includes(member) ? member : undefined;
}

function read(path: string, code = readFileSync(join(src, path), 'utf8')): Source {
  const parsed = parseSync(code, { syntax: 'typescript', target: 'es2024' });
  const nodes = [...within(parsed.body)];
  const imports = nodes.flatMap((node) => importOf(node) ?? []);
  const starts = nodes.flatMap((node) => text(node) ?? []).filter((name) => /^\.{1,2}\/.*\.ts$/.test(name));
  const faults = parsed.body.flatMap((statement) => {
    const declared = statement.type === 'ExportDeclaration' ? statement.declaration : statement;
    return declared.type === 'VariableDeclaration' && declared.kind !== 'const' ? ['keeps state in its module'] : [];
  });
  faults.push(...nodes.flatMap((node) => reachesOut(node) ?? []));
  return { path, imports, starts: starts.filter((name) => !imports.includes(name)), faults };
}

const sources: ReadonlyMap<string, Source> = new Map(
  readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.ts') && !path.endsWith('.d.ts'))
    .sort()
    .map((path) => [path, read(path)]),
);

const isIn = (room: string, path: string) => path === room || path.startsWith(`${room}/`);

/** The room of a file: the longest name in the table that holds it. */
const roomOf = (path: string) => rooms.find((room) => isIn(room, path));

/** Files of ours that a file imports or starts, as paths under src/. */
function oursIn({ path, imports, starts }: Source): readonly string[] {
  return [...imports.filter((imported) => imported.startsWith('.')), ...starts].map((name) => resolved(path, name));
}

function resolved(from: string, name: string): string {
  return relative(src, join(src, dirname(from), name));
}

function mayTake(from: string, to: string): boolean {
  const room = roomOf(from);
  if (room === undefined || to === 'main.ts') return false;
  const allowed = mayImport[room] ?? [];
  if (roomOf(to) === room || (room !== 'domain' && isIn('domain', to))) return true;
  if (allowed === 'everything') return !isIn('opa', to) || to === 'opa/opa.ts';
  return allowed.some((other) => isIn(other, to));
}

describe('the reader of imports', () => {
  it('sees every way in which one file needs another, and nothing that a comment says', () => {
    const source = read(
      'request/identify/a.ts',
      `// import './comment.ts';
       import { a } from '../receive/a.ts';
       import type { B } from './b.ts';
       export { c } from './c.ts';
       export * from './d.ts';
       const e = await import('./e.ts');
       new Worker(new URL('./f.ts', import.meta.url));`,
    );
    expect(source.imports).toEqual(['../receive/a.ts', './b.ts', './c.ts', './d.ts', './e.ts']);
    expect(source.starts).toEqual(['./f.ts']);
    expect(mayTake(source.path, resolved(source.path, '../receive/a.ts'))).toBe(false);
  });

  it('sees what reaches for the world outside', () => {
    const { faults } = read(
      'a.ts',
      'let count = 0; export const now = () => [Date.now(), new Date(), process.env["A"], new Date(0)];',
    );
    expect(faults.toSorted()).toEqual(['Date.now', 'keeps state in its module', 'new Date()', 'process.env']);
  });
});

describe('the tree tells the data’s way', () => {
  it('has no part that the table does not know', () => {
    const unknown = [...sources.keys()].filter((path) => roomOf(path) === undefined);
    expect(unknown).toEqual([]);
  });

  it('imports inward only', () => {
    const outward = [...sources.values()].flatMap((source) =>
      oursIn(source)
        .filter((to) => !mayTake(source.path, to))
        .map((to) => `${source.path} imports ${to}`),
    );
    expect(outward).toEqual([]);
  });

  it('has a table without a room that is gone', () => {
    const gone = rooms.filter((room) => ![...sources.keys()].some((path) => isIn(room, path)));
    expect(gone).toEqual([]);
  });

  it('imports files that are there, by their own names', () => {
    const missing = [...sources.values()].flatMap((source) =>
      oursIn(source)
        .filter((to) => !sources.has(to))
        .map((to) => `${source.path} imports ${to}`),
    );
    expect(missing).toEqual([]);
  });

  it('has a domain that needs nothing, not even Node', () => {
    const needs = [...sources.values()]
      .filter(({ path }) => isIn('domain', path))
      .flatMap(({ path, imports }) => imports.filter((to) => !to.startsWith('./')).map((to) => `${path}: ${to}`));
    expect(needs).toEqual([]);
  });

  it('has no cycle', () => {
    const cycles: string[] = [];
    const done = new Set<string>();
    const walk = (path: string, way: readonly string[]): void => {
      if (way.includes(path)) cycles.push([...way.slice(way.indexOf(path)), path].join(' -> '));
      if (done.has(path) || way.includes(path)) return;
      const source = sources.get(path);
      for (const to of source === undefined ? [] : oursIn(source)) walk(to, [...way, path]);
      done.add(path);
    };
    for (const path of sources.keys()) walk(path, []);
    expect(cycles).toEqual([]);
  });

  it('has no file that main.ts does not reach', () => {
    const reached = new Set<string>();
    const reach = (path: string): void => {
      const source = sources.get(path);
      if (source === undefined || reached.has(path)) return;
      reached.add(path);
      for (const to of oursIn(source)) reach(to);
    };
    reach('main.ts');
    expect([...sources.keys()].filter((path) => !reached.has(path))).toEqual([]);
  });

  it('reaches for process, clock and chance in main.ts alone, and keeps no state in modules', () => {
    const programs = [...sources.values()].flatMap(({ path, starts }) => starts.map((name) => resolved(path, name)));
    const faults = [...sources.values()]
      .filter(({ path }) => path !== 'main.ts' && !programs.includes(path))
      .flatMap(({ path, faults }) => faults.map((fault) => `${path}: ${fault}`));
    expect(faults).toEqual([]);
  });
});
