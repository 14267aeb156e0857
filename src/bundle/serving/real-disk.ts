// Tested by test/bundle/serving/bundle-life.long.test.ts.
import { constants, mkdir, open, readdir, rename, unlink } from 'node:fs/promises';
import { BundleRefused } from '../../domain/errors.ts';
import { toRead } from '../sources/file-source.ts';
import { GrowingBytes } from '../sources/growing-bytes.ts';
import type { Disk } from './kept-bundle.ts';

const pieceBytes = 1_048_576;

/** The machine's own disk. Only this user can read what it writes. */
export const realDisk: Disk = {
  makeFolder: async (path) => {
    await mkdir(path, { recursive: true, mode: 0o700 });
  },

  read: async (path, bytesMax) => {
    // A symlink in place of one of our files is not ours.
    const handle = await open(path, toRead | constants.O_NOFOLLOW).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined;
      throw new BundleRefused(`the kept copy cannot be read: ${cause.code}`, { cause });
    });
    if (handle === undefined) return undefined;
    try {
      const growing = new GrowingBytes(bytesMax);
      const piece = new Uint8Array(pieceBytes);
      for (;;) {
        const { bytesRead } = await handle.read(piece, 0, piece.length);
        if (bytesRead === 0) return growing.done().bytes;
        growing.push(piece.subarray(0, bytesRead));
      }
    } finally {
      await handle.close();
    }
  },

  write: async (path, bytes) => {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOFOLLOW;
    const handle = await open(path, flags, 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
  },

  rename,

  syncFolder: async (path) => {
    const handle = await open(path, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },

  list: readdir,
  remove: unlink,
};
