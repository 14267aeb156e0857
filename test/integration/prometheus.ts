import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { GenericContainer, type StartedNetwork, Wait } from 'testcontainers';
import { stringify } from 'yaml';
import { labels, parts } from './parts.ts';
import { freePort } from './postern.ts';

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A real Prometheus that scrapes one target each second. */
export interface Prometheus {
  /** The result of an instant query, as soon as it is what is waited for. */
  waitFor(query: string, until: (samples: readonly Sample[]) => boolean): Promise<readonly Sample[]>;
  stop(): Promise<void>;
}

const waitMs = 30_000;

export async function startPrometheus(target: string, network?: StartedNetwork): Promise<Prometheus> {
  const folder = mkdtempSync(join(tmpdir(), 'postern-prometheus-'));
  const file = join(folder, 'prometheus.yml');
  const config = {
    global: { scrape_interval: '1s', scrape_timeout: '1s' },
    scrape_configs: [{ job_name: 'postern', static_configs: [{ targets: [target] }] }],
  };
  writeFileSync(file, stringify(config));
  chmodSync(folder, 0o755);
  const { url, stop } = await (parts.mode === 'engine'
    ? startContainer(parts.images.prometheus, file, network)
    : startProgram(file, folder));
  return {
    waitFor: async (query, until) => {
      for (const deadline = Date.now() + waitMs; ; await sleep(250)) {
        const samples = await ask(url, query);
        if (until(samples)) return samples;
        if (Date.now() > deadline) throw new Error(`after ${waitMs} ms ${query} is ${JSON.stringify(samples)}`);
      }
    },
    stop: async () => {
      await stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

interface Started {
  readonly url: string;
  readonly stop: () => Promise<void>;
}

async function startContainer(image: string, file: string, network: StartedNetwork | undefined): Promise<Started> {
  const container = new GenericContainer(image)
    .withLabels(labels)
    .withBindMounts([{ source: file, target: '/etc/prometheus/prometheus.yml', mode: 'ro' }])
    .withExposedPorts(9090)
    .withWaitStrategy(Wait.forHttp('/-/ready', 9090));
  const started = await (network === undefined ? container : container.withNetwork(network)).start();
  return {
    url: `http://${started.getHost()}:${started.getMappedPort(9090)}`,
    stop: async () => {
      await started.stop();
    },
  };
}

async function startProgram(file: string, folder: string): Promise<Started> {
  if (parts.mode !== 'packages') throw new Error('no packages to start Prometheus from');
  const port = await freePort();
  const child = spawn(
    join(parts.trees.prometheus, 'usr/bin/prometheus'),
    [`--config.file=${file}`, `--storage.tsdb.path=${folder}/data`, `--web.listen-address=127.0.0.1:${port}`],
    { stdio: 'ignore' },
  );
  const url = `http://127.0.0.1:${port}`;
  for (const deadline = Date.now() + waitMs; ; await sleep(100)) {
    const ready = await fetch(`${url}/-/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (ready) break;
    if (child.exitCode !== null || Date.now() > deadline) throw new Error('Prometheus did not become ready');
  }
  return {
    url,
    stop: async () => {
      const ended = once(child, 'exit');
      child.kill('SIGTERM');
      await ended;
    },
  };
}

interface Answer {
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly value: readonly [number, string];
    }[];
  };
}

export async function ask(url: string, query: string): Promise<readonly Sample[]> {
  const response = await fetch(`${url}/api/v1/query?query=${encodeURIComponent(query)}`);
  if (!response.ok) throw new Error(`Prometheus answers ${response.status} to ${query}: ${await response.text()}`);
  const { data } = (await response.json()) as Answer;
  return data.result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }));
}

/** `promtool check metrics` on a text: its exit code and all it has to say. */
export async function checkMetrics(text: string): Promise<{ readonly exitCode: number; readonly output: string }> {
  if (parts.mode === 'none') throw new Error(parts.why);
  const [file, args] =
    parts.mode === 'packages'
      ? [join(parts.trees.prometheus, 'usr/bin/promtool'), ['check', 'metrics']]
      : [
          'docker',
          ['run', '--rm', '--interactive', '--network=none', '--label', `postern.test=${labels['postern.test']}`]
            .concat('--entrypoint=promtool', parts.images.prometheus)
            .concat('check', 'metrics'),
        ];
  const { promise, resolve } = Promise.withResolvers<{ exitCode: number; output: string }>();
  const child = execFile(file, [...args], (error, stdout, stderr) => {
    resolve({ exitCode: error === null ? 0 : Number(error.code ?? 1), output: `${stdout}${stderr}` });
  });
  child.stdin?.end(text);
  return promise;
}
