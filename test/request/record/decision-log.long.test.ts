import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { appendFile, mkdtemp, open, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Undecided } from '../../../src/domain/errors.ts';
import { DecisionLog, type DecisionLogOptions } from '../../../src/request/record/decision-log.ts';
import { KeptLog } from '../../fakes/kept-log.ts';
import { eventually } from '../../support/eventually.ts';

let directory: string;
let path: string;
let log: KeptLog;
let written: number[];
let dropped: number;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'decisions-'));
  path = join(directory, 'decisions.jsonl');
  log = new KeptLog();
  written = [];
  dropped = 0;
});

afterEach(() => rm(directory, { recursive: true }));

function opened(change: Partial<DecisionLogOptions> = {}): Promise<DecisionLog> {
  return DecisionLog.open({
    path,
    pendingBytesMax: 1_000_000,
    closeMs: 3_000,
    monotonicMs: () => performance.now(),
    log,
    written: (events) => written.push(events),
    dropped: (events) => {
      dropped += events;
    },
    ...change,
  });
}

function text(): Promise<string> {
  return readFile(path, 'utf8');
}

describe('the decision log', () => {
  it('holds every event, in order, a line each, once it is closed', async () => {
    const events = await opened();
    const lines = Array.from({ length: 1_000 }, (_, index) => `{"n":${index},"text":"\u00e9\u{1f600}"}\n`);
    for (const line of lines) events.append(line);
    await events.close();
    expect(await text()).toBe(lines.join(''));
    expect(written.reduce((sum, count) => sum + count, 0)).toBe(1_000);
    expect(events.pendingBytes).toBe(0);
    expect(dropped).toBe(0);
  });

  it('may be /dev/null, where the collected log is record enough', async () => {
    let now = 0;
    const events = await opened({ path: '/dev/null', monotonicMs: () => now });
    for (let count = 0; count < 2; count += 1) {
      events.append('{}\n');
      await eventually(() => events.pendingBytes === 0);
      now += 10_000;
    }
    await events.close();
    expect(written).toEqual([1, 1]);
    expect(log.lines).toEqual([]);
  });

  it('writes what comes together with one write', async () => {
    const events = await opened();
    for (let count = 0; count < 100; count += 1) events.append('{}\n');
    await eventually(() => events.pendingBytes === 0);
    expect(written).toEqual([100]);
    await events.close();
  });

  it('holds them in order however they come', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(fc.nat(300), fc.boolean()), { maxLength: 60 }), async (pieces) => {
        await rm(path, { force: true });
        const events = await opened();
        let expected = '';
        for (const [index, [length, pause]] of pieces.entries()) {
          const line = `${index} ${'x'.repeat(length)}\n`;
          events.append(line);
          expected += line;
          if (pause) await new Promise((resolve) => setImmediate(resolve));
        }
        await events.close();
        expect(await text()).toBe(expected);
      }),
      { numRuns: 30 },
    );
  });

  it('goes on where it ended', async () => {
    const first = await opened();
    first.append('{"n":1}\n');
    await first.close();
    const second = await opened();
    second.append('{"n":2}\n');
    await second.close();
    expect(await text()).toBe('{"n":1}\n{"n":2}\n');
    expect(log.lines).toEqual([]);
  });

  it('W04 closes off an event that a crash cut short, and says so', async () => {
    await writeFile(path, '{"n":1}\n{"n":2');
    const events = await opened();
    events.append('{"n":3}\n');
    await events.close();
    expect(await text()).toBe('{"n":1}\n{"n":2\n{"n":3}\n');
    expect(log.of('warn')).toHaveLength(1);
  });

  describe('W09 beneath which somebody moved the file', () => {
    let events: DecisionLog;
    let nowMs: number;

    beforeEach(async () => {
      nowMs = 0;
      events = await opened({ monotonicMs: () => nowMs });
      await keep('{"n":1}\n');
    });

    afterEach(() => events.close());

    async function keep(line: string): Promise<void> {
      events.append(line);
      await eventually(() => events.pendingBytes === 0);
    }

    it('W09 begins a new one within a second where it was renamed, and leaves the old one whole', async () => {
      await rename(path, `${path}.1`);
      nowMs += 999;
      await keep('{"n":2}\n');
      expect(log.of('warn')).toEqual([]);
      nowMs += 1;
      await keep('{"n":3}\n');
      expect(log.of('warn')).toEqual([expect.stringContaining('renamed or removed')]);
      expect(await readFile(`${path}.1`, 'utf8')).toBe('{"n":1}\n{"n":2}\n');
      expect(await text()).toBe('{"n":3}\n');
    });

    it('W09 goes on in the one that stands in its place', async () => {
      await rename(path, `${path}.1`);
      await writeFile(path, '{"n":0}\n');
      nowMs += 1_000;
      await keep('{"n":2}\n');
      expect(await text()).toBe('{"n":0}\n{"n":2}\n');
    });

    it('W09 lets events wait while there is no place for one', async () => {
      await rename(directory, `${directory}-gone`);
      nowMs += 1_000;
      events.append('{"n":2}\n');
      await eventually(() => events.failing);
      expect(events.pendingBytes).toBeGreaterThan(0);
      await rename(`${directory}-gone`, directory);
      await eventually(() => events.pendingBytes === 0);
      expect(events.failing).toBe(false);
      expect(await text()).toBe('{"n":1}\n{"n":2}\n');
    });

    it('W09 goes on behind what was left of it, where it was cut', async () => {
      await truncate(path, 0);
      nowMs += 1_000;
      await keep('{"n":2}\n');
      expect(await text()).toBe('{"n":2}\n');
      expect(log.of('warn')).toEqual([expect.stringContaining('truncated the decision log')]);
    });
  });

  it('is nobody else’s to read', async () => {
    const events = await opened();
    expect((await stat(path)).mode & 0o007).toBe(0);
    await events.close();
  });

  it('X07 that cannot be opened is a fault at start', async () => {
    await expect(opened({ path: join(directory, 'missing', 'x') })).rejects.toThrow('ENOENT');
    await expect(opened({ path: directory })).rejects.toThrow('EISDIR');
  });
});

describe('W01 a disk that is full', () => {
  it('W01 lets events wait as long as there is room, and no decision be given past that', async () => {
    const events = await opened({ path: '/dev/full', pendingBytesMax: 100 });
    const line = `${'x'.repeat(49)}\n`;
    events.append(line);
    await eventually(() => events.failing);
    events.append(line);
    expect(events.pendingBytes).toBe(100);
    expect(() => events.append('\n')).toThrow(Undecided);
    expect(() => events.append('\n')).toThrow('100 bytes of events wait to be written');
    expect(dropped).toBe(2);
    expect(log.of('error')).toEqual(['the decision log cannot be written; events are buffered']);
    await events.close();
    // What could not be written in the end is counted too.
    expect(dropped).toBe(4);
    expect(written).toEqual([]);
  });

  it('W01 has room for exactly as much as is said', async () => {
    const events = await opened({ path: '/dev/full', pendingBytesMax: 10 });
    expect(() => events.append('x'.repeat(11))).toThrow(Undecided);
    events.append('x'.repeat(10));
    expect(() => events.append('x')).toThrow(Undecided);
    await events.close();
  });

  it('W03 cuts back half an event, and goes on when there is room again', async () => {
    const child = new LimitedLog(path, 20_000);
    try {
      const line = 'x'.repeat(4_999);
      for (let count = 1; count <= 3; count += 1) {
        await child.says(`append ${line}`);
        await child.until(({ written: events }) => events === count);
      }
      // Five more bytes than there is room for: part of it goes out, and is taken back.
      await child.says(`append ${'y'.repeat(5_004)}`);
      await child.until(({ failing }) => failing);
      await eventually(async () => (await stat(path)).size === 15_000);
      await child.says('append z');
      expect((await child.says(`append ${'w'.repeat(9_000)}`)).refused).toBe('audit_unavailable');
      child.liftLimit();
      await child.until(({ written: events, failing }) => events === 5 && !failing);
      const state = await child.says('close');
      expect(state).toMatchObject({ written: 5, dropped: 1, pending: 0 });
      expect(state.told).toEqual([
        'the decision log cannot be written; events are buffered',
        'the decision log is written again',
      ]);
      expect(await text()).toBe(`${`${line}\n`.repeat(3)}${'y'.repeat(5_004)}\nz\n`);
    } finally {
      child.end();
    }
  }, 20_000);

  it('W03 at the very start of an event writes nothing of it', async () => {
    await writeFile(path, 'x\n'.repeat(5_000));
    const child = new LimitedLog(path, 10_000);
    try {
      await child.says('append y');
      await child.until(({ failing }) => failing);
      expect((await stat(path)).size).toBe(10_000);
      child.liftLimit();
      await child.until(({ written: events }) => events === 1);
      await child.says('close');
      expect((await text()).slice(-4)).toBe('x\ny\n');
    } finally {
      child.end();
    }
  }, 20_000);
});

describe('W12 a disk that does not answer', () => {
  // A pipe that nobody reads takes 64 KiB and then lets its writer wait, as a disk may.
  const tooMuch = `${'x'.repeat(100_000)}\n`;
  let nowMs: number;

  beforeEach(() => {
    nowMs = 0;
    execFileSync('mkfifo', [path]);
  });

  /** Gives the log more than the pipe takes. @returns what reads the rest */
  async function hanging(events: DecisionLog): Promise<() => Promise<void>> {
    const reader = await open(path, 'r');
    events.append(tooMuch);
    let unread = tooMuch.length;
    unread -= (await reader.read(Buffer.alloc(1))).bytesRead;
    return async () => {
      while (unread > 0) unread -= (await reader.read(Buffer.alloc(unread))).bytesRead;
      await reader.close();
    };
  }

  it('W12 is told of after five seconds, and until it answers again', async () => {
    const events = await opened({ monotonicMs: () => nowMs });
    const answer = await hanging(events);
    nowMs = 4_999;
    events.look();
    expect(events.failing).toBe(false);
    nowMs = 5_000;
    events.look();
    events.look();
    expect(events.failing).toBe(true);
    expect(log.of('error')).toEqual(['the decision log has not been written for 5 s; events are buffered']);
    await answer();
    await eventually(() => events.pendingBytes === 0);
    expect(events.failing).toBe(false);
    expect(log.of('info')).toEqual(['the decision log is written again']);
    expect([written, dropped]).toEqual([[1], 0]);
    await events.close();
  });

  it('W12 gives no room while it does not answer, though no event comes that finds none', async () => {
    const events = await opened({ monotonicMs: () => nowMs, pendingBytesMax: tooMuch.length });
    const answer = await hanging(events);
    expect(() => events.append('{}\n')).toThrow(Undecided);
    nowMs = 10_000;
    events.look();
    expect(log.of('info')).toEqual([]);
    await answer();
    await eventually(() => events.pendingBytes === 0);
    expect(events.failing).toBe(true);
    events.look();
    expect(events.failing).toBe(false);
    expect(log.of('info')).toEqual(['the decision log is written again', 'decision events are accepted again']);
    await events.close();
  });

  it('W12 is not waited for at the end, and what it did not take is counted', async () => {
    const events = await opened({ closeMs: 50 });
    const answer = await hanging(events);
    events.append('{}\n');
    await events.close();
    expect([written, dropped]).toEqual([[], 2]);
    expect(log.of('error')).toEqual(['the disk does not answer; the buffered events are lost']);
    // The thread that writes would go on waiting.
    await answer();
  });
});

describe('events that come faster than they are looked through', () => {
  const slowly = (line: string): string => {
    const endMs = performance.now() + 3;
    while (performance.now() < endMs);
    return line;
  };

  it('make the log fail from the first that finds no room until none did for five seconds', async () => {
    let nowMs = 0;
    const events = await opened({ pendingBytesMax: 5, monotonicMs: () => nowMs });
    expect(() => events.append('123456')).toThrow(Undecided);
    // No fault of the log: it would not have fitted an empty one.
    expect(events.failing).toBe(false);
    for (let round = 0; round < 2; round += 1) {
      events.append('{}\n');
      expect(() => events.append('{}\n')).toThrow(Undecided);
      expect(events.failing).toBe(true);
      await eventually(() => events.pendingBytes === 0);
      nowMs += 4_999;
      events.look();
      expect(events.failing).toBe(true);
    }
    nowMs += 1;
    events.look();
    expect(events.failing).toBe(false);
    expect(log.of('error')).toEqual(['decision events arrive faster than they are written; the buffer is full']);
    expect(log.of('info')).toEqual(['decision events are accepted again']);
    await events.close();
  });

  it('are written portion by portion, and at the end as many as there is time for', async () => {
    const events = await opened({ closeMs: 300 });
    for (let count = 0; count < 500; count += 1) events.append('{}\n', slowly);
    await eventually(() => written.length > 0);
    expect(events.pendingBytes).toBeGreaterThan(0);
    await events.close();
    // Looking through the rest would have taken 1.4 s.
    expect(dropped).toBeGreaterThan(100);
    const kept = written.reduce((sum, count) => sum + count, 0);
    expect(await text()).toBe('{}\n'.repeat(kept));
    expect(kept + dropped).toBe(500);
    expect(log.of('error')).toEqual(['time ran out before all events were written; the last ones are lost']);
  });

  it('are no text longer than a text can be', async () => {
    const event = `${'x'.repeat(2 ** 24)}\n`;
    const events = await opened({ path: '/dev/null', pendingBytesMax: 2 ** 30 });
    for (let count = 0; count < 33; count += 1) events.append(event);
    await events.close();
    expect(written.reduce((sum, count) => sum + count, 0)).toBe(33);
  }, 20_000);
});

describe('a file that another process has appended to', () => {
  it('keeps what stood there', async () => {
    const events = await opened();
    events.append('{"n":1}\n');
    await eventually(() => events.pendingBytes === 0);
    await appendFile(path, '{"other":true}\n');
    events.append('{"n":2}\n');
    await events.close();
    expect(await text()).toBe('{"n":1}\n{"other":true}\n{"n":2}\n');
  });
});

interface State {
  readonly refused?: string;
  readonly written: number;
  readonly dropped: number;
  readonly pending: number;
  readonly failing: boolean;
  readonly told: readonly string[];
}

/** A decision log in a process whose files may have only so many bytes: what a full disk is, without one. */
class LimitedLog {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(file: string, bytes: number) {
    const script = new URL('./append-events.ts', import.meta.url).pathname;
    this.#process = spawn('prlimit', [`--fsize=${bytes}:unlimited`, process.execPath, script, file], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, NODE_OPTIONS: '' },
    });
    const { stdout } = this.#process;
    if (stdout === null) throw new Error('no output');
    this.#lines = createInterface({ input: stdout })[Symbol.asyncIterator]();
  }

  async says(command: string): Promise<State> {
    this.#process.stdin?.write(`${command}\n`);
    const { value } = await this.#lines.next();
    return JSON.parse(String(value)) as State;
  }

  until(holds: (state: State) => boolean): Promise<void> {
    return eventually(async () => holds(await this.says('state')));
  }

  liftLimit(): void {
    execFileSync('prlimit', ['--pid', String(this.#process.pid), '--fsize=unlimited']);
  }

  end(): void {
    this.#process.stdin?.end();
    this.#process.kill();
  }
}
