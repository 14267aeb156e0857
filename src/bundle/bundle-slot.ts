import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import type { BundleRevision, PolicyCatalogue } from '../domain/bundle.ts';
import { BundleRefused, Undecided } from '../domain/errors.ts';
import type { Log } from '../domain/ports.ts';
import { type Clock, type EpochMs, epochMs, rfc3339Of } from '../domain/time.ts';
import { type PolicyLimits, PolicyModule } from '../evaluate/policy-module.ts';
import type { ArchiveLimits } from './read-archive.ts';
import { readBundle } from './read-bundle.ts';

export interface BundleSlotOptions {
  readonly name: string;
  readonly file: string;
  /** The entrypoint that has to be there. */
  readonly entrypoint: string;
  readonly maxAgeMs: number | undefined;
  readonly fileBytesMax: number;
  readonly archiveLimits: ArchiveLimits;
  readonly policyLimits: PolicyLimits;
  readonly clock: Clock;
  readonly log: Log;
  readonly activated: (catalogue: PolicyCatalogue) => void;
  readonly refused: () => void;
}

/** A bundle that serves. */
export interface Serving {
  readonly revision: BundleRevision;
  readonly policy: PolicyModule;
  /** When what it holds was last known to be current: its file's own time. */
  readonly currentAt: EpochMs;
}

/** For the status page: what serves, and what became of the last attempt to replace it. */
export interface BundleStatus {
  readonly name: string;
  readonly active_revision?: string;
  readonly last_successful_activation?: string;
  readonly age_s?: number;
  readonly last_request?: string;
  readonly code?: string;
  readonly message?: string;
}

/**
 * One bundle from one file. It is read, found whole, compiled, tried, and only then takes the place of the one before,
 * between two requests; whatever fails on the way, the one before serves on.
 */
export class BundleSlot {
  readonly #options: BundleSlotOptions;
  #serving: Serving | undefined;
  #activatedAt: EpochMs | undefined;
  #triedAt: EpochMs | undefined;
  #fault: BundleRefused | undefined;
  /** Of the bytes that serve, and of those that were refused last: neither is tried again. */
  #servingDigest = '';
  #refusedDigest = '';
  /** Cheap signs that the file is still the same one. */
  #signs = '';
  #loading: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;

  constructor(options: BundleSlotOptions) {
    this.#options = options;
  }

  /** @throws Undecided `no_bundle`, `bundle_too_old` */
  serving(now: EpochMs): Serving {
    const serving = this.#serving;
    if (serving === undefined) throw new Undecided('no_bundle', `bundle ${this.#options.name} has not been activated`);
    const { maxAgeMs } = this.#options;
    if (maxAgeMs !== undefined && now - serving.currentAt > maxAgeMs) {
      throw new Undecided('bundle_too_old', `bundle ${this.#options.name} is ${now - serving.currentAt} ms old`);
    }
    return serving;
  }

  /** Reads the file again and swaps if it can; never throws, the status says what became of it. */
  reload(): Promise<void> {
    this.#loading = this.#loading.then(() => this.#load(true));
    return this.#loading;
  }

  /** Looks for a changed file every `intervalMs`: by its inode, size and times, so that a swapped symlink is seen too. */
  watch(intervalMs: number): void {
    this.#timer = setInterval(() => {
      this.#loading = this.#loading.then(() => this.#load(false));
    }, intervalMs).unref();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#loading;
  }

  status(now: EpochMs): BundleStatus {
    const serving = this.#serving;
    return {
      name: this.#options.name,
      ...(serving !== undefined && { active_revision: serving.revision, age_s: (now - serving.currentAt) / 1_000 }),
      ...(this.#activatedAt !== undefined && { last_successful_activation: rfc3339Of(this.#activatedAt) }),
      ...(this.#triedAt !== undefined && { last_request: rfc3339Of(this.#triedAt) }),
      ...(this.#fault !== undefined && { code: this.#fault.code, message: this.#fault.message }),
    };
  }

  async #load(asked: boolean): Promise<void> {
    const { clock, log, name } = this.#options;
    try {
      const found = await this.#readFile(asked);
      if (found === undefined) return;
      this.#triedAt = clock.now();
      if (found.digest === this.#servingDigest && this.#serving !== undefined) {
        // The same bytes, written or touched again: what serves is as current as that.
        this.#serving = { ...this.#serving, currentAt: found.modifiedAt };
        this.#fault = undefined;
        return;
      }
      if (found.digest === this.#refusedDigest && !asked) return;
      this.#refusedDigest = found.digest;
      const serving = await this.#activate(found.bytes, found.modifiedAt);
      this.#serving = serving;
      this.#servingDigest = found.digest;
      this.#refusedDigest = '';
      this.#activatedAt = clock.now();
      this.#fault = undefined;
      log.info('a bundle was activated', { bundle: name, revision: serving.revision });
    } catch (cause) {
      this.#refuse(cause instanceof BundleRefused ? cause : unreadable(cause), asked);
    }
  }

  #refuse(fault: BundleRefused, asked: boolean): void {
    const { clock, log, name, file, refused } = this.#options;
    this.#triedAt = clock.now();
    const again = fault.message === this.#fault?.message;
    this.#fault = fault;
    // A file that is missing is looked for at every interval, and told and counted once.
    if (again && !asked) return;
    refused();
    const served = this.#serving === undefined ? 'none serves' : `revision ${this.#serving.revision} serves on`;
    log.error(`a bundle was refused; ${served}`, { bundle: name, file, cause: fault });
  }

  /** @returns undefined if the file is the one that was read last */
  async #readFile(asked: boolean): Promise<{ bytes: Buffer; digest: string; modifiedAt: EpochMs } | undefined> {
    const { file, fileBytesMax, clock } = this.#options;
    const handle = await open(file, 'r').catch((cause: unknown) => {
      this.#signs = '';
      this.#refusedDigest = '';
      throw cause;
    });
    try {
      const stat = await handle.stat();
      const signs = `${stat.ino} ${stat.size} ${stat.mtimeMs} ${stat.ctimeMs}`;
      if (!asked && signs === this.#signs) return undefined;
      this.#signs = signs;
      if (!stat.isFile()) throw new BundleRefused('the bundle is no file');
      if (stat.size > fileBytesMax)
        throw new BundleRefused(`the file has ${stat.size} bytes; at most ${fileBytesMax} are read`);
      const bytes = await handle.readFile();
      const digest = createHash('sha256').update(bytes).digest('hex');
      // A file from the future is no more current than one of now.
      return { bytes, digest, modifiedAt: epochMs(Math.min(Math.round(stat.mtimeMs), clock.now())) };
    } finally {
      await handle.close();
    }
  }

  async #activate(bytes: Buffer, modifiedAt: EpochMs): Promise<Serving> {
    const { archiveLimits, policyLimits, entrypoint, activated } = this.#options;
    const bundle = await readBundle(bytes, archiveLimits);
    const policy = await PolicyModule.load(bundle, policyLimits);
    for (const needed of [entrypoint, ...(bundle.entrypoints ?? [])]) {
      if (!policy.entrypoints.has(needed)) throw new BundleRefused(`policy.wasm has no entrypoint ${needed}`);
    }
    try {
      // What knows nothing of the caller has to come to an answer, too, even if it is "undefined".
      policy.evaluate(entrypoint, '{}');
    } catch (cause) {
      throw new BundleRefused(`${entrypoint} fails on an empty input`, { cause });
    }
    activated(bundle.catalogue);
    return { revision: bundle.revision, policy, currentAt: modifiedAt };
  }
}

function unreadable(cause: unknown): BundleRefused {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : 'unknown';
  return new BundleRefused(`the bundle file cannot be read: ${String(code)}`, { cause });
}
