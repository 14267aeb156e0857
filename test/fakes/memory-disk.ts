import type { Backing, Change, OpenBacking } from '../../src/knowledge/store/backing.ts';

export type NextCommit = 'takes' | 'refuses' | 'takes it and says it failed' | 'hangs';

/** A disk for the store that survives its process, and fails when it is told to. */
export class MemoryDisk {
  records = new Map<string, string>();
  unreadable: string[] = [];
  /** What becomes of commits, one after the other; then all are taken. */
  next: NextCommit[] = [];
  /** Openings that fail before one works. */
  failingOpens = 0;
  commits = 0;
  /** Set: the next opening finds a damaged store and starts an empty one. */
  damaged = false;
  readonly #hanging: (() => void)[] = [];

  readonly open: OpenBacking = async () => {
    if (this.failingOpens > 0) {
      this.failingOpens -= 1;
      throw new Error('input/output error');
    }
    if (this.damaged) this.records = new Map();
    const loaded = {
      records: new Map(this.records),
      unreadable: [...this.unreadable],
      ...(this.damaged && { movedTo: 'damaged-then' }),
    };
    this.damaged = false;
    const backing: Backing = {
      loaded,
      commit: async (changes) => this.#commit(changes),
      close: async () => undefined,
    };
    return backing;
  };

  /** Lets commits that hang go through. */
  release(): void {
    for (const go of this.#hanging.splice(0)) go();
  }

  async #commit(changes: readonly Change[]): Promise<void> {
    this.commits += 1;
    const outcome = this.next.shift() ?? 'takes';
    if (outcome === 'hangs') await new Promise<void>((resolve) => this.#hanging.push(resolve));
    if (outcome !== 'refuses') {
      for (const { key, text } of changes) {
        if (text === undefined) this.records.delete(key);
        else this.records.set(key, text);
        this.unreadable = this.unreadable.filter((one) => one !== key);
      }
    }
    if (outcome === 'refuses' || outcome === 'takes it and says it failed') throw new Error('no space left on device');
  }
}
