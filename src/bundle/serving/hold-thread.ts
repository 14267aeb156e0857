// Tested by test/bundle/serving/bundle-life.long.test.ts.
import { parentPort, workerData } from 'node:worker_threads';

// Holds a memory that is not used any more, until it is ended; see `retirement.ts`.
parentPort?.on('message', () => workerData);
