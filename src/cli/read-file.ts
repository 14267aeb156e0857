// Tested by test/cli/check-config.test.ts.
import { isNativeError } from 'node:util/types';
import { osErrorCode } from '../system/os-error.ts';
import { CommandFailed } from './arguments.ts';
import type { CliEffects } from './effects.ts';

/** @throws CommandFailed which names the file and the reason */
export async function readFileFor(path: string, effects: CliEffects): Promise<Uint8Array> {
  try {
    return await effects.readFile(path);
  } catch (cause) {
    throw new CommandFailed(`${path}: cannot be read (${reasonOf(cause)})`, { cause });
  }
}

/** Node's message of a failed call, without repeating the path. */
export function reasonOf(cause: unknown): string {
  return osErrorCode(cause) ?? (isNativeError(cause) ? cause.message : String(cause));
}
