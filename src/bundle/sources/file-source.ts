import { constants, type FileHandle, open } from 'node:fs/promises';
import { BundleRefused } from '../../domain/errors.ts';
import { type Clock, epochMs } from '../../domain/time.ts';
import { osErrorCode } from '../../system/os-error.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { type BundleSource, type Fetched, SourceFailed, type Wanted } from './source.ts';

export interface FileSourceOptions {
  readonly file: string;
  readonly bytesMax: number;
  readonly clock: Clock;
}

const pieceBytes = 1_048_576;
/** A named pipe in a file's place would keep a thread until somebody writes to it. */
export const toRead = constants.O_RDONLY | constants.O_NONBLOCK;

/** A bundle in a file. Whether it changed is told by its inode, size and times, so that a swapped symlink is seen too. */
export class FileSource implements BundleSource {
  readonly shown: string;
  readonly #options: FileSourceOptions;
  #signs = '';

  constructor(options: FileSourceOptions) {
    this.#options = options;
    this.shown = options.file;
  }

  async fetch({ asked }: Wanted): Promise<Fetched> {
    const { file, bytesMax, clock } = this.#options;
    const handle = await open(file, toRead).catch((cause: unknown) => {
      // Once it is back it is read again, whatever its times say.
      this.#signs = '';
      throw unreadable(cause);
    });
    try {
      const stat = await handle.stat();
      const signs = `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
      if (!asked && signs === this.#signs) return { kind: 'unchanged', isHeld: false };
      if (!stat.isFile()) throw this.#refused(signs, 'the bundle is no file');
      if (stat.size > bytesMax)
        throw this.#refused(signs, `the file has ${stat.size} bytes; at most ${bytesMax} are read`);
      const { bytes, digest } = await read(handle, bytesMax);
      // Only here: one that a disk would not give is asked for again at the next look.
      this.#signs = signs;
      // A file from the future is no more current than one of now.
      const currentAt = epochMs(Math.min(Math.round(stat.mtimeMs), clock.now()));
      return { kind: 'bundle', bytes, digest, etag: undefined, currentAt };
    } finally {
      await handle.close();
    }
  }

  #refused(signs: string, message: string): BundleRefused {
    this.#signs = signs;
    return new BundleRefused(message);
  }
}

export async function read(handle: FileHandle, bytesMax: number): Promise<ReturnType<GrowingBytes['done']>> {
  const growing = new GrowingBytes(bytesMax);
  const piece = new Uint8Array(pieceBytes);
  for (;;) {
    const { bytesRead } = await handle.read(piece, 0, piece.length).catch((cause: unknown) => {
      throw unreadable(cause);
    });
    if (bytesRead === 0) return growing.done();
    growing.push(piece.subarray(0, bytesRead));
  }
}

export function unreadable(cause: unknown): SourceFailed {
  const code = osErrorCode(cause) ?? 'unknown';
  return new SourceFailed(`the bundle file cannot be read: ${String(code)}`, { cause });
}
