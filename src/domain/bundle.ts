// Tested by test/bundle/serving/bundle-slot.long.test.ts.
declare const brand: unique symbol;
export type BundleRevision = string & { readonly [brand]: 'BundleRevision' };

export function bundleRevision(text: string): BundleRevision {
  return text as BundleRevision;
}

/** A bundle's description of its own policies in `.manifest` `metadata.postern`; it bounds every label made from policy text. */
export interface PolicyCatalogue {
  /** Policy name to its requirement ids, e.g. `database_access` → `["workload_approved", …]`. */
  readonly policies: ReadonlyMap<string, readonly string[]>;
}
