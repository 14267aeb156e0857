// Tested by test/knowledge/signals/host/host.test.ts.
/** Sources beyond these share one label: a label must stay bounded, and senders of reports choose source names. */
const namedMax = 32;

/** Names for metrics: the first sources to report keep their own. */
export class SourceLabels {
  readonly #named = new Set<string>();

  labelOf(source: string): string {
    if (this.#named.has(source)) return source;
    if (this.#named.size >= namedMax) return 'other';
    this.#named.add(source);
    return source;
  }
}
