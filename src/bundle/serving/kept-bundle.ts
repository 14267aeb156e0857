import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { BundleRefused } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import { type EpochMs, epochMs } from '../../domain/time.ts';
import type { Served } from './history.ts';

/** What a bundle is made of: archives, as they came. */
export interface Archives {
  readonly snapshot: StoredArchive;
  /** Deltas on it, in order. */
  readonly deltas: readonly StoredArchive[];
}

export interface StoredArchive {
  readonly bytes: Uint8Array;
  /** SHA-256, hexadecimal. */
  readonly digest: string;
}

export interface KeptBundle {
  readonly archives: Archives;
  readonly etag: string | undefined;
  readonly currentAt: EpochMs;
  readonly served: readonly Served[];
}

/** The file system, as far as a kept copy needs it; a test's has crashes and full disks. */
export interface Disk {
  makeFolder(path: string): Promise<void>;
  /** @returns undefined if there is no such file */
  read(path: string, bytesMax: number): Promise<Uint8Array | undefined>;
  /** Resolves when the bytes are on the disk, not only on their way. */
  write(path: string, bytes: Uint8Array): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  /** Makes renames in a folder last. */
  syncFolder(path: string): Promise<void>;
  list(path: string): Promise<readonly string[]>;
  remove(path: string): Promise<void>;
}

const stateFile = 'state.json';
const stateBytesMax = 4_194_304;
const version = 1;
const digestPattern = /^[0-9a-f]{64}$/;

/**
 * The last good bundle on disk, for a restart without its source. Archives lie under their own digests and are never
 * changed; one small file names those that count, and is replaced whole. So whatever moment the power goes at, there is
 * the old bundle or the new one, and what is damaged shows by its digest.
 */
export class BundleKeep {
  readonly #folder: string;
  readonly #disk: Disk;
  readonly #archiveBytesMax: number;
  /** What is on the disk already, as far as we know. */
  #stored: ReadonlySet<string> = new Set();

  constructor(folder: string, disk: Disk, archiveBytesMax: number) {
    this.#folder = folder;
    this.#disk = disk;
    this.#archiveBytesMax = archiveBytesMax;
  }

  /**
   * @returns what is kept; undefined if nothing is
   * @throws BundleRefused if it is damaged; `served` is given where at least that can be read
   */
  async load(): Promise<KeptBundle | undefined> {
    const stateBytes = await this.#disk.read(join(this.#folder, stateFile), stateBytesMax);
    if (stateBytes === undefined) return undefined;
    const state = readState(stateBytes);
    try {
      const [snapshot, ...deltas] = await Promise.all(state.archives.map((digest) => this.#loadArchive(digest)));
      if (snapshot === undefined) throw new BundleRefused('the kept copy names no archive');
      this.#stored = new Set(state.archives);
      return { archives: { snapshot, deltas }, etag: state.etag, currentAt: state.currentAt, served: state.served };
    } catch (cause) {
      throw new DamagedKeep(cause instanceof Error ? cause.message : String(cause), state.served, { cause });
    }
  }

  /** Resolves when a crash would leave this copy or the one before. @throws what the disk throws */
  async save({ archives, etag, currentAt, served }: KeptBundle): Promise<void> {
    const all = [archives.snapshot, ...archives.deltas];
    await this.#disk.makeFolder(this.#folder);
    for (const { digest, bytes } of all) {
      if (!this.#stored.has(digest)) await this.#put(archiveName(digest), bytes);
    }
    // What the state is about to name has to be there before it.
    await this.#disk.syncFolder(this.#folder);
    const state = {
      version,
      archives: all.map(({ digest }) => digest),
      etag: etag ?? null,
      current_at: currentAt,
      served: served.map(({ revision, sequence, contentDigest, at }) => [
        revision,
        sequence ?? null,
        contentDigest ?? null,
        at,
      ]),
    };
    const text = JSON.stringify(state);
    const checksum = createHash('sha256').update(text).digest('hex');
    await this.#put(stateFile, Buffer.from(`${checksum}\n${text}\n`));
    await this.#disk.syncFolder(this.#folder);
    this.#stored = new Set(state.archives);
    await this.#sweep();
  }

  async #put(name: string, bytes: Uint8Array): Promise<void> {
    const path = join(this.#folder, name);
    await this.#disk.write(`${path}.new`, bytes);
    await this.#disk.rename(`${path}.new`, path);
  }

  /** What no state names any more, and what a crash left half written. */
  async #sweep(): Promise<void> {
    for (const name of await this.#disk.list(this.#folder)) {
      const digest = name.replace(/\.tar\.gz(\.new)?$/, '');
      if (!digestPattern.test(digest) || (this.#stored.has(digest) && !name.endsWith('.new'))) continue;
      await this.#disk.remove(join(this.#folder, name));
    }
  }

  async #loadArchive(digest: string): Promise<StoredArchive> {
    const bytes = await this.#disk.read(join(this.#folder, archiveName(digest)), this.#archiveBytesMax);
    if (bytes === undefined) throw new BundleRefused(`the kept copy lacks ${archiveName(digest)}`);
    const found = createHash('sha256').update(bytes).digest('hex');
    if (found !== digest) throw new BundleRefused(`the kept copy is damaged: ${archiveName(digest)}`);
    return { bytes, digest };
  }
}

/** A kept copy that cannot serve, but still says what served. */
export class DamagedKeep extends BundleRefused {
  readonly served: readonly Served[];

  constructor(message: string, served: readonly Served[], options: ErrorOptions) {
    super(message, options);
    this.served = served;
  }
}

function archiveName(digest: string): string {
  return `${digest}.tar.gz`;
}

interface State {
  readonly archives: readonly string[];
  readonly etag: string | undefined;
  readonly currentAt: EpochMs;
  readonly served: readonly Served[];
}

function readState(bytes: Uint8Array): State {
  const [checksum, text = ''] = Buffer.from(bytes).toString('utf8').split('\n');
  if (createHash('sha256').update(text).digest('hex') !== checksum)
    throw new BundleRefused(`the kept copy is damaged: ${stateFile}`);
  const state = JSON.parse(text) as JsonValue;
  // Behind its checksum the file is what some version of us wrote; a newer one may have meant something else.
  if (!isJsonObject(state) || member(state, 'version') !== version)
    throw new BundleRefused(`the kept copy was written by another version: ${stateFile}`);
  return {
    archives: (state['archives'] as readonly string[]).filter((digest) => digestPattern.test(digest)),
    etag: (state['etag'] as string | null) ?? undefined,
    currentAt: epochMs(state['current_at'] as number),
    served: servedIn(state),
  };
}

function servedIn(state: JsonObject): readonly Served[] {
  return (state['served'] as readonly (readonly [string, number | null, string | null, number])[]).map(
    ([revision, sequence, contentDigest, at]) => ({
      revision,
      sequence: sequence ?? undefined,
      contentDigest: contentDigest ?? undefined,
      at: epochMs(at),
    }),
  );
}
