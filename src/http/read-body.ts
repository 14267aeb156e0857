import type { IncomingMessage } from 'node:http';
import { gunzip } from 'node:zlib';
import { RequestRefused } from '../domain/errors.ts';

/** Emitted on a request whose body turns out not to be one: with the RequestRefused that says why. */
export const brokenBody = 'postern:broken-body';

/** Header fields that may stand once only, as the listener read them. */
export interface Framing {
  readonly contentLength: string | undefined;
  readonly contentEncoding: string | undefined;
}

/**
 * A request's body, whole. What is announced too large is refused before it is read; what turns out too large, at the
 * limit. Node itself ends a body that takes too long (`requestTimeout`).
 *
 * @param begin called once nothing speaks against reading it
 * @throws RequestRefused `body_too_large` 413, `content_encoding_unsupported` 415, `content_encoding_invalid` and
 *   `body_cut_short` 400, or what `brokenBody` came with
 */
export async function readBody(
  request: IncomingMessage,
  framing: Framing,
  bytesMax: number,
  begin: () => void,
): Promise<Uint8Array> {
  const { contentLength, contentEncoding } = framing;
  const gzipped = contentEncoding !== undefined && contentEncoding !== 'identity';
  if (gzipped && contentEncoding !== 'gzip') throw new RequestRefused('content_encoding_unsupported', 415);
  if (contentLength !== undefined && Number(contentLength) > bytesMax) throw new RequestRefused('body_too_large', 413);
  begin();
  const body = await gather(request, bytesMax);
  return gzipped ? inflate(body, bytesMax) : body;
}

function gather(request: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    let gathered: Buffer = nothing;
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      const before = bytes;
      bytes += chunk.length;
      if (bytes > bytesMax) {
        request.pause();
        reject(new RequestRefused('body_too_large', 413));
      } else if (before === 0) gathered = chunk;
      else {
        // Copied, not kept in a list: a body may come a byte at a time, and each piece costs a hundred to remember.
        if (gathered.length < bytes) gathered = grown(gathered.subarray(0, before), Math.min(bytesMax, bytes * 2));
        chunk.copy(gathered, before);
      }
    });
    request.on('end', () => resolve(gathered.length === bytes ? gathered : gathered.subarray(0, bytes)));
    request.on(brokenBody, reject);
    // Every request closes; an error that nobody waits for any more would still have to gather its stack.
    const cutShort = (): void => {
      if (!request.readableEnded) reject(new RequestRefused('body_cut_short', 400));
    };
    request.on('close', cutShort);
    request.on('error', cutShort);
  });
}

const nothing = Buffer.alloc(0);

function grown(content: Buffer, bytes: number): Buffer {
  const larger = Buffer.allocUnsafe(bytes);
  content.copy(larger);
  return larger;
}

/** Bounded by what comes out, whatever the header or the trailer says of it. */
function inflate(body: Uint8Array, bytesMax: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    gunzip(body, { maxOutputLength: bytesMax }, (cause, inflated) => {
      if (cause === null) resolve(inflated);
      else if ((cause as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE')
        reject(new RequestRefused('body_too_large', 413));
      else reject(new RequestRefused('content_encoding_invalid', 400));
    });
  });
}
