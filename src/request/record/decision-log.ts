import type { Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';
import { Undecided } from '../../domain/errors.ts';
import type { Log } from '../../domain/ports.ts';

export interface DecisionLogOptions {
  readonly path: string;
  /** UTF-16 units of events that may wait for the disk: memory, not bytes on it. */
  readonly pendingBytesMax: number;
  /** How long closing goes on with what still waits; the last write has a second more. */
  readonly closeMs: number;
  /** Tells how long events were looked through at a stretch. */
  readonly monotonicMs: () => number;
  readonly log: Log;
  readonly written: (events: number) => void;
  readonly dropped: (events: number) => void;
}

/** Events of so long share one write: handing one over to the thread pool costs more than an enrichment does. */
const gatherMs = 5;
/** Looking events through lets requests in between so often. */
const maskMs = 2;
/** Between two tries at a file that refuses to be written. */
const retryMs = 250;
/** Whether the path still leads to the file that is written is looked at so often, while something is. */
const lookMs = 1_000;
/** Events are looked through and written in portions: each is memory once more, and what is lost if the disk stops there. */
const portionBytes = 1_048_576;
const portionMs = 100;
/** A disk that has not taken a portion after so long is taken to hang. */
const hangsMs = 5_000;
/** Events that found no room make the log fail for so long: a queue that runs over empties in between. */
const overfullMs = 5_000;
/** For the portion that is being written when the time to close is over. */
const lastWriteMs = 1_000;

/** Looks an event through before it is written. @returns what is kept of it; undefined: nothing */
export type MaskAndDrop = (line: string) => string | undefined;

interface Unmasked {
  readonly line: string;
  readonly maskAndDrop: MaskAndDrop;
}

/**
 * Decision events, appended to one file; where that was renamed or removed, to a new one in its place. An answer does not wait for it: events gather while a write is under way and
 * go out together with the next one. While the file cannot be written they wait; when no more can wait, no more
 * decisions are given.
 */
export class DecisionLog {
  #file: FileHandle;
  readonly #options: DecisionLogOptions;
  #lines: (string | Unmasked)[] = [];
  #pendingBytes = 0;
  #pendingEvents = 0;
  #writing: Promise<void> | undefined;
  #failing = false;
  /** When the disk was given what it has not taken yet. */
  #givenMs: number | undefined;
  #hanging = false;
  /** When an event last found no room though the disk takes what it is given. */
  #overfullMs: number | undefined;
  /** Whether part of an event may have been written past `#end`. */
  #torn = false;
  #closing = false;
  /** Whether the time to close is over. */
  #late = false;
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

  /** Whether the last write failed, one does not come back, or events found no room lately. */
  get failing(): boolean {
    return this.#failing || this.#hanging || this.#overfullMs !== undefined;
  }

  /** Sees what no event and no write shows by itself: time that goes by. To be called every second or so. */
  look(): void {
    const { log, monotonicMs } = this.#options;
    const nowMs = monotonicMs();
    if (!this.#hanging && this.#givenMs !== undefined && nowMs - this.#givenMs >= hangsMs) {
      this.#hanging = true;
      log.error(`the decision log has not been written for ${hangsMs / 1_000} s; events are buffered`);
    }
    // While the disk is in trouble the buffer counts as full, also when no decision needs room.
    const isTrouble = this.#failing || this.#hanging;
    if (!isTrouble && this.#overfullMs !== undefined && nowMs - this.#overfullMs >= overfullMs) {
      this.#overfullMs = undefined;
      log.info('decision events are accepted again');
    }
  }

  /**
   * @param maskAndDrop called before the event is written, and after this returned; an answer does not wait for it
   * @throws Undecided `audit_unavailable` if as much waits already as may; the event is then counted as dropped
   */
  append(line: string, maskAndDrop?: MaskAndDrop): void {
    if (this.#pendingBytes + line.length > this.#options.pendingBytesMax) {
      this.#options.dropped(1);
      this.#findNoRoom(line.length);
      throw new Undecided('audit_unavailable', `${this.#pendingBytes} bytes of events wait to be written`);
    }
    this.#lines.push(maskAndDrop === undefined ? line : { line, maskAndDrop });
    this.#pendingBytes += line.length;
    this.#pendingEvents += 1;
    this.#writing ??= this.#writeAll();
  }

  /**
   * Writes what waits, once more even if the file has been failing. What cannot be written now, or within `closeMs`, is
   * counted as dropped; a disk that does not answer at all is not waited for.
   */
  async close(): Promise<void> {
    this.#closing = true;
    const finished = this.#finish();
    if (await isOverWithin(this.#options.closeMs, finished)) return;
    this.#late = true;
    if (await isOverWithin(lastWriteMs, finished)) return;
    this.#drop('the disk does not answer; the buffered events are lost');
  }

  async #finish(): Promise<void> {
    while (this.#writing !== undefined) await this.#writing;
    await this.#file.sync().catch((cause: NodeJS.ErrnoException) => {
      // A device such as /dev/null has nothing to sync: fsync(2).
      if (cause.code !== 'EINVAL') this.#options.log.error('the decision log could not be synced', { cause });
    });
    await this.#file.close();
  }

  #findNoRoom(length: number): void {
    const { pendingBytesMax, log, monotonicMs } = this.#options;
    // An event larger than an empty buffer is not a fault of the log; with a disk in trouble, a full buffer is no
    // further news.
    if (length > pendingBytesMax || this.#failing || this.#hanging) return;
    if (this.#overfullMs === undefined)
      log.error('decision events arrive faster than they are written; the buffer is full');
    this.#overfullMs = monotonicMs();
  }

  async #writeAll(): Promise<void> {
    await delay(gatherMs);
    while (this.#lines.length > 0) {
      if (this.#late) {
        this.#drop('time ran out before all events were written; the last ones are lost');
        break;
      }
      const lines = await this.#takeMasked();
      const bytes = lines.reduce((sum, { length }) => sum + length, 0);
      const written = await this.#write(lines);
      if (!written && !this.#closing) {
        this.#lines = [...lines, ...this.#lines];
        await delay(retryMs);
        continue;
      }
      this.#pendingBytes -= bytes;
      this.#pendingEvents -= lines.length;
      if (!written) this.#options.dropped(lines.length);
      else if (lines.length > 0) this.#options.written(lines.length);
    }
    this.#writing = undefined;
  }

  #drop(why: string): void {
    this.#options.log.error(why, { events: this.#pendingEvents });
    this.#options.dropped(this.#pendingEvents);
    this.#lines = [];
    this.#pendingBytes = 0;
    this.#pendingEvents = 0;
  }

  /** The portion that is to be written next, as it is to be kept. */
  async #takeMasked(): Promise<readonly string[]> {
    const { monotonicMs } = this.#options;
    const lines: string[] = [];
    let taken = 0;
    let bytes = 0;
    let maskingMs = 0;
    let beganMs: number | undefined;
    for (const each of this.#lines) {
      if (bytes >= portionBytes || maskingMs >= portionMs) break;
      taken += 1;
      if (typeof each === 'string') {
        lines.push(each);
        bytes += each.length;
        continue;
      }
      beganMs ??= monotonicMs();
      const kept = this.#maskAndDrop(each);
      if (kept !== undefined) lines.push(kept);
      else this.#pendingEvents -= 1;
      bytes += kept?.length ?? 0;
      this.#pendingBytes += (kept?.length ?? 0) - each.line.length;
      const spentMs = monotonicMs() - beganMs;
      if (spentMs < maskMs) continue;
      maskingMs += spentMs;
      await nextTurn();
      beganMs = undefined;
    }
    this.#lines.splice(0, taken);
    return lines;
  }

  #maskAndDrop({ line, maskAndDrop }: Unmasked): string | undefined {
    try {
      return maskAndDrop(line);
    } catch (cause) {
      // Without the rules' answer it must not be written unmasked.
      this.#options.log.error('an event could not be masked and was not written', { cause });
      this.#options.dropped(1);
      return undefined;
    }
  }

  async #write(lines: readonly string[]): Promise<boolean> {
    if (lines.length === 0) return true;
    this.#givenMs = this.#options.monotonicMs();
    try {
      const chunk = Buffer.from(lines.join(''), 'utf8');
      await this.#follow();
      await this.#mend();
      let done = 0;
      while (done < chunk.length) {
        this.#torn = true;
        done += (await this.#file.write(chunk, done)).bytesWritten;
      }
      this.#torn = false;
      this.#end += chunk.length;
      if (this.#failing || this.#hanging) this.#options.log.info('the decision log is written again');
      this.#failing = false;
      return true;
    } catch (cause) {
      if (!this.#failing) this.#options.log.error('the decision log cannot be written; events are buffered', { cause });
      this.#failing = true;
      // Readers should not meet half an event for as long as the disk is full; if this fails too, the next write begins with it.
      await this.#mend().catch(() => undefined);
      return false;
    } finally {
      this.#givenMs = undefined;
      this.#hanging = false;
    }
  }

  /** Events written to a file that was renamed or removed would be lost to readers. */
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
      log.warn('the decision log was renamed or removed; a new file was created in its place');
      await before.close();
    } else if (there.isFile() && there.size < this.#end) {
      // A device such as /dev/null has no size, and is not cut.
      this.#end = there.size;
      log.warn('another process truncated the decision log; which events are missing is not known');
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

/** @returns whether the work was over in time; @throws as the work does, if it was */
async function isOverWithin(ms: number, work: Promise<void>): Promise<boolean> {
  const inTime = new AbortController();
  const late = delay(ms, false, { signal: inTime.signal });
  late.catch(() => undefined); // aborted
  try {
    return await Promise.race([work.then(() => true), late]);
  } finally {
    inTime.abort();
  }
}
