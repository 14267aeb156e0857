// Tested by test/bundle/serving/bundle-life.long.test.ts.
import type { BundleKeep, KeptBundle } from './kept-bundle.ts';

/** Writes kept copies behind what serves: a disk that is slow or full delays no activation. */
export class KeepWriter {
  readonly #keep: BundleKeep;
  readonly #failed: (cause: unknown) => void;
  /** One copy at a time: each is complete on disk before the next one begins. */
  #writing: Promise<void> = Promise.resolve();

  constructor(keep: BundleKeep, failed: (cause: unknown) => void) {
    this.#keep = keep;
    this.#failed = failed;
  }

  /** @param latest asked for when its turn comes, so that only what serves by then is written */
  write(latest: () => KeptBundle | undefined): void {
    this.#writing = this.#writing
      .then(async () => {
        const copy = latest();
        if (copy !== undefined) await this.#keep.save(copy);
      })
      .catch(this.#failed);
  }

  async close(): Promise<void> {
    await this.#writing;
  }
}
