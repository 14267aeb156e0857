import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { blocksOf } from '../docs/markdown.ts';
import { Place } from '../process/sidecar-process.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/platform-engineer.md'), 'utf8');

let place: Place;
beforeEach(async () => {
  place = await Place.make();
});
afterEach(() => place.remove());

it('what kubectl exec hands to Node acknowledges the loss of a store', async () => {
  const block = blocksOf(page).find(({ text }) => text.startsWith('kubectl -n report-bot exec '))?.text ?? '';
  const [, program = ''] = /-e '\n([^']*)'\s*$/.exec(block) ?? [];
  const path = join(place.directory, 'control.sock');
  await place.configure({ control: { listen: null, socket: { path } } });
  await place.start();
  const here = program
    .replace('/run/postern-control/control.sock', path)
    .replace('/etc/postern-control/token', join(place.directory, 'token'));
  const { stdout } = spawn(process.execPath, ['-e', here], { stdio: ['ignore', 'pipe', 'inherit'], timeout: 10_000 });
  expect((await buffer(stdout)).toString()).toBe('204\n');
}, 30_000);
