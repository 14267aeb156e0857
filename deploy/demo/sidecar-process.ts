import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { isObject } from './pep/answer.ts';

/** The identities of the five cases; each but the first has a socket of its own. */
export const identities = {
  agent: 'spiffe://acme.example/agent/report-bot',
  ci: 'spiffe://acme.example/ci/payments-deploy',
  billing: 'spiffe://acme.example/sa/billing',
  operator: 'spiffe://acme.example/operator/ann',
  auditor: 'spiffe://acme.example/auditor/zoe',
} as const;

export const node = 'node-7';

export interface Builder {
  readonly publicPem: string;
  readonly id: string;
  readonly buildType: string;
}

export interface RunningSidecar {
  /** The decision listener's TCP address; who comes through it is the agent. */
  readonly address: string;
  readonly socketOf: (who: 'ci' | 'billing' | 'operator' | 'auditor') => string;
  readonly controlSocket: string;
  /** Of the portal where rights are asked for, and of the operator who approves them. */
  readonly tokens: { readonly portal: string; readonly approver: string };
  readonly configFile: string;
  readonly recordFile: string;
  stop(): Promise<number | null>;
}

const readyWithinMs = 20_000;

/** Starts the built sidecar on the starter bundle, with state, sockets and tokens of its own below `folder`. */
export async function startSidecar(root: string, folder: string, trusted: Builder): Promise<RunningSidecar> {
  const at = (...path: string[]) => join(folder, ...path);
  await Promise.all(['run', 'control', 'state'].map((name) => mkdir(at(name), { mode: 0o700 })));
  const tokens = { portal: randomBytes(32).toString('base64url'), approver: randomBytes(32).toString('base64url') };
  await Promise.all([
    writeFile(at('control', 'portal.token'), tokens.portal, { mode: 0o600 }),
    writeFile(at('control', 'approver.token'), tokens.approver, { mode: 0o600 }),
    writeFile(at('control', 'builder.pub'), trusted.publicPem),
  ]);
  const socketOf = (who: keyof typeof identities) => at('run', `${who}.sock`);
  const config = {
    // The trail that the auditor's policy knows carries this name.
    sidecar: { id: 'starter', labels: { region: 'demo' } },
    decision: {
      listen: '127.0.0.1:0',
      identity: { id: identities.agent },
      sockets: (['ci', 'billing', 'operator', 'auditor'] as const).map((who) => ({
        path: socketOf(who),
        identity: { id: identities[who] },
      })),
    },
    control: {
      listen: null,
      socket: { path: at('control', 'control.sock') },
      tokens: [
        { name: 'portal', file: at('control', 'portal.token') },
        { name: 'operator-ann', file: at('control', 'approver.token') },
      ],
    },
    bundle: { file: join(root, 'bundles/starter.tar.gz') },
    store: { directory: at('state', 'store') },
    record: { file: at('state', 'decisions.jsonl') },
    device: { id: node },
    attestations: {
      keys: [
        {
          id: 'demo-builder',
          file: at('control', 'builder.pub'),
          builders: [trusted.id],
          build_types: [trusted.buildType],
          parameters: ['workflow'],
        },
      ],
    },
  };
  const configFile = at('postern.yaml');
  // JSON is YAML too.
  await writeFile(configFile, JSON.stringify(config, undefined, 2));
  const child = spawn(process.execPath, [join(root, 'dist/main.js'), 'serve', '--config', configFile], {
    stdio: ['ignore', 'pipe', 'inherit'],
    cwd: folder,
    env: withoutOverrides(process.env),
  });
  try {
    const address = await readyAddress(child);
    return {
      address,
      socketOf,
      controlSocket: at('control', 'control.sock'),
      tokens,
      configFile,
      recordFile: at('state', 'decisions.jsonl'),
      stop: () => ended(child),
    };
  } catch (cause) {
    await ended(child);
    throw cause;
  }
}

/** Overrides of the configuration are meant for somebody else's sidecar. */
export function withoutOverrides(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => !name.startsWith('POSTERN_')));
}

/** Its log says when it is ready, and where it listens. */
async function readyAddress(child: ChildProcess): Promise<string> {
  if (child.stdout === null) throw new Error('the sidecar has no output');
  const ready = Promise.withResolvers<string>();
  const lines: string[] = [];
  const fail = (why: string) => ready.reject(new Error(`${why}; it said:\n${lines.join('\n')}`));
  const timer = setTimeout(() => fail(`the sidecar was not ready after ${readyWithinMs} ms`), readyWithinMs);
  child.once('exit', (code) => fail(`the sidecar ended with ${code}`));
  child.once('error', (error) => fail(error.message));
  // Read to its end, so that the sidecar can always write.
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line);
    const said: unknown = JSON.parse(line);
    if (!isObject(said) || said['message'] !== 'listening' || !isObject(said['fields'])) return;
    const { decision } = said['fields'];
    if (typeof decision === 'string') ready.resolve(decision);
    else fail('the sidecar did not say where it decides');
  });
  try {
    return await ready.promise;
  } finally {
    clearTimeout(timer);
  }
}

/** @returns its exit code once it has answered what was in flight and written its record; null if a signal ended it */
async function ended(child: ChildProcess): Promise<number | null> {
  if (child.exitCode !== null || child.signalCode !== null) return child.exitCode;
  const exit = Promise.withResolvers<number | null>();
  child.once('exit', (code) => exit.resolve(code));
  child.kill('SIGTERM');
  return await exit.promise;
}
