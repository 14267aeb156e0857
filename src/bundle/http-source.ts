import { readFile } from 'node:fs/promises';
import { type IncomingMessage, type RequestOptions, request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import { BundleRefused } from '../domain/errors.ts';
import type { Clock } from '../domain/time.ts';
import { GrowingBytes } from './growing-bytes.ts';
import { type BundleSource, type Fetched, type LastFetch, SourceFailed, type Timers, type Wanted } from './source.ts';

/** How a server is spoken to. Files are read for each request, so that what rotates is seen at once. */
export interface HttpAccess {
  readonly bearerFile: string | undefined;
  /** Certificates that are trusted in place of the system's. */
  readonly caFile: string | undefined;
  readonly certificateFile: string | undefined;
  readonly keyFile: string | undefined;
  /** For a request's answer to begin, and again for its body to be whole. */
  readonly timeoutMs: number;
}

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

const redirectsMax = 3;
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
    const response = await exchange.follow(url, headers, waitMs);
    try {
      return await this.#read(response, exchange);
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

  async #read(response: IncomingMessage, exchange: Exchange): Promise<Fetched> {
    const { statusCode: status = 0, headers } = response;
    if (status === 304) return { kind: 'unchanged', isHeld: true };
    if (status !== 200) {
      this.#retryAfterMs = Math.max(0, Number(headers['retry-after']) || 0) * 1_000;
      throw new SourceFailed(`the server answered ${status}`, { httpStatus: status });
    }
    const type = (headers['content-type'] ?? '').split(';', 1)[0]?.trim().toLowerCase() ?? '';
    if (notABundle.test(type)) throw new BundleRefused(`the server answered 200 with ${type}, which is no bundle`);
    this.#longPolls = this.#options.longPollMs !== undefined && type === longPollType;
    const { bytesMax, clock } = this.#options;
    if (Number(headers['content-length'] ?? 0) > bytesMax)
      throw new BundleRefused(`the server announces ${headers['content-length']} bytes; at most ${bytesMax} are read`);
    const growing = new GrowingBytes(bytesMax);
    await exchange.readBody(response, (piece) => growing.push(piece));
    const { bytes, digest } = growing.done();
    if (bytes.length === 0) throw new BundleRefused('the server answered 200 without a body');
    return { kind: 'bundle', bytes, digest, etag: headers.etag, currentAt: clock.now() };
  }
}

/** One question and its answer, redirects included; ended by whoever asked, by time, or by its own end. */
class Exchange {
  readonly #access: HttpAccess;
  readonly #timers: Timers;
  readonly #signal: AbortSignal;
  #end: () => void = () => undefined;

  constructor(access: HttpAccess, timers: Timers, signal: AbortSignal) {
    this.#access = access;
    this.#timers = timers;
    this.#signal = signal;
  }

  /** @throws SourceFailed */
  async follow(
    url: URL,
    headers: Readonly<Record<string, string>>,
    waitMs: number,
    redirects = 0,
  ): Promise<IncomingMessage> {
    const options = await this.#optionsFor(url, headers);
    const response = await this.#send(url, options, this.#access.timeoutMs + waitMs);
    const { statusCode: status = 0, headers: answered } = response;
    if (![301, 302, 303, 307, 308].includes(status)) return response;
    this.end();
    const target = URL.parse(answered.location ?? '', url);
    if (target === null) throw new SourceFailed('the server redirects to nowhere', { httpStatus: status });
    // Another host is another trust: neither our credentials nor our belief go there.
    if (target.origin !== url.origin)
      throw new SourceFailed(`the server redirects to ${target.origin}, and another origin is not followed`, {
        httpStatus: status,
      });
    if (redirects >= redirectsMax) throw new SourceFailed('the server redirects without end', { httpStatus: status });
    return this.follow(target, headers, waitMs, redirects + 1);
  }

  /** @throws SourceFailed if it does not come whole, or not in time; whatever `take` throws */
  readBody(response: IncomingMessage, take: (piece: Buffer) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      const { timeoutMs } = this.#access;
      const fail = (cause: unknown): void => {
        cancel();
        response.destroy();
        reject(cause);
      };
      const cancel = this.#timers.after(timeoutMs, () =>
        fail(new SourceFailed(`the answer was not whole after ${timeoutMs} ms`)),
      );
      response.on('data', (piece: Buffer) => {
        try {
          take(piece);
        } catch (cause) {
          fail(cause);
        }
      });
      response.on('end', () => {
        cancel();
        if (response.complete) resolve();
        else reject(new SourceFailed('the answer was cut short'));
      });
      response.on('error', (cause) => fail(failed('the answer was cut short', cause)));
      response.on('close', () => fail(new SourceFailed('the answer was cut short')));
    });
  }

  end(): void {
    this.#end();
  }

  async #optionsFor(url: URL, headers: Readonly<Record<string, string>>): Promise<RequestOptions & { ca?: Buffer }> {
    const { bearerFile, caFile, certificateFile, keyFile } = this.#access;
    const [token, ca, cert, key] = await Promise.all(
      [bearerFile, caFile, certificateFile, keyFile].map((file) => contentOf(file)),
    );
    return {
      method: 'GET',
      // A connection for each request: polls are rare, and what rotates takes effect with the next.
      agent: false,
      headers: { ...headers, ...(token !== undefined && { Authorization: `Bearer ${bearer(token)}` }) },
      ...(url.protocol === 'https:' && {
        minVersion: 'TLSv1.2' as const,
        ...(ca !== undefined && { ca }),
        ...(cert !== undefined && { cert }),
        ...(key !== undefined && { key }),
      }),
    };
  }

  #send(url: URL, options: RequestOptions, withinMs: number): Promise<IncomingMessage> {
    const send = url.protocol === 'https:' ? requestTls : requestPlain;
    return new Promise((resolve, reject) => {
      const request = send(url, options);
      const stop = (): void => {
        request.destroy(new SourceFailed('the request was given up'));
      };
      const cancel = this.#timers.after(withinMs, () =>
        request.destroy(new SourceFailed(`the server did not answer within ${withinMs} ms`)),
      );
      this.#end = () => {
        cancel();
        this.#signal.removeEventListener('abort', stop);
        request.destroy();
      };
      this.#signal.addEventListener('abort', stop, { once: true });
      if (this.#signal.aborted) stop();
      request.on('response', (response) => {
        cancel();
        resolve(response);
      });
      request.on('error', (cause) => {
        this.end();
        reject(cause instanceof SourceFailed ? cause : failed('the server cannot be reached', cause));
      });
      request.end();
    });
  }
}

async function contentOf(file: string | undefined): Promise<Buffer | undefined> {
  if (file === undefined) return undefined;
  return readFile(file).catch((cause: unknown) => {
    throw failed(`${file} cannot be read`, cause);
  });
}

/** @throws SourceFailed for what could not stand in a header, or would be two of them */
function bearer(content: Buffer): string {
  const token = content.toString('latin1').trim();
  if (!/^[A-Za-z0-9._~+/-]+=*$/.test(token)) throw new SourceFailed('the bearer token file holds no token');
  return token;
}

/** Codes such as ECONNREFUSED or CERT_HAS_EXPIRED say enough; messages may hold what the server sent. */
function failed(what: string, cause: unknown): SourceFailed {
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? `: ${String(cause.code)}` : '';
  return new SourceFailed(`${what}${code}`, { cause });
}
