import type { IncomingMessage } from 'node:http';
import { BundleRefused } from '../../domain/errors.ts';
import type { Clock, Timers } from '../../domain/time.ts';
import { Exchange, type HttpAccess } from './bundle-exchange.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { type BundleSource, type Fetched, type LastFetch, SourceFailed, type Wanted } from './source.ts';

export interface HttpSourceOptions {
  readonly url: URL;
  readonly access: HttpAccess;
  readonly bytesMax: number;
  /** Between two looks, when all is well; and the most between two attempts when it is not. */
  readonly minDelayMs: number;
  readonly maxDelayMs: number;
  /** How long a server that can may hold a request open. */
  readonly longPollMs: number | undefined;
  readonly clock: Clock;
  readonly timers: Timers;
  /** From 0 to 1, as `Math.random` gives it. */
  readonly random: () => number;
}

const firstRetryMs = 500;
/** A held request that is answered sooner was not held. */
const heldMs = 1_000;
const longPollType = 'application/vnd.openpolicyagent.bundles';
/** What a portal, an error page or an API answers with 200. */
const notABundle = /^(text\/|application\/(json|xml|xhtml|problem)|image\/|multipart\/)/;

/**
 * A bundle from a server, by OPA's bundle protocol.
 *
 * @see OPA documentation, "Bundles", bundle service API; RFC 9110 (conditional requests), RFC 7240 (Prefer)
 */
export class HttpSource implements BundleSource {
  readonly shown: string;
  readonly #options: HttpSourceOptions;
  #longPolls: boolean;
  #retryAfterMs = 0;

  constructor(options: HttpSourceOptions) {
    this.#options = options;
    this.shown = options.url.origin + options.url.pathname;
    this.#longPolls = options.longPollMs !== undefined;
  }

  async fetch({ etags, deltas }: Wanted, signal: AbortSignal): Promise<Fetched> {
    const { url, access, longPollMs } = this.#options;
    this.#retryAfterMs = 0;
    // Nothing to compare with means nothing to wait for.
    const waitMs = this.#longPolls && etags.length > 0 ? (longPollMs ?? 0) : 0;
    const modes = deltas ? 'modes=snapshot,delta' : 'modes=snapshot';
    const headers = {
      Accept: `${longPollType}, application/gzip, application/octet-stream, */*;q=0.1`,
      // The archive is compressed in itself; what a proxy would add would only have to be bounded once more.
      'Accept-Encoding': 'identity',
      Prefer: this.#longPolls ? `${modes};wait=${Math.round((longPollMs ?? 0) / 1_000)}` : modes,
      ...(etags.length > 0 && { 'If-None-Match': etags.join(', ') }),
    };
    const exchange = new Exchange(access, this.#options.timers, signal);
    const response = await exchange.get(url, headers, waitMs);
    try {
      return await this.#read(response, exchange, etags.length > 0);
    } finally {
      exchange.end();
    }
  }

  /** Jittered both ways, so that a fleet that lost its server does not come back to it at one moment. */
  pauseMs({ outcome, failures, tookMs }: LastFetch): number {
    const { minDelayMs, maxDelayMs, random } = this.#options;
    if (outcome === 'failed') {
      const backOffMs = Math.min(maxDelayMs, firstRetryMs * 2 ** Math.min(failures - 1, 20));
      return Math.min(maxDelayMs, Math.max(backOffMs * (0.5 + random() / 2), this.#retryAfterMs));
    }
    if (this.#longPolls && (outcome === 'new' || tookMs >= heldMs)) return Math.min(100, minDelayMs);
    return minDelayMs + (maxDelayMs - minDelayMs) * random();
  }

  async #read(response: IncomingMessage, exchange: Exchange, isConditional: boolean): Promise<Fetched> {
    const { statusCode: status = 0, headers } = response;
    const type = headers['content-type']?.split(';', 1)[0]?.trim().toLowerCase();
    if (status === 304 && isConditional) {
      // Without the header, as RFC 9110 section 15.4.5 would have it, it says nothing about the server either.
      if (type !== undefined) this.#noteType(type);
      return { kind: 'unchanged', isHeld: true };
    }
    if (status !== 200) {
      this.#retryAfterMs = Math.max(0, Number(headers['retry-after']) || 0) * 1_000;
      throw new SourceFailed(`the server answered ${status}`, { httpStatus: status });
    }
    if (type !== undefined && notABundle.test(type))
      throw new BundleRefused(`the server answered 200 with ${type}, which is no bundle`);
    this.#noteType(type);
    const { bytesMax, clock } = this.#options;
    if (Number(headers['content-length'] ?? 0) > bytesMax)
      throw new BundleRefused(`the server announces ${headers['content-length']} bytes; at most ${bytesMax} are read`);
    const growing = new GrowingBytes(bytesMax);
    await exchange.readBody(response, (piece) => growing.push(piece));
    const { bytes, digest } = growing.done();
    if (bytes.length === 0) throw new BundleRefused('the server answered 200 without a body');
    return { kind: 'bundle', bytes, digest, etag: headers.etag, currentAt: clock.now() };
  }

  /** A server that can hold a request open says so by the type of its answer. */
  #noteType(type: string | undefined): void {
    this.#longPolls = this.#options.longPollMs !== undefined && type === longPollType;
  }
}
