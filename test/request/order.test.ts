import { describe, expect, it } from '@jest/globals';
import { type Decision, type SettledDecision, undecided } from '../../src/domain/decision.ts';
import { Undecided } from '../../src/domain/errors.ts';
import type { Recorder, Settled } from '../../src/request/record/recorder.ts';
import { type RespondOptions, respond } from '../../src/request/respond/respond.ts';

// The compiler holds the order of the last steps: `make lint` fails for an expectation below that is not needed.
const asked = { surface: 'authzen', entrypoint: 'authz/decision' } as const;
const options: RespondOptions = { reasons: 'codes', realm: 'r' };

/** Never called; compiled only. */
export const wouldNotCompile = {
  answersWhatWasOnlyDecided: (decision: Decision) =>
    // @ts-expect-error a decision that is not recorded is not answered
    respond(decision, asked, 'd-1', options),

  answersWhatWasOnlySettled: (decision: SettledDecision) =>
    // @ts-expect-error a decision that is settled and not recorded is not answered
    respond(decision, asked, 'd-1', options),

  recordsWhatWasOnlyDecided: (decision: Decision, rest: Omit<Settled, 'decision'>): Settled => ({
    ...rest,
    // @ts-expect-error a decision whose grants are not taken is not recorded
    decision,
  }),

  answersWhatTheRecorderReturns: (recorder: Recorder, settled: Settled, stopwatch: ReturnType<Recorder['stopwatch']>) =>
    respond(recorder.decided(settled, stopwatch, undefined), asked, 'd-1', options),
};

describe('a decision that something failed in', () => {
  it('is settled as it is: it permits nothing, so no grant is taken', () => {
    const error = new Undecided('no_bundle', 'no bundle');
    expect(undecided(error, undefined)).toEqual({ kind: 'undecided', error, revision: undefined });
  });
});
