import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from '../support/eventually.ts';
import { asking, type Client, evaluation } from './client.ts';
import { sum } from './exposition.ts';
import { milliseconds, p99 } from './load.ts';
import { Place, type SidecarProcess } from './sidecar-process.ts';

let place: Place;
let sidecar: SidecarProcess;
let decision: Client;
beforeAll(async () => {
  place = await Place.make();
  sidecar = await place.start();
  decision = sidecar.decision();
}, 60_000);
afterAll(() => place.remove());

/** Each with an action of the hostile policies; all would permit, if they came to an end. */
const hostile: readonly (readonly [action: string, context: object, code: RegExp])[] = [
  ['exponential', {}, /^policy_budget_spent$/],
  ['loops', { numbers: Array.from({ length: 3_000 }, (_, n) => n + 1) }, /^policy_budget_spent$/],
  ['memory', {}, /^policy_budget_spent$/],
  ['output', {}, /^policy_(budget_spent|failed|result_invalid)$/],
  [
    'deep',
    { text: '['.repeat(500_000) + ']'.repeat(500_000) },
    /^policy_(budget_spent|failed|result_invalid|undefined)$/,
  ],
  [
    'regex',
    { pattern: '((((a{30}){30}){30}){30})*b', text: 'a'.repeat(20_000) },
    /^policy_(budget_spent|failed|undefined)$/,
  ],
  [
    'regex',
    { pattern: `^${'(a|a|aa)*'.repeat(300)}$`, text: `${'a'.repeat(100_000)}b` },
    /^policy_(budget_spent|failed|undefined)$/,
  ],
  ['glob', { pattern: '{'.repeat(3_200) }, /^policy_(budget_spent|failed|undefined)$/],
  ['glob', { pattern: '{a,b}'.repeat(2_000) }, /^policy_(budget_spent|failed|undefined)$/],
  ['conflict', {}, /^policy_failed$/],
  ['shift', { bits: 10_000_000_000 }, /^policy_(budget_spent|failed|undefined)$/],
  ['shift', { bits: 10_000_000 }, /^policy_(budget_spent|failed|undefined)$/],
  ['walk', { tree: Array.from({ length: 300 }, (_, n) => [n, [n]]) }, /^policy_budget_spent$/],
];

function codeIn(body: string): string {
  const answer: { decision: unknown; context: { reasons: readonly { code: string }[] } } = JSON.parse(body);
  expect(answer.decision).toBe(false);
  return answer.context.reasons[0]?.code ?? '';
}

async function timed<T>(what: () => Promise<T>, times: number[]): Promise<T> {
  const began = performance.now();
  const result = await what();
  times.push(performance.now() - began);
  return result;
}

/** Asks what is always right, and whether it lives, one after the other, until told to stop; every answer has to be right. */
class QuietCaller {
  readonly answers: number[] = [];
  readonly lives: number[] = [];
  readonly #decision: Client;
  readonly #probes: Client;
  #over = false;
  readonly #asking: Promise<void>;

  constructor() {
    this.#decision = sidecar.at(place.socket);
    this.#probes = sidecar.probes();
    this.#asking = this.#ask();
  }

  async #ask(): Promise<void> {
    while (!this.#over) {
      const answer = await timed(() => this.#decision.post(evaluation, asking('canary')), this.answers);
      expect({ status: answer.status, decision: JSON.parse(answer.body).decision }).toEqual({
        status: 200,
        decision: true,
      });
      const live = await timed(() => this.#probes.get('/health/live'), this.lives);
      expect(live.status).toBe(200);
      await pause(2);
    }
  }

  async stop(): Promise<string> {
    this.#over = true;
    await this.#asking;
    return `${this.answers.length} answers, p99 ${milliseconds(p99(this.answers))}, /health/live p99 ${milliseconds(p99(this.lives))}`;
  }
}

async function decisions(): Promise<{ readonly decided: number; readonly undecided: number }> {
  const text = (await sidecar.probes().get('/metrics')).body;
  return { decided: sum(text, 'postern_decisions_total'), undecided: sum(text, 'postern_undecided_total') };
}

describe('a hostile policy', () => {
  const took: string[] = [];
  afterAll(() => console.log(`hostile answers, with the time they took: ${took.join(', ')}`));

  it.each(hostile)(
    '%s (%#) stays closed with a code of ours, told once, and the next answer is right',
    async (action, context, code) => {
      const before = await decisions();
      const times: number[] = [];
      const reply = await timed(() => decision.post(evaluation, asking(action, { context })), times);
      expect(reply.status).toBe(200);
      expect(codeIn(reply.body)).toMatch(code);
      took.push(`${action} ${codeIn(reply.body)} ${milliseconds(times[0] ?? Number.NaN)}`);
      const after = await decisions();
      expect(after).toEqual({ decided: before.decided + 1, undecided: before.undecided + 1 });
      const canary = await decision.post(evaluation, asking('canary'));
      expect(JSON.parse(canary.body).decision).toBe(true);
      expect((await sidecar.probes().get('/health/live')).status).toBe(200);
      const id = reply.headers['x-decision-id'];
      const recorded = async () => (await place.events()).filter(({ decision_id: one }) => one === id);
      await eventually(async () => (await recorded()).length > 0);
      expect(await recorded()).toMatchObject([{ effect: 'deny', reasons: [{ code: codeIn(reply.body) }] }]);
    },
    30_000,
  );

  it('does not keep others from their answers while it runs', async () => {
    const undisturbed = new QuietCaller();
    await pause(1_500);
    const calm = await undisturbed.stop();
    const disturbed = new QuietCaller();
    const attacker = sidecar.decision();
    const times: number[] = [];
    const until = performance.now() + 5_000;
    for (let n = 0; performance.now() < until; n += 1) {
      const [action, context] = hostile[n % hostile.length] ?? ['conflict', {}];
      codeIn((await timed(() => attacker.post(evaluation, asking(action, { context })), times)).body);
    }
    console.log(
      `hostile policies: quiet caller undisturbed ${calm}; beside ${times.length} hostile evaluations ${await disturbed.stop()}; a hostile answer took at most ${milliseconds(Math.max(...times))}`,
    );
  }, 60_000);

  it('ten thousand faults in a row from one caller leave a quiet one right', async () => {
    const quick = hostile.filter(
      ([action, context]) => action === 'conflict' || JSON.stringify(context).includes('{{{'),
    );
    const slow = hostile.filter(([action]) => action === 'shift' || action === 'deep');
    const rssBefore = await sidecar.rss();
    const undisturbed = new QuietCaller();
    await pause(1_500);
    const calm = await undisturbed.stop();
    const quiet = new QuietCaller();
    const before = await decisions();
    let faults = 0;
    let next = 0;
    const attackers = Array.from({ length: 8 }, async () => {
      const attacker = sidecar.decision();
      while (next < 10_000) {
        next += 1;
        const [action, context] =
          (next % 100 === 0 ? slow[(next / 100) % slow.length] : quick[next % quick.length]) ?? [];
        codeIn((await attacker.post(evaluation, asking(action ?? '', { context }))).body);
        faults += 1;
      }
    });
    await Promise.all(attackers);
    const said = await quiet.stop();
    expect(faults).toBe(10_000);
    expect((await decisions()).undecided - before.undecided).toBe(10_000);
    expect(quiet.answers.length).toBeGreaterThan(20);
    const grownMb = ((await sidecar.rss()) - rssBefore) / 1024 / 1024;
    expect(grownMb).toBeLessThan(300);
    console.log(
      `10,000 faults: quiet caller undisturbed ${calm}; beside them ${said}; memory ${grownMb.toFixed(0)} MB more than before`,
    );
  }, 150_000);
});
