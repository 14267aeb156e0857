// Tested by test/process/bundles.long.test.ts.
import { tmpdir } from 'node:os';
import { basename, resolve } from 'node:path';
import { isNativeError } from 'node:util/types';
import { AuthorFault } from '../author/author-fault.ts';
import { findOpa, type Opa, type OpaSearch } from '../author/find-opa.ts';
import { Rebuilder, type Rebuilt } from '../author/rebuilder.ts';
import { fingerprintOf, waitForChange } from '../author/wait-for-change.ts';
import type { OutboundBuiltin } from '../domain/outbound.ts';
import { readArguments, UsageFault } from './arguments.ts';
import { type CliEffects, exitCodes } from './effects.ts';
import { replaceFile } from './replace-file.ts';
import { allowedBuiltins, allowOption, tryBundle } from './try-bundle.ts';

/**
 * `postern dev`: builds a bundle, and again on every save, until it is told to stop. A sidecar that serves the file
 * takes each new bundle by itself; a fault is shown, and the bundle before it stays.
 */
export async function dev(args: readonly string[], effects: CliEffects, until: AbortSignal): Promise<number> {
  const { values, positionals } = readArguments(args, { output: { type: 'string' }, allow: allowOption }, 1);
  const [directory] = positionals;
  if (directory === undefined) throw new UsageFault('name the policy directory');
  if (values.output === undefined) throw new UsageFault('--output FILE is required: the file to write the bundle to');
  const output = values.output;
  const allowed = allowedBuiltins(values.allow);
  const toolsDirectory = resolve(effects.directory, '.tools');
  const say = (line: string): void => effects.err(`${line}\n`);
  const opa = await foundOpa({ env: effects.env, toolsDirectory, say });
  if (opa === undefined) return exitCodes.failure;

  const rebuilder = new Rebuilder({
    directory,
    name: basename(output).replace(/\.tar\.gz$/, ''),
    compiler: { opa, env: effects.env },
    temporaryDirectory: tmpdir(),
  });
  effects.out(`watching ${directory}; every save is checked, tested and built to ${output}\n`);
  let fingerprint: string | undefined = await fingerprintOf(directory);
  while (fingerprint !== undefined && !until.aborted) {
    const begunMs = effects.clock.monotonicMs();
    const built = await rebuilt(rebuilder, allowed, effects);
    if (until.aborted) break;
    // A save during the build may have reached some steps only: the build starts again.
    const now = await fingerprintOf(directory);
    if (now !== fingerprint) {
      fingerprint = now;
      continue;
    }
    if (built instanceof AuthorFault) {
      effects.err(`${built.faults.join('\n')}\nnothing was written; the last bundle stays in place\n`);
    } else {
      await replaceFile(resolve(effects.directory, output), built.bytes);
      const seconds = ((effects.clock.monotonicMs() - begunMs) / 1_000).toFixed(2);
      effects.out(`revision ${built.revision} written, ${seconds} s\n`);
      for (const warning of await unformatted(rebuilder)) effects.err(`${warning}\n`);
    }
    fingerprint = await waitForChange(directory, fingerprint, until);
  }
  return exitCodes.ok;
}

async function foundOpa(search: OpaSearch): Promise<Opa | undefined> {
  try {
    return await findOpa(search);
  } catch (cause) {
    if (!(cause instanceof AuthorFault)) throw cause;
    for (const fault of cause.faults) search.say(fault);
    return undefined;
  }
}

/** A directory that cannot be read at the moment is a fault like any other: the next save may mend it. */
async function rebuilt(
  rebuilder: Rebuilder,
  allowed: readonly OutboundBuiltin[],
  effects: CliEffects,
): Promise<Rebuilt | AuthorFault> {
  try {
    const built = await rebuilder.rebuild();
    await tryBundle(built, allowed, effects);
    return built;
  } catch (cause) {
    if (cause instanceof AuthorFault) return cause;
    if (isFromDisk(cause)) return new AuthorFault([cause.message], { cause });
    throw cause;
  }
}

/** Reported after the bundle was written, so that the bundle does not wait for it. */
async function unformatted(rebuilder: Rebuilder): Promise<readonly string[]> {
  try {
    return await rebuilder.unformatted();
  } catch (cause) {
    // Saved again meanwhile, with a text that is not a policy: the next build reports it.
    if (cause instanceof AuthorFault || isFromDisk(cause)) return [];
    throw cause;
  }
}

function isFromDisk(cause: unknown): cause is Error {
  return isNativeError(cause) && 'syscall' in cause;
}
