// Tested by test/author/policy-author-doc.long.test.ts.
/** Why no bundle was built: every fault found, each a line for the policy author. */
export class AuthorFault extends Error {
  readonly faults: readonly string[];

  constructor(faults: readonly string[], options?: ErrorOptions) {
    super(faults.join('\n'), options);
    this.faults = faults;
  }
}
