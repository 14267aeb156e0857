import { NewerSchema, StoreFile } from './store-file.ts';

// A program of its own, hence its own `process`. LMDB on a file that was cut short or zeroed ends its process by a
// signal, so a child opens it first and reads every record; how the child ends is the answer (probe.ts reads it).
const directory = process.argv[2];
if (directory === undefined) throw new Error('usage: store-probe <directory>');
try {
  const file = new StoreFile(directory);
  file.readAll();
  await file.close();
} catch (cause) {
  process.exitCode = cause instanceof NewerSchema ? 4 : 3;
}
