import { open, readdir, realpath, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { BundleRefused } from '../../domain/errors.ts';
import { type Clock, epochMs } from '../../domain/time.ts';
import { read, toRead, unreadable } from './file-source.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { packed } from './pack-files.ts';
import { type BundleSource, type Fetched, SourceFailed, type Wanted } from './source.ts';

export interface FolderSourceOptions {
  readonly directory: string;
  readonly bytesMax: number;
  readonly membersMax: number;
  readonly clock: Clock;
}

/** A file of the folder, as it was found. */
interface Found {
  readonly name: string;
  readonly path: string;
  readonly fingerprint: string;
  readonly size: number;
  readonly modifiedMs: number;
}

interface Look {
  /** The folder, without links on the way to it. */
  readonly whole: string;
  readonly files: Found[];
  /** Files and folders so far. */
  members: number;
}

/**
 * A bundle as a folder of its files, as a Kubernetes volume delivers one. It goes on as an archive, so that everything
 * behind it (signatures, limits, the kept copy) is the same for both.
 *
 * A folder that changes while it is read would give half of each: it is taken only if it looks the same afterwards.
 */
export class FolderSource implements BundleSource {
  readonly shown: string;
  readonly #options: FolderSourceOptions;
  #fingerprint = '';

  constructor(options: FolderSourceOptions) {
    this.#options = options;
    this.shown = options.directory;
  }

  async fetch({ asked }: Wanted): Promise<Fetched> {
    const { bytesMax, clock } = this.#options;
    const found = await this.#look();
    const fingerprint = fingerprintOf(found);
    if (!asked && fingerprint === this.#fingerprint) return { kind: 'unchanged', isHeld: false };
    const total = found.reduce((sum, { size }) => sum + size, 0);
    if (total > bytesMax)
      throw this.#refused(fingerprint, `the folder has ${total} bytes; at most ${bytesMax} are read`);
    const files = new Map<string, Uint8Array>();
    for (const { name, path } of found) files.set(name, await contentOf(path, bytesMax));
    if (fingerprintOf(await this.#look()) !== fingerprint)
      throw new SourceFailed('the folder changed while it was read');
    this.#fingerprint = fingerprint;
    const archive = new GrowingBytes(bytesMax + found.length * 1_024 + 65_536);
    for (const piece of packed(files)) archive.push(piece);
    const newest = found.reduce((latest, { modifiedMs }) => Math.max(latest, modifiedMs), 0);
    const currentAt = epochMs(Math.min(Math.round(newest), clock.now()));
    return { kind: 'bundle', ...archive.done(), etag: undefined, currentAt };
  }

  #refused(fingerprint: string, message: string): BundleRefused {
    this.#fingerprint = fingerprint;
    return new BundleRefused(message);
  }

  async #look(): Promise<readonly Found[]> {
    const { directory } = this.#options;
    try {
      const whole = await realpath(directory);
      const look: Look = { whole, files: [], members: 0 };
      await this.#lookInto(look, '', [whole]);
      return look.files.sort((a, b) => (a.name < b.name ? -1 : 1));
    } catch (cause) {
      this.#fingerprint = '';
      if (cause instanceof BundleRefused) throw cause;
      throw unreadable(cause);
    }
  }

  /**
   * @param below how the bundle's files name this folder, whichever links led to it; empty for the whole
   * @param way the folders that it was reached through, itself the last
   */
  async #lookInto(look: Look, below: string, way: readonly string[]): Promise<void> {
    const { whole, files } = look;
    const { membersMax } = this.#options;
    const folder = way.at(-1) ?? whole;
    for (const entry of await readdir(folder)) {
      // Kubernetes keeps the files of a volume's generation in `..2026_11_…`, and links `..data` to it: not names of ours.
      if (entry.startsWith('..')) continue;
      // Folders count: a few that link to each other are as many as one likes.
      look.members += 1;
      if (look.members > membersMax)
        throw new BundleRefused(`the folder has more than ${membersMax} files and folders`);
      const name = below === '' ? entry : `${below}/${entry}`;
      const path = await realpath(join(folder, entry));
      if (path !== whole && !path.startsWith(whole + sep)) throw new BundleRefused(`${name} leads out of the folder`);
      // Of what a link leads to: the subfolders of a volume are links, as its files are.
      const found = await stat(path);
      if (found.isDirectory()) {
        if (way.includes(path)) throw new BundleRefused(`${name} leads back to a folder that it stands in`);
        await this.#lookInto(look, name, [...way, path]);
      } else if (found.isFile()) {
        const { ino, size, mtimeMs, ctimeMs } = found;
        files.push({
          name,
          path,
          size,
          modifiedMs: mtimeMs,
          fingerprint: `${name} ${ino} ${size} ${mtimeMs} ${ctimeMs}`,
        });
      } else throw new BundleRefused(`${name} is no plain file`);
    }
  }
}

function fingerprintOf(found: readonly Found[]): string {
  return found.map(({ fingerprint }) => fingerprint).join('\n');
}

async function contentOf(path: string, bytesMax: number): Promise<Uint8Array> {
  const handle = await open(path, toRead).catch((cause: unknown) => {
    throw unreadable(cause);
  });
  try {
    return (await read(handle, bytesMax)).bytes;
  } finally {
    await handle.close();
  }
}
