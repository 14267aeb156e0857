import { type ChildProcess, spawn } from 'node:child_process';
import { cp, mkdtemp, readdir, rm, stat, symlink } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { Shell } from './shell.ts';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** What a reader's clone does not share with the work tree. A build would replace the link to `dist`, not what it names. */
const own = new Set(['.git', '.postern', 'coverage']);
/** What commands on the pages may write to. */
const copied = new Set(['bundles', 'rego']);
const readyWithinMs = 60_000;

/**
 * A reader's clone with `make run` in it: the work tree's files by symbolic links, a state folder of its own, and ports
 * that nobody else has in place of those the pages name.
 */
export class Terminal {
  readonly shell: Shell;
  readonly #folder: string;
  readonly #serving: ChildProcess;
  readonly #ports: ReadonlyMap<string, string>;

  private constructor(folder: string, serving: ChildProcess, shell: Shell, ports: ReadonlyMap<string, string>) {
    this.#folder = folder;
    this.#serving = serving;
    this.shell = shell;
    this.#ports = ports;
  }

  static async open(): Promise<Terminal> {
    await requireInstalled();
    const folder = await mkdtemp(join(tmpdir(), 'postern-docs-'));
    for (const name of await readdir(root)) {
      if (own.has(name)) continue;
      if (copied.has(name))
        await cp(join(root, name), join(folder, name), { recursive: true, preserveTimestamps: true });
      else await symlink(join(root, name), join(folder, name));
    }
    const [decision, control] = [await freePort(), await freePort()];
    const ports = new Map([
      ['127.0.0.1:8181', `127.0.0.1:${decision}`],
      ['127.0.0.1:8282', `127.0.0.1:${control}`],
    ]);
    // Not the outer make's flags and job slots, and not the flags this test runs under.
    const { MAKEFLAGS: _flags, MAKELEVEL: _level, MFLAGS: _mflags, NODE_OPTIONS: _options, ...inherited } = process.env;
    const environment = {
      ...inherited,
      NO_COLOR: '1',
      POSTERN_DECISION__LISTEN: `127.0.0.1:${decision}`,
      POSTERN_CONTROL__LISTEN: `127.0.0.1:${control}`,
    };
    const serving = spawn('make', ['run'], {
      cwd: folder,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: environment,
    });
    let said = '';
    serving.stdout?.on('data', (text: Buffer) => {
      said += text;
    });
    serving.stderr?.on('data', (text: Buffer) => {
      said += text;
    });
    const terminal = new Terminal(folder, serving, new Shell(folder, environment), ports);
    for (const begun = Date.now(); !(await isReady(control)); await sleep(50)) {
      if (serving.exitCode !== null || Date.now() - begun > readyWithinMs) {
        await terminal.close();
        throw new Error(`make run did not lead to a ready sidecar; it said:\n${said}`);
      }
    }
    return terminal;
  }

  /** A page's text with this reader's ports in it. */
  here(text: string): string {
    let rewritten = text;
    for (const [documented, real] of this.#ports) rewritten = rewritten.replaceAll(documented, real);
    return rewritten;
  }

  async close(): Promise<void> {
    this.shell.close();
    const { pid } = this.#serving;
    if (pid !== undefined && this.#serving.exitCode === null && this.#serving.signalCode === null) {
      const ended = new Promise((resolve) => this.#serving.once('close', resolve));
      process.kill(-pid, 'SIGTERM');
      await ended;
    }
    await rm(this.#folder, { recursive: true, force: true });
  }
}

/** `make run` would install through the link, into the work tree that other tests are running from. */
async function requireInstalled(): Promise<void> {
  const installed = await stat(join(root, 'node_modules/.installed')).catch(() => undefined);
  for (const name of ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml']) {
    if (installed === undefined || (await stat(join(root, name))).mtimeMs > installed.mtimeMs) {
      throw new Error('what is installed is older than package.json or the lockfile; run make install first');
    }
  }
}

async function isReady(port: number): Promise<boolean> {
  return await fetch(`http://127.0.0.1:${port}/health/ready`).then(
    ({ ok }) => ok,
    () => false,
  );
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
