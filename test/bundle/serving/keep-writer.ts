import { createHash } from 'node:crypto';
import { BundleKeep, type StoredArchive } from '../../../src/bundle/serving/kept-bundle.ts';
import { realDisk } from '../../../src/bundle/serving/real-disk.ts';
import { epochMs } from '../../../src/domain/time.ts';

// Keeps one bundle after another in a folder, until it is killed. Run by kept-bundle.test.ts; prints the number of each
// that it has kept.
const [, , folder = '', first = '0'] = process.argv;
const keep = new BundleKeep(folder, realDisk, 10_000_000);
await keep.load();

function stored(text: string): StoredArchive {
  const bytes = Buffer.from(text);
  return { bytes, digest: createHash('sha256').update(bytes).digest('hex') };
}

for (let number = Number(first); ; number += 1) {
  const archives = { snapshot: stored(`snapshot ${number} `.repeat(20_000)), deltas: [stored(`delta ${number}`)] };
  await keep.save({ archives, etag: `"${number}"`, currentAt: epochMs(number), served: [] });
  process.stdout.write(`${number}\n`);
}
