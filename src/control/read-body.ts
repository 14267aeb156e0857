import type { IncomingMessage } from 'node:http';
import { RequestRefused } from '../domain/errors.ts';

/**
 * A request's body, whole. Express's own readers take in all of a body that is too large before they refuse it; this one
 * refuses what is announced too large before it reads, and the rest at the limit. Node ends a body that takes too long.
 *
 * @throws RequestRefused `body_too_large` 413, `content_encoding_unsupported` 415, `body_cut_short` 400
 */
export function readBody(request: IncomingMessage, bytesMax: number): Promise<Uint8Array> {
  const { 'content-length': announced, 'content-encoding': encoding } = request.headers;
  if (encoding !== undefined && encoding !== 'identity') throw new RequestRefused('content_encoding_unsupported', 415);
  if (announced !== undefined && Number(announced) > bytesMax) throw new RequestRefused('body_too_large', 413);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes <= bytesMax) chunks.push(chunk);
      else {
        request.pause();
        reject(new RequestRefused('body_too_large', 413));
      }
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    // After `end` these settle nothing any more.
    request.on('close', () => reject(new RequestRefused('body_cut_short', 400)));
    request.on('error', () => reject(new RequestRefused('body_cut_short', 400)));
  });
}
