import { AuthorFault } from '../author/author-fault.ts';
import { readBundle } from '../bundle/read-bundle.ts';
import { isDecisionEntrypoint } from '../domain/decision.ts';
import { BundleRefused } from '../domain/errors.ts';
import { PolicyModule } from '../evaluate/policy-module.ts';
import type { CliEffects } from './effects.ts';

/** Enough for any policy; what the sidecar allows is its configuration's to say. */
const trialLimits = { memoryPages: 4096, resultBytes: 16 * 1024 * 1024, budgetMs: 1_000 };
const archiveLimits = { inflatedBytes: 1024 * 1024 * 1024, members: 10_000 };

export interface Built {
  readonly bytes: Uint8Array;
  readonly entrypoints: readonly string[];
}

/**
 * Opens the bundle as the sidecar would, and asks every decision with an input that holds nothing: nobody who is unknown
 * may do anything anywhere, whatever else a policy says.
 *
 * @throws AuthorFault
 */
export async function tryBundle({ bytes, entrypoints }: Built, effects: CliEffects): Promise<void> {
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
