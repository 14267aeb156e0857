// Tested by test/author/policy-author-doc.long.test.ts.
import type { Location } from '../rego-ast.ts';

/** One thing that a policy's author has to mend. */
export interface Finding {
  readonly rule: LintRule;
  readonly location: Location;
  readonly text: string;
}

/** Names of the lint's rules; docs/policy-author.md says what each finds. */
export const lintRules = [
  'requirements_literal',
  'requirement_shape',
  'requirement_unmeetable',
  'met_literal',
  'met_unnamed',
  'decides',
  'options',
  'policy_whole',
  'entrypoint',
  'bare_comparison',
  'unknown_is_met',
  'default_true',
] as const;
export type LintRule = (typeof lintRules)[number];

/** `rego/policies/deploy/policy.rego:12:3: bare_comparison: …`, as editors and CI read it. */
export function findingLine({ rule, location, text }: Finding): string {
  return `${location.file}:${location.row}:${location.col}: ${rule}: ${text}`;
}
