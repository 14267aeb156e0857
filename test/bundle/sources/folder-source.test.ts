import { mkdir, mkdtemp, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { readArchive } from '../../../src/bundle/reading/read-archive.ts';
import { FolderSource } from '../../../src/bundle/sources/folder-source.ts';
import { packed } from '../../../src/bundle/sources/pack-files.ts';
import type { Wanted } from '../../../src/bundle/sources/source.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { limits } from '../archives.ts';

const look: Wanted = { etags: [], deltas: false, asked: false };
let directory: string;
let clock: TestClock;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'folder-'));
  clock = new TestClock();
});

afterEach(() => rm(directory, { recursive: true }));

function sourceOf(path: string, change: { bytesMax?: number; membersMax?: number } = {}): FolderSource {
  return new FolderSource({ directory: path, bytesMax: 100_000, membersMax: 10, clock, ...change });
}

async function put(name: string, content: string): Promise<void> {
  const path = join(directory, name);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, content);
  await utimes(path, clock.now() / 1_000, clock.now() / 1_000);
}

/** The files of the archive that the folder was made into. */
async function found(source: FolderSource): Promise<unknown> {
  const fetched = await source.fetch(look);
  if (fetched.kind === 'unchanged') return 'unchanged';
  const files = await readArchive(fetched.bytes, limits);
  return Object.fromEntries([...files].map(([name, bytes]) => [name, bytes.toString()]));
}

describe('a bundle in a folder', () => {
  it('is its files, by their names in it', async () => {
    await put('.manifest', '{}');
    await put('a/b/data.json', '{"x":1}');
    const long = `${'d'.repeat(90)}/${'e'.repeat(90)}/data.json`;
    await put(long, '{}');
    const source = sourceOf(directory);
    expect(await found(source)).toEqual({ '.manifest': '{}', 'a/b/data.json': '{"x":1}', [long]: '{}' });
    expect(await found(source)).toBe('unchanged');
  });

  it('is seen to change: a file written, added, or gone', async () => {
    await put('.manifest', '{}');
    const source = sourceOf(directory);
    await source.fetch(look);
    await put('data.json', '{}');
    expect(await found(source)).toEqual({ '.manifest': '{}', 'data.json': '{}' });
    await put('data.json', '{"a":1}');
    expect(await found(source)).toMatchObject({ 'data.json': '{"a":1}' });
    await rm(join(directory, 'data.json'));
    expect(await found(source)).toEqual({ '.manifest': '{}' });
  });

  it('is as old as its newest file, and never from the future', async () => {
    await put('.manifest', '{}');
    clock.advance(5_000);
    await put('data.json', '{}');
    clock.advance(60_000);
    await expect(sourceOf(directory).fetch(look)).resolves.toMatchObject({ currentAt: clock.now() - 60_000 });
    clock.step(-3_600_000);
    await expect(sourceOf(directory).fetch(look)).resolves.toMatchObject({ currentAt: clock.now() });
  });

  it('is a Kubernetes volume: what its links lead to, and not twice', async () => {
    const generation = async (name: string, content: string): Promise<void> => {
      await put(`${name}/data.json`, content);
      await symlink(name, join(directory, '..data_tmp'));
      await rename(join(directory, '..data_tmp'), join(directory, '..data'));
    };
    await generation('..2026_1', '{"g":1}');
    await symlink('..data/data.json', join(directory, 'data.json'));
    const source = sourceOf(directory);
    expect(await found(source)).toEqual({ 'data.json': '{"g":1}' });
    await generation('..2026_2', '{"g":2}');
    expect(await found(source)).toEqual({ 'data.json': '{"g":2}' });
  });

  it('is a Kubernetes volume with subfolders, which are links as well', async () => {
    await put('..2026_1/policies/data.json', '{"g":1}');
    await put('..2026_1/policies/deep/er/data.json', '{"d":1}');
    await put('..2026_1/policy.wasm', 'wasm');
    await symlink('..2026_1', join(directory, '..data'));
    await symlink('..data/policies', join(directory, 'policies'));
    await symlink('..data/policy.wasm', join(directory, 'policy.wasm'));
    expect(await found(sourceOf(directory))).toEqual({
      'policies/data.json': '{"g":1}',
      'policies/deep/er/data.json': '{"d":1}',
      'policy.wasm': 'wasm',
    });
  });

  it('B03 has an end, wherever its links lead', async () => {
    await put('a/b/data.json', '{}');
    await symlink('..', join(directory, 'a/b/up'));
    await expect(sourceOf(directory).fetch(look)).rejects.toThrow('a/b/up leads back to a folder that it stands in');
    await rm(join(directory, 'a/b/up'));
    await symlink('.', join(directory, 'self'));
    await expect(sourceOf(directory).fetch(look)).rejects.toThrow('self leads back');
    await rm(join(directory, 'self'));
    // Each level twice in the one above: a thousand million folders by thirty names.
    for (let level = 1; level <= 30; level += 1) {
      await mkdir(join(directory, `${level}`));
      for (const twin of ['x', 'y']) await symlink(`../${level + 1}`, join(directory, `${level}/${twin}`));
    }
    await mkdir(join(directory, '31'));
    await expect(sourceOf(directory, { membersMax: 1_000 }).fetch(look)).rejects.toThrow('more than 1000 files');
  });

  it('B03 holds nothing from elsewhere, and nothing but files', async () => {
    await put('data.json', '{}');
    await symlink('/etc/hostname', join(directory, 'stolen'));
    await expect(sourceOf(directory).fetch(look)).rejects.toThrow('stolen leads out of the folder');
    await rm(join(directory, 'stolen'));
    await symlink('/dev/null', join(directory, 'nothing'));
    await expect(sourceOf(directory).fetch(look)).rejects.toThrow('nothing leads out');
    await rm(join(directory, 'nothing'));
    await symlink(tmpdir(), join(directory, 'everything'));
    await expect(sourceOf(directory).fetch(look)).rejects.toThrow('everything leads out of the folder');
  });

  it('B02 has limits', async () => {
    for (let index = 0; index < 5; index += 1) await put(`${index}.json`, 'x'.repeat(1_000));
    await expect(sourceOf(directory, { bytesMax: 4_999 }).fetch(look)).rejects.toThrow(
      'the folder has 5000 bytes; at most 4999 are read',
    );
    await expect(sourceOf(directory, { membersMax: 4 }).fetch(look)).rejects.toThrow('more than 4 files');
    await expect(sourceOf(directory, { bytesMax: 5_000, membersMax: 5 }).fetch(look)).resolves.toBeDefined();
  });

  it('that is not there is a failure, and is read once it is', async () => {
    const source = sourceOf(join(directory, 'later'));
    await expect(source.fetch(look)).rejects.toThrow('cannot be read: ENOENT');
    await put('later/data.json', '{}');
    expect(await found(source)).toEqual({ 'data.json': '{}' });
  });
});

describe('the archive that is made of a folder', () => {
  it('reads back as what went in', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uniqueArray(fc.tuple(fc.stringMatching(/^[a-z]{1,150}$/), fc.uint8Array({ maxLength: 2_000 })), {
          selector: ([name]) => name,
        }),
        async (files) => {
          const archive = Buffer.concat([...packed(new Map(files))]);
          const read = await readArchive(archive, limits);
          expect([...read].map(([name, bytes]) => [name, [...bytes]])).toEqual(
            files.map(([name, bytes]) => [name, [...bytes]]),
          );
        },
      ),
      { numRuns: 100 },
    );
  });
});
