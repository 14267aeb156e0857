import { parseSync } from '@swc/core';

/** What a file needs of others, and what it reaches for that should have been handed in. */
export interface ReadSource {
  /** What it imports, for values or types, as written. */
  readonly imports: readonly string[];
  /** Files that it names without importing them: a thread, a process. */
  readonly starts: readonly string[];
  readonly reaches: readonly Reach[];
}

export interface Reach {
  /** As in the code, e.g. `Date.now`, `node:process`, `setTimeout`. */
  readonly what: string;
  readonly instead: string;
}

interface Node {
  readonly type: string;
  readonly [member: string]: unknown;
}

const takeClock = 'take the Clock that is handed in (src/domain/time.ts)';
const takeTimers = 'take the Timers that are handed in (src/domain/time.ts)';
const takeChance = 'take ids and chance that are handed in (Effects in src/sidecar/effects.ts)';
const takeProcess = 'only main.ts touches the process; take what it hands in (Effects, CliEffects)';
const takeOutbound = 'calls go out through src/outbound/ or a bundle source';
const keepState = 'keep state in an object that whoever opens it closes, not in the module';

/** Globals that may not be named at all, not as a member of another either. */
const globals: Readonly<Record<string, string>> = {
  process: takeProcess,
  globalThis: 'name what you need of it; it is then held like any other',
  global: 'name what you need of it; it is then held like any other',
  performance: takeClock,
  crypto: takeChance,
  setTimeout: takeTimers,
  setInterval: takeTimers,
  setImmediate: takeTimers,
  scheduler: takeTimers,
  fetch: takeOutbound,
  WebSocket: takeOutbound,
  EventSource: takeOutbound,
  eval: 'no code is made at run time',
  Function: 'no code is made at run time',
};

/** Globals of which some members are harmless: any other use, an alias or a destructuring among them, is a reach. */
const harmless: Readonly<Record<string, { readonly members: ReadonlySet<string>; readonly instead: string }>> = {
  Date: { members: new Set(['parse', 'UTC']), instead: takeClock },
  Math: {
    members: new Set(Object.getOwnPropertyNames(Math).filter((name) => name !== 'random')),
    instead: takeChance,
  },
};

/** Node's modules that are reached for by importing them. `names` absent: by importing anything of it. */
const modules: Readonly<Record<string, { readonly names?: RegExp; readonly instead: string }>> = {
  process: { instead: takeProcess },
  timers: { instead: takeTimers },
  'timers/promises': { instead: takeTimers },
  perf_hooks: { instead: takeClock },
  crypto: {
    names: /^(random|webcrypto|getRandomValues|generateKey|generatePrime|subtle|default|\*)/,
    instead: takeChance,
  },
  os: { names: /^(hostname|userInfo|default|\*)$/, instead: takeProcess },
  module: { names: /^(createRequire|default|\*)$/, instead: 'import what you need' },
  vm: { instead: 'no code is made at run time' },
};

/** What a module may make once and keep: it is never written to, or holds nothing of its callers. */
const inert = new Set(['Set', 'Map', 'RegExp', 'TextDecoder', 'TextEncoder', 'Error', 'URL', 'Date', 'Int32Array']);
const writers = new Set('set add delete clear push pop shift unshift splice sort reverse fill copyWithin'.split(' '));

export function readSource(code: string): ReadSource {
  const { body } = parseSync(code, { syntax: 'typescript', target: 'es2024' });
  const nodes = [...within(body)];
  const imports = nodes.flatMap((node) => importOf(node) ?? []);
  const starts = nodes.flatMap((node) => text(node) ?? []).filter((name) => /^\.{1,2}\/.*\.ts$/.test(name));
  return {
    imports,
    starts: starts.filter((name) => !imports.includes(name)),
    reaches: [...nodes.flatMap(importedReach), ...used(body), ...stateIn(body as unknown as readonly Node[], nodes)],
  };
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

/** What a statement or an `import()` imports. */
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

/** The names that an import or a re-export takes: `*` for all of them, which an `import()` takes too. */
function namesOf(node: Node): readonly string[] {
  if (node.type === 'CallExpression' || node.type === 'ExportAllDeclaration') return ['*'];
  const specifiers = Array.isArray(node['specifiers']) ? (node['specifiers'] as readonly Node[]) : [];
  return specifiers
    .filter((specifier) => specifier['isTypeOnly'] !== true)
    .map((specifier) => {
      if (specifier.type === 'ImportDefaultSpecifier') return 'default';
      if (specifier.type === 'ImportNamespaceSpecifier' || specifier.type === 'ExportNamespaceSpecifier') return '*';
      return named(specifier['imported']) ?? named(specifier['local']) ?? named(specifier['orig']) ?? '*';
    });
}

function importedReach(node: Node): readonly Reach[] {
  const from = importOf(node);
  if (from === undefined || node['typeOnly'] === true) return [];
  const rule = modules[from.replace(/^node:/, '')];
  if (rule === undefined) return [];
  const { names, instead } = rule;
  const specifiers = namesOf(node);
  if (names === undefined)
    return specifiers.length === 0 && node.type !== 'ImportDeclaration' ? [] : [{ what: from, instead }];
  return specifiers.filter((name) => names.test(name)).map((name) => ({ what: `${from} ${name}`, instead }));
}

/** Every use of a global, wherever an expression stands; types and names of members are none. */
function* used(value: unknown): Generator<Reach> {
  if (Array.isArray(value)) {
    for (const child of value) yield* used(child);
    return;
  }
  if (typeof value !== 'object' || value === null) return;
  if (!isNode(value)) {
    for (const child of Object.values(value)) yield* used(child);
    return;
  }
  if (
    /^(Import|Export)(Declaration|NamedDeclaration|AllDeclaration)$/.test(value.type) &&
    value.type !== 'ExportDeclaration'
  )
    return;
  if (value.type.startsWith('Ts')) {
    // A cast has an expression in it; any other is a type.
    if (isNode(value['expression'])) yield* used(value['expression']);
    return;
  }
  if (value.type === 'Identifier') {
    const name = named(value) ?? '';
    const instead = Object.hasOwn(globals, name) ? globals[name] : harmless[name]?.instead;
    if (instead !== undefined) yield { what: name, instead };
    return;
  }
  yield* usedIn(value);
}

function* usedIn(node: Node): Generator<Reach> {
  switch (node.type) {
    case 'MemberExpression': {
      const rule = harmless[named(node['object']) ?? ''];
      const member = named(node['property']);
      if (rule !== undefined && member !== undefined) {
        if (!rule.members.has(member)) yield { what: `${named(node['object'])}.${member}`, instead: rule.instead };
        return;
      }
      yield* used(node['object']);
      if (member === undefined) yield* used(node['property']);
      return;
    }
    case 'NewExpression':
      if (named(node['callee']) === 'Date' && Array.isArray(node['arguments']) && node['arguments'].length > 0) {
        yield* used(node['arguments']);
        return;
      }
      break;
    case 'BinaryExpression':
      if (node['operator'] === 'instanceof' && named(node['right']) !== undefined) {
        yield* used(node['left']);
        return;
      }
      break;
    case 'KeyValueProperty':
    case 'KeyValuePatternProperty':
    case 'MethodProperty':
    case 'ClassMethod':
    case 'ClassProperty':
    case 'GetterProperty':
    case 'SetterProperty':
      for (const [member, child] of Object.entries(node)) {
        if (member !== 'key' || (isNode(child) && child.type === 'Computed')) yield* used(child);
      }
      return;
    case 'AssignmentPatternProperty':
      yield* used(node['value']);
      return;
    default:
  }
  for (const child of Object.values(node)) yield* used(child);
}

/** What a module keeps between calls: `let`, a collection or an object that is written to, an instance, a static member. */
function stateIn(body: readonly Node[], nodes: readonly Node[]): readonly Reach[] {
  const found = new Set<string>();
  const constants = new Set<string>();
  for (const statement of body) {
    const declared =
      statement.type === 'ExportDeclaration' && isNode(statement['declaration']) ? statement['declaration'] : statement;
    if (declared.type !== 'VariableDeclaration') continue;
    if (declared['kind'] !== 'const') found.add('a variable of the module');
    for (const declarator of declared['declarations'] as readonly Node[]) {
      const name = named(declarator['id']);
      if (name !== undefined) constants.add(name);
      const made = declarator['init'];
      if (isNode(made) && made.type === 'NewExpression' && !inert.has(named(made['callee']) ?? '')) {
        found.add(`an instance in the module: ${name}`);
      }
    }
  }
  for (const node of nodes) {
    const written = writtenIn(node);
    if (written !== undefined && constants.has(written)) found.add(`a module's own ${written}, written to`);
    if (node.type === 'ClassProperty' && node['isStatic'] === true && node['readonly'] !== true) {
      found.add('a static member');
    }
  }
  return [...found].map((what) => ({ what, instead: keepState }));
}

/** The name whose content an expression changes. */
function writtenIn(node: Node): string | undefined {
  const inside = (value: unknown): string | undefined => {
    if (!isNode(value)) return undefined;
    if (value.type === 'MemberExpression') return named(value['object']) ?? inside(value['object']);
    return value.type === 'ParenthesisExpression' || value.type.startsWith('Ts')
      ? inside(value['expression'])
      : undefined;
  };
  switch (node.type) {
    case 'AssignmentExpression':
      return inside(node['left']);
    case 'UpdateExpression':
      return inside(node['argument']);
    case 'UnaryExpression':
      return node['operator'] === 'delete' ? inside(node['argument']) : undefined;
    case 'CallExpression': {
      const { callee } = node;
      if (!isNode(callee) || callee.type !== 'MemberExpression') return undefined;
      const member = named(callee['property']) ?? '';
      if (named(callee['object']) === 'Object' && ['assign', 'defineProperty', 'setPrototypeOf'].includes(member)) {
        const [first] = node['arguments'] as readonly { readonly expression?: unknown }[];
        return named(first?.expression);
      }
      return writers.has(member) ? named(callee['object']) : undefined;
    }
    default:
      return undefined;
  }
}
