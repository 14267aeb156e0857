// Tested by test/outbound/sidecar.long.test.ts.
import { readFile } from 'node:fs/promises';
import { archiveLimits } from '../bundle/reading/read-archive.ts';
import { readBundle } from '../bundle/reading/read-bundle.ts';
import { outboundBuiltins } from '../domain/outbound.ts';
import { PolicyModule } from '../request/evaluate/policy-module.ts';
import { type PolicyEffects, resultBytesMax, timedBy } from '../sidecar/limits.ts';

/** Opens a bundle as a sidecar does, for a look at what it says; it may take its time. @throws BundleRefused */
export async function loadPolicy(file: string, effects: PolicyEffects): Promise<PolicyModule> {
  const bundle = await readBundle(await readFile(file), archiveLimits);
  return PolicyModule.load(bundle, {
    ...timedBy(effects),
    budgetMs: 60_000,
    memoryPages: 4_096,
    resultBytes: resultBytesMax,
    // Servers are never called here.
    outside: outboundBuiltins,
  });
}
