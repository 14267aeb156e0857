import { rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { listed } from '../bundle/archives.ts';
import { agent, Place, type RecordedEvent } from './sidecar-process.ts';

interface Recorded extends RecordedEvent {
  readonly bundles: Readonly<Record<string, { readonly revision: string }>>;
  readonly result: { readonly labels: { readonly tier: string } };
}

let place: Place;

beforeEach(async () => {
  place = await Place.make();
});

afterEach(() => place.remove());

describe('B14 bundles that are swapped while requests are decided', () => {
  it('answer and record each request by one revision, and leave none unanswered', async () => {
    const file = join(place.directory, 'swapped.tar.gz');
    const bundles = await Promise.all(
      ['r0', 'r1', 'r2'].map((revision) => listed({ revision, agents: { [agent]: { tier: revision } } })),
    );
    const deliver = async (index: number): Promise<void> => {
      await writeFile(`${file}.new`, bundles[index % bundles.length] as Buffer);
      await rename(`${file}.new`, file);
    };
    await deliver(0);
    await place.configure({ bundle: { file } });
    const sidecar = await place.start();
    const decision = sidecar.decision();
    const question = {
      subject: { type: 'agent', id: agent },
      action: { name: 'read' },
      resource: { type: 'x', id: 'y' },
    };
    const state = { isOver: false, answered: 0 };
    const asking = Array.from({ length: 8 }, async () => {
      while (!state.isOver) {
        const reply = await decision.call('POST', '/access/v1/evaluation', question);
        expect(reply.status).toBe(200);
        expect(JSON.parse(reply.body)).toMatchObject({ decision: true });
        state.answered += 1;
      }
    });
    for (let index = 1; index <= 30; index += 1) {
      await deliver(index);
      sidecar.signal('SIGHUP');
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    state.isOver = true;
    await Promise.all(asking);
    expect((await sidecar.stop()).code).toBe(0);
    const events = (await place.events()) as readonly Recorded[];
    expect(events).toHaveLength(state.answered);
    const revisions = new Set<string>();
    for (const { bundles: named, result } of events) {
      const [{ revision } = { revision: '' }, ...more] = Object.values(named);
      expect(more).toEqual([]);
      expect(result.labels.tier).toBe(revision);
      revisions.add(revision);
    }
    expect([...revisions].toSorted()).toEqual(['r0', 'r1', 'r2']);
    expect(sidecar.output).not.toContain('refused');
  }, 120_000);
});
