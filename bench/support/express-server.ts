/**
 * As floor-server.ts, through Express 5: one route, the body read, a constant sent back. `lean` leaves out what can be left
 * out, as the control listener does; without it, it stands as most of its users have it.
 */
import type { AddressInfo } from 'node:net';
import express from 'express';

const app = express();
if (process.argv[2] === 'lean') {
  app.disable('x-powered-by');
  app.disable('etag');
  app.use(express.raw({ type: () => true }));
} else {
  app.use(express.json());
}
app.post('/', (_request, response) => void response.json({ decision: true }));
const server = app.listen(0, '127.0.0.1', () => process.stdout.write(`${(server.address() as AddressInfo).port}\n`));
