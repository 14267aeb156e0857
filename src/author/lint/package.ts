// Tested by test/author/lint.test.ts.
import { type Module, pathOf, type Rule } from '../rego-ast.ts';

/** The files that share one package path. */
export interface Package {
  readonly path: readonly string[];
  readonly modules: readonly Module[];
  readonly rules: readonly Rule[];
}

export function packagesOf(modules: readonly Module[]): readonly Package[] {
  const byPath = new Map<string, Module[]>();
  for (const module of modules) {
    const key = module.path.join('/');
    byPath.set(key, [...(byPath.get(key) ?? []), module]);
  }
  return [...byPath.values()].map((group) => ({
    path: group[0]?.path ?? [],
    modules: group,
    rules: group.flatMap((module) => module.rules),
  }));
}

/** Rules by their first name: `met contains "a"`, `met["a"] := true` and `met.a` are all `met`. */
export function rulesNamed(rules: readonly Rule[], name: string): readonly Rule[] {
  return rules.filter((rule) => rule.head.ref[0]?.value === name);
}

/** The names that a module's imports introduce: `data.postern` is `postern`, or its alias. */
export function resolved(name: string, module: Module): string {
  const [first = '', ...rest] = name.split('.');
  for (const { path, alias } of module.imports) {
    const parts = pathOf(path);
    if (parts !== undefined && first === (alias ?? parts.at(-1))) return [...parts, ...rest].join('.');
  }
  return name;
}

/** The library is what the lint sends authors to: it may do by hand what they may not. */
export function isLibrary({ path }: { readonly path: readonly string[] }): boolean {
  return path[0] === 'postern';
}
