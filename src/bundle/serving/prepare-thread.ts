// Tested by test/bundle/serving/bundle-life.long.test.ts.
import { parentPort } from 'node:worker_threads';
import { BundleRefused } from '../../domain/errors.ts';
import { prepare, RefusedBundle } from './prepare.ts';
import type { PrepareAnswer, PrepareRequest } from './prepare-messages.ts';
import { timed } from './thread-time.ts';

// The thread that reads, verifies, builds and tries bundles. Requests are answered by another, whatever happens here.
parentPort?.on('message', async ({ id, job, limits }: PrepareRequest) => {
  const policy = timed(
    limits.policy,
    () => performance.now(),
    () => process.threadCpuUsage(),
  );
  let answer: PrepareAnswer;
  try {
    answer = { id, prepared: await prepare(job, { ...limits, policy }) };
  } catch (cause) {
    const bundle = cause instanceof RefusedBundle ? cause.bundle : undefined;
    const message = cause instanceof Error ? cause.message : String(cause);
    answer = { id, refusal: { message, bundle, isRefused: cause instanceof BundleRefused } };
  }
  parentPort?.postMessage(answer);
});
