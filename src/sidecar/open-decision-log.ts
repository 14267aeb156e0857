// Tested by test/sidecar/sidecar.long.test.ts.
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Config } from '../config/schema.ts';
import { DecisionLog } from '../request/record/decision-log.ts';
import { RecordRefused } from '../request/record/record-refused.ts';
import { osErrorCode } from '../system/os-error.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Effects } from './effects.ts';

/** How long the record may take to close, in ms, beside the time that answers have: a container's grace period holds both. */
const recordCloseMs = 1_500;

/** @throws RecordRefused with the reason */
export async function openDecisionLog({ record }: Config, effects: Effects, metrics: Metrics): Promise<DecisionLog> {
  try {
    await mkdir(dirname(record.file), { recursive: true, mode: 0o750 });
    return await DecisionLog.open({
      path: record.file,
      pendingBytesMax: record.buffer_bytes,
      closeMs: recordCloseMs,
      monotonicMs: () => effects.clock.monotonicMs(),
      log: effects.log,
      written: (events) => metrics.journalWritten(events),
      dropped: (events) => metrics.journalDropped(events),
    });
  } catch (cause) {
    const why = osErrorCode(cause) ?? cause;
    throw new RecordRefused(`the decision record ${record.file} cannot be opened: ${why}`, { cause });
  }
}
