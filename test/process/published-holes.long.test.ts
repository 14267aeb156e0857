import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { request, speak } from '../support/raw-http.ts';
import { asking, evaluation } from './client.ts';
import { sum } from './exposition.ts';
import { Place, type SidecarProcess } from './sidecar-process.ts';

const json = 'Content-Type: application/json';
const bodyBytesMax = 1_048_576;

let place: Place;
let sidecar: SidecarProcess;
beforeAll(async () => {
  place = await Place.make();
  await place.configure({ decision: { limits: { body_bytes: bodyBytesMax } } });
  sidecar = await place.start();
}, 60_000);
afterAll(() => place.remove());

async function put(bytes: Uint8Array): Promise<{ readonly status: number; readonly body: string }> {
  const { responses } = await speak(sidecar.port('decision'), bytes);
  expect(responses).toHaveLength(1);
  const [{ status, body } = { status: 0, body: '' }] = responses;
  return { status, body };
}

async function counts(): Promise<Readonly<Record<string, number>>> {
  const text = (await sidecar.probes().get('/metrics')).body;
  return {
    decided: sum(text, 'postern_decisions_total'),
    permitted: sum(text, 'postern_decisions_total', { effect: 'allow' }),
    refused: sum(text, 'postern_rejected_total'),
  };
}

async function expectCanary(): Promise<void> {
  const answer = await sidecar.decision().post(evaluation, asking('canary'));
  expect(JSON.parse(answer.body)).toMatchObject({ decision: true });
}

describe('V03 a path that reads like Rego', () => {
  const ask = (target: string): Promise<{ readonly status: number; readonly body: string }> =>
    put(request(`POST ${target}`, [json, 'Connection: close'], '{"input":{"said":"CANARY-input"}}'));
  /** What is no name of anything: looked up, found nowhere, and never compiled or run. */
  const expectNothing = ({ status, body }: { readonly status: number; readonly body: string }): void => {
    expect([200, 400, 404]).toContain(status);
    if (status === 200)
      expect(Object.keys(JSON.parse(body) as object).filter((name) => name !== 'decision_id')).toEqual([]);
    expect(body).not.toContain('CANARY');
  };

  it('V03 what stands there under its own name is answered', async () => {
    const { status, body } = await ask('/v1/data/echo/shown');
    expect({ status, result: (JSON.parse(body) as { result: object }).result }).toMatchObject({
      status: 200,
      result: { said: 'CANARY-input' },
    });
  });

  it.each([
    'a"]==1;b["',
    'a%22%5D==1;b%5B%22',
    'a"];%20true;%20x["',
    'echo"]["shown',
    'echo%22%5D%5B%22shown',
    'echo/shown"]==1;data.echo["shown',
    'echo/shown%22%5D;%20true;%20x%5B%22',
    'echo.shown',
    'echo[_]',
    'echo/*',
    '_',
    '$',
    'echo/shown;data.authz.decision',
    'echo/shown%0a%7Bdata.echo.shown%7D',
    'echo/shown#',
    'echo//shown',
    'echo/%73hown%00',
    'x%22%5D%20with%20input%20as%20%7B%7D;data%5B%22echo%22%5D%5B%22shown',
  ])('V03 A06 is a name, and nobody’s: %s', async (path) => {
    const before = await counts();
    expectNothing(await ask(`/v1/data/${path}`));
    const after = await counts();
    expect((after['decided'] ?? 0) + (after['refused'] ?? 0)).toBe(
      (before['decided'] ?? 0) + (before['refused'] ?? 0) + 1,
    );
    expect(after['permitted']).toBe(before['permitted']);
    await expectCanary();
  });

  it('V03 A06 no path but an entrypoint’s is answered with anything', async () => {
    const piece = fc.constantFrom(
      ...['echo', 'shown', 'authz', '"]', '["', ';', '==1', ' ', '/', '.', '_', '{', '}', ':=', '|', 'data', 'input'],
      ...['with', 'not', '`', '\\', '%22', '%5B', '%', '1', 'true', '[_]'],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(piece, { maxLength: 7 }), async (pieces) => {
        const path = pieces.join('').replaceAll(' ', '%20');
        fc.pre(!['echo/shown', 'authz/decision'].includes(path));
        expectNothing(await ask(`/v1/data/${path}`));
      }),
      { numRuns: 300 },
    );
    await expectCanary();
  }, 60_000);
});

describe('V04 a small gzip that says it is large', () => {
  const body = (bytes: Uint8Array): Buffer =>
    request(`POST ${evaluation}`, [json, 'Content-Encoding: gzip', 'Connection: close'], bytes);
  /** Claims 4 GiB, in its last four bytes (RFC 1952, section 2.3.1). */
  const claiming = (content: Uint8Array): Buffer => {
    const packed = gzipSync(content, { level: 9 });
    packed.writeUInt32LE(0xffff_ffff, packed.length - 4);
    return packed;
  };

  it('V04 H14 is refused by what it becomes, and what it says is never allocated', async () => {
    const bomb = claiming(Buffer.alloc(bodyBytesMax + 100_000, 0x20));
    expect(bomb.length).toBeLessThan(1_200);
    const modest = claiming(Buffer.from(JSON.stringify(asking('canary'))));
    const round = async (): Promise<void> => {
      expect(await put(body(bomb))).toMatchObject({ status: 413, body: expect.stringContaining('body_too_large') });
      // Small enough to be read, and then not what it says it is.
      expect(await put(body(modest))).toMatchObject({
        status: 400,
        body: expect.stringContaining('content_encoding_invalid'),
      });
    };
    for (let count = 0; count < 50; count += 1) await round();
    const [counted, rss] = [await counts(), await sidecar.rss()];
    for (let count = 0; count < 200; count += 1) await round();
    expect(await counts()).toEqual({ ...counted, refused: (counted['refused'] ?? 0) + 400 });
    // Four hundred times a hundredth of what one of them claims would be four times as much.
    expect(((await sidecar.rss()) - rss) / 1024 / 1024).toBeLessThan(32);
    await expectCanary();
  }, 60_000);
});
