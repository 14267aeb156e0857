// Tested by test/cli/explain.test.ts.
import type { Clock } from '../domain/time.ts';

/** All that a command touches outside of itself; `main.ts` hands in the process's own. */
export interface CliEffects {
  readonly out: (text: string) => void;
  readonly err: (text: string) => void;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `-` is standard input. Rejects as `node:fs` does. */
  readonly readFile: (path: string) => Promise<Uint8Array>;
  readonly hostname: string;
  readonly directory: string;
  /** Whether `out` is a terminal. */
  readonly isTerminal: boolean;
  readonly clock: Clock;
  /** Processor time of this thread. */
  readonly threadCpuMs: () => number;
}

/** The exit codes of commands. */
export const exitCodes = { ok: 0, failure: 1, usage: 2 } as const;
