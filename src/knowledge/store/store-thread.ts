// Tested by test/knowledge/store/open-stores.long.test.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { serveStore } from './serve-store.ts';

// The thread that owns the LMDB environment: a commit waits for the disk here, and no request waits for this thread.
if (parentPort !== null) await serveStore(workerData as string, parentPort);
