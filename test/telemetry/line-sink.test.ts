import { spawn } from 'node:child_process';
import { createWriteStream, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import { lineSink, unblockedOutput } from '../../src/telemetry/line-sink.ts';

/** An output that takes nothing until it is let go. */
function stalled() {
  const taken: string[] = [];
  let letGo = () => {};
  const gate = new Promise<void>((resolve) => {
    letGo = resolve;
  });
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      gate.then(() => {
        taken.push(chunk.toString());
        done();
      });
    },
  });
  return { stream, taken, letGo };
}

describe('X10 an output that is slow', () => {
  it('takes lines up to the limit, then drops, then takes again', async () => {
    const { stream, taken, letGo } = stalled();
    const sink = lineSink(stream, 30);
    expect(['123456789', '123456789', '123456789', 'x'].map((line) => sink.write(line))).toEqual([
      true,
      true,
      true,
      false,
    ]);
    letGo();
    await sink.drained(1000);
    expect(sink.write('after')).toBe(true);
    await sink.drained(1000);
    expect(taken.join('')).toBe('123456789\n123456789\n123456789\nafter\n');
  });

  it('counts bytes, not characters', () => {
    const { stream } = stalled();
    const sink = lineSink(stream, 10);
    expect(sink.write('€€€€')).toBe(false);
    expect(sink.write('€€€')).toBe(true);
  });

  it('is not waited for longer than is said, which tells how many lines it has not taken', async () => {
    const { stream, letGo } = stalled();
    const sink = lineSink(stream);
    sink.write('x');
    sink.write('y');
    expect(await sink.drained(20)).toBe(2);
    letGo();
    expect(await sink.drained(1000)).toBe(0);
  });
});

describe('X10 an output that is closed', () => {
  it('drops every line and throws nothing', async () => {
    const stream = new Writable({
      write: (_chunk, _encoding, done) => done(Object.assign(new Error('x'), { code: 'EPIPE' })),
    });
    const sink = lineSink(stream);
    sink.write('one');
    await new Promise((resolve) => stream.on('close', resolve));
    expect(sink.write('two')).toBe(false);
    await sink.drained(1000);
  });
});

/** Runs a process that logs 20,000 lines, told on its standard error how many were dropped. */
async function logging(stdout: 'pipe' | number, then: (child: ReturnType<typeof spawn>) => void) {
  const child = spawn(process.execPath, [fileURLToPath(new URL('./log-much.ts', import.meta.url))], {
    stdio: ['ignore', stdout, 'pipe'],
  });
  then(child);
  let told = '';
  child.stderr?.on('data', (chunk) => {
    told += chunk;
  });
  const code = await new Promise((resolve) => child.on('exit', resolve));
  child.stdout?.destroy();
  return { code, ...(JSON.parse(told) as { dropped: number }) };
}

describe('X10 a real process', () => {
  it('goes on, bounded, while nobody reads its pipe', async () => {
    const { code, dropped } = await logging('pipe', (child) => child.stdout?.pause());
    // Whoever waits for this reader waits for ever, and does not come to its end.
    expect(code).toBe(0);
    expect(dropped).toBeGreaterThan(10_000);
  });

  it('goes on when the reader of its pipe is gone', async () => {
    const { code, dropped } = await logging('pipe', (child) => child.stdout?.destroy());
    expect(code).toBe(0);
    expect(dropped).toBeGreaterThan(10_000);
  });

  it('writes to a file without waiting for the disk, and loses nothing that was taken', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'postern-log-'));
    try {
      const file = join(directory, 'out.log');
      const { code, dropped } = await logging(openSync(file, 'w'), () => {});
      expect(code).toBe(0);
      const lines = readFileSync(file, 'utf8').trimEnd().split('\n');
      expect(lines.filter((line) => JSON.parse(line).message === 'a line')).toHaveLength(20_000 - dropped);
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});

describe('unblockedOutput', () => {
  it('goes round the stream that Node made where that would write synchronously', () => {
    const directory = mkdtempSync(join(tmpdir(), 'postern-log-'));
    try {
      const fd = openSync(join(directory, 'out.log'), 'w');
      const standard = createWriteStream('', { fd });
      const own = unblockedOutput(fd, standard);
      expect(own).not.toBe(standard);
      standard.destroy();
    } finally {
      rmSync(directory, { recursive: true });
    }
  });
});
