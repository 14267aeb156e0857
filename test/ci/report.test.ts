import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { fromJest, fromOpa, isGood, readTallies, summary } from '../../.ci/report.ts';

const jest = (
  tests: Readonly<Record<string, string>>,
  over: { readonly file?: string; readonly success?: boolean } = {},
) => ({
  success: over.success ?? true,
  testResults: [
    {
      name: '/a.test.ts',
      status: over.file ?? 'passed',
      message: '',
      assertionResults: Object.entries(tests).map(([fullName, status]) => ({ fullName, status })),
    },
  ],
});

describe('the last line of make test', () => {
  it('counts what passed over all runners', () => {
    const tallies = [
      fromJest('unit-26', jest({ a: 'passed', b: 'passed' }), 0),
      fromOpa('rego', [{ package: 'data.x', name: 'test_y' }], 0),
    ];
    expect(summary(tallies, undefined).at(-1)).toBe('3 passed, 0 failed');
    expect(isGood(tallies, true)).toBe(true);
  });

  it('names what failed and what was skipped, and says why real servers were missing', () => {
    const tallies = [fromJest('integration', jest({ a: 'failed', b: 'pending', c: 'todo' }, { success: false }), 1)];
    expect(summary(tallies, 'no engine')).toEqual([
      'integration: 0 passed, 1 failed, 2 skipped',
      'failed   integration: a',
      'skipped  integration: b',
      'skipped  integration: c',
      '0 passed, 1 failed, 2 skipped (no engine)',
    ]);
    expect(isGood(tallies, false)).toBe(false);
  });

  it('takes a skipped test for a failure in CI only', () => {
    const tallies = [fromJest('integration', jest({ a: 'passed', b: 'pending' }), 0)];
    expect([isGood(tallies, true), isGood(tallies, false)]).toEqual([false, true]);
  });

  it.each<[string, ReturnType<typeof fromJest>]>([
    ['a file that could not be loaded', fromJest('unit-26', jest({}, { file: 'failed' }), 1)],
    ['a floor of coverage that was not reached', fromJest('unit-26', jest({ a: 'passed' }, { success: false }), 1)],
    ['an exit code that no test explains', fromJest('unit-26', jest({ a: 'passed' }), 137)],
    ['a suite without tests', fromJest('unit-26', { success: true, testResults: [] }, 0)],
    ['a policy test that failed', fromOpa('rego', [{ package: 'p', name: 'test_a', fail: true }], 2)],
    ['a policy test that could not be evaluated', fromOpa('rego', [{ package: 'p', name: 'test_a', error: {} }], 2)],
    ['policies below their floor of coverage', fromOpa('rego', [{ package: 'p', name: 'test_a' }], 1)],
    ['policies without tests', fromOpa('rego', [], 0)],
  ])('counts %s as failed', (_says, tally) => {
    expect(tally.failed.length).toBeGreaterThan(0);
    expect(isGood([tally], false)).toBe(false);
  });
});

describe('the reports on disk', () => {
  let folder = '';
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'postern-report-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('are read with the exit code beside them', () => {
    writeFileSync(join(folder, 'unit-26.json'), JSON.stringify(jest({ a: 'passed' })));
    writeFileSync(join(folder, 'unit-26.exit'), '0\n');
    expect(readTallies(folder, { 'unit-26': 'jest' })).toEqual([
      { runner: 'unit-26', passed: 1, failed: [], skipped: [] },
    ]);
  });

  it.each<[string, string | undefined]>([
    ['is missing', undefined],
    ['was cut short', '{"success":tr'],
  ])('fail a runner whose report %s', (_says, text) => {
    if (text !== undefined) writeFileSync(join(folder, 'rego.json'), text);
    writeFileSync(join(folder, 'rego.exit'), '139\n');
    expect(readTallies(folder, { rego: 'opa' })).toEqual([
      { runner: 'rego', passed: 0, failed: ['no report; exit code 139'], skipped: [] },
    ]);
  });

  it('fail a runner that left no exit code, for it was killed or never ran', () => {
    writeFileSync(join(folder, 'unit-26.json'), JSON.stringify(jest({ a: 'passed' })));
    expect(readTallies(folder, { 'unit-26': 'jest' })[0]?.failed).toHaveLength(1);
  });
});
