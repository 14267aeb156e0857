import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { patternNames } from '../../src/domain/grant.ts';
import type { JsonObject } from '../../src/domain/json-value.ts';
import { starterPolicy } from '../support/starter-policy.ts';
import { requests } from './requests.ts';

interface Row {
  readonly pattern: string;
  readonly id: string;
  readonly names: boolean;
}

const table = new URL('../../rego/testing/grant_patterns/data.json', import.meta.url);
const { rows } = JSON.parse(readFileSync(table, 'utf8')) as { readonly rows: readonly Row[] };
const policy = await starterPolicy();
const { deploy } = requests;

/** Whether the compiled library takes a grant with this pattern for this resource. */
function policyTakes(pattern: string, id: string): boolean {
  const { resource, grants } = deploy as { readonly resource: JsonObject; readonly grants: readonly [JsonObject] };
  const input = { ...deploy, resource: { ...resource, id }, grants: [{ ...grants[0], resources: [pattern] }] };
  const { met } = JSON.parse(policy.evaluate('policies/deploy/decision', JSON.stringify(input)) ?? '{}') as {
    readonly met: readonly string[];
  };
  return met.includes('grant_in_hand');
}

describe('G06 a grant’s pattern', () => {
  it('has a table', () => {
    expect(rows.length).toBeGreaterThan(40);
  });

  it.each(
    rows.map(
      (row) =>
        [JSON.stringify(row.pattern), row.names ? 'names' : 'does not name', JSON.stringify(row.id), row] as const,
    ),
  )('%s %s %s, for the sidecar and for the compiled library alike', (_pattern, _names, _id, { pattern, id, names }) => {
    expect(patternNames(pattern, id)).toBe(names);
    expect(policyTakes(pattern, id)).toBe(names);
  });
});
