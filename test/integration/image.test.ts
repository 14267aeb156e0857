import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Network, type StartedNetwork } from 'testcontainers';
import { describeReal, itInContainers, parts } from './parts.ts';
import { type Call, type Postern, startPostern } from './postern.ts';
import { checkMetrics, type Prometheus, startPrometheus } from './prometheus.ts';

const bot = 'spiffe://acme.example/agent/report-bot';
const ci = 'spiffe://acme.example/ci/payments-deploy';

const query = {
  subject: { type: 'agent', id: bot },
  action: { name: 'query' },
  resource: { type: 'database', id: 'payroll' },
  context: { task: 'monthly-report' },
};
const deploy = {
  subject: { type: 'ci_job', id: ci },
  action: { name: 'deploy' },
  resource: { type: 'environment', id: 'prod/payments' },
};

interface Answer {
  readonly decision: boolean;
  readonly context: {
    readonly effect: string;
    readonly reasons?: readonly { readonly code: string }[];
    readonly constraints?: Readonly<Record<string, unknown>>;
  };
}

const asked: Record<string, number> = {};

/** Asks, and keeps count of the answers by effect: Prometheus must come to the same. */
async function evaluate(as: Call, question: unknown): Promise<Answer> {
  const reply = await as('POST', '/access/v1/evaluation', question);
  expect(reply.status).toBe(200);
  const answer: Answer = JSON.parse(reply.body);
  asked[answer.context.effect] = (asked[answer.context.effect] ?? 0) + 1;
  return answer;
}

const codes = (answer: Answer) => (answer.context.reasons ?? []).map(({ code }) => code);

function signal(kind: string, id: string, attributes: Readonly<Record<string, unknown>>) {
  return { about: { kind, id }, attributes, observed_at: new Date().toISOString(), source: 'integration' };
}

describeReal('the sidecar as it is shipped', () => {
  let network: StartedNetwork | undefined;
  let postern: Postern;
  let prometheus: Prometheus;

  beforeAll(async () => {
    network = parts.mode === 'engine' ? await new Network().start() : undefined;
    postern = await startPostern(network);
    prometheus = await startPrometheus(postern.scrapeTarget, network);
  }, 120_000);

  afterAll(async () => {
    await prometheus?.stop();
    await postern?.stop();
    await network?.stop();
  }, 60_000);

  it('denies an agent whose device nobody vouches for', async () => {
    const answer = await evaluate(postern.agent, query);
    expect(answer).toMatchObject({ decision: false, context: { effect: 'deny' } });
    expect(codes(answer)).toContain('device_compliant');
  });

  it('lets the agent query, read-only, once the operator has said what is known', async () => {
    const told = await postern.operator('POST', '/v1/signals', [
      signal('device', 'node-7', { compliant: true }),
      signal('subject', bot, { risk_level: 'low' }),
    ]);
    expect(told.status).toBeLessThan(300);
    expect(await evaluate(postern.agent, query)).toMatchObject({
      decision: true,
      context: { effect: 'constrain', constraints: { read_only: true } },
    });
  });

  it('knows a caller by the socket it came through, and by nothing else', async () => {
    expect(codes(await evaluate(postern.ciJob, deploy))).not.toContain('subject_not_caller');
    expect(codes(await evaluate(postern.ciJob, query))).toContain('subject_not_caller');
    expect(codes(await evaluate(postern.agent, deploy))).toContain('subject_not_caller');
  });

  it('asks for more when risk rises', async () => {
    await postern.operator('POST', '/v1/signals', signal('subject', bot, { risk_level: 'medium' }));
    expect(await evaluate(postern.agent, query)).toMatchObject({
      decision: false,
      context: { effect: 'step_up', acr_values: expect.anything() },
    });
  });

  it('answers the wider address with health and metrics, and with nothing else', async () => {
    expect((await postern.probes('GET', '/health/live')).status).toBe(200);
    expect((await postern.probes('GET', '/health/ready')).status).toBe(200);
    expect((await postern.probes('POST', '/access/v1/evaluation')).status).toBe(404);
    expect((await postern.probes('GET', '/v1/signals/device/node-7')).status).toBe(404);
  });

  it('has metrics that promtool finds nothing to say about', async () => {
    const { body } = await postern.probes('GET', '/metrics');
    expect(body).toContain('postern_decisions_total');
    expect(await checkMetrics(body)).toEqual({ exitCode: 0, output: '' });
  });

  it('is scraped by Prometheus, whose query returns the decisions by effect', async () => {
    const total = (samples: readonly { readonly value: number }[]) =>
      samples.reduce((sum, { value }) => sum + value, 0);
    const all = Object.values(asked).reduce((sum, count) => sum + count, 0);
    const samples = await prometheus.waitFor(
      'sum by (effect) (postern_decisions_total)',
      (found) => total(found) === all,
    );
    const counted = samples.filter(({ value }) => value > 0).map(({ metric, value }) => [metric['effect'], value]);
    expect(Object.fromEntries(counted)).toEqual(asked);
  });

  it('ends with 0 when it is told to stop, and starts again knowing what it knew', async () => {
    expect(await postern.restart()).toBe(0);
    expect(await evaluate(postern.agent, query)).toMatchObject({ context: { effect: 'step_up' } });
  }, 90_000);

  itInContainers('runs as a user that is not root, on a root that cannot be written', async () => {
    const inspected = await postern.inspect?.();
    expect(inspected?.Config.User).toBe('65532:65532');
    expect(inspected?.HostConfig.ReadonlyRootfs).toBe(true);
    expect(inspected?.HostConfig.CapDrop).toEqual(['ALL']);
  });

  itInContainers('leaves nothing of control within the agent’s reach', async () => {
    expect(await postern.agentReaches?.(8181)).toBe(true);
    expect(await postern.agentReaches?.(8282)).toBe(false);
  });
});
