import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it } from '@jest/globals';

const main = fileURLToPath(new URL('../../deploy/demo/main.ts', import.meta.url));

describe('make demo', () => {
  it('plays the five cases as expected, with every effect, on a sidecar of its own', async () => {
    const { NODE_OPTIONS: _options, ...environment } = process.env;
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [main], {
      env: { ...environment, NO_COLOR: '1' },
    });
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('5 of 5 cases as expected');
    // Three blanks: an explanation that is shown has such marks further in.
    expect(stdout).not.toMatch(/^ {3}✗/m);
    for (const effect of ['allow', 'deny', 'step_up', 'constrain']) {
      expect(stdout).toMatch(new RegExp(`^ +[?=] ${effect}\\b`, 'm'));
    }
    expect(stderr).toBe('');
  }, 60_000);
});
