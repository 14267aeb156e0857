// Tested by test/sidecar/sidecar.long.test.ts.
import type { Config } from '../config/schema.ts';
import { type OutboundBuiltin, outboundBuiltins } from '../domain/outbound.ts';
import type { PolicyLimits } from '../request/evaluate/policy-module.ts';
import type { ListenerLimits } from '../request/listen/decision-listener.ts';
import type { Effects } from './effects.ts';

/** A larger result of a policy is refused as `policy_result_invalid`. */
export const resultBytesMax = 1_048_576;
const wasmPageBytes = 65_536;

/** Host names, beside loopback's, that requests to the decision listener may name. */
export function ownHosts({ decision }: Config): readonly string[] {
  return [
    ...(decision.listen === null
      ? []
      : [decision.listen.host.includes(':') ? `[${decision.listen.host}]` : decision.listen.host]),
    ...(decision.public_url === undefined ? [] : [new URL(decision.public_url).hostname]),
  ];
}

export function decisionLimits({ decision: { limits } }: Config): ListenerLimits {
  return {
    bodyBytes: limits.body_bytes,
    headerBytes: limits.header_bytes,
    headersCount: limits.headers_count,
    connections: limits.connections,
    inFlight: limits.in_flight,
    requestsPerSocket: limits.requests_per_socket,
    headerTimeoutMs: limits.header_timeout_ms,
    bodyTimeoutMs: limits.body_timeout_ms,
    keepAliveMs: limits.keep_alive_ms,
  };
}

/** What evaluations are timed by. */
export type PolicyEffects = Pick<Effects, 'clock' | 'threadCpuMs'>;

export function policyLimits({ decision: { limits, builtins } }: Config, effects: PolicyEffects): PolicyLimits {
  return {
    memoryPages: Math.ceil(limits.policy_memory_bytes / wasmPageBytes),
    resultBytes: resultBytesMax,
    budgetMs: limits.policy_ms,
    outside: allowedOutbound(builtins),
    ...timedBy(effects),
  };
}

/** The builtins that configuration lets ask outside. */
export function allowedOutbound({
  http_send: http,
  lookup_ip_addr: lookup,
}: Config['decision']['builtins']): readonly OutboundBuiltin[] {
  return outboundBuiltins.filter((name) => (name === 'http.send' ? http : lookup) !== undefined);
}

export function timedBy({ clock, threadCpuMs }: PolicyEffects): Pick<PolicyLimits, 'monotonicMs' | 'threadCpuMs'> {
  return { monotonicMs: () => clock.monotonicMs(), threadCpuMs };
}
