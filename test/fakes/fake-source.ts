import { createHash } from 'node:crypto';
import {
  type BundleSource,
  type Fetched,
  type LastFetch,
  SourceFailed,
  type Wanted,
} from '../../src/bundle/sources/source.ts';
import type { Clock } from '../../src/domain/time.ts';

/** A bundle server without a network: it knows ETags, holds what it is given, and can be down. */
export class FakeSource implements BundleSource {
  readonly shown = 'fake:bundle';
  readonly #clock: Clock;
  #bundle: { readonly bytes: Uint8Array; readonly etag: string } | undefined;
  /** Changes from the bundle with that ETag to the one that is served. */
  #delta: { readonly from: string; readonly bytes: Uint8Array } | undefined;
  isDown = false;
  /** Answers "unchanged" whatever it is asked, as a cache that is stuck. */
  isStuck = false;
  pause = 60_000;
  /** What it was asked for, in order. */
  readonly asked: Wanted[] = [];
  readonly fetches: LastFetch[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  give(bytes: Uint8Array, etag: string = createHash('sha256').update(bytes).digest('hex').slice(0, 8)): void {
    this.#bundle = { bytes, etag };
    this.#delta = undefined;
  }

  /** The next bundle, and the way to it from the one before. */
  giveDelta(delta: Uint8Array, whole: Uint8Array, etag: string): void {
    const from = this.#bundle?.etag ?? '';
    this.give(whole, etag);
    this.#delta = { from, bytes: delta };
  }

  async fetch(wanted: Wanted): Promise<Fetched> {
    this.asked.push(wanted);
    if (this.isDown) throw new SourceFailed('the server cannot be reached: ECONNREFUSED');
    if (this.#bundle === undefined) throw new SourceFailed('the server answered 404', { httpStatus: 404 });
    const { etag } = this.#bundle;
    if (this.isStuck && wanted.etags.length === 0)
      throw new SourceFailed('the server answered 304', { httpStatus: 304 });
    if (this.isStuck || wanted.etags.includes(etag)) return { kind: 'unchanged', isHeld: true };
    const delta = wanted.deltas && this.#delta?.from === wanted.etags[0] ? this.#delta : undefined;
    const bytes = new Uint8Array(delta?.bytes ?? this.#bundle.bytes);
    const digest = createHash('sha256').update(bytes).digest('hex');
    return { kind: 'bundle', bytes, digest, etag, currentAt: this.#clock.now() };
  }

  pauseMs(last: LastFetch): number {
    this.fetches.push(last);
    return this.pause;
  }
}
