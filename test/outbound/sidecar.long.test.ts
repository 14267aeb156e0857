import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { dispatch } from '../../src/cli/dispatch.ts';
import { explain } from '../../src/cli/explain.ts';
import { loadPolicy } from '../../src/cli/load-policy.ts';
import { parseConfig } from '../../src/config/config.ts';
import { epochMs } from '../../src/domain/time.ts';
import { type Sidecar, startSidecar } from '../../src/sidecar/sidecar.ts';
import { realTimers } from '../../src/system/real-timers.ts';
import { fakeEffects } from '../cli/fake-effects.ts';
import { KeptLog } from '../fakes/kept-log.ts';
import { type AskedServer, askedServer, json } from '../support/asked-server.ts';
import { compilePolicy } from '../support/compile-policy.ts';
import { eventually } from '../support/eventually.ts';
import { patientLimits } from '../support/patient-limits.ts';
import { asked } from '../support/testbed.ts';

const token = 'a-token-for-this-test-alone';
const entrypoints = ['authz/decision', 'blocked/decision', 'outside/twice', 'outside/quiet'];
const clock = { now: () => epochMs(Date.now()), monotonicMs: () => performance.now() };

let directory: string;
let server: AskedServer;
let sidecar: Sidecar;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'outside-'));
  await writeFile(join(directory, 'token'), token);
  await writeFile(join(directory, 'outside.tar.gz'), await compilePolicy('outside', entrypoints));
  server = await askedServer((_request, response) => json(response, { yes: true }));
});

afterEach(async () => {
  await sidecar.close(1_000);
  await server.close();
  await rm(directory, { recursive: true, force: true });
});

function configText(builtins: object, bundle: object = {}): string {
  return JSON.stringify({
    decision: { listen: '127.0.0.1:0', identity: { id: 'spiffe://acme.example/agent/report-bot' }, builtins },
    control: { listen: '127.0.0.1:0', tokens: [{ name: 'ops', file: join(directory, 'token') }] },
    bundle: { file: join(directory, 'outside.tar.gz'), ...bundle },
    store: { directory: join(directory, 'store') },
    record: { file: join(directory, 'decisions.jsonl') },
    device: { id: 'node-7', host: null },
  });
}

async function start(builtins: object, bundle: object = {}): Promise<void> {
  const log = Object.assign(new KeptLog(), { dropped: () => 0 });
  const config = parseConfig(configText(builtins, bundle), {}, { hostname: 'box-1', directory });
  sidecar = await startSidecar(config, {
    clock,
    timers: realTimers,
    random: Math.random,
    newId: randomUUID,
    threadCpuMs: patientLimits.threadCpuMs,
    log,
    version: '0.0.0-test',
    nodeVersion: process.version,
  });
}

async function decided(by = server, signal?: AbortSignal): Promise<unknown> {
  const requests = [{ method: 'get', url: by.origin, headers: { Authorization: 'Bearer CANARY' } }];
  const answer = await fetch(`http://${sidecar.addresses.decision}/access/v1/evaluation`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: asked({ context: { requests } }),
    ...(signal !== undefined && { signal }),
  });
  return answer.json();
}

async function control(path: string): Promise<string> {
  const answer = await fetch(`http://${sidecar.addresses.control}${path}`, {
    headers: { authorization: `Bearer ${token}` },
  });
  return answer.text();
}

const names = { lookup_ip_addr: { names: ['localhost'] } };
const everything = () => ({ http_send: { origins: [server.origin] }, ...names });

describe('a sidecar whose policy asks outside', () => {
  it('serves no such bundle unless it is told to, and says which rules ask', async () => {
    await start({ http_send: { origins: [server.origin] } });
    expect(await decided()).toMatchObject({ decision: true });
    await sidecar.close(1_000);
    await start({});
    expect(await decided()).toMatchObject({ decision: false, context: { reasons: [{ code: 'no_bundle' }] } });
    expect(await control('/v1/status')).toContain('the policy calls http.send in data.authz.decision, ');
  }, 60_000);

  it('asks, records, counts, and shows the shadow what it was told', async () => {
    await start(everything(), {
      shadow: { name: 'next', file: join(directory, 'outside.tar.gz') },
    });
    expect(await decided()).toMatchObject({ decision: true });
    await eventually(async () =>
      (await control('/metrics')).includes('postern_shadow_comparisons_total{result="same"} 1'),
    );
    const metrics = await control('/metrics');
    expect(metrics).toContain('postern_outside_questions_total{builtin="http.send",result="answered"} 1');
    expect(metrics).toContain('postern_outside_waiting 0');
    expect(server.requests).toHaveLength(1);
  }, 60_000);

  it('answers what waits before it stops', async () => {
    const held: (() => void)[] = [];
    const slow = await askedServer((_request, response) => held.push(() => json(response, { yes: true })));
    try {
      await start({ http_send: { origins: [slow.origin], timeout_ms: 60_000 }, ...names, wait_ms: 60_000 });
      const waiting = decided(slow);
      await eventually(() => held.length === 1);
      const closed = sidecar.close(60_000);
      for (const release of held) release();
      expect(await waiting).toMatchObject({ decision: true });
      await closed;
      expect(await readFile(join(directory, 'decisions.jsonl'), 'utf8')).toContain('"effect":"allow"');
    } finally {
      await slow.close();
    }
  }, 60_000);

  it('X01 records a decision whose caller has left before it stops', async () => {
    const held: (() => void)[] = [];
    const slow = await askedServer((_request, response) => held.push(() => json(response, { yes: true })));
    try {
      await start({ http_send: { origins: [slow.origin], timeout_ms: 60_000 }, ...names, wait_ms: 60_000 });
      const left = new AbortController();
      const asking = decided(slow, left.signal).catch(() => 'left');
      await eventually(() => held.length === 1);
      left.abort();
      expect(await asking).toBe('left');
      const closed = sidecar.close(60_000).then(() => 'closed');
      // Longer than idle connections are left open.
      expect(await Promise.race([closed, pause(1_000, 'open')])).toBe('open');
      for (const release of held) release();
      expect(await closed).toBe('closed');
      expect(await readFile(join(directory, 'decisions.jsonl'), 'utf8')).toContain('"effect":"allow"');
    } finally {
      await slow.close();
    }
  }, 60_000);

  it('X01 waits for nobody outside past its grace, denies what waits, and records that', async () => {
    const slow = await askedServer(() => undefined);
    try {
      await start({ http_send: { origins: [slow.origin], timeout_ms: 60_000 }, ...names, wait_ms: 60_000 });
      const waiting = decided(slow).catch(() => 'cut');
      await eventually(() => slow.requests.length === 1);
      const toldMs = performance.now();
      await sidecar.close(300);
      expect(performance.now() - toldMs).toBeLessThan(5_000);
      expect(await waiting).toBe('cut');
      const record = await readFile(join(directory, 'decisions.jsonl'), 'utf8');
      expect(record).toContain('"outside_unavailable"');
      expect(record).toContain('"effect":"deny"');
      expect(record.split('\n')).toHaveLength(2);
    } finally {
      await slow.close();
    }
  }, 60_000);

  it('has decisions that replay to the same, with nobody asked', async () => {
    await start(everything());
    expect(await decided()).toMatchObject({ decision: true });
    await sidecar.close(1_000);
    await server.close();
    const record = await readFile(join(directory, 'decisions.jsonl'), 'utf8');
    const bundle = join(directory, 'outside.tar.gz');
    expect(await explained(record, bundle)).toMatch(/the same result\n\nALLOW/);
    const forgetful = record.replace(/,"nd_builtin_cache":.*(?=,"requested_by")/, '');
    expect(forgetful).not.toBe(record);
    expect(await explained(forgetful, bundle)).toMatch(
      /ANOTHER RESULT\nservers are not called here, and the record has no reply for: http\.send GET http:.*\n\nDENY {2}.*\n.*\n.*outside_unavailable/,
    );
    expect(server.requests).toHaveLength(1);
  }, 60_000);
});

async function explained(record: string, bundle: string): Promise<string> {
  const { effects, said } = fakeEffects({ 'e.jsonl': record });
  const never = async () => 9;
  const others = { serve: never, build: never, dev: never, health: never, version: never, 'check-config': never };
  const code = await dispatch(['explain', '--event', 'e.jsonl', '--bundle', bundle], effects, {
    ...others,
    explain: (args, cli) =>
      explain(args, cli, { loadPolicy: (file) => loadPolicy(file, { clock, threadCpuMs: patientLimits.threadCpuMs }) }),
  });
  expect([code, said.err]).toEqual([0, '']);
  return said.out;
}
