import type { SignalReader } from '../../src/domain/ports.ts';
import { type AboutKind, type AttributeReport, type Signal, supersedes } from '../../src/domain/signal.ts';

/** Signals in memory, by the same rule of replacement as the store's; nothing is durable. */
export class KnownSignals implements SignalReader {
  readonly #held = new Map<string, readonly AttributeReport[]>();

  held(kind: AboutKind, id: string): readonly AttributeReport[] | undefined {
    return this.#held.get(`${kind} ${id}`);
  }

  report(signal: Omit<Signal, 'sequence' | 'source'> & { readonly source?: string; readonly sequence?: number }): void {
    const key = `${signal.about.kind} ${signal.about.id}`;
    let list = this.#held.get(key) ?? [];
    for (const [attribute, value] of Object.entries(signal.attributes)) {
      const next: AttributeReport = {
        attribute,
        value,
        source: signal.source ?? 'test',
        observedAt: signal.observedAt,
        expiresAt: signal.expiresAt,
        sequence: signal.sequence ?? 0,
      };
      const before = list.find((one) => one.attribute === attribute && one.source === next.source);
      if (before !== undefined && !supersedes(next, before, signal.observedAt)) continue;
      list = [...list.filter((one) => one !== before), next];
    }
    this.#held.set(key, list);
  }
}
