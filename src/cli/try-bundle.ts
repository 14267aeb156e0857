// Tested by test/cli/build.long.test.ts.
import { AuthorFault } from '../author/author-fault.ts';
import { archiveLimits } from '../bundle/reading/read-archive.ts';
import type { SigningRule } from '../bundle/reading/verify-signature.ts';
import { type Prepared, prepare } from '../bundle/serving/prepare.ts';
import { bundleRevision } from '../domain/bundle.ts';
import { isDecisionEntrypoint } from '../domain/decision.ts';
import { asSidecarError, BundleRefused } from '../domain/errors.ts';
import { type OutboundBuiltin, outboundBuiltins } from '../domain/outbound.ts';
import { type PolicyLimits, PolicyModule } from '../request/evaluate/policy-module.ts';
import { UsageFault } from './arguments.ts';
import type { CliEffects } from './effects.ts';

/** Enough for any policy; what the sidecar allows is its configuration's to say. */
const trialLimits = { memoryPages: 4096, resultBytes: 16 * 1024 * 1024, budgetMs: 1_000 };

export interface Built {
  readonly bytes: Uint8Array;
  readonly revision: string;
  readonly entrypoints: readonly string[];
}

/** `--allow BUILTIN`, which says what the configuration of the sidecar will. */
export const allowOption = { type: 'string', multiple: true } as const;

/** @throws UsageFault */
export function allowedBuiltins(names: readonly string[] = []): readonly OutboundBuiltin[] {
  const unknown = names.find((name) => !(outboundBuiltins as readonly string[]).includes(name));
  if (unknown !== undefined)
    throw new UsageFault(`--allow takes ${outboundBuiltins.join(' or ')}, not ${JSON.stringify(unknown)}`);
  return outboundBuiltins.filter((name) => names.includes(name));
}

/** The default entrypoint of a sidecar, and of samples that name none. */
const usualEntrypoint = 'authz/decision';
const unsigned: SigningRule = { required: false, keys: [], scope: undefined };

/**
 * Opens the bundle, evaluates its samples as the sidecar would, and evaluates every decision with an empty input: an
 * unknown caller must never get a permit, whatever a policy says.
 *
 * @param outside builtins that the sidecar will allow; servers are not called here
 * @throws AuthorFault
 */
export async function tryBundle(
  { bytes, revision, entrypoints }: Built,
  outside: readonly OutboundBuiltin[],
  effects: CliEffects,
): Promise<void> {
  const { clock, threadCpuMs } = effects;
  const limits = { ...trialLimits, outside, monotonicMs: () => clock.monotonicMs(), threadCpuMs };
  const [first = usualEntrypoint] = entrypoints;
  const entrypoint = entrypoints.includes(usualEntrypoint) ? usualEntrypoint : first;
  const { image } = await prepared(bytes, entrypoint, limits);
  const policy = await PolicyModule.of(image, bundleRevision(revision), limits);
  for (const decision of entrypoints.filter(isDecisionEntrypoint)) {
    const answer: unknown = JSON.parse(answerOf(policy, decision, effects) ?? '{"effect":"deny"}');
    const effect = typeof answer === 'object' && answer !== null && 'effect' in answer ? answer.effect : undefined;
    if (effect === 'allow' || effect === 'constrain') {
      throw new AuthorFault([`${decision} answers ${effect} to an empty input`]);
    }
  }
}

async function prepared(bytes: Uint8Array, entrypoint: string, policy: PolicyLimits): Promise<Prepared> {
  const bundles = [{ name: 'bundle', snapshot: bytes, deltas: [], signing: unsigned }];
  const trial = { entrypoint, entrypointsBefore: [] };
  try {
    return await prepare({ bundles, changed: 0, base: undefined, trial }, { archive: archiveLimits, policy });
  } catch (cause) {
    if (cause instanceof BundleRefused) throw new AuthorFault([`the bundle would be refused: ${cause.message}`]);
    throw cause;
  }
}

function answerOf(policy: PolicyModule, entrypoint: string, { clock }: CliEffects): string | undefined {
  try {
    return policy.evaluate(entrypoint, '{}', { now: clock.now(), seed: 'trial' });
  } catch (cause) {
    // A deny, because servers are not called here.
    if (asSidecarError(cause).code === 'outside_unavailable') return undefined;
    throw cause;
  }
}
