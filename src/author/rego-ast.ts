// Tested by test/author/codes.test.ts.
import { AuthorFault } from './author-fault.ts';
import type { Opa } from './find-opa.ts';
import { type Environment, runProgram } from './run-program.ts';

/** The parts of `opa parse --format json` that are read here. */
export interface Location {
  readonly file: string;
  readonly row: number;
  readonly col: number;
}

export interface Term {
  readonly type: string;
  readonly value: unknown;
  readonly location?: Location;
}

export interface Expression {
  /** One term, or a call: operator first. `some` and `every` are objects of their own. */
  readonly terms: unknown;
  readonly negated?: boolean;
  readonly location?: Location;
}

export interface Head {
  readonly name?: string;
  readonly key?: Term;
  readonly value?: Term;
  readonly args?: readonly Term[];
  readonly ref: readonly Term[];
}

export interface Annotations {
  readonly entrypoint?: boolean;
  readonly scope: string;
  readonly location: Location;
}

export interface Rule {
  readonly head: Head;
  readonly body: readonly Expression[];
  readonly default?: boolean;
  readonly else?: Rule;
  readonly annotations?: readonly Annotations[];
  readonly location: Location;
}

export interface Module {
  readonly file: string;
  /** Below `data`, e.g. `["policies", "deploy"]`. */
  readonly path: readonly string[];
  readonly imports: readonly { readonly path: Term; readonly alias?: string }[];
  readonly rules: readonly Rule[];
}

const parseMs = 30_000;

/** @throws AuthorFault with the compiler's own words if the file does not parse */
export async function parseModule(opa: Opa, file: string, env: Environment): Promise<Module> {
  const { code, stdout, stderr } = await runProgram(
    opa.path,
    ['parse', '--format', 'json', '--json-include', 'locations,comments', file],
    { env, timeoutMs: parseMs },
  );
  if (code !== 0) throw new AuthorFault(parseFaults(stderr || stdout));
  // The compiler's own output: its shape is this version's, which is pinned.
  const parsed = JSON.parse(stdout) as {
    readonly package: { readonly path: readonly Term[] };
    readonly imports?: Module['imports'];
    readonly rules?: readonly Rule[];
  };
  return {
    file,
    path: parsed.package.path.slice(1).map((term) => String(term.value)),
    imports: parsed.imports ?? [],
    rules: parsed.rules ?? [],
  };
}

/** The compiler reports faults as JSON too; as lines, editors and CI find their places. */
function parseFaults(text: string): readonly string[] {
  if (!text.trimStart().startsWith('{')) return [text.trim()];
  const { errors } = JSON.parse(text) as {
    readonly errors: readonly { readonly message: string; readonly code: string; readonly location: Location }[];
  };
  return errors.map(({ message, code, location }) => `${location.file}:${location.row}: ${code}: ${message}`);
}

export function isTerm(node: unknown): node is Term {
  return isObject(node) && typeof node['type'] === 'string' && 'value' in node;
}

export function isExpression(node: unknown): node is Expression {
  return isObject(node) && 'terms' in node && 'index' in node;
}

function isObject(node: unknown): node is Readonly<Record<string, unknown>> {
  return typeof node === 'object' && node !== null && !Array.isArray(node);
}

/** Every term and expression below a node, itself included, from the outside in. */
export function* within(node: unknown): Generator<unknown> {
  if (typeof node !== 'object' || node === null) return;
  yield node;
  for (const [name, inner] of Object.entries(node)) {
    if (name !== 'location' && name !== 'annotations') yield* within(inner);
  }
}

/** The rule itself and its `else` branches. */
export function* branches(rule: Rule): Generator<Rule> {
  for (let branch: Rule | undefined = rule; branch !== undefined; branch = branch.else) yield branch;
}

/** `input.device.age_s` as `["input", "device", "age_s"]`; a variable inside becomes undefined. */
export function pathOf(term: Term): readonly (string | undefined)[] | undefined {
  if (term.type === 'var') return [String(term.value)];
  if (term.type !== 'ref' || !Array.isArray(term.value)) return undefined;
  return (term.value as readonly Term[]).map((part, index) =>
    part.type === 'string' || (index === 0 && part.type === 'var') ? String(part.value) : undefined,
  );
}

/** The operator and its operands, where a term or an expression is a call. */
export function callOf(node: unknown): { readonly name: string; readonly operands: readonly Term[] } | undefined {
  const terms = isTerm(node) && node.type === 'call' ? node.value : isExpression(node) ? node.terms : undefined;
  if (!Array.isArray(terms)) return undefined;
  const [operator, ...operands] = terms as readonly Term[];
  const name = operator === undefined ? undefined : pathOf(operator)?.join('.');
  return name === undefined ? undefined : { name, operands };
}

export function stringOf(term: Term | undefined): string | undefined {
  return term?.type === 'string' && typeof term.value === 'string' ? term.value : undefined;
}

/** An object literal's members; undefined for anything else. */
export function membersOf(term: Term | undefined): readonly (readonly [Term, Term])[] | undefined {
  return term?.type === 'object' ? (term.value as readonly (readonly [Term, Term])[]) : undefined;
}
