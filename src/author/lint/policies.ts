// Tested by test/author/lint.test.ts.
import type { Rule } from '../rego-ast.ts';
import type { Finding } from './finding.ts';
import { type Package, rulesNamed } from './package.ts';

/**
 * Checks that the router finds the packages under `policies` and that they can be called by name. Other packages there
 * are parts of policies, and the router does not look at them.
 */
export function lintPolicy(unit: Package): readonly Finding[] {
  const [root, name, ...deeper] = unit.path;
  if (root !== 'policies' || name === undefined) return [];
  const decisions = rulesNamed(unit.rules, 'decision');
  const applies = rulesNamed(unit.rules, 'applies');
  const [first] = [...decisions, ...applies, ...rulesNamed(unit.rules, 'requirements')];
  if (first === undefined) return [];
  if (deeper.length > 0) {
    const text = `a policy must be a package directly below policies; the router does not look into ${unit.path.join('.')}`;
    return [{ rule: 'policy_whole', location: first.location, text }];
  }
  const findings: Finding[] = [];
  for (const [part, rules] of Object.entries({ applies, decision: decisions })) {
    if (rules.length === 0) {
      findings.push({ rule: 'policy_whole', location: first.location, text: `policy ${name} has no ${part}` });
    }
  }
  if (decisions.length > 0 && !decisions.some(isEntrypoint)) {
    const text = 'annotate decision with `# METADATA` and `# entrypoint: true`, so that it can be called by name';
    findings.push({ rule: 'entrypoint', location: decisions[0]?.location ?? first.location, text });
  }
  return findings;
}

export function isEntrypoint(rule: Rule): boolean {
  return rule.annotations?.some((one) => one.entrypoint === true) === true;
}
