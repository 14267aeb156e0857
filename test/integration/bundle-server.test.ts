import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { archiveOf, listedFiles, type SigningPair, signed, signingPair } from '../bundle/archives.ts';
import { agent, Place, type SidecarProcess } from '../process/sidecar-process.ts';
import { eventually } from '../support/eventually.ts';
import { Nginx } from './nginx.ts';
import { describeReal } from './parts.ts';

const token = 'CANARY-bundle-token';
const waitMs = 20_000;

interface Status {
  readonly ready: boolean;
  readonly bundles: Readonly<
    Record<string, { readonly active_revision?: string; readonly message?: string; readonly age_s?: number }>
  >;
}

describeReal('signed bundles from a real server', () => {
  const old = signingPair('ES256');
  const next = signingPair('RS256');
  let place: Place;
  let nginx: Nginx;
  let sidecar: SidecarProcess;

  /** A bundle that lets the agent in, with its tier, as `opa build` and `opa sign` make it. */
  async function bundle(
    revision: string,
    tier: string,
    pair: SigningPair,
  ): Promise<Record<string, string | Uint8Array>> {
    const files = await listedFiles({ revision, agents: { [agent]: { tier } } });
    return signed(Object.fromEntries(Object.entries(files).map(([name, bytes]) => [name.slice(1), bytes])), pair);
  }

  async function configure(pairs: readonly (readonly [string, SigningPair])[]): Promise<void> {
    const at = (name: string): string => join(place.directory, name);
    const keys = [];
    for (const [id, { publicKey, algorithm }] of pairs) {
      await writeFile(at(`${id}.pem`), publicKey.export({ type: 'spki', format: 'pem' }));
      keys.push({ id, file: at(`${id}.pem`), algorithm });
    }
    await place.configure({
      bundle: {
        file: undefined,
        name: 'authz',
        keep: at('kept'),
        http: {
          url: nginx.url,
          bearer_file: at('bundle-token'),
          ca_file: at('ca.pem'),
          min_delay_s: 1,
          max_delay_s: 1,
          timeout_s: 5,
        },
        signing: { keys },
      },
    });
  }

  async function status(): Promise<Status> {
    return JSON.parse((await sidecar.control().get('/v1/status')).body) as Status;
  }

  async function served(revision: string): Promise<void> {
    await eventually(async () => (await status()).bundles['authz']?.active_revision === revision, waitMs);
  }

  async function refused(why: string): Promise<void> {
    await eventually(async () => (await status()).bundles['authz']?.message?.includes(why) === true, waitMs);
  }

  /** The tier that the policy gives the agent now; undefined where it lets nobody in. */
  async function decided(): Promise<boolean> {
    const reply = await sidecar.decision().call('POST', '/access/v1/evaluation', {
      subject: { type: 'agent', id: agent },
      action: { name: 'read' },
      resource: { type: 'database', id: 'payroll' },
    });
    return (JSON.parse(reply.body) as { decision: boolean }).decision;
  }

  async function counted(series: string): Promise<number> {
    const { body } = await sidecar.probes().get('/metrics');
    const line = body.split('\n').find((one) => one.startsWith(`${series} `));
    return Number(line?.split(' ')[1] ?? 0);
  }

  beforeAll(async () => {
    nginx = await Nginx.make(token);
    place = await Place.make();
    await writeFile(join(place.directory, 'bundle-token'), token);
    await writeFile(join(place.directory, 'ca.pem'), nginx.authority);
    await configure([['old', old]]);
    nginx.publish(archiveOf(await bundle('r1', 'one', old)));
    await nginx.start();
    sidecar = await place.start();
  }, 120_000);

  afterAll(async () => {
    await place?.remove();
    await nginx?.remove();
  }, 60_000);

  it('are fetched over TLS with a token, verified, and decide', async () => {
    await served('r1');
    expect(await decided()).toBe(true);
    expect((await sidecar.probes().get('/health/ready')).status).toBe(200);
  }, 60_000);

  it('are not fetched again while their ETag stands', async () => {
    const series = 'postern_bundle_requests_total{bundle="authz",result="unchanged"}';
    const before = await counted(series);
    await eventually(async () => (await counted(series)) >= before + 2, waitMs);
    expect(await counted('postern_bundle_activations_total{result="activated"}')).toBe(1);
  }, 60_000);

  it('are swapped when another is published', async () => {
    nginx.publish(archiveOf(await bundle('r2', 'two', old)));
    await served('r2');
    expect(await decided()).toBe(true);
  }, 60_000);

  it('are refused when somebody has changed them on the server, and the last good one decides on', async () => {
    const tampered = await bundle('r3', 'three', old);
    const data = JSON.stringify({
      listed: { agents: { [agent]: { tier: 'gold' }, 'spiffe://intruder': { tier: 'gold' } } },
    });
    nginx.publish(archiveOf({ ...tampered, 'data.json': data }));
    await refused('"data.json" is not the file that was signed');
    expect((await status()).bundles['authz']?.active_revision).toBe('r2');
    expect(await decided()).toBe(true);
    expect(await counted('postern_bundle_activations_total{result="refused"}')).toBe(1);
    expect((await sidecar.probes().get('/health/ready')).status).toBe(200);
    const { '.signatures.json': _signature, ...unsigned } = tampered;
    nginx.publish(archiveOf(unsigned));
    await refused('the bundle is not signed, and it has to be');
  }, 60_000);

  it('are refused when an older one is put back', async () => {
    // Once the time is over in which a server behind a balancer may lag behind, a replay is a replay.
    const older = await bundle('r1', 'one', old);
    nginx.publish(archiveOf(older));
    await refused('revision r1 served');
    expect((await status()).bundles['authz']?.active_revision).toBe('r2');
  }, 60_000);

  it('change their key: first both are believed, then the new one alone', async () => {
    await sidecar.stop();
    await configure([
      ['old', old],
      ['next', next],
    ]);
    sidecar = await place.start();
    nginx.publish(archiveOf(await bundle('r4', 'four', next)));
    await served('r4');
    await sidecar.stop();
    await configure([['next', next]]);
    sidecar = await place.start();
    await served('r4');
    nginx.publish(archiveOf(await bundle('r5', 'five', old)));
    await refused('is not the configured RS256');
    expect(await decided()).toBe(true);
  }, 120_000);

  it('go on deciding while the server is away, over a restart too, and are fetched again when it is back', async () => {
    await nginx.stop();
    await refused('the server cannot be reached');
    expect(await decided()).toBe(true);
    await sidecar.stop();
    sidecar = await place.start();
    expect((await status()).bundles['authz']).toMatchObject({ active_revision: 'r4' });
    expect(await decided()).toBe(true);
    nginx.publish(archiveOf(await bundle('r6', 'six', next)));
    await nginx.start();
    await served('r6');
    expect((await status()).bundles['authz']).not.toHaveProperty('message');
  }, 120_000);

  it('are not fetched with a token that the server does not take, and nobody is told the token', async () => {
    await writeFile(join(place.directory, 'bundle-token'), 'CANARY-wrong');
    await refused('the server answered 401');
    expect(await decided()).toBe(true);
    await rm(join(place.directory, 'bundle-token'));
    await refused('bundle-token cannot be read: ENOENT');
    const told = [sidecar.output, JSON.stringify(await status()), (await sidecar.probes().get('/metrics')).body];
    expect(told.join()).not.toContain('CANARY');
  }, 60_000);
});
