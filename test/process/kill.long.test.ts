import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { rounds as roundsOf } from '../support/soak.ts';
import { asking, type Client, evaluation, type Reply, report } from './client.ts';
import { milliseconds } from './load.ts';
import { Place, type SidecarProcess } from './sidecar-process.ts';

const rounds = roundsOf(12, 50);

let place: Place;
beforeAll(async () => {
  place = await Place.make();
});
afterAll(() => place.remove());

/** What somebody knows of a grant who was told of every step. */
interface KnownGrant {
  readonly maxUses: number;
  approved: boolean;
  revoked: boolean;
  /** After this it is over. */
  endsBy: number;
  /** Uses that came back as a permit. */
  given: number;
  /** Uses that were asked for and never answered: each may count as taken. */
  unsure: number;
  /** As the sidecar said last. */
  uses: number;
}

interface GrantDocument {
  readonly id: string;
  readonly state: string;
  readonly uses: number;
}

/** Writes and asks, several things at a time, and keeps what was acknowledged. */
class Witness {
  readonly grants = new Map<string, KnownGrant>();
  /** Of each device: the number that was acknowledged last, and the one that was sent last. */
  readonly signals = new Map<string, { sure: number; sent: number }>();
  readonly acknowledged = { signals: 0, grants: 0, revocations: 0, permits: 0, refusals: 0 };

  /** Of what changed something; a refusal is to be had without end. */
  get changes(): number {
    const { signals, grants, revocations, permits } = this.acknowledged;
    return signals + grants + revocations + permits;
  }
  #count = 0;
  #over = false;

  /** Until the sidecar is gone. */
  async work(sidecar: SidecarProcess, subject: string): Promise<void> {
    this.#over = false;
    const control = sidecar.control();
    const ci = sidecar.at(place.socket);
    await Promise.all([
      this.#repeat(() => this.#signal(control)),
      this.#repeat(() => this.#grant(control, subject)),
      ...[1, 2, 3].map(() => this.#repeat(() => this.#use(ci, subject))),
    ]);
  }

  async #repeat(step: () => Promise<void>): Promise<void> {
    while (!this.#over) {
      await step().catch((cause: NodeJS.ErrnoException) => {
        // The sidecar is gone; nothing else may go wrong.
        if (!/^(ECONNRESET|ECONNREFUSED|EPIPE)$/.test(cause.code ?? '')) throw cause;
        this.#over = true;
      });
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async #signal(control: Client): Promise<void> {
    this.#count += 1;
    const n = this.#count;
    const known = this.signals.get(`node-${n % 5}`) ?? { sure: 0, sent: 0 };
    this.signals.set(`node-${n % 5}`, known);
    known.sent = n;
    said(await control.post('/v1/signals', report('device', `node-${n % 5}`, { n }, { sequence: n })), 200);
    known.sure = n;
    this.acknowledged.signals += 1;
  }

  async #grant(control: Client, subject: string): Promise<void> {
    this.#count += 1;
    const count = this.#count;
    const ttlS = count % 5 === 0 ? 1 : 3_600;
    const asked = { subject, actions: ['deploy'], resources: ['payroll'], reason: 'test', ttl_s: ttlS };
    const known: KnownGrant = {
      ...{ maxUses: 1 + (count % 3), approved: false, revoked: false, endsBy: Number.POSITIVE_INFINITY },
      ...{ given: 0, unsure: 0, uses: 0 },
    };
    const made: GrantDocument = JSON.parse(
      said(await control.post('/v1/grants', { ...asked, max_uses: known.maxUses }), 201),
    );
    this.grants.set(made.id, known);
    said(await control.post(`/v1/grants/${made.id}/approve`, { approver: 'ann' }), 200);
    known.endsBy = Date.now() + ttlS * 1_000;
    known.approved = true;
    this.acknowledged.grants += 1;
    if (count % 4 !== 0) return;
    said(await control.call('DELETE', `/v1/grants/${made.id}`), 200);
    known.revoked = true;
    this.acknowledged.revocations += 1;
  }

  /** Several of these go for the same grant at the same time. */
  async #use(ci: Client, subject: string): Promise<void> {
    const [id, grant] = [...this.grants].filter(([, one]) => one.approved).at(-1) ?? [];
    if (id === undefined || grant === undefined) {
      await pause(1);
      return;
    }
    grant.unsure += 1;
    const reply = await ci.post(evaluation, asking('deploy', { context: { grant: id } }, subject));
    const permitted = JSON.parse(said(reply, 200)).decision === true;
    grant.unsure -= 1;
    if (permitted) grant.given += 1;
    this.acknowledged[permitted ? 'permits' : 'refusals'] += 1;
  }

  /** What the sidecar says after a restart is what was acknowledged, or what may have been done besides. */
  async compare(sidecar: SidecarProcess): Promise<void> {
    const control = sidecar.control();
    for (const [id, known] of this.signals) {
      const { sure, sent } = known;
      if (sure === 0) continue;
      const { reports }: { reports: readonly { value: number }[] } = JSON.parse(
        said(await control.get(`/v1/signals/device/${id}`), 200),
      );
      expect(reports.map(({ value }) => value)).toEqual([expect.any(Number)]);
      expect([sure, sent]).toContain(reports[0]?.value);
      // From now on that is what is known.
      known.sure = reports[0]?.value ?? 0;
    }
    const listed = await allGrants(control);
    for (const [id, known] of this.grants) {
      const found = listed.get(id);
      expect({ id, uses: found?.uses, known, fits: fits(found, known) }).toMatchObject({ fits: [] });
      known.uses = found?.uses ?? 0;
    }
  }
}

/** @returns what is wrong with it */
function fits(found: GrantDocument | undefined, known: KnownGrant): readonly string[] {
  if (found === undefined) return ['it is gone'];
  const { state, uses } = found;
  return [
    ...(uses < known.given ? ['a use that was given has been forgotten'] : []),
    ...(uses > known.given + known.unsure ? ['a use was taken that nobody asked for'] : []),
    ...(uses < known.uses ? ['a use came back'] : []),
    ...(uses > known.maxUses || known.given > known.maxUses ? ['a use was given twice'] : []),
    ...(known.approved && ['requested', 'lapsed'].includes(state) ? ['its approval has been forgotten'] : []),
    ...(known.revoked && state !== 'revoked' ? ['its revocation has been forgotten'] : []),
    ...(state === 'active' && (uses >= known.maxUses || Date.now() > known.endsBy + 5_000) ? ['it revived'] : []),
  ];
}

async function allGrants(control: Client): Promise<ReadonlyMap<string, GrantDocument>> {
  const found = new Map<string, GrantDocument>();
  let after: string | undefined;
  do {
    const query: string = after === undefined ? '' : `&after=${after}`;
    const page: { grants: readonly GrantDocument[]; after?: string } = JSON.parse(
      said(await control.get(`/v1/grants?limit=1000${query}`), 200),
    );
    for (const grant of page.grants) found.set(grant.id, grant);
    after = page.after;
  } while (after !== undefined);
  return found;
}

function said(reply: Reply, status: number): string {
  expect(reply).toMatchObject({ status });
  return reply.body;
}

describe('X02 kill -9 at any moment', () => {
  it('X02 a restart knows signals, grants and uses as they were acknowledged, and gives no use twice', async () => {
    const witness = new Witness();
    const readyMs: number[] = [];
    for (let round = 0; round <= rounds; round += 1) {
      const began = performance.now();
      const sidecar = await place.start();
      readyMs.push(performance.now() - began);
      await witness.compare(sidecar);
      if (round === rounds) break;
      const working = witness.work(sidecar, `spiffe://acme.example/ci/${round}`);
      // By what was done and not by a time, which is much on a fast disk and nothing on a busy machine.
      const enough = witness.changes + 10 + ((round * 37) % 60);
      await eventually(() => witness.changes >= enough, 60_000);
      await sidecar.kill();
      await working;
    }
    const { acknowledged } = witness;
    // Or the test has shown nothing.
    expect(acknowledged.signals).toBeGreaterThan(rounds / 2);
    expect(acknowledged.grants).toBeGreaterThan(rounds / 4);
    expect(acknowledged.revocations).toBeGreaterThan(0);
    expect(acknowledged.permits).toBeGreaterThan(rounds / 4);
    expect(acknowledged.refusals).toBeGreaterThan(0);
    console.log(
      `X02: ${rounds} rounds, ${JSON.stringify(acknowledged)}; ready again after ${milliseconds(median(readyMs))}, at most ${milliseconds(Math.max(...readyMs))}`,
    );
  }, 600_000);
});

function median(times: readonly number[]): number {
  return [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? Number.NaN;
}
