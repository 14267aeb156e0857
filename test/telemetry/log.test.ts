import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { epochMs } from '../../src/domain/time.ts';
import { createLog, type LogOptions } from '../../src/telemetry/log.ts';

function logTo(lines: string[], options: Partial<LogOptions> = {}) {
  return createLog({
    level: 'debug',
    format: 'json',
    clock: { now: () => epochMs(1_793_613_600_123) },
    write: (line) => {
      lines.push(line);
      return true;
    },
    ...options,
  });
}

/** What ends a line, steers a terminal or turns text round for somebody who reads the log. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const disruptive = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/;

const hostile = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.constantFrom(
    '\r\n{"level":"info"}',
    '\u001b[2J',
    '\u2028',
    '\u0085',
    '\u202e',
    '"}\n{',
    '__proto__',
    'message',
    'level',
    'time',
  ),
);

describe('M03 log injection', () => {
  it('keeps one event one line, one JSON object, with keys of ours alone and caller data under `fields`', () => {
    fc.assert(
      fc.property(hostile, fc.dictionary(hostile, fc.oneof(hostile, fc.jsonValue())), (message, fields) => {
        const lines: string[] = [];
        logTo(lines).info(message, fields);
        expect(lines).toHaveLength(1);
        const [line = ''] = lines;
        expect(line).not.toMatch(disruptive);
        const event = JSON.parse(line);
        expect(Object.keys(event)).toEqual(['time', 'level', 'message', 'fields']);
        expect(event).toMatchObject({ time: '2026-11-02T10:00:00.123Z', level: 'info' });
      }),
    );
  });

  it('does not glue a member called message to the message, nor let one replace level or time', () => {
    const lines: string[] = [];
    logTo(lines).info('signal refused', { message: 'mine', level: 'error', time: 'never', stack: 'x' });
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '2026-11-02T10:00:00.123Z',
      level: 'info',
      message: 'signal refused',
      fields: { message: 'mine', level: 'error', time: 'never', stack: 'x' },
    });
  });

  it('lets no value of the text form pass for a further field or line', () => {
    fc.assert(
      fc.property(hostile, hostile, (name, value) => {
        const lines: string[] = [];
        logTo(lines, { format: 'text' }).warn('refused', { [name]: value, after: 'x' });
        expect(lines).toHaveLength(1);
        expect(lines[0]).not.toMatch(disruptive);
        expect(lines[0]).toMatch(/^2026-11-02T10:00:00\.123Z warn {2}refused .*after=x$/);
      }),
    );
    const lines: string[] = [];
    logTo(lines, { format: 'text' }).warn('refused', { who: 'x level=error', 'a=1 b': 'c', plain: 'node-7' });
    expect(lines).toEqual(['2026-11-02T10:00:00.123Z warn  refused who="x level=error" "a=1 b"=c plain=node-7']);
  });
});

describe('M04 secrets', () => {
  it.each([
    ['a name', { authorization: 'CANARY-1' }],
    [
      'a name in another spelling',
      { headers: { 'Set-Cookie': 'CANARY-1', accessToken: 'CANARY-1', 'X-Api-Key': 'CANARY-1' } },
    ],
    ['a name with a list behind it', { tokens: ['CANARY-1', { x: 'CANARY-1' }] }],
    ['a number', { password: 'CANARY-1', client_secret: 7 }],
    ['a bearer header in a text', { got: 'Authorization: Bearer CANARY-1-0123456789abcdef' }],
    ['a URL with user and password', { store: 'redis://default:CANARY-1@cache:6379/0' }],
    ['a JWT', { note: 'sent eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJDQU5BUlktMSJ9.CANARY-1' }],
    ['a private key', { pem: '-----BEGIN PRIVATE KEY-----\nCANARY-1\n-----END PRIVATE KEY-----' }],
    ['a cut private key', { pem: `${'x'.repeat(4000)}-----BEGIN EC PRIVATE KEY-----\n${'CANARY-1'.repeat(800)}` }],
    [
      'an error and its causes',
      { error: new Error('at redis://u:CANARY-1@h', { cause: new Error('Bearer CANARY-1-0123456789abcdef') }) },
    ],
    ['what a library hangs on its error', { error: Object.assign(new Error('x'), { request: { body: 'CANARY-1' } }) }],
    ['bytes', { body: Buffer.from('CANARY-1') }],
  ])('are left out: %s', (_, fields) => {
    for (const format of ['json', 'text'] as const) {
      const lines: string[] = [];
      logTo(lines, { format }).error('seen', fields);
      expect(lines).toHaveLength(1);
      expect(lines[0]).not.toMatch(/CANARY-1|Q0FOQVJZ/);
    }
  });

  it('leaves names that only resemble secrets readable', () => {
    const lines: string[] = [];
    logTo(lines).info('x', { token_name: 'ops', file: 'control.token', tokenized: 1, credential_changed_at: 'y' });
    expect(JSON.parse(lines[0] ?? '').fields).toEqual({
      token_name: 'ops',
      file: 'control.token',
      tokenized: 1,
      credential_changed_at: 'y',
    });
  });
});

describe('an error in the fields', () => {
  const failure = new Error('store failed', {
    cause: Object.assign(new Error('no room'), { code: 'ENOSPC', syscall: 'write' }),
  });

  it('comes with its causes and stacks at level error', () => {
    const lines: string[] = [];
    logTo(lines).error('cannot keep a signal', { error: failure });
    expect(JSON.parse(lines[0] ?? '').fields.error).toMatchObject({
      name: 'Error',
      message: 'store failed',
      stack: expect.stringContaining('log.test.ts'),
      cause: { message: 'no room', code: 'ENOSPC', syscall: 'write', stack: expect.stringContaining('no room') },
    });
  });

  it('comes without stacks below it', () => {
    const lines: string[] = [];
    logTo(lines).warn('cannot keep a signal', { error: failure });
    expect(JSON.parse(lines[0] ?? '').fields.error).toEqual({
      name: 'Error',
      message: 'store failed',
      cause: { name: 'Error', message: 'no room', code: 'ENOSPC', syscall: 'write' },
    });
  });

  it('ends where its causes go round in a circle, and tells the errors of an aggregate', () => {
    const lines: string[] = [];
    const circle = new Error('a');
    circle.cause = circle;
    logTo(lines).warn('x', { circle, all: new AggregateError([new Error('one'), 'two'], 'several') });
    const { circle: told, all } = JSON.parse(lines[0] ?? '').fields;
    expect(told.cause.cause.cause.cause.cause).toMatchObject({ message: 'a', cause: '[deeper]' });
    expect(all).toEqual({
      name: 'AggregateError',
      message: 'several',
      errors: [{ name: 'Error', message: 'one' }, 'two'],
    });
  });
});

describe('odd values', () => {
  it('are written as what they are, within bounds', () => {
    const lines: string[] = [];
    const circle: { again?: unknown } = {};
    circle.again = circle;
    logTo(lines).info('x', {
      nan: Number.NaN,
      big: 3n,
      nothing: null,
      absent: undefined,
      set: new Set([1]),
      map: new Map([['k', 'v']]),
      date: new Date(0),
      noDate: new Date(Number.NaN),
      call: () => 1,
      circle,
      deep: { a: { b: { c: { d: { e: { f: { g: 1 } } } } } } },
    });
    expect(JSON.parse(lines[0] ?? '').fields).toEqual({
      nan: 'NaN',
      big: '3',
      nothing: null,
      set: [1],
      map: { k: 'v' },
      date: '1970-01-01T00:00:00.000Z',
      noDate: 'Invalid Date',
      call: '[function]',
      circle: { again: '[circular]' },
      deep: { a: { b: { c: { d: { e: { f: '[deeper]' } } } } } },
    });
  });

  it('never make a line longer than its bound, whatever is handed in', () => {
    const wide = Array.from({ length: 100 }, () => 'y'.repeat(10_000));
    const lines: string[] = [];
    logTo(lines).info('z'.repeat(100_000), {
      a: Array.from({ length: 100 }, () => wide),
      [`${'k'.repeat(100_000)}`]: 1,
    });
    expect(lines[0]?.length).toBeLessThan(65_536);
    expect(lines[0]).toContain('36 more');
  });

  it('that throw when read cost the fields, not the event', () => {
    const lines: string[] = [];
    logTo(lines).info('seen', {
      get broken() {
        throw new Error('no');
      },
    });
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ message: 'seen', fields: { unreadable: true } });
  });
});

describe('levels', () => {
  it.each([
    ['error', ['error']],
    ['warn', ['error', 'warn']],
    ['info', ['error', 'warn', 'info']],
    ['debug', ['error', 'warn', 'info', 'debug']],
  ] as const)('at %s writes %j', (level, written) => {
    const lines: string[] = [];
    const log = logTo(lines, { level });
    for (const each of ['error', 'warn', 'info', 'debug'] as const) log[each]('x');
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(written);
    expect(lines.map((line) => JSON.parse(line).fields)).toEqual(written.map(() => undefined));
  });
});

describe('lines that the output does not take', () => {
  it('are counted, and told once it takes lines again', () => {
    const lines: string[] = [];
    let takes = true;
    const log = logTo(lines, { write: (line) => takes && lines.push(line) > 0 });
    log.info('one');
    takes = false;
    log.info('two');
    log.info('three');
    expect(log.dropped()).toBe(2);
    takes = true;
    log.info('four');
    log.info('five');
    expect(lines.map((line) => JSON.parse(line)).map(({ message, fields }) => [message, fields])).toEqual([
      ['one', undefined],
      ['log lines were dropped', { count: 2 }],
      ['four', undefined],
      ['five', undefined],
    ]);
    expect(log.dropped()).toBe(2);
  });

  it('do no harm where output or clock throws', () => {
    const fail = (): never => {
      throw new Error('no');
    };
    const broken = logTo([], { write: fail });
    expect(() => broken.error('x')).not.toThrow();
    const timeless = logTo([], { clock: { now: fail } });
    expect(() => timeless.error('x')).not.toThrow();
    expect([broken.dropped(), timeless.dropped()]).toEqual([1, 1]);
  });
});
