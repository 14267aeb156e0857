// Tested by test/request/listen/decision-listener.test.ts.
import { IncomingMessage, type ServerResponse } from 'node:http';
import { gunzip } from 'node:zlib';
import { RequestRefused } from '../domain/errors.ts';
import { osErrorCode } from '../system/os-error.ts';

const broken = 'postern:broken-body';

/** A request of the strict server. A member and no method: Express puts a prototype of its own under a request. */
export class StrictRequest extends IncomingMessage {
  /** Where a body broke off, or was not a body, before anything read it. */
  bodyFault: RequestRefused | undefined;
}

/** Tells the reader of the body that it is broken. @returns whether it was being read; if not, the next reader is told */
export function breakBody(request: StrictRequest, fault: RequestRefused): boolean {
  if (request.emit(broken, fault)) return true;
  request.bodyFault = fault;
  return false;
}

/** Header fields that may occur only once, as the listener read them. */
export interface Framing {
  readonly contentLength: string | undefined;
  readonly contentEncoding: string | undefined;
}

/**
 * A request's body, whole. What is announced too large is refused before it is read; what turns out too large, at the
 * limit. Node itself ends a body that takes too long (`requestTimeout`). A caller who waits for leave to send it gets
 * that here, once nothing speaks against it.
 *
 * @throws RequestRefused `body_too_large` 413, `content_encoding_unsupported` 415, `content_encoding_invalid` and
 *   `body_cut_short` 400, or the fault that the server found in it
 */
export async function readBody(
  request: IncomingMessage,
  response: ServerResponse,
  framing: Framing,
  bytesMax: number,
): Promise<Uint8Array> {
  const fault = takeFault(request);
  if (fault !== undefined) throw fault;
  const { contentLength, contentEncoding } = framing;
  const gzipped = contentEncoding !== undefined && contentEncoding !== 'identity';
  if (gzipped && contentEncoding !== 'gzip') throw new RequestRefused('content_encoding_unsupported', 415);
  if (contentLength !== undefined && Number(contentLength) > bytesMax) throw new RequestRefused('body_too_large', 413);
  // RFC 9110 section 10.1.1: other expectations do not come this far, and HTTP/1.0 has none.
  if (request.httpVersion === '1.1' && request.headers.expect !== undefined) response.writeContinue();
  const body = await gather(request, bytesMax);
  return gzipped ? inflate(body, bytesMax) : body;
}

/** The fault that a request's body has and that no reader was told of yet. */
export function takeFault(
  request: IncomingMessage & { bodyFault?: RequestRefused | undefined },
): RequestRefused | undefined {
  const fault = request.bodyFault;
  if (fault !== undefined) request.bodyFault = undefined;
  return fault;
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
    request.on(broken, reject);
    // Every request closes; creating an error that is not awaited any more would still cost a stack trace.
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
      else if (osErrorCode(cause) === 'ERR_BUFFER_TOO_LARGE') reject(new RequestRefused('body_too_large', 413));
      else reject(new RequestRefused('content_encoding_invalid', 400));
    });
  });
}
