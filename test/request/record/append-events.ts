import { createInterface } from 'node:readline';
import { DecisionLog } from '../../../src/request/record/decision-log.ts';

// A decision log in a process of its own, so that a limit can be put on it. Run by decision-log.long.test.ts: reads
// `append <text>`, `state` and `close` from standard input and answers each with a line of JSON.
const told: string[] = [];
const counts = { written: 0, dropped: 0 };
const note = (message: string): void => {
  told.push(message);
};
const log = await DecisionLog.open({
  path: process.argv[2] ?? '',
  pendingBytesMax: 10_000,
  closeMs: 3_000,
  monotonicMs: () => performance.now(),
  log: { debug: note, info: note, warn: note, error: note },
  written: (events) => {
    counts.written += events;
  },
  dropped: (events) => {
    counts.dropped += events;
  },
});
for await (const line of createInterface({ input: process.stdin })) {
  const [command = '', text = ''] = line.split(' ');
  let refused: string | undefined;
  if (command === 'append') {
    try {
      log.append(`${text}\n`);
    } catch (cause) {
      refused = (cause as { code?: string }).code;
    }
  }
  if (command === 'close') await log.close();
  process.stdout.write(
    `${JSON.stringify({ refused, ...counts, pending: log.pendingBytes, failing: log.failing, told })}\n`,
  );
  if (command === 'close') break;
}
