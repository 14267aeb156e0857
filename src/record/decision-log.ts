import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { Undecided } from '../domain/errors.ts';
import type { Log } from '../domain/ports.ts';

export interface DecisionLogOptions {
  readonly path: string;
  /** UTF-16 units of events that may wait for the disk: memory, not bytes on it. */
  readonly pendingBytesMax: number;
  /** Tells how long events were looked through at a stretch. */
  readonly monotonicMs: () => number;
  readonly log: Log;
  readonly written: (events: number) => void;
  readonly dropped: (events: number) => void;
}

/** Events of so long share one write: handing one over to the thread pool costs more than an enrichment does. */
const gatherMs = 5;
/** Looking events through lets requests in between so often. */
const screenMs = 2;
/** Between two tries at a file that refuses to be written. */
const retryMs = 250;
/** Whether the path still leads to the file that is written is looked at so often, while something is. */
const lookMs = 1_000;

/** Looks an event through before it is written. @returns what is kept of it; undefined: nothing */
export type Screen = (line: string) => string | undefined;

interface Unscreened {
  readonly line: string;
  readonly screen: Screen;
}

/**
 * Decision events, appended to one file; where that was renamed or removed, to a new one in its place. An answer does not wait for it: events gather while a write is under way and
 * go out together with the next one. While the file cannot be written they wait; when no more can wait, no more
 * decisions are given.
 */
export class DecisionLog {
  #file: FileHandle;
  readonly #options: DecisionLogOptions;
  #lines: (string | Unscreened)[] = [];
  #pendingBytes = 0;
  #writing: Promise<void> | undefined;
  #failing = false;
  /** Whether part of an event may stand behind `#end`. */
  #torn = false;
  #closing = false;
  /** Where the last whole event ends; a write that came short is cut back to it. */
  #end: number;
  #lookedMs: number;

  private constructor(file: FileHandle, end: number, options: DecisionLogOptions) {
    this.#file = file;
    this.#end = end;
    this.#options = options;
    this.#lookedMs = options.monotonicMs();
  }

  /** Opens for appending; a last line that a crash cut short is closed off first. */
  static async open(options: DecisionLogOptions): Promise<DecisionLog> {
    const { file, end } = await openFile(options);
    return new DecisionLog(file, end, options);
  }

  get pendingBytes(): number {
    return this.#pendingBytes;
  }

  /** Whether the last write failed. */
  get failing(): boolean {
    return this.#failing;
  }

  /**
   * @param screen called before the event is written, and after this returned; an answer does not wait for it
   * @throws Undecided `audit_unavailable` if as much waits already as may; the event is then counted as dropped
   */
  append(line: string, screen?: Screen): void {
    if (this.#pendingBytes + line.length > this.#options.pendingBytesMax) {
      this.#options.dropped(1);
      throw new Undecided('audit_unavailable', `${this.#pendingBytes} bytes of events wait to be written`);
    }
    this.#lines.push(screen === undefined ? line : { line, screen });
    this.#pendingBytes += line.length;
    this.#writing ??= this.#writeAll();
  }

  /** Writes what waits, once more even if the file has been failing; what cannot be written now is counted as dropped. */
  async close(): Promise<void> {
    this.#closing = true;
    while (this.#writing !== undefined) await this.#writing;
    await this.#file.sync().catch((cause: NodeJS.ErrnoException) => {
      // A device such as /dev/null has nothing to sync: fsync(2).
      if (cause.code !== 'EINVAL') this.#options.log.error('the decision log could not be synced', { cause });
    });
    await this.#file.close();
  }

  async #writeAll(): Promise<void> {
    await delay(gatherMs);
    while (this.#lines.length > 0) {
      const lines = await this.#takeScreened();
      const bytes = lines.reduce((sum, { length }) => sum + length, 0);
      const written = await this.#write(lines);
      if (written) {
        this.#pendingBytes -= bytes;
        if (lines.length > 0) this.#options.written(lines.length);
      } else if (this.#closing) {
        this.#pendingBytes -= bytes;
        this.#options.dropped(lines.length);
      } else {
        this.#lines = [...lines, ...this.#lines];
        await delay(retryMs);
      }
    }
    this.#writing = undefined;
  }

  /** What waits now, as it is to be kept. */
  async #takeScreened(): Promise<readonly string[]> {
    const waiting = this.#lines;
    this.#lines = [];
    const lines: string[] = [];
    let endsMs: number | undefined;
    for (const each of waiting) {
      if (typeof each === 'string') {
        lines.push(each);
        continue;
      }
      const { monotonicMs } = this.#options;
      endsMs ??= monotonicMs() + screenMs;
      const kept = this.#screened(each);
      if (kept !== undefined) lines.push(kept);
      this.#pendingBytes += (kept?.length ?? 0) - each.line.length;
      if (monotonicMs() < endsMs) continue;
      await nextTurn();
      endsMs = undefined;
    }
    return lines;
  }

  #screened({ line, screen }: Unscreened): string | undefined {
    try {
      return screen(line);
    } catch (cause) {
      // Nobody has said that it may be kept as it is.
      this.#options.log.error('an event could not be looked through, and was not kept', { cause });
      this.#options.dropped(1);
      return undefined;
    }
  }

  async #write(lines: readonly string[]): Promise<boolean> {
    if (lines.length === 0) return true;
    const chunk = Buffer.from(lines.join(''), 'utf8');
    try {
      await this.#follow();
      await this.#mend();
      let done = 0;
      while (done < chunk.length) {
        this.#torn = true;
        done += (await this.#file.write(chunk, done)).bytesWritten;
      }
      this.#torn = false;
      this.#end += chunk.length;
      if (this.#failing) this.#options.log.info('the decision log is written again');
      this.#failing = false;
      return true;
    } catch (cause) {
      if (!this.#failing) this.#options.log.error('the decision log cannot be written; events wait', { cause });
      this.#failing = true;
      // Readers should not meet half an event for as long as the disk is full; if this fails too, the next write begins with it.
      await this.#mend().catch(() => undefined);
      return false;
    }
  }

  /** A file that logrotate renamed, or somebody removed, would go on to take events that nobody finds. */
  async #follow(): Promise<void> {
    const { path, log, monotonicMs } = this.#options;
    if (monotonicMs() - this.#lookedMs < lookMs) return;
    const [ours, there] = await Promise.all([this.#file.stat(), statIfThere(path)]);
    if (there === undefined || there.ino !== ours.ino || there.dev !== ours.dev) {
      await this.#mend().catch(() => undefined);
      const { file, end } = await openFile(this.#options);
      const before = this.#file;
      this.#file = file;
      this.#end = end;
      this.#torn = false;
      log.warn('the decision log was renamed or removed; a new file was begun in its place');
      await before.close();
    } else if (there.isFile() && there.size < this.#end) {
      // A device such as /dev/null has no size, and is not cut.
      this.#end = there.size;
      log.warn('the decision log was cut by somebody else; what is missing is not known here');
    }
    this.#lookedMs = monotonicMs();
  }

  /** A full disk may have taken half an event; the next one must not begin in its middle. */
  async #mend(): Promise<void> {
    if (!this.#torn) return;
    await this.#file.truncate(this.#end);
    this.#torn = false;
  }
}

async function openFile({
  path,
  log,
}: DecisionLogOptions): Promise<{ readonly file: FileHandle; readonly end: number }> {
  const file = await open(path, 'a+', 0o640);
  const { size } = await file.stat();
  if (size === 0) return { file, end: 0 };
  const { buffer } = await file.read(Buffer.alloc(1), 0, 1, size - 1);
  if (buffer[0] === 0x0a) return { file, end: size };
  log.warn('the decision log ended in the middle of an event; the rest of that line is lost');
  await file.write('\n');
  return { file, end: size + 1 };
}

function statIfThere(path: string): Promise<Stats | undefined> {
  return stat(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') return undefined;
    throw cause;
  });
}
