import { get, type RequestOptions } from 'node:http';
import { isNativeError } from 'node:util/types';
import type { Config } from '../config/schema.ts';
import { readArguments, UsageFault } from './arguments.ts';
import { type CliEffects, exitCodes } from './effects.ts';
import { loadConfig } from './load-config.ts';

/** `postern health`: a container image without curl asks its own sidecar. */
export async function health(args: readonly string[], effects: CliEffects): Promise<number> {
  const { values } = readArguments(args, {
    config: { type: 'string' },
    live: { type: 'boolean' },
    'timeout-ms': { type: 'string', default: '2000' },
  });
  const timeoutMs = timeoutIn(values['timeout-ms']);
  const { config } = await loadConfig(values.config, effects);
  const where = whereToAsk(config);
  if (where === undefined) {
    effects.err('postern health: the configuration has neither a fixed probes.listen address nor a control listener\n');
    return exitCodes.failure;
  }
  const path = values.live === true ? '/health/live' : '/health/ready';
  try {
    const status = await ask({ ...where, path }, timeoutMs);
    effects.out(`${path}: ${status}\n`);
    return status === 200 ? exitCodes.ok : exitCodes.failure;
  } catch (cause) {
    effects.err(`postern health: no answer (${isNativeError(cause) ? cause.message : String(cause)})\n`);
    return exitCodes.failure;
  }
}

function timeoutIn(text: string): number {
  const timeoutMs = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  if (timeoutMs < 1 || timeoutMs > 60_000) throw new UsageFault('--timeout-ms takes an integer from 1 to 60000');
  return timeoutMs;
}

function whereToAsk({ probes, control }: Config): RequestOptions | undefined {
  for (const listen of [probes.listen, control.listen]) {
    // Port 0 is known to the running sidecar alone.
    if (listen !== null && listen.port !== 0) return { host: reachable(listen.host), port: listen.port };
  }
  return control.socket === null ? undefined : { socketPath: control.socket.path };
}

/** A listener that is bound to every address is reached through loopback. */
function reachable(host: string): string {
  return host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host;
}

function ask(where: RequestOptions, timeoutMs: number): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  // The signal bounds all of it; a socket's own timeout would start anew with every byte.
  const request = get({ ...where, agent: false, signal: AbortSignal.timeout(timeoutMs) }, (response) => {
    response.destroy(); // the status is all that counts
    resolve(response.statusCode ?? 0);
  });
  request.on('error', (cause) => {
    reject(cause.name === 'AbortError' ? new Error(`none within ${timeoutMs} ms`, { cause }) : cause);
  });
  return promise;
}
