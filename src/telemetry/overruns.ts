import type { Log } from '../domain/ports.ts';

/** From so many overruns on an entrypoint is not an accident any more, and the operator is told. */
const tellFrom = 3;

/** Evaluations that spent their budget, by entrypoint, since the bundle that serves was activated. */
export class Overruns {
  readonly #log: Log;
  readonly #counts = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** @param entrypoint one of the bundle's: nothing else is ever evaluated */
  note(entrypoint: string): void {
    const count = (this.#counts.get(entrypoint) ?? 0) + 1;
    this.#counts.set(entrypoint, count);
    if (count === tellFrom) {
      this.#log.error('a policy keeps exceeding its budget; its decisions are deny, other policies are not affected', {
        entrypoint,
      });
    }
  }

  /** Entrypoints that keep spending their budget. */
  get persistent(): readonly string[] {
    return [...this.#counts].filter(([, count]) => count >= tellFrom).map(([entrypoint]) => entrypoint);
  }

  /** Another bundle serves: what the last one did says nothing of it. */
  forget(): void {
    this.#counts.clear();
  }
}
