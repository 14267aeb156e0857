import { tmpdir } from 'node:os';
import { basename, resolve } from 'node:path';
import { AuthorFault } from '../author/author-fault.ts';
import { type BuiltBundle, buildBundle } from '../author/build-bundle.ts';
import { readArguments, UsageFault } from './arguments.ts';
import { type CliEffects, exitCodes } from './effects.ts';
import { replaceFile } from './replace-file.ts';
import { allowedBuiltins, allowOption, tryBundle } from './try-bundle.ts';

const coverageFloor = 95;

/** `postern build`: policies, checked and tested, become a bundle; a bundle that would not serve is not written. */
export async function build(args: readonly string[], effects: CliEffects): Promise<number> {
  const { values, positionals } = readArguments(args, { output: { type: 'string' }, allow: allowOption }, 1);
  const [directory] = positionals;
  if (directory === undefined) throw new UsageFault('name the policy directory');
  if (values.output === undefined) throw new UsageFault('--output FILE is required: the file to write the bundle to');
  const allowed = allowedBuiltins(values.allow);
  const say = (line: string): void => effects.err(`${line}\n`);
  const name = basename(values.output).replace(/\.tar\.gz$/, '');
  try {
    const built = await buildBundle(
      { directory, name, coverageFloor },
      { env: effects.env, toolsDirectory: resolve(effects.directory, '.tools'), temporaryDirectory: tmpdir(), say },
    );
    await tryBundle(built, allowed, effects);
    await replaceFile(resolve(effects.directory, values.output), built.bytes);
    effects.out(account(built, values.output));
    return exitCodes.ok;
  } catch (cause) {
    if (!(cause instanceof AuthorFault)) throw cause;
    effects.err(`${cause.faults.join('\n')}\npostern build: nothing was written\n`);
    return exitCodes.failure;
  }
}

function account({ opa, policies, entrypoints, coverage, revision, bytes }: BuiltBundle, output: string): string {
  const requirements = Object.values(policies).flat().length;
  return `${[
    `compiler   OPA ${opa.version}, ${opa.path}`,
    `policies   ${Object.keys(policies).join(', ')}: ${requirements} requirements`,
    `tests      passed, ${coverage.toFixed(1)} % of the lines reached`,
    `asked by   ${entrypoints.join(', ')}`,
    `bundle     ${output}, revision ${revision}, ${Math.ceil(bytes.length / 1024)} KiB`,
  ].join('\n')}\n`;
}
