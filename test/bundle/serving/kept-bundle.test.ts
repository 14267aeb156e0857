import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  BundleKeep,
  DamagedKeep,
  type KeptBundle,
  type StoredArchive,
} from '../../../src/bundle/serving/kept-bundle.ts';
import { realDisk } from '../../../src/bundle/serving/real-disk.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { CrashDisk } from '../../fakes/crash-disk.ts';

const bytesMax = 1_000_000;
const keepWriter = join(import.meta.dirname, 'keep-writer.ts');

function stored(text: string): StoredArchive {
  return { bytes: Buffer.from(text), digest: createHash('sha256').update(text).digest('hex') };
}

function kept(name: string, deltas: readonly string[] = []): KeptBundle {
  return {
    archives: { snapshot: stored(`snapshot ${name}`), deltas: deltas.map(stored) },
    etag: `"${name}"`,
    currentAt: epochMs(1_000),
    served: [
      { revision: 'r0', sequence: undefined, contentDigest: undefined, at: epochMs(5) },
      { revision: name, sequence: 7, contentDigest: 'c', at: epochMs(10) },
    ],
  };
}

function texts(copy: KeptBundle | undefined): unknown {
  if (copy === undefined) return undefined;
  const { archives, ...rest } = copy;
  const text = ({ bytes }: StoredArchive): string => Buffer.from(bytes).toString();
  return { ...rest, archives: [archives.snapshot, ...archives.deltas].map(text) };
}

describe('a kept bundle, on a real disk', () => {
  let directory: string;
  let folder: string;

  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'keep-'));
    folder = join(directory, 'bundles/authz');
  });

  afterEach(() => rm(directory, { recursive: true }));

  const opened = (): BundleKeep => new BundleKeep(folder, realDisk, bytesMax);

  it('is nothing before anything was kept', async () => {
    await expect(opened().load()).resolves.toBeUndefined();
  });

  it('comes back as it was, deltas and history with it, and leaves nothing else behind', async () => {
    await opened().save(kept('a'));
    const keep = opened();
    await keep.load();
    await keep.save(kept('b', ['one']));
    await keep.save(kept('b', ['one', 'two']));
    expect(texts(await opened().load())).toEqual(texts(kept('b', ['one', 'two'])));
    expect(await readdir(folder)).toHaveLength(4);
  });

  it('is readable by nobody else', async () => {
    await opened().save(kept('a'));
    expect((await stat(folder)).mode & 0o777).toBe(0o700);
    for (const name of await readdir(folder)) expect((await stat(join(folder, name))).mode & 0o777).toBe(0o600);
  });

  it('B16 is refused when it is damaged anywhere, and still says what served where that can be read', async () => {
    await opened().save(kept('a', ['one']));
    for (const name of await readdir(folder)) {
      const path = join(folder, name);
      const sound = await readFile(path);
      for (const at of [0, Math.floor(sound.length / 2), sound.length - 2]) {
        const damaged = Buffer.from(sound);
        damaged[at] = (damaged[at] ?? 0) ^ 1;
        await writeFile(path, damaged);
        const failure = await opened()
          .load()
          .catch((cause: unknown) => cause);
        expect(failure).toMatchObject({ code: 'bundle_invalid' });
        expect(failure instanceof DamagedKeep).toBe(name !== 'state.json');
        if (failure instanceof DamagedKeep) expect(failure.served).toEqual(kept('a').served);
      }
      await writeFile(path, sound);
    }
    await expect(opened().load()).resolves.toBeDefined();
  });

  it('B16 is the last one or the one that was being kept, whenever the process is killed', async () => {
    let last = -1;
    let seen = 0;
    for (let round = 0; round < 20; round += 1) {
      const writer = spawn(process.execPath, [keepWriter, folder, String(last + 1)], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const ended = once(writer, 'close');
      let said = '';
      // A whole number of saves and some steps of the next one: the steps differ from round to round.
      for await (const chunk of writer.stdout.setEncoding('utf8')) {
        said += String(chunk);
        if (said.split('\n').length <= 3) continue;
        await delay(round / 4);
        writer.kill('SIGKILL');
      }
      await ended;
      const acknowledged = Number(said.trimEnd().split('\n').at(-1));
      const copy = await new BundleKeep(folder, realDisk, 10_000_000).load();
      const number = Number(copy?.currentAt);
      expect([acknowledged, acknowledged + 1]).toContain(number);
      expect(copy?.etag).toBe(`"${number}"`);
      expect(Buffer.from(copy?.archives.snapshot.bytes ?? []).toString()).toBe(`snapshot ${number} `.repeat(20_000));
      expect(copy?.archives.deltas.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual([`delta ${number}`]);
      last = number;
      seen += 1;
    }
    expect(seen).toBe(20);
  }, 60_000);

  it('is not followed through a symbolic link, and has an end', async () => {
    await opened().save(kept('a'));
    const state = join(folder, 'state.json');
    await rm(state);
    await symlink('/etc/hostname', state);
    await expect(opened().load()).rejects.toThrow('ELOOP');
    await rm(state);
    await opened().save(kept('a'));
    await expect(new BundleKeep(folder, realDisk, 5).load()).rejects.toThrow('more than 5 bytes');
  });
});

describe('B16 a disk that fails', () => {
  it('leaves the old bundle or the new one, at whatever step the power goes', async () => {
    const before = new CrashDisk();
    await new BundleKeep('/k', before, bytesMax).save(kept('old', ['one']));
    const steps = await (async () => {
      const whole = before.copy();
      const keep = new BundleKeep('/k', whole, bytesMax);
      await keep.load();
      const from = whole.steps;
      await keep.save(kept('new'));
      return whole.steps - from;
    })();
    expect(steps).toBeGreaterThan(5);
    const found = new Set<string>();
    for (let step = 0; step <= steps; step += 1) {
      for (const mood of ['kept', 'lost', 'torn'] as const) {
        const disk = before.copy();
        const keep = new BundleKeep('/k', disk, bytesMax);
        await keep.load();
        disk.failAfter(step, 'crash');
        await keep.save(kept('new')).catch(() => undefined);
        const after = await new BundleKeep('/k', disk.afterCrash(mood), bytesMax).load();
        const text = JSON.stringify(texts(after));
        expect([JSON.stringify(texts(kept('old', ['one']))), JSON.stringify(texts(kept('new')))]).toContain(text);
        found.add(text);
      }
    }
    expect(found.size).toBe(2);
  });

  it.each(['ENOSPC', 'EIO'])(
    'says so (%s), keeps the old one, and keeps the next when it is well again',
    async (code) => {
      const disk = new CrashDisk();
      const keep = new BundleKeep('/k', disk, bytesMax);
      await keep.save(kept('old'));
      for (let step = 0; step < 4; step += 1) {
        disk.failAfter(step, code);
        await expect(keep.save(kept('new'))).rejects.toThrow(code);
        disk.failAfter(Number.POSITIVE_INFINITY, code);
        expect(texts(await new BundleKeep('/k', disk, bytesMax).load())).toEqual(texts(kept('old')));
      }
      await keep.save(kept('new'));
      expect(texts(await new BundleKeep('/k', disk, bytesMax).load())).toEqual(texts(kept('new')));
    },
  );
});
