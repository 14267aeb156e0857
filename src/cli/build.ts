import { randomUUID } from 'node:crypto';
import { mkdir, rename, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { AuthorFault } from '../author/author-fault.ts';
import { type BuiltBundle, buildBundle } from '../author/build-bundle.ts';
import { readBundle } from '../bundle/read-bundle.ts';
import { isDecisionEntrypoint } from '../domain/decision.ts';
import { BundleRefused } from '../domain/errors.ts';
import { PolicyModule } from '../evaluate/policy-module.ts';
import { CommandFailed, readArguments, UsageFault } from './arguments.ts';
import { type CliEffects, exitCodes } from './effects.ts';
import { reasonOf } from './read-file.ts';

const coverageFloor = 95;
/** Enough for any policy; what the sidecar allows is its configuration's to say. */
const trialLimits = { memoryPages: 4096, resultBytes: 16 * 1024 * 1024, budgetMs: 1_000 };
const archiveLimits = { inflatedBytes: 1024 * 1024 * 1024, members: 10_000 };

/** `postern build`: policies, checked and tested, become a bundle; a bundle that would not serve is not written. */
export async function build(args: readonly string[], effects: CliEffects): Promise<number> {
  const { values, positionals } = readArguments(args, { output: { type: 'string' } }, 1);
  const [directory] = positionals;
  if (directory === undefined) throw new UsageFault('name the directory of the policies');
  if (values.output === undefined) throw new UsageFault('--output FILE says where the bundle goes');
  const say = (line: string): void => effects.err(`${line}\n`);
  const name = basename(values.output).replace(/\.tar\.gz$/, '');
  try {
    const built = await buildBundle(
      { directory, name, coverageFloor },
      { env: effects.env, toolsDirectory: resolve(effects.directory, '.tools'), temporaryDirectory: tmpdir(), say },
    );
    await tryOut(built, effects);
    await replaceFile(resolve(effects.directory, values.output), built.bytes);
    effects.out(account(built, values.output));
    return exitCodes.ok;
  } catch (cause) {
    if (!(cause instanceof AuthorFault)) throw cause;
    effects.err(`${cause.faults.join('\n')}\npostern build: nothing was written\n`);
    return exitCodes.failure;
  }
}

/**
 * Opens the bundle as the sidecar would, and asks every decision with an input that holds nothing: nobody who is unknown
 * may do anything anywhere, whatever else a policy says.
 */
async function tryOut({ bytes, entrypoints }: BuiltBundle, effects: CliEffects): Promise<void> {
  const policy = await loaded(bytes, effects);
  for (const entrypoint of entrypoints.filter(isDecisionEntrypoint)) {
    const answer: unknown = JSON.parse(policy.evaluate(entrypoint, '{}') ?? '{"effect":"deny"}');
    const effect = typeof answer === 'object' && answer !== null && 'effect' in answer ? answer.effect : undefined;
    if (effect === 'allow' || effect === 'constrain') {
      throw new AuthorFault([`${entrypoint} gives ${effect} to an input that holds nothing at all`]);
    }
  }
}

async function loaded(bytes: Uint8Array, { clock, threadCpuMs }: CliEffects): Promise<PolicyModule> {
  const limits = { ...trialLimits, monotonicMs: () => clock.monotonicMs(), threadCpuMs };
  try {
    return await PolicyModule.load(await readBundle(bytes, archiveLimits), limits);
  } catch (cause) {
    if (cause instanceof BundleRefused) throw new AuthorFault([`the bundle would be refused: ${cause.message}`]);
    throw cause;
  }
}

/** Whole or not at all: a sidecar that watches the file sees the old bundle or the new one. */
async function replaceFile(path: string, bytes: Uint8Array): Promise<void> {
  const written = `${path}.${randomUUID()}`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(written, bytes);
    await rename(written, path);
  } catch (cause) {
    throw new CommandFailed(`${path}: cannot be written (${reasonOf(cause)})`, { cause });
  } finally {
    // Gone already where it took the other's place; and what could not be made cannot be removed either.
    await unlink(written).catch(() => undefined);
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
