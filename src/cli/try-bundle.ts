import { AuthorFault } from '../author/author-fault.ts';
import { readBundle } from '../bundle/read-bundle.ts';
import { isDecisionEntrypoint } from '../domain/decision.ts';
import { asSidecarError, BundleRefused } from '../domain/errors.ts';
import { type OutsideBuiltin, outsideBuiltins } from '../domain/outside.ts';
import { PolicyModule } from '../evaluate/policy-module.ts';
import { UsageFault } from './arguments.ts';
import type { CliEffects } from './effects.ts';

/** Enough for any policy; what the sidecar allows is its configuration's to say. */
const trialLimits = { memoryPages: 4096, resultBytes: 16 * 1024 * 1024, budgetMs: 1_000 };
const archiveLimits = { inflatedBytes: 1024 * 1024 * 1024, members: 10_000 };

export interface Built {
  readonly bytes: Uint8Array;
  readonly entrypoints: readonly string[];
}

/** `--allow BUILTIN`, which says what the configuration of the sidecar will. */
export const allowOption = { type: 'string', multiple: true } as const;

/** @throws UsageFault */
export function allowedBuiltins(names: readonly string[] = []): readonly OutsideBuiltin[] {
  const unknown = names.find((name) => !(outsideBuiltins as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new UsageFault(`--allow takes ${outsideBuiltins.join(' or ')}, not ${JSON.stringify(unknown)}`);
  return outsideBuiltins.filter((name) => names.includes(name));
}

/**
 * Opens the bundle as the sidecar would, and asks every decision with an input that holds nothing: nobody who is unknown
 * may do anything anywhere, whatever else a policy says.
 *
 * @param outside builtins that the sidecar will allow; nobody is asked here
 * @throws AuthorFault
 */
export async function tryBundle(
  { bytes, entrypoints }: Built,
  outside: readonly OutsideBuiltin[],
  effects: CliEffects,
): Promise<void> {
  const policy = await loaded(bytes, outside, effects);
  for (const entrypoint of entrypoints.filter(isDecisionEntrypoint)) {
    const answer: unknown = JSON.parse(answerOf(policy, entrypoint, effects) ?? '{"effect":"deny"}');
    const effect = typeof answer === 'object' && answer !== null && 'effect' in answer ? answer.effect : undefined;
    if (effect === 'allow' || effect === 'constrain') {
      throw new AuthorFault([`${entrypoint} gives ${effect} to an input that holds nothing at all`]);
    }
  }
}

function answerOf(policy: PolicyModule, entrypoint: string, { clock }: CliEffects): string | undefined {
  try {
    return policy.evaluate(entrypoint, '{}', { now: clock.now(), seed: 'trial' });
  } catch (cause) {
    // Closed, because nobody outside is asked here.
    if (asSidecarError(cause).code === 'outside_unavailable') return undefined;
    throw cause;
  }
}

async function loaded(
  bytes: Uint8Array,
  outside: readonly OutsideBuiltin[],
  { clock, threadCpuMs }: CliEffects,
): Promise<PolicyModule> {
  const limits = { ...trialLimits, outside, monotonicMs: () => clock.monotonicMs(), threadCpuMs };
  try {
    return await PolicyModule.load(await readBundle(bytes, archiveLimits), limits);
  } catch (cause) {
    if (cause instanceof BundleRefused) throw new AuthorFault([`the bundle would be refused: ${cause.message}`]);
    throw cause;
  }
}
