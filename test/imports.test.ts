import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { type ReadSource, readSource } from './support/read-source.ts';

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

/** What reaches for the world, or keeps something in its module, and may: with the reason. Unused lines fail. */
const allowed: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'system/real-timers.ts': { setTimeout: 'these are the timers that main.ts hands in' },
  'author/wait-for-change.ts': { 'node:timers/promises': 'waits between two looks at an editor’s real files' },
  'cli/replace-file.ts': { 'node:crypto randomUUID': 'a name beside the file that no other command takes' },
  'http/close-server.ts': {
    setImmediate: 'lets sockets that the kernel has accepted come in before the server closes',
    setInterval: 'sweeps real sockets, which no test clock moves',
  },
  'http/strict-http-server.ts': { setTimeout: 'lingers on a real socket, which no test clock moves' },
  'request/listen/decision-listener.ts': { setTimeout: 'cuts real sockets, which no test clock moves' },
  'request/record/decision-log.ts': {
    'node:timers/promises': 'gives way to requests between two portions, and bounds the wait for a real disk',
  },
  'request/evaluate/policy-module.ts': { setImmediate: 'gives way to requests before it makes the next instance' },
  'bundle/shadow/shadow.ts': { setImmediate: 'gives way to requests before it hands over the next outcome' },
  'telemetry/line-sink.ts': { setTimeout: 'bounds the wait for the reader of a real stream at the very end' },
  'opa/go/zones.ts': {
    'node:module createRequire': 'loads the package’s CommonJS data, which import types as a namespace',
  },
  'request/evaluate/policy-image.ts': {
    'node:module createRequire': 'finds the SDK’s own file, which its exports hide',
  },
  // Patterns that search from where they are told to; each search sets `lastIndex` before it reads.
  'opa/go-template/lexer.ts': sticky('word', 'number'),
  'opa/go/unquote.ts': sticky('escapeSequence'),
  'opa/graphql/lexer.ts': sticky('unfinishedNumber'),
  'opa/values/read-value.ts': sticky('numberAt'),
  // Made once, never changed afterwards.
  'config/bundle-rules.ts': made('loopback'),
  'config/rules.ts': made('loopback'),
  'outbound/names.ts': made('near'),
  'opa/go/merge-networks.ts': made('lowest6'),
  'opa/go/yaml-read.ts': made('noNumber'),
};

function sticky(...names: readonly string[]): Readonly<Record<string, string>> {
  return Object.fromEntries(names.map((name) => [`a module's own ${name}, written to`, 'only its lastIndex']));
}

function made(name: string): Readonly<Record<string, string>> {
  return { [`an instance in the module: ${name}`]: 'filled where it is made' };
}

interface Source extends ReadSource {
  readonly path: string;
}

function read(path: string, code = readFileSync(join(src, path), 'utf8')): Source {
  return { path, ...readSource(code) };
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

describe('the table of imports', () => {
  it.each([
    ['a step that takes another', 'request/identify/a.ts', '../receive/a.ts'],
    ['a layer of OPA’s meanings that takes a higher one', 'opa/values/a.ts', '../go/a.ts'],
    ['values that take a builtin', 'opa/values/a.ts', '../builtins/a.ts'],
    ['Go’s meanings that take a template', 'opa/go/a.ts', '../go-template/a.ts'],
    ['somebody who passes by OPA’s door', 'request/evaluate/a.ts', '../../opa/values/a.ts'],
    ['the domain that takes a tool', 'domain/a.ts', '../text/a.ts'],
    ['whoever takes main.ts', 'cli/a.ts', '../main.ts'],
  ])('refuses %s', (_what, from, to) => {
    expect(mayTake(from, resolved(from, to))).toBe(false);
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

  it('reaches for process, clock, timers and chance in main.ts alone, and keeps no state in modules', () => {
    const programs = [...sources.values()].flatMap(({ path, starts }) => starts.map((name) => resolved(path, name)));
    const faults = [...sources.values()]
      .filter(({ path }) => path !== 'main.ts' && !programs.includes(path))
      .flatMap(({ path, reaches }) =>
        reaches
          .filter(({ what }) => allowed[path]?.[what] === undefined)
          .map(({ what, instead }) => `${path}: ${what}; ${instead}`),
      );
    expect(faults).toEqual([]);
  });

  it('has no leave that is not used', () => {
    const unused = Object.entries(allowed).flatMap(([path, whats]) =>
      Object.keys(whats)
        .filter((what) => sources.get(path)?.reaches.some((reach) => reach.what === what) !== true)
        .map((what) => `${path}: ${what}`),
    );
    expect(unused).toEqual([]);
  });
});
