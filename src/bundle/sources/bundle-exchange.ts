// Tested by test/bundle/sources/http-source.test.ts.
import { readFile } from 'node:fs/promises';
import { type IncomingMessage, type RequestOptions, request as requestPlain } from 'node:http';
import { request as requestTls } from 'node:https';
import type { Timers } from '../../domain/time.ts';
import { osErrorCode } from '../../system/os-error.ts';
import { SourceFailed } from './source.ts';

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

const redirectsMax = 3;

/** One request and its answer, redirects included; the caller, a timeout or the answer's end ends it. */
export class Exchange {
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
  async post(url: URL, headers: Readonly<Record<string, string>>, body: string): Promise<IncomingMessage> {
    return this.#send(url, { method: 'POST', ...(await this.#optionsFor(url, headers)) }, this.#access.timeoutMs, body);
  }

  /**
   * @param waitMs how long the server may hold the request open
   * @throws SourceFailed
   */
  async get(
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
    return this.get(target, headers, waitMs, redirects + 1);
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

  #send(url: URL, options: RequestOptions, withinMs: number, body?: string): Promise<IncomingMessage> {
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
      request.end(body);
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
  const code = osErrorCode(cause);
  return new SourceFailed(code === undefined ? what : `${what}: ${code}`, { cause });
}
