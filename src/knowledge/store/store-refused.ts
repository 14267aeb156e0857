// Tested by test/knowledge/store/open-stores.long.test.ts.
import { SidecarError } from '../../domain/errors.ts';

/** The store's directory cannot serve: one clear reason for the operator, at start. */
export class StoreRefused extends SidecarError {
  readonly code = 'store_failed';
}
