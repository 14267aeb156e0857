// Tested by test/knowledge/attestations/attestation-table.test.ts.
import type { EpochMs } from './time.ts';

/**
 * A DSSE-signed in-toto statement that verified at the door (in-toto Statement v1, SLSA provenance v1). Only verified
 * ones are kept, so `verified` is always true in the policy's input.
 */
export interface Attestation {
  /** The statement's `predicateType`. */
  readonly type: string;
  readonly builder: string;
  readonly buildType: string;
  /** The artifact, e.g. `sha256:9f86…`: the statement's subject digest, the only thing an attestation is matched by. */
  readonly digest: string;
  /** Which configured key verified it. */
  readonly keyId: string;
  /** `buildDefinition.externalParameters.workflow.repository` or `.source`, where the predicate has one. */
  readonly sourceRepository?: string;
  readonly finishedAt?: EpochMs;
  readonly receivedAt: EpochMs;
}
