// Tested by test/cli/dispatch.test.ts.
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { isNativeError } from 'node:util/types';
import { nearest } from '../config/nearest.ts';
import { osErrorCode } from '../system/os-error.ts';

/** A command was called in a way that it does not understand: exit code 2, and a hint at its help. */
export class UsageFault extends Error {}

/** The command failed for a reason outside of it: exit code 1, without a stack. */
export class CommandFailed extends Error {}

type Options = NonNullable<ParseArgsConfig['options']>;

/**
 * Reads a command's arguments, unknown options refused.
 *
 * @param positionals how many words besides options the command takes at most
 * @throws UsageFault
 */
export function readArguments<const O extends Options>(args: readonly string[], options: O, positionals = 0) {
  const parsed = parsedBy(args, options);
  const surplus = parsed.positionals[positionals];
  if (surplus !== undefined) throw new UsageFault(`unexpected argument ${JSON.stringify(surplus)}`);
  return parsed;
}

function parsedBy<const O extends Options>(args: readonly string[], options: O) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: true });
  } catch (cause) {
    const code = osErrorCode(cause);
    if (!isNativeError(cause) || code === undefined) throw cause;
    if (code === 'ERR_PARSE_ARGS_UNKNOWN_OPTION') throw new UsageFault(unknownOption(args, options), { cause });
    if (code.startsWith('ERR_PARSE_ARGS_')) throw new UsageFault(cause.message, { cause });
    throw cause;
  }
}

/** In our words: Node's advise to pass what was mistyped as a file's name. */
function unknownOption(args: readonly string[], options: Options): string {
  const { tokens } = parseArgs({ args: [...args], options, strict: false, allowPositionals: true, tokens: true });
  const unknown = tokens.find((token) => token.kind === 'option' && !Object.hasOwn(options, token.name));
  if (unknown?.kind !== 'option') return 'unknown option';
  const meant = nearest(unknown.name, [...Object.keys(options), 'help']);
  return `unknown option ${JSON.stringify(unknown.rawName)}${meant === undefined ? '' : `; did you mean --${meant}?`}`;
}
