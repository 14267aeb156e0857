import { setTimeout as pause } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { asking, evaluation, report } from './client.ts';
import { sum } from './exposition.ts';
import { agent, Place } from './sidecar-process.ts';

let place: Place;
beforeEach(async () => {
  place = await Place.make();
});
afterEach(() => place.remove());

const stalledMs = 3_000;

describe('X04 a sidecar that was not let run', () => {
  it('answers what came meanwhile by what it knows then: a report has aged, and a limit of its age holds', async () => {
    const sidecar = await place.start();
    const expires_at = new Date(Date.now() + 2_000).toISOString();
    const signal = report('device', 'node-7', { compliant: true }, { expires_at });
    const risk = report('subject', agent, { risk_level: 'low' });
    expect((await sidecar.control().post('/v1/signals', [signal, risk])).status).toBe(200);
    const decision = sidecar.decision();
    expect(JSON.parse((await decision.post(evaluation, asking('read'))).body)).toMatchObject({ decision: true });

    sidecar.signal('SIGSTOP');
    const [shown, asked] = [decision.post('/v1/data/echo/shown', {}), decision.post(evaluation, asking('read'))];
    await pause(stalledMs);
    sidecar.signal('SIGCONT');
    const { result } = JSON.parse((await shown).body) as { result: { trust: { age_s: number } } };
    expect(result.trust.age_s).toBeGreaterThanOrEqual(stalledMs / 1_000);
    expect(JSON.parse((await asked).body)).toMatchObject({ decision: false });

    const { status, body } = await sidecar.probes().get('/metrics');
    expect(status).toBe(200);
    expect(sum(body, 'nodejs_eventloop_lag_max_seconds')).toBeGreaterThan(1);
    expect((await sidecar.probes().get('/health/live')).status).toBe(200);
    expect((await decision.post(evaluation, asking('canary'))).status).toBe(200);
  }, 60_000);
});
