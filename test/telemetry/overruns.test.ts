import { expect, it } from '@jest/globals';
import { Undecided } from '../../src/domain/errors.ts';
import { Overruns } from '../../src/telemetry/overruns.ts';
import { KeptLog } from '../fakes/kept-log.ts';
import { Testbed } from '../support/testbed.ts';

it('a policy that keeps spending its budget is told once, from the third time on', () => {
  const log = new KeptLog();
  const overruns = new Overruns(log);
  for (const times of [0, 0, 1, 1]) {
    overruns.note('a/decision');
    expect(log.of('error')).toHaveLength(times);
  }
  overruns.note('b/decision');
  expect(overruns.persistent).toEqual(['a/decision']);
  overruns.forget();
  expect(overruns.persistent).toEqual([]);
});

it('an evaluation that spent its budget is a decision, counted by its entrypoint too', async () => {
  const bed = await Testbed.open();
  try {
    const policy = {
      evaluate: () => {
        throw new Undecided('policy_budget_spent', 'it took 60 ms');
      },
    };
    if (bed.bundle !== undefined) bed.bundle = { ...bed.bundle, policy: policy as never };
    const answer = await bed.ask('{"input":{}}', { surface: 'opa', entrypoint: 'authz/decision' });
    expect(answer.body).toContain('policy_budget_spent');
    expect(await bed.counted('postern_policy_overruns_total', { entrypoint: 'authz/decision' })).toBe(1);
    expect(await bed.counted('postern_undecided_total', { code: 'policy_budget_spent' })).toBe(1);
  } finally {
    await bed.close();
  }
});
