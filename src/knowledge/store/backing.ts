// Tested by test/knowledge/store/durable-store.test.ts.
/** One record's new text; `undefined` removes it. */
export interface Change {
  readonly key: string;
  readonly text: string | undefined;
}

export interface Loaded {
  readonly records: ReadonlyMap<string, string>;
  /** Keys whose values failed their checksum: a record was stored there, and its content is lost. */
  readonly unreadable: readonly string[];
  /** Where a damaged store was put away, if it was: everything it held is unknown now. */
  readonly movedTo?: string;
}

/** Where records lie durably: LMDB on a thread of its own, and the tests' double that fails when told to. */
export interface Backing {
  readonly loaded: Loaded;
  /** All of them or none, on disk before it resolves. A rejection leaves the outcome unknown until it is read back. */
  commit(changes: readonly Change[]): Promise<void>;
  close(): Promise<void>;
}

/** Opens the store, again after a failure too; it is closed then. */
export type OpenBacking = () => Promise<Backing>;
