import { mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { asking, evaluation } from './client.ts';
import { type Change, Place, token } from './sidecar-process.ts';

let place: Place;
const servers: Server[] = [];
beforeEach(async () => {
  place = await Place.make();
});
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  await place.remove();
});

async function takenPort(): Promise<number> {
  const server = createServer();
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return typeof address === 'object' && address !== null ? address.port : 0;
}

/** It ends with 1 and says one thing: what is wrong, without a stack or a secret. @returns what it said */
async function refuses(change: Change): Promise<string> {
  await place.configure(change);
  const sidecar = place.spawn();
  const ended = await sidecar.exited;
  expect({ ...ended, output: sidecar.output }).toEqual({ code: 1, signal: null, output: sidecar.output });
  expect(sidecar.output).not.toContain('"listening"');
  expect(sidecar.output).not.toMatch(/\n\s+at |\\n\s+at |node:internal|\.ts:\d/);
  expect(sidecar.output).not.toContain('CANARY');
  const errors = sidecar.output.split('\n').filter((line) => /"level":"error"|the configuration has/.test(line));
  expect({ errors, output: sidecar.output }).toEqual({ errors: [expect.any(String)], output: sidecar.output });
  return errors[0] ?? '';
}

/** What a refused start leaves behind keeps nobody from starting. */
async function startsAgain(): Promise<void> {
  await place.configure();
  const sidecar = await place.start();
  expect((await sidecar.decision().post(evaluation, asking('canary'))).body).toContain('"decision":true');
}

describe('X07 a place that cannot be had', () => {
  it.each([
    ['decision', 'decision'],
    ['control', 'control'],
    ['probes', 'probes'],
  ])(
    'X07 the %s port is taken',
    async (_name, section) => {
      const port = await takenPort();
      const said = await refuses({ [section]: { listen: `127.0.0.1:${port}` } });
      expect(said).toContain(`cannot listen on 127.0.0.1:${port}: it is taken`);
      await startsAgain();
    },
    30_000,
  );

  it('X07 a socket on which somebody listens stays theirs', async () => {
    const first = await place.start();
    const said = await refuses({
      store: { directory: join(place.directory, 'second') },
      record: { file: join(place.directory, 'second.jsonl') },
    });
    expect(said).toContain('another process listens there');
    const answer = await first.at(place.socket).post(evaluation, asking('canary'));
    expect(answer.body).toContain('"decision":true');
  }, 30_000);

  it('X07 a socket that a killed sidecar left behind is replaced', async () => {
    const first = await place.start();
    await first.kill();
    expect((await stat(place.socket)).isSocket()).toBe(true);
    const second = await place.start();
    expect((await second.at(place.socket).post(evaluation, asking('canary'))).body).toContain('"decision":true');
    expect(((await stat(place.socket)).mode & 0o777).toString(8)).toBe('660');
    expect(await second.stop()).toEqual({ code: 0, signal: null });
    await expect(stat(place.socket)).rejects.toThrow('ENOENT');
  }, 30_000);

  it('X07 a file where the socket should be is left as it is', async () => {
    await writeFile(place.socket, 'not mine to remove');
    expect(await refuses({})).toContain('something that is no socket stands there');
    expect(await readFile(place.socket, 'utf8')).toBe('not mine to remove');
  }, 30_000);

  it.each<readonly [string, (directory: string) => Promise<Change>, string]>([
    [
      'the store’s directory below a file',
      async (directory) => {
        await writeFile(join(directory, 'plain'), '');
        return { store: { directory: join(directory, 'plain', 'store') } };
      },
      'plain/store',
    ],
    ['the store on a file system that takes none', async () => ({ store: { directory: '/sys/store' } }), '/sys/store'],
    [
      'a directory where the record should be',
      async (directory) => {
        await mkdir(join(directory, 'record.jsonl'));
        return { record: { file: join(directory, 'record.jsonl') } };
      },
      'record.jsonl',
    ],
    [
      'the record on a file system that takes none',
      async () => ({ record: { file: '/proc/decisions.jsonl' } }),
      '/proc/decisions.jsonl',
    ],
    [
      'the record below a file',
      async (directory) => {
        await writeFile(join(directory, 'plain'), '');
        return { record: { file: join(directory, 'plain', 'decisions.jsonl') } };
      },
      'plain/decisions.jsonl',
    ],
  ])(
    'X07 %s is one clear error',
    async (_name, change, named) => {
      expect(await refuses(await change(place.directory))).toContain(named);
      await startsAgain();
    },
    30_000,
  );

  it('X07 a store that another sidecar uses stays its own', async () => {
    const first = await place.start();
    const said = await refuses({
      decision: { sockets: [], relays: [] },
      record: { file: join(place.directory, 'second.jsonl') },
    });
    expect(said).toContain('another sidecar is using the store');
    expect((await first.decision().post(evaluation, asking('canary'))).body).toContain('"decision":true');
  }, 30_000);

  it('X07 a token file that is missing or empty is named, never what stands in one', async () => {
    const missing = join(place.directory, 'none');
    const empty = join(place.directory, 'empty');
    await writeFile(empty, '\n');
    for (const file of [missing, empty]) {
      const said = await refuses({
        control: {
          listen: '127.0.0.1:0',
          tokens: [
            { name: 'operator', file: join(place.directory, 'token') },
            { name: 'second', file },
          ],
        },
      });
      expect(said).toContain('second');
      expect(said).not.toContain(token);
    }
    await startsAgain();
  }, 30_000);

  it('X07 without a bundle it starts closed, says that it is not ready, and serves as soon as there is one', async () => {
    const file = join(place.directory, 'later.tar.gz');
    await place.configure({ bundle: { file } });
    const sidecar = await place.start();
    await sidecar.says('"not ready to decide"');
    expect(sidecar.output).toContain('"reasons":"no_bundle"');
    expect(sidecar.output).not.toContain('"ready to decide"');
    const answer = await sidecar.decision().post(evaluation, asking('canary'));
    expect(JSON.parse(answer.body)).toMatchObject({ decision: false, context: { reasons: [{ code: 'no_bundle' }] } });
    expect((await sidecar.probes().get('/health/ready')).status).toBe(503);
    expect((await sidecar.probes().get('/health/live')).status).toBe(200);
    await writeFile(file, await readFile(join(place.directory, 'bundle.tar.gz')));
    sidecar.signal('SIGHUP');
    await sidecar.says('a bundle was activated');
    expect((await sidecar.decision().post(evaluation, asking('canary'))).body).toContain('"decision":true');
    expect((await sidecar.probes().get('/health/ready')).status).toBe(200);
    await sidecar.says('"ready to decide"');
  }, 30_000);

  it('L03 a store that was damaged is told at every start, until somebody has acknowledged the loss', async () => {
    await place.configure();
    await (await place.start()).stop();
    await writeFile(join(place.directory, 'state', 'store', 'data.mdb'), Buffer.alloc(8_192));
    for (let start = 0; start < 2; start += 1) {
      const sidecar = await place.start();
      await sidecar.says('"not ready to decide"');
      expect((await sidecar.probes().get('/health/ready')).body).toContain('"reasons":["store_in_doubt"]');
      if (start === 1) {
        expect((await sidecar.control().post('/v1/store/acknowledge-loss', '')).status).toBe(204);
        await sidecar.says('"ready to decide"');
      }
      await sidecar.stop();
    }
  }, 30_000);
});

describe('X08 a configuration that is refused', () => {
  it('X05 limits that could fill the memory with bodies start nothing', async () => {
    await place.configure({ decision: { limits: { body_bytes: 64 * 1024 * 1024, in_flight: 4_096 } } });
    const sidecar = place.spawn();
    expect(await sidecar.exited).toEqual({ code: expect.any(Number), signal: null });
    expect(sidecar.child.exitCode).not.toBe(0);
    expect(sidecar.output).toContain('body_bytes times in_flight');
    expect(sidecar.output).not.toMatch(/\n\s+at /);
  }, 30_000);
});
