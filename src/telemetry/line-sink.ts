import { createWriteStream, fstatSync } from 'node:fs';
import type { Writable } from 'node:stream';

/** Takes lines for an output that may be slow, full or gone, and never waits for it. */
export interface LineSink {
  /** @returns false if the line was dropped: the buffer is full, or the output closed */
  write(line: string): boolean;
  /**
   * Resolves when all that was taken is written, the output has closed, or the time is up.
   *
   * @returns how many lines are still not written; what a closed output did not take is not counted
   */
  drained(timeoutMs: number): Promise<number>;
}

/**
 * A stream for a standard output that no write to can hold up the event loop. Node writes to a pipe or socket without
 * waiting, which is what a container's output is, but to files and terminals synchronously: a slow disk, or a terminal
 * stopped with Ctrl-S, would stop every decision. Those are written to from the thread pool instead.
 *
 * @param fd descriptor of `standard`
 */
export function unblockedOutput(fd: number, standard: Writable): Writable {
  const kind = fstatSync(fd);
  return kind.isFIFO() || kind.isSocket() ? standard : createWriteStream('', { fd, autoClose: false });
}

export function lineSink(stream: Writable, bufferBytesMax = 1024 * 1024): LineSink {
  let open = true;
  let waiting = 0;
  const close = () => {
    open = false;
  };
  const written = () => {
    waiting -= 1;
  };
  // EPIPE and the like: the reader of the output is gone, and the sidecar works on without it.
  stream.on('error', close);
  stream.on('close', close);
  return {
    write(line) {
      // `writableLength` counts bytes that wait; without this limit a reader that stalls would cost all memory.
      if (!open || stream.writableLength + Buffer.byteLength(line) + 1 > bufferBytesMax) return false;
      waiting += 1;
      stream.write(`${line}\n`, written);
      return true;
    },
    async drained(timeoutMs) {
      if (!open || stream.writableLength === 0) return 0;
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, timeoutMs);
      stream.on('close', resolve);
      stream.on('error', resolve);
      // Called back when everything before it has been handed over; it adds nothing itself.
      stream.write('', () => resolve());
      await promise;
      clearTimeout(timer);
      return open ? waiting : 0;
    },
  };
}
