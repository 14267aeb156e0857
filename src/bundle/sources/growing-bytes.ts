// Tested by test/bundle/sources/file-source.test.ts.
import { createHash } from 'node:crypto';
import { BundleRefused } from '../../domain/errors.ts';

/**
 * Bytes that arrive piece by piece, hashed as they come: a whole bundle hashed at once would hold up every request. They
 * lie in shared memory, where they can grow without being copied and be read by the thread that prepares them.
 */
export class GrowingBytes {
  readonly #memory: SharedArrayBuffer;
  readonly #bytesMax: number;
  readonly #hash = createHash('sha256');
  #length = 0;

  /** @param bytesMax address space is set aside for as many, memory only for what comes */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#memory = new SharedArrayBuffer(0, { maxByteLength: bytesMax });
  }

  /** @throws BundleRefused past the limit */
  push(piece: Uint8Array): void {
    const end = this.#length + piece.length;
    if (end > this.#bytesMax) throw new BundleRefused(`more than ${this.#bytesMax} bytes`);
    this.#memory.grow(end);
    new Uint8Array(this.#memory).set(piece, this.#length);
    this.#hash.update(piece);
    this.#length = end;
  }

  /** @returns all of it; nothing can be added any more */
  done(): { readonly bytes: Uint8Array; readonly digest: string } {
    return { bytes: new Uint8Array(this.#memory, 0, this.#length), digest: this.#hash.digest('hex') };
  }
}
