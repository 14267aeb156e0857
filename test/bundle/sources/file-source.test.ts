import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FileSource } from '../../../src/bundle/sources/file-source.ts';
import type { Fetched, Wanted } from '../../../src/bundle/sources/source.ts';
import { TestClock } from '../../fakes/test-clock.ts';

const look: Wanted = { etags: [], deltas: false, asked: false };
let directory: string;
let file: string;
let source: FileSource;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'file-'));
  file = join(directory, 'bundle.tar.gz');
  source = new FileSource({ file, bytesMax: 1_000, clock: new TestClock() });
});

afterEach(() => rm(directory, { recursive: true }));

function textOf(fetched: Fetched): string {
  return fetched.kind === 'bundle' ? Buffer.from(fetched.bytes).toString() : fetched.kind;
}

describe('a bundle in a file', () => {
  it('is read once, and again when it has changed', async () => {
    await writeFile(file, 'one');
    expect(textOf(await source.fetch(look))).toBe('one');
    expect(textOf(await source.fetch(look))).toBe('unchanged');
    await writeFile(file, 'another');
    expect(textOf(await source.fetch(look))).toBe('another');
    expect(textOf(await source.fetch({ ...look, asked: true }))).toBe('another');
  });

  it('that the disk does not give is asked for again, though it looks the same', async () => {
    // A plain file by all that stat says, of which no byte can be read.
    await symlink('/proc/self/mem', file);
    for (let time = 0; time < 3; time += 1) {
      await expect(source.fetch(look)).rejects.toThrow('the bundle file cannot be read: EIO');
    }
  });

  it('B02 that is too large is refused once, and not again until it changes', async () => {
    await writeFile(file, 'x'.repeat(1_001));
    await expect(source.fetch(look)).rejects.toMatchObject({ code: 'bundle_invalid' });
    expect(textOf(await source.fetch(look))).toBe('unchanged');
    await writeFile(file, 'x'.repeat(1_000));
    expect(textOf(await source.fetch(look))).toHaveLength(1_000);
  });
});
