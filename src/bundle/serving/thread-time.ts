// Tested by test/bundle/serving/bundle-life.long.test.ts.
import type { PolicyLimits } from '../../request/evaluate/policy-module.ts';

/** What of a policy's limits goes to a thread; the clocks there are the thread's own. */
export type ThreadPolicyLimits = Pick<PolicyLimits, 'memoryPages' | 'resultBytes' | 'budgetMs' | 'outside'>;

/** @param threadCpu of the thread that evaluates, in microseconds, as `process.threadCpuUsage` gives it */
export function timed(
  limits: ThreadPolicyLimits,
  monotonicMs: () => number,
  threadCpu: () => { readonly user: number; readonly system: number },
): PolicyLimits {
  // Both parts: how the kernel divides a thread's time between them is an estimate that jumps, their sum is exact.
  const threadCpuMs = (): number => {
    const { user, system } = threadCpu();
    return (user + system) / 1_000;
  };
  return { ...limits, monotonicMs, threadCpuMs };
}
