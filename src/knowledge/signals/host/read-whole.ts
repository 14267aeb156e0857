// Tested by test/knowledge/signals/host/host.test.ts.
import { constants, open } from 'node:fs/promises';

const bytesMax = 1024 * 1024;

/**
 * A file of the machine, whole. Its writers must not be able to block the sidecar or fill its memory: a pipe would be waited
 * for, and the size of a file is what its owner likes.
 *
 * @returns undefined for anything but a regular file, and for a file larger than any that is read here
 * @throws if it cannot be opened or read
 */
export async function readWhole(path: string): Promise<Buffer | undefined> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > bytesMax) return undefined;
    // The kernel gives its own files no size.
    const bytes = Buffer.allocUnsafe((stats.size === 0 ? bytesMax : stats.size) + 1);
    let length = 0;
    while (length < bytes.length) {
      const { bytesRead } = await file.read(bytes, length);
      if (bytesRead === 0) return bytes.subarray(0, length);
      length += bytesRead;
    }
    return undefined;
  } finally {
    await file.close();
  }
}
