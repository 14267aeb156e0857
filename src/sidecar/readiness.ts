// Tested by test/sidecar/sidecar.long.test.ts.
import type { BundleSlot } from '../bundle/serving/bundle-slot.ts';
import { asSidecarError } from '../domain/errors.ts';
import type { Log } from '../domain/ports.ts';
import type { Clock } from '../domain/time.ts';
import type { Stores } from '../knowledge/open-stores.ts';
import type { DecisionLog } from '../request/record/decision-log.ts';

/** In words for an operator; none: it is ready. */
export function notReady(
  bundle: BundleSlot,
  stores: Stores,
  decisionLog: DecisionLog,
  clock: Clock,
): readonly string[] {
  const reasons: string[] = [];
  try {
    bundle.serving(clock.now());
  } catch (cause) {
    reasons.push(asSidecarError(cause).code);
  }
  if (!stores.isReady()) reasons.push(stores.status().state === 'ok' ? 'store_in_doubt' : 'store_failed');
  if (decisionLog.failing) reasons.push('audit_unavailable');
  return reasons;
}

/** @returns what is to be called now and then: it says in the log when the sidecar becomes ready, and when it is no longer */
export function readinessTeller(readiness: () => readonly string[], log: Log): () => void {
  let told: string | undefined;
  return () => {
    const reasons = readiness().join(', ');
    if (reasons === told) return;
    told = reasons;
    if (reasons === '') log.info('ready to decide');
    else log.warn('not ready to decide', { reasons });
  };
}
