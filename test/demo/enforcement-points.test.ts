import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { type Ask, asking, type Question, readAnswer } from '../../deploy/demo/pep/answer.ts';
import { DatabasePep } from '../../deploy/demo/pep/database.ts';
import { type Able, isTrue, limit, permission } from '../../deploy/demo/pep/permission.ts';
import { Lease, SecretPep } from '../../deploy/demo/pep/secrets.ts';
import { TrailPep } from '../../deploy/demo/pep/trail.ts';

const question: Question = {
  subject: { type: 'agent', id: 'a' },
  action: { name: 'query' },
  resource: { type: 'database', id: 'd' },
};

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'postern-pep-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function answer(decision: unknown, context: unknown) {
  return readAnswer({ decision, context }, 'id-1');
}

/** What a sidecar answers, fixed. */
function answering(decision: unknown, context: unknown): Ask {
  return async () => answer(decision, context);
}

const constrained = (constraints: object) => answering(true, { effect: 'constrain', reasons: [], constraints });

describe('an enforcement point that reads an answer', () => {
  interface Bounds {
    readonly read_only: true;
    readonly max_rows: number;
  }
  const able: Able<Bounds> = { read_only: isTrue, max_rows: limit };
  const permits = (decision: unknown, context: unknown, obligations: readonly string[] = []) =>
    permission<Bounds>(answer(decision, context), able, obligations).permitted;

  it('goes on at allow, and at constrain when it can carry out all of it', () => {
    expect(permits(true, { effect: 'allow' })).toBe(true);
    expect(
      permission<Bounds>(answer(true, { effect: 'constrain', constraints: { read_only: true, max_rows: 1 } }), able),
    ).toEqual({ permitted: true, constraints: { read_only: true, max_rows: 1 } });
  });

  it.each([
    ['deny', false, { effect: 'deny', reasons: [{ code: 'x' }] }],
    ['step_up', false, { effect: 'step_up', acr_values: 'phr' }],
    ['a decision that is not true', 'true', { effect: 'allow' }],
    ['a permit whose effect is deny', true, { effect: 'deny' }],
    ['an effect that it does not know', true, { effect: 'audit' }],
    ['an effect that is missing', true, {}],
    ['a missing context', true, undefined],
    [
      'a constraint that it does not know',
      true,
      { effect: 'constrain', constraints: { read_only: true, max_bytes: 9 } },
    ],
    ['a constraint named like an inherited member', true, { effect: 'constrain', constraints: { toString: 1 } }],
    ['a limit that is no limit', true, { effect: 'constrain', constraints: { max_rows: 0 } }],
    ['a limit that is text', true, { effect: 'constrain', constraints: { max_rows: '10' } }],
    ['read_only: false', true, { effect: 'constrain', constraints: { read_only: false } }],
    ['constrain without a constraint', true, { effect: 'constrain', constraints: {} }],
    ['constraints that are a list', true, { effect: 'constrain', constraints: [1] }],
    [
      'an obligation that it does not know',
      true,
      { effect: 'allow', obligations: [{ type: 'notify', properties: {} }] },
    ],
    ['obligations that are no list', true, { effect: 'allow', obligations: {} }],
  ])('stays closed at %s', (_name, decision, context) => {
    expect(permits(decision, context)).toBe(false);
  });

  it('carries out an obligation that it knows', () => {
    const context = { effect: 'allow', obligations: [{ type: 'notify', properties: {} }] };
    expect(permits(true, context, ['notify'])).toBe(true);
  });

  it('stays closed when the sidecar cannot be reached, refuses, or answers something else', async () => {
    expect(await asking({ socket: join(folder, 'nobody.sock') })(question)).toMatchObject({
      permits: false,
      reasons: [{ code: 'sidecar_unreachable' }],
    });
    for (const [status, body, code] of [
      [503, '{"decision":true,"context":{"effect":"allow"}}', 'answer_status_503'],
      [200, 'decision: true', 'sidecar_unreachable'],
      [200, 'true', 'answer_malformed'],
    ] as const) {
      const server = createServer((_, response) => response.writeHead(status).end(body));
      const socket = join(folder, `other-${code}-${body.length}.sock`);
      await new Promise<void>((resolve) => server.listen(socket, resolve));
      expect(await asking({ socket })(question)).toMatchObject({ permits: false, reasons: [{ code }] });
      await new Promise((resolve) => server.close(resolve));
    }
  });
});

describe('the database enforcement point', () => {
  let file: string;
  beforeAll(() => {
    file = join(folder, 'rows.sqlite');
    const database = new DatabaseSync(file);
    database.exec('CREATE TABLE t (a); INSERT INTO t VALUES (1), (2), (3)');
    database.close();
  });
  const run = async (ask: Ask, sql: string) => (await new DatabasePep(ask, file).query(question, sql)).outcome;
  const readOnly = constrained({ read_only: true });

  it.each([
    ['an INSERT', 'INSERT INTO t VALUES (4)', 'readonly database'],
    ['a DROP', 'DROP TABLE t', 'readonly database'],
    ['a write behind a read', 'SELECT 1; DELETE FROM t', 'one statement at a time'],
    ['another file', "ATTACH '/tmp/other.sqlite' AS other", 'max 0'],
  ])('has %s refused in the database under read_only', async (_name, sql, because) => {
    const outcome = await run(readOnly, sql);
    expect(outcome).toMatchObject({ done: 'refused', by: 'database' });
    expect(outcome).toMatchObject({ because: expect.stringContaining(because) });
    expect(await run(readOnly, 'SELECT count(*) AS n FROM t')).toMatchObject({ rows: [{ n: 3 }] });
  });

  it('gives out as many rows as it may, and says where it cut', async () => {
    const rows = 'SELECT a FROM t';
    expect(await run(constrained({ max_rows: 3 }), rows)).toMatchObject({ rows: [{ a: 1 }, { a: 2 }, { a: 3 }] });
    expect(await run(constrained({ max_rows: 3 }), rows)).not.toMatchObject({ cutAt: 3 });
    expect(await run(constrained({ max_rows: 2 }), rows)).toMatchObject({ rows: [{ a: 1 }, { a: 2 }], cutAt: 2 });
  });

  it('ends a statement that runs longer than it may', async () => {
    const endless = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n';
    expect(await run(constrained({ statement_timeout_ms: 50 }), endless)).toEqual({
      done: 'refused',
      by: 'pep',
      because: 'statement stopped after 50 ms',
    });
  });

  it('writes where nothing forbids it', async () => {
    const copy = join(folder, 'copy.sqlite');
    new DatabaseSync(copy).exec('CREATE TABLE t (a)');
    const pep = new DatabasePep(answering(true, { effect: 'allow' }), copy);
    expect((await pep.query(question, 'INSERT INTO t VALUES (1) RETURNING a')).outcome).toMatchObject({
      rows: [{ a: 1 }],
    });
  });

  it('starts no session at deny', async () => {
    const pep = new DatabasePep(answering(false, { effect: 'deny' }), join(folder, 'never-made.sqlite'));
    expect((await pep.query(question, 'CREATE TABLE t (a)')).outcome).toMatchObject({ by: 'sidecar' });
    expect(() => new DatabaseSync(join(folder, 'never-made.sqlite'), { readOnly: true })).toThrow();
  });
});

describe('a secret on a lease', () => {
  it('is readable until its time is over, not at that moment', () => {
    let nowMs = 0;
    const lease = new Lease(Buffer.from('s'), 60, undefined, () => nowMs);
    nowMs = 59_999;
    expect(lease.read()).toBe('s');
    nowMs = 60_000;
    expect(() => lease.read()).toThrow('the lease is over');
    nowMs = 0;
    expect(() => lease.read()).toThrow('the lease is over');
  });

  it('is readable as often as it may be', () => {
    const lease = new Lease(Buffer.from('s'), undefined, 2, () => 0);
    expect([lease.read(), lease.read()]).toEqual(['s', 's']);
    expect(() => lease.read()).toThrow('the lease is over');
  });

  it('is wiped from memory when it ends', () => {
    const value = Buffer.from('s');
    const lease = new Lease(value, undefined, 1, () => 0);
    lease.read();
    expect(value[0]).toBe(0);
  });

  it('is never opened outside of its folder', async () => {
    await writeFile(join(folder, 'outside'), 'x');
    const pep = new SecretPep(answering(true, { effect: 'allow' }), join(folder, 'secrets'), () => 0);
    const asked = { ...question, resource: { type: 'secret', id: '../outside' } };
    await expect(pep.open(asked)).rejects.toThrow('ENOENT');
  });
});

describe('the trail', () => {
  it('is given out from its newest line, with what is named masked and said to be', async () => {
    const file = join(folder, 'decisions.jsonl');
    const line = (id: number) => JSON.stringify({ id, input: { context: { a: 1 }, 'a/b': 2, subject: { id: 's' } } });
    await writeFile(file, `${line(1)}\n${line(2)}\n${line(3)}\n`);
    const bounds = { max_rows: 2, masked_pointers: ['/input/context', '/input/a~1b', '/input/absent'] };
    const { outcome } = await new TrailPep(constrained(bounds), file).read(question);
    const masked = { input: { subject: { id: 's' } }, erased: ['/input/context', '/input/a~1b'] };
    expect(outcome).toMatchObject({
      events: [
        { id: 2, ...masked },
        { id: 3, ...masked },
      ],
    });
    expect(JSON.stringify(outcome)).not.toContain('"a":1');
  });
});
