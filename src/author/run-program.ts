// Tested by test/author/build-bundle.long.test.ts.
import { execFile } from 'node:child_process';

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Ran {
  /** Undefined where a signal ended it, the time limit's among them. */
  readonly code: number | undefined;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly env: Environment;
  readonly timeoutMs: number;
  readonly directory?: string;
}

const outputBytesMax = 256 * 1024 * 1024;

/**
 * Runs a program to its end, without a shell.
 *
 * @throws what `node:child_process` throws where it cannot be started at all
 */
export function runProgram(file: string, args: readonly string[], options: RunOptions): Promise<Ran> {
  const { promise, resolve, reject } = Promise.withResolvers<Ran>();
  const child = execFile(
    file,
    args,
    { cwd: options.directory, env: options.env, timeout: options.timeoutMs, maxBuffer: outputBytesMax },
    (cause, stdout, stderr) => {
      if (cause !== null && child.pid === undefined) reject(cause);
      else resolve({ code: child.exitCode ?? undefined, stdout, stderr });
    },
  );
  return promise;
}
