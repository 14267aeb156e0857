// Tested by test/bundle/sources/file-source.test.ts.
import type { EpochMs } from '../../domain/time.ts';

/** What a bundle's owner has of it already. */
export interface Wanted {
  /** Of what is held, the newest first: an answer that it still is the newest is enough. None: the bundle, whatever it is. */
  readonly etags: readonly string[];
  /** Whether changes to the newest of those would do as well. */
  readonly deltas: boolean;
  /** Somebody asked for it by hand: nothing that was read before saves the reading. */
  readonly asked: boolean;
}

export type Fetched =
  /** Nothing newer than what was read last; `isHeld` where the source says that this is what is held. */
  | { readonly kind: 'unchanged'; readonly isHeld: boolean }
  | {
      readonly kind: 'bundle';
      /** Shared memory: threads read it without a copy. */
      readonly bytes: Uint8Array;
      /** SHA-256 of the bytes, hexadecimal. */
      readonly digest: string;
      readonly etag: string | undefined;
      /** Its age counts from here. */
      readonly currentAt: EpochMs;
    };

/** Where a bundle comes from: a file, a folder, a server. */
export interface BundleSource {
  /** For logs and status: no credentials, no query. */
  readonly shown: string;
  /** @throws SourceFailed if it cannot be had, BundleRefused for what is no bundle by its size or kind */
  fetch(wanted: Wanted, signal: AbortSignal): Promise<Fetched>;
  /** How long to wait before the next look; absent: a look costs next to nothing, and the slot says how often. */
  pauseMs?(last: LastFetch): number;
}

export interface LastFetch {
  readonly outcome: 'new' | 'unchanged' | 'failed';
  /** In a row, this one included. */
  readonly failures: number;
  readonly tookMs: number;
}

/** A bundle that could not be had; the next attempt may. */
export class SourceFailed extends Error {
  readonly httpStatus: number | undefined;

  constructor(message: string, options: ErrorOptions & { readonly httpStatus?: number } = {}) {
    super(message, options);
    this.httpStatus = options.httpStatus;
  }
}
