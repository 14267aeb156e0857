import { mkdir, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { listed } from '../bundle/archives.ts';
import { eventually } from '../support/eventually.ts';
import { agent, Place, type RecordedEvent, type SidecarProcess } from './sidecar-process.ts';

interface Recorded extends RecordedEvent {
  readonly bundles: Readonly<Record<string, { readonly revision: string }>>;
}

interface Report {
  readonly labels: Readonly<Record<string, string>>;
  readonly bundles: Readonly<Record<string, { readonly active_revision?: string }>>;
  readonly plugins: { readonly bundle: { readonly state: string } };
}

let place: Place;
let sidecar: SidecarProcess;
let server: Server;
let reports: Report[];

/** A folder of data, as a volume delivers it. */
async function deliver(revision: string, agents: Readonly<Record<string, { tier: string }>>): Promise<void> {
  const folder = join(place.directory, 'listing');
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, '.manifest'), JSON.stringify({ revision, roots: ['listed'] }));
  await writeFile(join(folder, 'data.json'), JSON.stringify({ listed: { agents } }));
}

async function decide(): Promise<boolean> {
  const reply = await sidecar.decision().call('POST', '/access/v1/evaluation', {
    subject: { type: 'agent', id: agent },
    action: { name: 'read' },
    resource: { type: 'database', id: 'payroll' },
  });
  expect(reply.status).toBe(200);
  return (JSON.parse(reply.body) as { decision: boolean }).decision;
}

beforeEach(async () => {
  place = await Place.make();
  reports = [];
  server = createServer(async (request, response) => {
    if (request.url === '/opa/status') reports.push(JSON.parse(await text(request)) as Report);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});

afterEach(async () => {
  await place.remove();
  server.close();
});

describe('a policy with data beside it, a shadow, and a server that is told', () => {
  it('decides on both, says in each record which they were, and where the shadow would answer otherwise', async () => {
    const file = join(place.directory, 'policy.tar.gz');
    const shadow = join(place.directory, 'shadow.tar.gz');
    await writeFile(file, await listed({ revision: 'p1', roots: ['authz'] }));
    await writeFile(shadow, await listed({ revision: 's1', agents: { [agent]: { tier: 'shadow' } } }));
    await deliver('d1', {});
    const { port } = server.address() as AddressInfo;
    await place.configure({
      bundle: {
        file,
        name: 'policy',
        keep: join(place.directory, 'kept'),
        data: [{ name: 'listing', directory: join(place.directory, 'listing') }],
        shadow: { name: 'next', file: shadow },
        status: { url: `http://127.0.0.1:${port}/opa` },
      },
    });
    sidecar = await place.start();
    expect(await decide()).toBe(false);
    await sidecar.says('the shadow bundle would answer otherwise');
    const metrics = (await sidecar.probes().get('/metrics')).body;
    expect(metrics).toContain('postern_shadow_flips_total{from="deny",to="allow"} 1');
    expect(metrics).toContain('postern_shadow_comparisons_total{result="flip"} 1');
    expect(sidecar.output).toMatch(
      /"from":\{"effect":"deny","explanation":\[\{"code":"agent_not_listed"\}\],"revision":"p1"\}/,
    );

    await deliver('d2', { [agent]: { tier: 'data' } });
    await eventually(async () => decide());
    await eventually(
      async () => (await sidecar.probes().get('/metrics')).body.match(/\{result="same"\} [1-9]/) !== null,
    );
    await eventually(() => reports.at(-1)?.bundles['listing']?.active_revision === 'd2', 10_000);
    expect(reports.at(-1)).toMatchObject({
      labels: { id: 'process-test' },
      bundles: {
        policy: { active_revision: 'p1' },
        listing: { active_revision: 'd2' },
        next: { active_revision: 's1' },
      },
      plugins: { bundle: { state: 'OK' } },
    });
    const { body } = await sidecar.control().get('/v1/status');
    expect(Object.keys((JSON.parse(body) as Report).bundles)).toEqual(['policy', 'listing', 'next']);

    await sidecar.stop();
    const events = (await place.events()) as readonly Recorded[];
    expect(events[0]?.bundles).toEqual({ policy: { revision: 'p1' }, listing: { revision: 'd1' } });
    expect(events.at(-1)?.bundles).toEqual({ policy: { revision: 'p1' }, listing: { revision: 'd2' } });
  }, 120_000);

  it('serves nothing, and is not ready, until its data is there', async () => {
    const file = join(place.directory, 'policy.tar.gz');
    await writeFile(file, await listed({ revision: 'p1', roots: ['authz'] }));
    await place.configure({
      bundle: { file, data: [{ name: 'listing', directory: join(place.directory, 'listing') }] },
    });
    sidecar = await place.start();
    expect(await decide()).toBe(false);
    expect((await sidecar.probes().get('/health/ready')).body).toContain('no_bundle');
    await deliver('d1', { [agent]: { tier: 'data' } });
    await eventually(async () => decide(), 10_000);
    expect((await sidecar.probes().get('/health/ready')).status).toBe(200);
  }, 120_000);

  it('refuses to start with a key that cannot be used', async () => {
    await writeFile(join(place.directory, 'key.pem'), 'no key');
    const keys = [{ id: 'release', file: join(place.directory, 'key.pem'), algorithm: 'ES256' }];
    await place.configure({ bundle: { signing: { keys } } });
    const ended = await place.spawn().exited;
    expect(ended.code).not.toBe(0);
  }, 60_000);
});
