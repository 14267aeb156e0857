// Tested by test/author/lint.test.ts.
import type { Module } from '../rego-ast.ts';
import { lintConditions } from './conditions.ts';
import { type Finding, findingLine } from './finding.ts';
import { packagesOf } from './package.ts';
import { isEntrypoint, lintPolicy } from './policies.ts';
import { lintRequirements } from './requirements.ts';

export interface Linted {
  /** One line each, by file and place. */
  readonly findings: readonly string[];
  /** Policy name to its requirement ids: what the bundle's manifest announces. */
  readonly policies: Readonly<Record<string, readonly string[]>>;
  /** Entrypoints, e.g. `policies/deploy/decision`. */
  readonly entrypoints: readonly string[];
}

/** Checks that a compiler does not make: whether requirements, `met` and the decision fit together and stay closed. */
export function lint(modules: readonly Module[]): Linted {
  const findings: Finding[] = [];
  const policies: Record<string, readonly string[]> = {};
  for (const unit of packagesOf(modules)) {
    const { findings: found, ids } = lintRequirements(unit);
    findings.push(...found, ...lintPolicy(unit), ...lintConditions(unit));
    const [root, name, ...deeper] = unit.path;
    if (root === 'policies' && name !== undefined && deeper.length === 0) policies[name] = [...ids].sort();
  }
  return {
    findings: findings.sort(byPlace).map(findingLine),
    policies: Object.fromEntries(Object.entries(policies).sort(([a], [b]) => (a < b ? -1 : 1))),
    entrypoints: modules.flatMap(entrypointsOf).sort(),
  };
}

function entrypointsOf(module: Module): readonly string[] {
  const named = module.rules.filter(isEntrypoint).map((rule) => [...module.path, rule.head.name ?? ''].join('/'));
  return [...new Set(named)];
}

function byPlace({ location: a }: Finding, { location: b }: Finding): number {
  return a.file === b.file ? a.row - b.row || a.col - b.col : a.file < b.file ? -1 : 1;
}
