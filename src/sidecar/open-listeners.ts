// Tested by test/sidecar/sidecar.long.test.ts.
import type { Server } from 'node:http';
import type { Config } from '../config/schema.ts';
import { controlApp } from '../control/control-app.ts';
import type { Probes } from '../control/probes.ts';
import { problemOf } from '../control/problem.ts';
import { Tokens } from '../control/tokens.ts';
import type { CallerBinding } from '../domain/request.ts';
import type { Timers } from '../domain/time.ts';
import { listenOn, listenOnSocket } from '../http/bind.ts';
import { closeServer } from '../http/close-server.ts';
import { strictHttpServer } from '../http/strict-http-server.ts';
import type { Stores } from '../knowledge/open-stores.ts';
import type { OutboundCalls } from '../outbound/outbound-calls.ts';
import type { DecisionListener } from '../request/listen/decision-listener.ts';
import type { OperationalLog } from '../telemetry/log.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { parseJson } from '../text/parse-json.ts';

/** Something that lets requests in. */
interface Listener {
  /** No new connections; resolves when what is in flight has been answered. */
  close(): Promise<void>;
  /** Ends every connection, answered or not. */
  cut(): void;
}

/** All listeners of a sidecar, closed together. */
export class Listeners {
  readonly #listeners: Listener[] = [];
  readonly #outbound: Pick<OutboundCalls, 'cut'> | undefined;
  readonly #timers: Timers;
  #cancelCut: () => void = () => undefined;

  /** @param outbound the calls that decisions wait for; once their callers are cut off, they end too */
  constructor(outbound: Pick<OutboundCalls, 'cut'> | undefined, timers: Timers) {
    this.#outbound = outbound;
    this.#timers = timers;
  }

  push(listener: Listener): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close()));
    this.#cancelCut();
  }

  /** Answers that take longer than this are not waited for; the last call counts. */
  cutAfter(graceMs: number): void {
    this.#cancelCut();
    this.#cancelCut = this.#timers.after(graceMs, () => {
      this.#outbound?.cut();
      for (const listener of this.#listeners) listener.cut();
    });
  }
}

/** @returns the TCP address as bound, if there is one */
export async function openDecisionListeners(
  config: Config,
  decisions: DecisionListener,
  listeners: Listeners,
): Promise<string | undefined> {
  const { listen, identity, sockets, public_url: publicUrl } = config.decision;
  let address: string | undefined;
  const origin = (): string => publicUrl ?? `http://${address ?? 'localhost'}`;
  if (listen !== null) {
    const via: CallerBinding = identity === undefined ? { method: 'none' } : { method: 'configured', id: identity.id };
    const listener = decisions.bind({ via, kind: 'tcp', origin });
    address = formatAddress(listen.host, await listenOn(listener.server, listen.host, listen.port));
    listeners.push(listener);
  }
  for (const socket of sockets) {
    const via: CallerBinding = { method: 'socket', id: socket.identity.id };
    const listener = decisions.bind({ via, kind: 'socket', origin });
    await listenOnSocket(listener.server, socket.path, socket.mode);
    listeners.push(listener);
  }
  return address;
}

interface ControlNeeds {
  readonly stores: Stores;
  readonly probes: Probes;
  readonly status: () => object;
  readonly metrics: Metrics;
  readonly log: OperationalLog;
}

/** @returns the TCP address as bound, if there is one */
export async function openControlListeners(
  { control }: Config,
  needs: ControlNeeds,
  listeners: Listeners,
): Promise<string | undefined> {
  const { listen, socket, limits } = control;
  if (listen === null && socket === null) return undefined;
  const { stores, probes, status, metrics, log } = needs;
  const app = controlApp({
    ...stores,
    probes,
    status,
    log,
    tokens: await Tokens.open(control.tokens, log),
    parseJson: (body) => parseJson(body, { depthMax: limits.depth }),
    bodyBytesMax: limits.body_bytes,
    headersCountMax: limits.headers_count,
    rejected: (why) => metrics.rejected(why),
    signalRefused: (kind) => metrics.signalReceived('other', kind, 'refused'),
  });
  const controlServer = (): Server =>
    strictHttpServer({
      limits: {
        headerBytes: limits.header_bytes,
        connections: limits.connections,
        headerTimeoutMs: limits.header_timeout_ms,
        bodyTimeoutMs: limits.body_timeout_ms,
        keepAliveMs: limits.keep_alive_ms,
      },
      handle: app,
      refuse: (refused) => {
        metrics.rejected(refused.code);
        return problemOf(refused);
      },
    });
  let address: string | undefined;
  if (listen !== null) {
    const server = controlServer();
    address = formatAddress(listen.host, await listenOn(server, listen.host, listen.port));
    listeners.push(listenerOf(server));
  }
  if (socket !== null) {
    const server = controlServer();
    await listenOnSocket(server, socket.path, socket.mode);
    listeners.push(listenerOf(server));
  }
  return address;
}

export async function openProbesListener(
  config: Config,
  probes: Probes,
  listeners: Listeners,
): Promise<string | undefined> {
  const { listen } = config.probes;
  if (listen === null) return undefined;
  const server = probes.server();
  const port = await listenOn(server, listen.host, listen.port);
  listeners.push(listenerOf(server));
  return formatAddress(listen.host, port);
}

function listenerOf(server: Server): Listener {
  return {
    close: () => closeServer(server),
    cut: () => server.closeAllConnections(),
  };
}

/** `127.0.0.1:8181`, `[::1]:8181`. */
function formatAddress(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
