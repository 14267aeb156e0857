// Tested by test/request/listen/decision-listener.test.ts.
import type { Server } from 'node:http';
import { Server as NetServer } from 'node:net';

/** A caller that was served a moment ago and goes on asking has sent its next request by then. */
const idleMs = 100;

/** Stops listening, and ends each connection between two requests; resolves when the last one has ended. */
export async function closeServer(server: Server): Promise<void> {
  // What came in before has been read by now; a connection that still waits to be accepted would be reset.
  await new Promise((resolve) => setImmediate(resolve));
  // Not the HTTP server's own `close`: it ends idle connections at once, and one whose caller has just sent its next
  // request is idle until that is read. The caller could not tell such a request from one that was half done.
  const closed = new Promise<void>((resolve) => NetServer.prototype.close.call(server, () => resolve()));
  // Again and again, because not every connection that was busy ends with its answer.
  const sweep = setInterval(() => server.closeIdleConnections(), idleMs);
  await closed;
  clearInterval(sweep);
}
