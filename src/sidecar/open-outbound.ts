// Tested by test/sidecar/sidecar.long.test.ts.
import type { Config } from '../config/schema.ts';
import { OutboundCalls } from '../outbound/outbound-calls.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import type { Effects } from './effects.ts';
import { allowedOutbound } from './limits.ts';

/** @returns undefined where configuration lets policies call no server */
export function openOutbound(
  { decision: { builtins } }: Config,
  { timers }: Effects,
  metrics: Metrics,
): OutboundCalls | undefined {
  if (allowedOutbound(builtins).length === 0) return undefined;
  const { http_send: http, lookup_ip_addr: lookup, calls, wait_ms: waitMs, in_flight: inFlightMax } = builtins;
  return new OutboundCalls({
    http: http && {
      origins: new Set(http.origins),
      timeoutMs: http.timeout_ms,
      responseBytes: http.response_bytes,
    },
    lookup: lookup && { names: new Set(lookup.names), timeoutMs: lookup.timeout_ms },
    questionsMax: calls,
    waitMs,
    inFlightMax,
    timers,
    asked: (builtin, result) => metrics.outsideAsked(builtin, result),
  });
}
