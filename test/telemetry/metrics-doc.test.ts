import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { metric } from '../../src/telemetry/metric-names.ts';

/** Where an operator looks. */
const page = readFileSync(new URL('../../docs/platform-engineer.md', import.meta.url), 'utf8');
const described: readonly { readonly name: string; readonly labelNames: readonly string[] }[] = Object.values(metric);

describe('docs/platform-engineer.md', () => {
  it.each(described.map(({ name, labelNames }) => [name, labelNames] as const))(
    'names %s, with its labels',
    (name, labelNames) => {
      expect(page).toContain(`\`${name}${labelNames.length === 0 ? '' : `{${labelNames.join(',')}}`}\``);
    },
  );
});
