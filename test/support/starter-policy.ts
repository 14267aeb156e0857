import { readFileSync } from 'node:fs';
import { readBundle } from '../../src/bundle/reading/read-bundle.ts';
import { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { patientLimits } from './patient-limits.ts';

/** The committed bundle, as the sidecar loads it. */
export async function starterPolicy(): Promise<PolicyModule> {
  const file = readFileSync(new URL('../../bundles/starter.tar.gz', import.meta.url));
  const bundle = await readBundle(file, { inflatedBytes: 100_000_000, members: 1000 });
  return PolicyModule.load(bundle, { ...patientLimits, memoryPages: 4096, resultBytes: 16_777_216 });
}
