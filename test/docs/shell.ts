import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A reader's terminal: what one block sets, the next one finds. A block stops at its first command that fails. */
export class Shell {
  readonly #child: ChildProcessWithoutNullStreams;
  #out = '';
  #err = '';
  #arrived: (() => void) | undefined;
  #ended = false;

  constructor(directory: string, environment: NodeJS.ProcessEnv) {
    this.#child = spawn('bash', ['--noprofile', '--norc'], { cwd: directory, env: environment, detached: true });
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#out += text;
      this.#arrived?.();
    });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#err += text;
    });
    // A block for a shell that has ended: run() says so.
    this.#child.stdin.on('error', () => undefined);
    this.#child.on('close', () => {
      this.#ended = true;
      this.#arrived?.();
    });
  }

  async run(block: string): Promise<Ran> {
    this.#out = '';
    this.#err = '';
    const mark = randomUUID();
    // A group, not a subshell, so that functions and variables stay; its input is empty, or a command could eat the rest
    // of the script. With -e in force a failing command ends the shell, and that it ended is the answer.
    this.#child.stdin.write(`set -euo pipefail\n{\n${block}\n} </dev/null\nprintf '\\n${mark}\\n'\n`);
    while (!this.#ended && !this.#out.includes(mark)) {
      await new Promise<void>((resolve) => {
        this.#arrived = resolve;
      });
    }
    return {
      code: this.#ended ? (this.#child.exitCode ?? 1) || 1 : 0,
      out: this.#out.split(`\n${mark}`)[0] ?? '',
      err: this.#err,
    };
  }

  /** Ends it and whatever it started. */
  close(): void {
    if (!this.#ended && this.#child.pid !== undefined) process.kill(-this.#child.pid, 'SIGKILL');
  }
}
