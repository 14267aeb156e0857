// Tested by test/knowledge/store/open-stores.long.test.ts.
import { isJsonObject, member } from '../../domain/json-value.ts';
import { type EpochMs, epochMs } from '../../domain/time.ts';
import { Collection } from './collection.ts';
import type { DurableStore, Found } from './durable-store.ts';
import { isRecordKey, recordKey } from './record-key.ts';

interface LossRecord {
  /** Since when everything is in doubt: the store was put away, or what was damaged cannot even be named. */
  readonly lostSince?: EpochMs;
  readonly keys: readonly string[];
}

const nothing: LossRecord = { keys: [] };
const lossKey = recordKey('doubt', []);

/**
 * Records that the store has lost. An absent "revoked" means "not revoked", so a lost record must not look absent. The
 * loss is stored, over restarts, until an operator with access to the control listener says that the sources have
 * reported again.
 */
export class StoreLoss {
  readonly collection = new Collection<LossRecord>({
    kind: 'doubt',
    encode: ({ lostSince, keys }) => ({ ...(lostSince !== undefined && { lost_since: lostSince }), keys }),
    decode(value) {
      if (!isJsonObject(value)) return undefined;
      const lostSince = member(value, 'lost_since');
      const keys = member(value, 'keys');
      if (!Array.isArray(keys)) return undefined;
      return {
        ...(typeof lostSince === 'number' && { lostSince: epochMs(lostSince) }),
        keys: keys.filter((key) => typeof key === 'string'),
      };
    },
    changed: (key, _before, after) => {
      if (key === lossKey) this.#read(after ?? nothing);
    },
  });
  #lostSince: EpochMs | undefined;
  #keys: ReadonlySet<string> = new Set();

  /** Whether a record of this key may have been lost. */
  covers(key: string): boolean {
    return this.#lostSince !== undefined || this.#keys.has(key);
  }

  get isEmpty(): boolean {
    return this.#lostSince === undefined && this.#keys.size === 0;
  }

  get lostSince(): EpochMs | undefined {
    return this.#lostSince;
  }

  get unreadable(): number {
    return this.#keys.size;
  }

  /** Adds what was found at opening to what was in doubt before. */
  async add(store: DurableStore, found: Found, now: EpochMs): Promise<void> {
    if (found.unreadable.length === 0 && found.movedTo === undefined) return;
    const keys = new Set([...this.#keys, ...found.unreadable]);
    // A key that is damaged itself does not say which record is gone, so any may be.
    const isLost = found.movedTo !== undefined || keys.has(lossKey) || [...keys].some((key) => !isRecordKey(key));
    const lostSince = this.#lostSince ?? (isLost ? now : undefined);
    const record = { ...(lostSince !== undefined && { lostSince }), keys: [...keys] };
    // Closed at once, and kept so: the disk that has just lost something may refuse this too.
    this.#read(record);
    await store.transact((tx) => this.collection.setIn(tx, lossKey, record));
  }

  /**
   * Ends the doubt: what is not reported from here on counts as never reported. Unreadable records are dropped.
   *
   * @param collections where a record in doubt may have been written anew
   */
  async end(store: DurableStore, collections: readonly Pick<Collection<unknown>, 'getIn'>[]): Promise<void> {
    await store.transact((tx) => {
      for (const key of this.#keys) {
        if (collections.every((one) => one.getIn(tx, key) === undefined)) this.collection.removeIn(tx, key);
      }
      this.collection.removeIn(tx, lossKey);
    });
  }

  #read({ lostSince, keys }: LossRecord): void {
    this.#lostSince = lostSince;
    this.#keys = new Set(keys);
  }
}
