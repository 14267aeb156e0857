// Tested by test/request/listen/faults-http.long.test.ts.
import type { ServerResponse } from 'node:http';
import type { Answer } from '../domain/request.ts';

/** @param close whether the connection ends with it */
export function sendAnswer(
  response: ServerResponse,
  answer: Answer,
  requestId: string | undefined,
  close: boolean,
): void {
  if (response.headersSent || response.destroyed) return;
  const headers: string[] = ['cache-control', 'no-store', 'content-length', String(Buffer.byteLength(answer.body))];
  for (const name in answer.headers) headers.push(name, answer.headers[name] ?? '');
  if (requestId !== undefined) headers.push('x-request-id', requestId);
  if (close) headers.push('connection', 'close');
  response.writeHead(answer.status, headers);
  response.end(answer.body);
}
