import { expect } from '@jest/globals';
import { RawConnection, type RawResponse, request } from './raw-http.ts';
import { asked, Testbed, type TestbedOptions } from './testbed.ts';

/** One of the ways in that a decision can be asked for. */
export interface Way {
  readonly path: string;
  /** A well-formed AuthZEN body as this way takes it. */
  readonly wrapped: (body: string) => string;
}

export const ways: readonly Way[] = [
  { path: '/access/v1/evaluation', wrapped: (body) => body },
  { path: '/http/v1/evaluation', wrapped: (body) => body },
  { path: '/v1/data/authz/decision', wrapped: (body) => `{"input":${body}}` },
];

const json = 'Content-Type: application/json';

interface Counts {
  readonly decisions: number;
  readonly refusals: number;
  readonly events: number;
}

/**
 * A gate whose policy permits everything and one whose policy refuses everything, both behind real listeners. A fault is
 * put to both: it may turn the first one's answer into a refusal, never the second one's into a permit.
 */
export class BothGates {
  readonly open: Testbed;
  readonly shut: Testbed;
  readonly ports: { readonly open: number; readonly shut: number };

  private constructor(open: Testbed, shut: Testbed, ports: { open: number; shut: number }) {
    this.open = open;
    this.shut = shut;
    this.ports = ports;
  }

  static async stand(options: Omit<TestbedOptions, 'policy'> = {}): Promise<BothGates> {
    const open = await Testbed.open({ ...options, policy: 'allow' });
    const shut = await Testbed.open({ ...options, policy: 'deny' });
    return new BothGates(open, shut, { open: await open.listen(), shut: await shut.listen() });
  }

  async close(): Promise<void> {
    await this.open.close();
    await this.shut.close();
  }

  each(): readonly { readonly name: 'open' | 'shut'; readonly bed: Testbed; readonly port: number }[] {
    return [
      { name: 'open', bed: this.open, port: this.ports.open },
      { name: 'shut', bed: this.shut, port: this.ports.shut },
    ];
  }

  /** The gates still answer as their policies say. */
  async expectAlive(): Promise<void> {
    for (const { name, port } of this.each()) {
      const answer = await post(port, '/access/v1/evaluation', asked());
      expect(answer.status).toBe(200);
      expect(JSON.parse(answer.body)).toMatchObject({ decision: name === 'open' });
    }
  }

  /**
   * Puts a fault to both gates and looks at the five things that hold for every fault.
   *
   * @param put brings the fault and gives back what was answered to it, if anything
   * @param refusals how many refusals it amounts to, all of `code`
   */
  async refuses(
    put: (port: number, bed: Testbed) => Promise<readonly RawResponse[]>,
    expected: { readonly status: number; readonly code: string; readonly refusals?: number; readonly answers?: number },
  ): Promise<void> {
    const { status, code, refusals = 1, answers = refusals } = expected;
    for (const { bed, port } of this.each()) {
      const before = await counts(bed, code);
      const responses = await put(port, bed);
      expect(responses.map((response) => response.status)).toEqual(Array.from({ length: answers }, () => status));
      for (const response of responses) {
        expect(response.body).toContain(code);
        expectSilent(response);
      }
      const after = await counts(bed, code);
      expect(after).toEqual({ ...before, refusals: before.refusals + refusals });
      expect(await bed.ownSeries()).not.toContain('CANARY');
      expect(bed.log.text()).not.toContain('CANARY');
    }
    await this.expectAlive();
  }

  /** A decision is due, and stays closed at both gates with our code; recorded once, counted once. */
  async closes(body: (way: Way) => string | Uint8Array, code: string): Promise<void> {
    for (const { bed, port } of this.each()) {
      for (const way of ways) {
        const before = await counts(bed, code);
        const answer = await post(port, way.path, body(way));
        expect(answer.status).toBe(way.path === '/http/v1/evaluation' ? 403 : 200);
        expect(permits(answer)).toBe(false);
        expect(answer.body).toContain(code);
        expectSilent(answer);
        expect(await counts(bed, code)).toEqual({
          ...before,
          decisions: before.decisions + 1,
          events: before.events + 1,
        });
        expect((await bed.recorded()).at(-1)).toMatchObject({ effect: 'deny', reasons: [{ code }] });
      }
    }
    await this.expectAlive();
  }
}

async function counts(bed: Testbed, code: string): Promise<Counts> {
  return {
    decisions: await bed.counted('postern_decisions_total'),
    refusals: await bed.counted('postern_rejected_total', { why: code }),
    events: (await bed.recordText()).split('\n').length - 1,
  };
}

export function expectSilent(response: RawResponse): void {
  expect(response.body).not.toContain('CANARY');
  expect([...response.headers].join()).not.toContain('CANARY');
}

/** Whether an enforcement point that reads this answer, whichever way it came, would let the action pass. */
export function permits(response: RawResponse): boolean {
  if (response.status !== 200) return false;
  const body = JSON.parse(response.body) as { decision?: unknown; effect?: unknown; result?: { effect?: unknown } };
  return [body.decision, body.effect, body.result?.effect].some(
    (one) => one === true || one === 'allow' || one === 'constrain',
  );
}

/** One request on a connection of its own. */
export async function post(
  port: number,
  path: string,
  body: string | Uint8Array,
  headers: readonly string[] = [json],
  withinMs?: number,
): Promise<RawResponse> {
  const connection = await RawConnection.open({ port });
  void connection.write(request(`POST ${path}`, headers, body));
  const { responses, text } = await connection.responses(1, withinMs);
  connection.destroy();
  const [first] = responses;
  if (first === undefined) throw new Error(`no answer: ${text}`);
  return first;
}
