import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { parseConfig } from '../../src/config/config.ts';
import { epochMs } from '../../src/domain/time.ts';
import type { Effects } from '../../src/sidecar/effects.ts';
import { type Sidecar, startSidecar } from '../../src/sidecar/sidecar.ts';
import { realTimers } from '../../src/system/real-timers.ts';
import type { OperationalLog } from '../../src/telemetry/log.ts';
import { KeptLog } from '../fakes/kept-log.ts';
import { compilePolicy } from '../support/compile-policy.ts';
import { eventually } from '../support/eventually.ts';

const token = 'a-token-for-this-test-alone';
const agent = 'spiffe://acme.example/agent/report-bot';
const log: OperationalLog = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  dropped: () => 0,
};
const effects: Effects = {
  clock: { now: () => epochMs(Date.now()), monotonicMs: () => performance.now() },
  timers: realTimers,
  random: Math.random,
  newId: randomUUID,
  threadCpuMs: () => process.threadCpuUsage().user / 1_000,
  log,
  version: '0.0.0-test',
  nodeVersion: process.version,
};

let directory: string;
let sidecar: Sidecar | undefined;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'sidecar-'));
  await writeFile(join(directory, 'token'), token);
});

afterEach(async () => {
  await sidecar?.close(1_000);
  sidecar = undefined;
  await rm(directory, { recursive: true, force: true });
});

function start(more: object = {}, change: Partial<Effects> = {}): Promise<Sidecar> {
  const config = {
    decision: {
      listen: '127.0.0.1:0',
      identity: { id: agent },
      sockets: [{ path: join(directory, 'run/ci.sock'), identity: { id: 'spiffe://acme.example/ci/job' } }],
    },
    control: {
      listen: '127.0.0.1:0',
      socket: { path: join(directory, 'control/control.sock') },
      tokens: [{ name: 'ops', file: join(directory, 'token') }],
    },
    probes: { listen: '127.0.0.1:0' },
    bundle: { file: join(import.meta.dirname, '../../bundles/starter.tar.gz') },
    store: { directory: join(directory, 'store') },
    record: { file: join(directory, 'decisions.jsonl'), console: true },
    device: { id: 'node-7', host: {} },
    ...more,
  };
  return startSidecar(parseConfig(JSON.stringify(config), {}, { hostname: 'box-1', directory }), {
    ...effects,
    ...change,
  });
}

describe('a sidecar as its parts are put together', () => {
  it('is ready, decides on what it was told, and closes', async () => {
    sidecar = await start();
    const { decision, control, probes } = sidecar.addresses;
    expect((await fetch(`http://${probes}/health/ready`)).status).toBe(200);
    const observed_at = new Date().toISOString();
    const told = await fetch(`http://${control}/v1/signals`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify([
        { about: { kind: 'device', id: 'node-7' }, attributes: { compliant: true }, observed_at, source: 'mdm' },
        { about: { kind: 'subject', id: agent }, attributes: { risk_level: 'low' }, observed_at, source: 'idp' },
      ]),
    });
    expect(told.status).toBe(200);
    const untold = await fetch(`http://${control}/v1/signals`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ about: { kind: 'device', id: 'node-7' }, observed_at: 'today', source: 'mdm' }),
    });
    expect(untold.status).toBe(400);
    const answer = await fetch(`http://${decision}/access/v1/evaluation`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        subject: { type: 'agent', id: agent },
        action: { name: 'query' },
        resource: { type: 'database', id: 'payroll' },
        context: { task: 'monthly-report' },
      }),
    });
    expect(await answer.json()).toMatchObject({ decision: true, context: { effect: 'constrain' } });
    const metrics = await (await fetch(`http://${probes}/metrics`)).text();
    expect(metrics).toContain('postern_decisions_total{policy="database_access",effect="constrain"} 1');
    expect(metrics).toContain('postern_signals_received_total{source="other",type="device",result="refused"} 1');
    expect(metrics).toContain('postern_rejected_total{why="signal_invalid"} 1');
    const status = await fetch(`http://${control}/v1/status`, { headers: { authorization: `Bearer ${token}` } });
    expect(await status.json()).toMatchObject({ ready: true, not_ready: [] });
    await sidecar.reloadBundle();
    await sidecar.close(1_000);
    sidecar = undefined;
    await expect(fetch(`http://${probes}/health/live`)).rejects.toThrow();
  }, 60_000);

  it('P12 says nowhere what the bundle masks: not in the record, its other form, or beside a shadow bundle', async () => {
    await writeFile(
      join(directory, 'masking.tar.gz'),
      await compilePolicy('masking', ['authz/decision', 'system/log/mask', 'system/log/drop']),
    );
    await writeFile(join(directory, 'shadow.tar.gz'), await compilePolicy('allow', ['authz/decision']));
    const kept = Object.assign(new KeptLog(), { dropped: () => 0 });
    const shadow = { name: 'shadow', file: join(directory, 'shadow.tar.gz') };
    sidecar = await start({ bundle: { file: join(directory, 'masking.tar.gz'), shadow } }, { log: kept });
    const answer = await fetch(`http://${sidecar.addresses.decision}/access/v1/evaluation`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        subject: { type: 'agent', id: agent },
        action: { name: 'read' },
        resource: { type: 'database', id: 'payroll' },
        context: { secret: 'CANARY', mask: ['/input/context/secret', '/result/reasons/0/message'] },
      }),
    });
    expect(await answer.json()).toMatchObject({ decision: false });
    const flipped = 'the shadow bundle would answer otherwise';
    await eventually(() => kept.of('info').includes(flipped) && kept.of('info').includes('Decision Log'));
    expect(kept.lines.find(({ message }) => message === flipped)?.fields).toMatchObject({
      from: { effect: 'deny', explanation: [{ code: 'told' }] },
      to: { effect: 'allow' },
    });
    const metrics = await (await fetch(`http://${sidecar.addresses.probes}/metrics`)).text();
    expect(metrics).toContain('postern_journal_events_screened_total{result="masked"} 1');
    const record = await readFile(join(directory, 'decisions.jsonl'), 'utf8');
    expect(record).toContain('"erased":["/input/context/secret","/result/reasons/0/message"]');
    for (const text of [record, kept.text(), metrics]) expect(text).not.toContain('CANARY');
  }, 60_000);

  it('W12 is not ready while the disk of the record does not answer, and is again once it does', async () => {
    const pipe = join(directory, 'pipe');
    execFileSync('mkfifo', [pipe]);
    let passedMs = 0;
    const kept = new KeptLog();
    sidecar = await start(
      { record: { file: pipe } },
      {
        clock: { now: effects.clock.now, monotonicMs: () => performance.now() + passedMs },
        log: Object.assign(kept, { dropped: () => 0 }),
      },
    );
    const { decision, probes } = sidecar.addresses;
    const reader = await open(pipe, 'r');
    // A pipe takes 64 KiB before its writer waits.
    await fetch(`http://${decision}/access/v1/evaluation`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        subject: { type: 'agent', id: agent },
        action: { name: 'query' },
        resource: { type: 'database', id: 'payroll' },
        context: { task: Array.from({ length: 400 }, () => 'x'.repeat(200)) },
      }),
    });
    const buffer = Buffer.alloc(1_000_000);
    const first = await reader.read(buffer, 0, 1);
    passedMs += 5_000;
    const ready = async (): Promise<number> => (await fetch(`http://${probes}/health/ready`)).status;
    await eventually(async () => (await ready()) === 503);
    await eventually(() => kept.of('warn').includes('not ready to decide'));
    expect(kept.of('error')).toEqual(['the decision log has not been written for 5 s; events are buffered']);
    let event = buffer.toString('utf8', 0, first.bytesRead);
    while (!event.endsWith('\n')) event += buffer.toString('utf8', 0, (await reader.read(buffer)).bytesRead);
    await reader.close();
    await eventually(async () => (await ready()) === 200);
    expect(JSON.parse(event)).toMatchObject({ effect: 'deny' });
  }, 60_000);

  it('lets go of everything when something cannot be opened, so that the next start can', async () => {
    await expect(start({ probes: { listen: '192.0.2.1:8383' } })).rejects.toThrow('cannot listen on 192.0.2.1:8383');
    sidecar = await start();
    expect(sidecar.addresses.decision).toBeDefined();
  }, 60_000);
});
