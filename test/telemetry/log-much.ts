import { epochMs } from '../../src/domain/time.ts';
import { lineSink, unblockedOutput } from '../../src/telemetry/line-sink.ts';
import { createLog } from '../../src/telemetry/log.ts';

// Logs far more than a pipe holds, and tells on standard error how it went. Run by line-sink.test.ts.
const sink = lineSink(unblockedOutput(1, process.stdout), 256 * 1024);
const log = createLog({ level: 'info', format: 'json', clock: { now: () => epochMs(0) }, write: sink.write });
for (let count = 0; count < 20_000; count++) {
  log.info('a line', { padding: 'x'.repeat(200) });
  // As a server would, it comes back to its event loop now and then.
  if (count % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
}
await sink.drained(500);
process.stderr.write(JSON.stringify({ dropped: log.dropped() }), () => process.exit(0));
