import type { Decision, RecordedDecision } from '../../src/domain/decision.ts';

/** For tests of what an answer looks like: as if the record had the decision. */
export function asRecorded(decision: Decision): RecordedDecision {
  return decision as RecordedDecision;
}
