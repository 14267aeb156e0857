// Tested by test/cli/dispatch.test.ts.
import { readArguments } from './arguments.ts';
import { type CliEffects, exitCodes } from './effects.ts';

/** The same as in package.json, which a build does not carry along; a test holds them together. */
export const version = '0.1.0';

/** `postern version` */
export async function printVersion(args: readonly string[], effects: CliEffects): Promise<number> {
  readArguments(args, {});
  effects.out(`postern ${version}\n`);
  return exitCodes.ok;
}
