import { createHash, type KeyObject } from 'node:crypto';
import type { Attestation } from '../../domain/attestation.ts';
import { isJsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import type { AttestationKeeper } from '../../domain/ports.ts';
import { type Clock, epochMs } from '../../domain/time.ts';
import { Collection } from '../store/collection.ts';
import type { DurableStore } from '../store/durable-store.ts';
import { recordKey } from '../store/record-key.ts';
import type { Transaction } from '../store/transaction.ts';
import { type VerifyOptions, verifyAttestation } from './verify-attestation.ts';

export interface AttestationTableOptions extends VerifyOptions {
  readonly clock: Clock;
  /** Past it the oldest makes room: what is missing is not verified, and closes. */
  readonly attestationsMax: number;
  onAttestation(result: 'kept' | 'refused'): void;
}

/** An attestation and the print of the key that verified it: a key id may be given to another key. */
interface StoredAttestation {
  readonly attestation: Attestation;
  readonly keyPrint: string;
}

/** For one artifact; a request carries all of them to the policy. */
const perDigestMax = 32;
const none: readonly Attestation[] = [];

/** Attestations that verified at the door; no other is ever kept, and none outlives the trust in its key. */
export class AttestationTable implements AttestationKeeper {
  readonly collection: Collection<StoredAttestation>;
  readonly #options: AttestationTableOptions;
  readonly #keyPrints: ReadonlyMap<string, string>;
  /** Those that still count, the one kept longest first. */
  readonly #byDigest = new Map<string, readonly Attestation[]>();
  /** Keys of all records, the one kept longest first. */
  readonly #order = new Set<string>();
  #store: DurableStore | undefined;

  constructor(options: AttestationTableOptions) {
    this.#options = options;
    this.#keyPrints = new Map(options.keys.map(({ id, publicKey }) => [id, printOf(publicKey)]));
    this.collection = new Collection<StoredAttestation>({
      kind: 'attestation',
      groupsOf: (kept) => (this.#isTrusted(kept) ? [kept.attestation.digest] : []),
      encode: encodeAttestation,
      decode: decodeAttestation,
      changed: (key, before, after) => this.#index(key, before, after),
    });
  }

  /** Begins once the table is read from the store. */
  keepIn(store: DurableStore): void {
    this.#store = store;
    const received = [...this.collection.values()].sort((a, b) => a.attestation.receivedAt - b.attestation.receivedAt);
    for (const kept of received) this.#index(keyOf(kept), kept, kept);
  }

  of(digest: string): readonly Attestation[] {
    return this.#byDigest.get(digest) ?? none;
  }

  get count(): number {
    return this.collection.size;
  }

  async attach(envelope: JsonValue): Promise<readonly Attestation[]> {
    try {
      const attestations = verifyAttestation(envelope, this.#options.clock.now(), this.#options);
      const kept = await this.#keep(attestations);
      this.#options.onAttestation('kept');
      return kept;
    } catch (cause) {
      this.#options.onAttestation('refused');
      throw cause;
    }
  }

  #keep(attestations: readonly Attestation[]): Promise<readonly Attestation[]> {
    if (this.#store === undefined) throw new Error('the table has no store yet');
    return this.#store.transact((tx) => attestations.map((attestation) => this.#take(tx, attestation)));
  }

  #take(tx: Transaction, attestation: Attestation): Attestation {
    const kept = this.#stored(attestation);
    const key = keyOf(kept);
    // The same word again keeps its first day: sending it anew must not make it younger.
    const before = this.collection.getIn(tx, key);
    if (before !== undefined) return before.attestation;
    this.collection.setIn(tx, key, kept);
    const { digest } = attestation;
    const ofDigest = this.of(digest).map((one) => keyOf(this.#stored(one)));
    for (const oldest of this.#keysIn(tx, ofDigest)) {
      if (this.collection.countIn(tx, digest) <= perDigestMax) break;
      if (this.collection.getIn(tx, oldest)?.attestation.digest === digest) this.collection.removeIn(tx, oldest);
    }
    for (const oldest of this.#keysIn(tx, this.#order)) {
      if (this.collection.sizeIn(tx) <= this.#options.attestationsMax) break;
      this.collection.removeIn(tx, oldest);
    }
    return attestation;
  }

  /**
   * Keys of what there would be, the one kept longest first: of those that are stored, and of those that are about to
   * be. Stored ones alone will not do: all that is attached at once would find the same one to be the oldest.
   */
  *#keysIn(tx: Transaction, stored: Iterable<string>): IterableIterator<string> {
    for (const key of stored) if (this.collection.getIn(tx, key) === this.collection.get(key)) yield key;
    yield* this.collection.setKeysIn(tx);
  }

  #index(key: string, before: StoredAttestation | undefined, after: StoredAttestation | undefined): void {
    this.#order.delete(key);
    if (before !== undefined) {
      const { digest } = before.attestation;
      const left = this.of(digest).filter((one) => one !== before.attestation);
      if (left.length === 0) this.#byDigest.delete(digest);
      else this.#byDigest.set(digest, left);
    }
    if (after === undefined) return;
    this.#order.add(key);
    if (!this.#isTrusted(after)) return;
    const { digest } = after.attestation;
    this.#byDigest.set(digest, [...this.of(digest), after.attestation]);
  }

  /** As it is kept while its key is trusted. */
  #stored(attestation: Attestation): StoredAttestation {
    return { attestation, keyPrint: this.#keyPrints.get(attestation.keyId) ?? '' };
  }

  /** The configuration may have changed since: a key that is gone, or may say less, takes its words with it. */
  #isTrusted({ attestation, keyPrint }: StoredAttestation): boolean {
    const key = this.#options.keys.find(({ id }) => id === attestation.keyId);
    return (
      key !== undefined &&
      this.#keyPrints.get(key.id) === keyPrint &&
      key.builders.includes(attestation.builder) &&
      key.buildTypes.includes(attestation.buildType)
    );
  }
}

function printOf(key: KeyObject): string {
  return createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64url');
}

/** Everything it says but when it came. */
function keyOf({ attestation, keyPrint }: StoredAttestation): string {
  const { type, builder, buildType, digest, sourceRepository, finishedAt } = attestation;
  const parts = [type, builder, buildType, digest, keyPrint, sourceRepository ?? '', String(finishedAt ?? '')];
  return recordKey('attestation', parts);
}

function encodeAttestation({ attestation, keyPrint }: StoredAttestation): JsonValue {
  const { type, builder, buildType, digest, keyId, sourceRepository, finishedAt, receivedAt } = attestation;
  return {
    ...{ type, builder, build_type: buildType, digest, key_id: keyId, key_print: keyPrint, received_at: receivedAt },
    ...(sourceRepository !== undefined && { source_repository: sourceRepository }),
    ...(finishedAt !== undefined && { finished_at: finishedAt }),
  };
}

function decodeAttestation(value: JsonValue): StoredAttestation | undefined {
  if (!isJsonObject(value)) return undefined;
  const text = (name: string): string | undefined => {
    const found = member(value, name);
    return typeof found === 'string' ? found : undefined;
  };
  const [type, builder, buildType] = [text('type'), text('builder'), text('build_type')];
  const [digest, keyId, keyPrint] = [text('digest'), text('key_id'), text('key_print')];
  const sourceRepository = text('source_repository');
  const receivedAt = member(value, 'received_at');
  const finishedAt = member(value, 'finished_at');
  if (type === undefined || builder === undefined || buildType === undefined || digest === undefined) return undefined;
  if (keyId === undefined || keyPrint === undefined || typeof receivedAt !== 'number') return undefined;
  const attestation: Attestation = {
    ...{ type, builder, buildType, digest, keyId, receivedAt: epochMs(receivedAt) },
    ...(sourceRepository !== undefined && { sourceRepository }),
    ...(typeof finishedAt === 'number' && { finishedAt: epochMs(finishedAt) }),
  };
  return { attestation, keyPrint };
}
