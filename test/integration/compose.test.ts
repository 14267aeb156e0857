import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect } from '@jest/globals';
import { itInContainers, labels, parts, root } from './parts.ts';
import { freePort } from './postern.ts';
import { ask, type Sample } from './prometheus.ts';

const run = promisify(execFile);

describe('docker-compose.yml', () => {
  // A project of its own, so that what a developer has running stays as it is.
  const project = `postern-test-${labels['postern.test']}`;
  let prometheusPort = 0;

  async function compose(...args: readonly string[]): Promise<string> {
    const { stdout } = await run(
      join(root, '.ci/compose'),
      ['--project-name', project, '--env-file', join(root, '.tools/images.env'), ...args],
      { cwd: root, env: { ...process.env, PROMETHEUS_PORT: String(prometheusPort) }, maxBuffer: 1 << 24 },
    );
    return stdout;
  }

  beforeAll(async () => {
    if (parts.mode !== 'engine') return;
    prometheusPort = await freePort();
    await compose('up', '--detach', '--wait', '--wait-timeout', '120');
  }, 180_000);

  afterAll(async () => {
    if (parts.mode === 'engine') await compose('--profile', '*', 'down', '--volumes', '--timeout', '10');
  }, 60_000);

  itInContainers('comes up with every service healthy', async () => {
    const lines = (await compose('ps', '--format', '{{.Service}} {{.State}} {{.Health}}')).trim().split('\n').sort();
    expect(lines).toEqual(['postern running healthy', 'prometheus running healthy', 'redis running healthy']);
  });

  itInContainers(
    'answers the agent: deny before the operator has said anything, constrain after',
    async () => {
      const before = JSON.parse(await compose('run', '--rm', '--no-deps', '-T', 'ask'));
      expect(before).toMatchObject({ decision: false, context: { effect: 'deny' } });
      await compose('run', '--rm', '--no-deps', '-T', 'tell');
      const after = JSON.parse(await compose('run', '--rm', '--no-deps', '-T', 'ask'));
      expect(after).toMatchObject({
        decision: true,
        context: { effect: 'constrain', constraints: { read_only: true } },
      });
    },
    60_000,
  );

  itInContainers(
    'has its Prometheus count those decisions by effect',
    async () => {
      const url = `http://127.0.0.1:${prometheusPort}`;
      const query = 'sum by (effect) (postern_decisions_total) > 0';
      let samples: readonly Sample[] = [];
      for (const deadline = Date.now() + 30_000; samples.length < 2 && Date.now() < deadline; ) {
        samples = await ask(url, query);
        await new Promise((resolve) => setTimeout(resolve, 500));
      }
      expect(Object.fromEntries(samples.map(({ metric, value }) => [metric['effect'], value]))).toEqual({
        deny: 1,
        constrain: 1,
      });
    },
    60_000,
  );
});
