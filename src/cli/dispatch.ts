import { isNativeError } from 'node:util/types';
import { nearest } from '../config/nearest.ts';
import { asSidecarError } from '../domain/errors.ts';
import { CommandFailed, UsageFault } from './arguments.ts';
import { type CliEffects, exitCodes } from './effects.ts';
import { type Command, commands, helpText, isCommand } from './help.ts';

export type Run = (args: readonly string[], effects: CliEffects) => Promise<number>;

/**
 * Runs the command that the arguments name. Help and wrong calls are dealt with here, in one way for all commands.
 *
 * @param argv what follows the program's name
 * @returns the exit code
 */
export async function dispatch(
  argv: readonly string[],
  effects: CliEffects,
  runs: Readonly<Record<Command, Run>>,
): Promise<number> {
  const [first, ...rest] = argv;
  if (first === undefined || first === '--help' || first === '-h' || first === 'help') {
    const [about] = rest;
    if (first !== 'help' || about === undefined || !isCommand(about)) {
      (first === undefined ? effects.err : effects.out)(helpText());
      return first === undefined ? exitCodes.usage : exitCodes.ok;
    }
    effects.out(helpText(about));
    return exitCodes.ok;
  }
  const name = first === '--version' || first === '-v' ? 'version' : first;
  if (!isCommand(name)) {
    const meant = nearest(name, commands);
    effects.err(
      `postern: unknown command ${JSON.stringify(name)}${meant === undefined ? '' : `; did you mean ${meant}?`}\n` +
        'postern --help lists the commands.\n',
    );
    return exitCodes.usage;
  }
  const untilDashes = rest.includes('--') ? rest.slice(0, rest.indexOf('--')) : rest;
  if (untilDashes.includes('--help') || untilDashes.includes('-h')) {
    effects.out(helpText(name));
    return exitCodes.ok;
  }
  try {
    return await runs[name](rest, effects);
  } catch (cause) {
    if (cause instanceof UsageFault) {
      effects.err(`postern ${name}: ${cause.message}\npostern ${name} --help shows the usage.\n`);
      return exitCodes.usage;
    }
    effects.err(`postern ${name}: ${told(cause)}\n`);
    return exitCodes.failure;
  }
}

function told(cause: unknown): string {
  if (cause instanceof CommandFailed) return cause.message;
  const error = asSidecarError(cause);
  // An error without a code is a bug of ours; a command's user is its operator and may see where it is.
  return error.code === 'internal' && isNativeError(cause) ? (cause.stack ?? cause.message) : error.message;
}
