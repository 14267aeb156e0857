import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { OpaServer } from '../../differential/opa-server.ts';
import { opaMs, realOpa } from '../../support/opa.ts';
import { Testbed } from '../../support/testbed.ts';

let opa: OpaServer;
let bed: Testbed;

beforeAll(async () => {
  const { path } = await realOpa();
  opa = await OpaServer.start(path, [join(import.meta.dirname, '../../policies/echo')], 1);
  bed = await Testbed.open({ policy: 'echo', entrypoints: ['authz/decision', 'echo/shown', 'echo/said'] });
}, opaMs);

afterAll(async () => {
  await opa.stop();
  await bed.close();
});

/** Both answers, as documents. */
async function both(entrypoint: string, body: string): Promise<[ours: object, theirs: object]> {
  const answer = await bed.ask(body, { surface: 'opa', entrypoint });
  const theirs = await opa.ask('POST', `/v1/data/${entrypoint}`, body);
  expect([answer.status, theirs.status]).toEqual([200, 200]);
  return [JSON.parse(answer.body), JSON.parse(theirs.body)];
}

describe('an answer by OPA’s Data API', () => {
  const warned = { warning: { code: 'api_usage_warning', message: expect.stringContaining('input') } };

  it.each(['', '{}', '{"inputs":{"context":{"n":1}}}'])(
    'warns as OPA does of a body without input: %j',
    async (body) => {
      const [ours, theirs] = await both('echo/said', body);
      expect(theirs).toEqual(warned);
      expect(ours).toEqual(theirs);
      // What the policy is shown without an input is not alike: the sidecar adds what it knows.
      for (const entrypoint of ['echo/shown', 'authz/decision']) {
        const [{ warning }, other] = (await both(entrypoint, body)) as [{ warning?: unknown }, object];
        expect(other).toMatchObject(warned);
        expect({ warning }).toEqual(theirs);
      }
    },
  );

  it.each(['{"input":{}}', '{"input":{"context":{"n":1}}}', '{"other":1,"input":{"context":{"n":[]}}}'])(
    'says nothing of a body with one: %j',
    async (body) => {
      const [ours, theirs] = await both('echo/said', body);
      expect(theirs).not.toHaveProperty('warning');
      expect(ours).toEqual(theirs);
      for (const entrypoint of ['echo/shown', 'authz/decision']) {
        expect((await both(entrypoint, body))[0]).not.toHaveProperty('warning');
      }
    },
  );

  it('warns of what kept it from asking, where there was that too', async () => {
    const { bundle } = bed;
    bed.bundle = undefined;
    const answer = await bed.ask('{}', { surface: 'opa', entrypoint: 'echo/said' });
    bed.bundle = bundle;
    expect(JSON.parse(answer.body)).toMatchObject({ warning: { code: 'no_bundle' } });
  });
});
