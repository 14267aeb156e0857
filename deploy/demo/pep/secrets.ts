import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Answer, Ask, Question } from './answer.ts';
import { type Able, limit, permission } from './permission.ts';

interface SecretConstraints {
  readonly secret_max_ttl_s: number;
  readonly secret_max_uses: number;
}

const able: Able<SecretConstraints> = { secret_max_ttl_s: limit, secret_max_uses: limit };

/** A secret in hand: readable as long and as often as the answer said, then gone. */
export class Lease {
  #value: Buffer | undefined;
  #usesLeft: number;
  readonly #endsAtMs: number;
  readonly #monotonicMs: () => number;
  readonly #timer: NodeJS.Timeout | undefined;

  constructor(value: Buffer, ttlS: number | undefined, uses: number | undefined, monotonicMs: () => number) {
    this.#value = value;
    this.#usesLeft = uses ?? Number.POSITIVE_INFINITY;
    this.#monotonicMs = monotonicMs;
    this.#endsAtMs = ttlS === undefined ? Number.POSITIVE_INFINITY : monotonicMs() + ttlS * 1_000;
    // Not only unreadable once it is over, but no longer there.
    if (ttlS !== undefined) this.#timer = setTimeout(() => this.end(), ttlS * 1_000).unref();
  }

  /** @throws Error once it is used up or over */
  read(): string {
    if (this.#monotonicMs() >= this.#endsAtMs) this.end();
    if (this.#value === undefined) throw new Error('the lease is over; ask again');
    const text = this.#value.toString('utf8');
    this.#usesLeft -= 1;
    if (this.#usesLeft === 0) this.end();
    return text;
  }

  end(): void {
    clearTimeout(this.#timer);
    this.#value?.fill(0);
    this.#value = undefined;
  }
}

export type SecretOutcome =
  | { readonly lease: Lease; readonly constraints: Partial<SecretConstraints> }
  | { readonly refused: string };

/** Stands in front of a folder of secrets, one file each. */
export class SecretPep {
  readonly #ask: Ask;
  readonly #folder: string;
  readonly #monotonicMs: () => number;

  constructor(ask: Ask, folder: string, monotonicMs: () => number) {
    this.#ask = ask;
    this.#folder = folder;
    this.#monotonicMs = monotonicMs;
  }

  async open(question: Question): Promise<{ readonly answer: Answer; readonly outcome: SecretOutcome }> {
    const answer = await this.#ask(question);
    const allowed = permission<SecretConstraints>(answer, able);
    if (!allowed.permitted) return { answer, outcome: { refused: allowed.because } };
    const { constraints } = allowed;
    const value = await readFile(join(this.#folder, encodeURIComponent(question.resource.id)));
    const lease = new Lease(value, constraints.secret_max_ttl_s, constraints.secret_max_uses, this.#monotonicMs);
    return { answer, outcome: { lease, constraints } };
  }
}
