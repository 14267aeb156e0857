// Tested by test/bundle/shadow/shadow.test.ts.
import { parentPort } from 'node:worker_threads';
import type { Outcome } from '../../domain/answered-decision.ts';
import { bundleRevision } from '../../domain/bundle.ts';
import { asSidecarError, Undecided } from '../../domain/errors.ts';
import type { Draws } from '../../request/evaluate/draws.ts';
import { PolicyModule } from '../../request/evaluate/policy-module.ts';
import { timed } from '../serving/thread-time.ts';
import type { ShadowAnswer, ShadowMessage, ShadowQuestion } from './shadow-messages.ts';

// The thread that the shadow bundle is evaluated on: whatever it takes, it takes none of the time that answers need.
let policy: Promise<PolicyModule> | undefined;

async function answerTo({ entrypoint, input, now, seed, replies }: ShadowQuestion): Promise<Outcome | undefined> {
  const draws: Draws = { now, seed, ...(replies !== undefined && { replies: new Map(replies) }) };
  let outcome: Outcome;
  try {
    if (policy === undefined) throw new Undecided('no_bundle', 'asked before there was a policy');
    outcome = { text: (await policy).evaluate(entrypoint, input, draws) };
  } catch (cause) {
    outcome = { code: asSidecarError(cause).code };
  }
  return draws.missed === undefined ? outcome : undefined;
}

parentPort?.on('message', async (message: ShadowMessage) => {
  if (message.kind === 'policy') {
    const limits = timed(
      message.limits,
      () => performance.now(),
      () => process.threadCpuUsage(),
    );
    policy = PolicyModule.of(message.image, bundleRevision(''), limits);
    // Told with each question; here it would end the thread.
    policy.catch(() => undefined);
    return;
  }
  const answers: ShadowAnswer[] = [];
  for (const question of message.questions) answers.push({ id: question.id, outcome: await answerTo(question) });
  parentPort?.postMessage(answers);
});
