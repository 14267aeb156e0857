/**
 * Closed-loop load over keep-alive connections, one request at a time on each: `node load.ts '{"port":…}'` prints what
 * it saw as JSON. A process of its own, so that it can be pinned to a core of its own; plain sockets, so that it does
 * not cost more than what it measures.
 */
import { readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';

export interface LoadOrder {
  readonly port: number;
  readonly path: string;
  readonly bodyFile: string;
  readonly connections: number;
  readonly requests: number;
}

export interface LoadReport {
  readonly requests: number;
  readonly failed: number;
  readonly seconds: number;
  readonly p50Us: number;
  readonly p99Us: number;
  /** The first answer's body, to see that the right thing was asked. */
  readonly sample: string;
}

const order = JSON.parse(process.argv[2] ?? '') as LoadOrder;
const body = readFileSync(order.bodyFile);
const request = Buffer.concat([
  Buffer.from(
    `POST ${order.path} HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n`,
  ),
  body,
]);

const latenciesUs = new Float64Array(order.requests);
let sent = 0;
let done = 0;
let failed = 0;
let sample = '';

/** @returns the length of the first whole answer in `text`, or 0 */
function answerLength(text: string): number {
  const head = text.indexOf('\r\n\r\n');
  if (head < 0) return 0;
  const length = /\r\ncontent-length: (\d+)/i.exec(text.slice(0, head));
  if (length !== null) {
    const end = head + 4 + Number(length[1]);
    return text.length >= end ? end : 0;
  }
  const last = text.indexOf('\r\n0\r\n\r\n', head);
  return last < 0 ? 0 : last + 7;
}

function run(socket: Socket, finish: () => void): void {
  let text = '';
  let startedAt = 0;
  const next = (): void => {
    if (sent >= order.requests) {
      socket.destroy();
      finish();
      return;
    }
    sent += 1;
    startedAt = performance.now();
    socket.write(request);
  };
  socket.setEncoding('latin1');
  socket.on('data', (chunk: string) => {
    text += chunk;
    const end = answerLength(text);
    if (end === 0) return;
    latenciesUs[done] = (performance.now() - startedAt) * 1_000;
    done += 1;
    if (!text.startsWith('HTTP/1.1 200')) failed += 1;
    if (sample === '') sample = text.slice(text.indexOf('\r\n\r\n') + 4, end);
    text = text.slice(end);
    next();
  });
  socket.once('connect', next);
}

const startedAt = performance.now();
await Promise.all(
  Array.from({ length: order.connections }, () => {
    return new Promise<void>((resolve, reject) => {
      const socket = connect({ host: '127.0.0.1', port: order.port, noDelay: true });
      socket.once('error', reject);
      run(socket, resolve);
    });
  }),
);
const seconds = (performance.now() - startedAt) / 1_000;
const sorted = latenciesUs.subarray(0, done).sort();
const report: LoadReport = {
  requests: done,
  failed,
  seconds,
  p50Us: sorted[Math.floor(done * 0.5)] ?? 0,
  p99Us: sorted[Math.floor(done * 0.99)] ?? 0,
  sample,
};
process.stdout.write(`${JSON.stringify(report)}\n`);
