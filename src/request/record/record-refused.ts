// Tested by test/outbound/sidecar.long.test.ts.
import { SidecarError } from '../../domain/errors.ts';

/** The decision record cannot be written where it should be: one clear reason for the operator, at start. */
export class RecordRefused extends SidecarError {
  readonly code = 'audit_unavailable';
}
