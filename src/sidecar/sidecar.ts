import { mkdir, readFile } from 'node:fs/promises';
import type { Server } from 'node:http';
import { dirname } from 'node:path';
import { openBundles } from '../bundle/open-bundles.ts';
import { readBundle } from '../bundle/reading/read-bundle.ts';
import type { BundleSlot } from '../bundle/serving/bundle-slot.ts';
import type { Config } from '../config/schema.ts';
import { controlApp } from '../control/control-app.ts';
import { Probes } from '../control/probes.ts';
import { problemOf } from '../control/problem.ts';
import { Tokens } from '../control/tokens.ts';
import { asSidecarError, RequestRefused, type SidecarError } from '../domain/errors.ts';
import { type OutsideBuiltin, outsideBuiltins } from '../domain/outside.ts';
import type { Answer, Surface, Via } from '../domain/request.ts';
import type { Clock } from '../domain/time.ts';
import { listenOn, listenOnSocket } from '../http/bind.ts';
import { closeServer } from '../http/close-server.ts';
import { HttpFront } from '../http/strict-http-server.ts';
import { readAttestationKeys } from '../knowledge/attestations/attestation-keys.ts';
import { openStores, type Stores } from '../knowledge/open-stores.ts';
import { HostSource } from '../knowledge/signals/host/host-source.ts';
import { Asker } from '../outbound/asker.ts';
import { authorize, type Parts } from '../request/authorize.ts';
import { enricher } from '../request/enrich/enrich.ts';
import { type PolicyLimits, PolicyModule } from '../request/evaluate/policy-module.ts';
import { identifier } from '../request/identify/identify.ts';
import { DecisionListener, type ListenerLimits } from '../request/listen/decision-listener.ts';
import { eventWriter } from '../request/record/decision-event.ts';
import { DecisionLog } from '../request/record/decision-log.ts';
import { RecordRefused } from '../request/record/record-refused.ts';
import { Recorder } from '../request/record/recorder.ts';
import { respondRefusal } from '../request/respond/respond.ts';
import type { OperationalLog } from '../telemetry/log.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Overruns } from '../telemetry/overruns.ts';
import { parseJson, parseJsonRounding } from '../text/parse-json.ts';

/** What a sidecar needs of the world; `main.ts` hands in the process's own, tests theirs. */
export interface Effects {
  readonly clock: Clock;
  /** An id that was never given before and cannot be guessed. */
  readonly newId: () => string;
  /** Processor time of the thread that decides. */
  readonly threadCpuMs: () => number;
  readonly log: OperationalLog;
  readonly version: string;
  readonly nodeVersion: string;
}

/** A running sidecar. */
export interface Sidecar {
  /** Where it listens, as bound, e.g. `127.0.0.1:8181`. */
  readonly addresses: { readonly decision?: string; readonly control?: string; readonly probes?: string };
  /** Reads the bundle's file again; the status says what became of it. */
  reloadBundle(): Promise<void>;
  /** Answers what is in flight, writes what waits to be written, lets go of everything. Called again: in less time. */
  close(graceMs: number): Promise<void>;
}

const upkeepMs = 1_000;
/** Beside the time that answers have: what a container's grace period has to hold. */
const recordCloseMs = 1_500;
const archiveLimits = { inflatedBytes: 1_073_741_824, members: 10_000 };
/** A larger result is no decision. */
const resultBytesMax = 1_048_576;
const wasmPageBytes = 65_536;
/** For statements inside attestations. */
const jsonLimits = { depthMax: 64 };
/** In challenges: RFC 9110 section 11.5. */
const realm = 'postern';

/** What was opened, to be closed in the opposite order. */
class Opened {
  readonly #closers: (() => Promise<void>)[] = [];
  #closing: Promise<void> | undefined;

  push(close: () => Promise<void>): void {
    this.#closers.push(close);
  }

  /** Closes all of it, once, whatever fails on the way. @throws the first failure */
  close(): Promise<void> {
    this.#closing ??= this.#closeAll();
    return this.#closing;
  }

  async #closeAll(): Promise<void> {
    let failed: { readonly cause: unknown } | undefined;
    for (const close of this.#closers.splice(0).reverse()) {
      await close().catch((cause: unknown) => {
        failed ??= { cause };
      });
    }
    if (failed !== undefined) throw failed.cause;
  }
}

/**
 * Puts the parts together and lets callers in: first what decisions rest on, last the doors.
 *
 * @throws with one clear reason if something cannot be opened; everything opened before it is closed again
 */
export async function startSidecar(config: Config, effects: Effects): Promise<Sidecar> {
  const opened = new Opened();
  try {
    return await start(config, effects, opened);
  } catch (cause) {
    await opened
      .close()
      .catch((second: unknown) => effects.log.warn('closing after a failed start failed', { cause: second }));
    throw cause;
  }
}

async function start(config: Config, effects: Effects, opened: Opened): Promise<Sidecar> {
  const { clock, log, newId } = effects;
  const metrics = new Metrics({ version: effects.version, node: effects.nodeVersion });
  const stores = await openStoresOf(config, effects, metrics);
  opened.push(() => stores.close());
  await startHostSource(config, effects, stores, opened);
  const decisionLog = await openDecisionLog(config, effects, metrics);
  opened.push(() => decisionLog.close());

  const overruns = new Overruns(log);
  const about = { id: config.sidecar.id, labels: config.sidecar.labels };
  const { name, data, shadow } = config.bundle;
  metrics.bundles([name, ...data.map((each) => each.name), ...(shadow === undefined ? [] : [shadow.name])]);
  const bundles = await openBundles(config.bundle, {
    entrypoint: config.decision.entrypoint,
    policyLimits: policyLimits(config, effects),
    clock,
    log,
    labels: { ...about.labels, id: about.id, version: effects.version },
    activated: (catalogue) => {
      metrics.catalogue(catalogue);
      overruns.forget();
      metrics.bundleActivation('activated');
    },
    refused: () => metrics.bundleActivation('refused'),
    fetched: (name, result) => metrics.bundleRequest(name, result),
    keepFailed: (name) => metrics.bundleKeepFailed(name),
    compared: (result) => metrics.shadowCompared(result),
    flipped: ({ from, to, ...flip }) => {
      metrics.shadowFlip(from.effect, to.effect);
      log.info('the shadow bundle would answer otherwise', { ...flip, from, to });
    },
  });
  opened.push(() => bundles.close());
  const bundle = bundles.slot;

  const readiness = (): readonly string[] => notReady(bundle, stores, decisionLog, clock);
  const tellReadiness = readinessTeller(readiness, log);
  const upkeep = setInterval(() => {
    void stores.tick();
    decisionLog.look();
    tellReadiness();
  }, upkeepMs);
  opened.push(async () => clearInterval(upkeep));

  const asker = askerOf(config, metrics);
  const parts: Parts = {
    clock,
    newDecisionId: newId,
    limits: { depthMax: config.decision.limits.depth },
    identify: identifier({ relays: new Set(config.decision.relays), deviceId: config.device?.id }),
    enrich: enricher({ ...stores, sidecar: about }),
    servingBundle: (now) => bundle.serving(now),
    ...(asker !== undefined && { outside: asker }),
    eventRules: () => bundle.eventRules,
    grants: stores.grants,
    recorder: new Recorder({
      clock,
      metrics,
      decisionLog,
      overruns,
      log,
      writeEvent: eventWriter({ ...about, version: effects.version }, config.bundle.name),
      ...(config.record.console && {
        console: (line: string) => log.info('Decision Log', { event: JSON.parse(line) }),
      }),
    }),
    respond: { reasons: config.decision.reasons, realm },
    ...(config.bundle.shadow !== undefined && { see: (seen) => bundles.see(seen) }),
  };

  const refuse = (error: SidecarError, surface: Surface): Answer => {
    if (error instanceof RequestRefused) metrics.rejected(error.code);
    return respondRefusal(error, surface);
  };
  const listener = new DecisionListener({
    limits: decisionLimits(config),
    entrypoint: config.decision.entrypoint,
    ownHosts: ownHosts(config),
    log,
    authorize: (raw) => authorize(raw, parts),
    refuse,
  });
  metrics.gauges({
    bundle: () => {
      const { name, active_revision: revision, age_s: ageS } = bundle.status(clock.now());
      return revision === undefined || ageS === undefined ? undefined : { name, revision, ageS };
    },
    storeEntries: () => {
      const { devices, subjects, sessions, workloads, grants, attestations } = stores.status();
      return { devices, subjects, sessions, workloads, grants, attestations };
    },
    grantsActive: () => stores.grants.activeCount(),
    journalPendingBytes: () => decisionLog.pendingBytes,
    inFlight: () => listener.inFlight,
    outsideWaiting: () => asker?.inFlight ?? 0,
    logLinesDropped: () => log.dropped(),
  });
  const doors = new Doors(asker);
  opened.push(() => doors.close());
  const probes = new Probes({
    notReady: readiness,
    degraded: () => overruns.persistent.map((entrypoint) => `policy_budget_spent: ${entrypoint}`),
    metrics: async () => ({ contentType: metrics.registry.contentType, text: await metrics.registry.metrics() }),
  });
  const status = (): object => ({
    sidecar: { ...about, version: effects.version },
    ready: readiness().length === 0,
    not_ready: readiness(),
    policy_overruns: overruns.persistent,
    bundles: Object.fromEntries(bundles.statuses(clock.now())),
    store: stores.status(),
    record: { pending_bytes: decisionLog.pendingBytes, failing: decisionLog.failing },
    requests_in_flight: listener.inFlight,
  });
  const control = await openControlDoors(config, { stores, probes, status, metrics, log }, doors);
  const probesAddress = await openProbesDoor(config, probes, doors);
  const decision = await openDecisionDoors(config, listener, doors);
  const addresses = {
    ...(decision !== undefined && { decision }),
    ...(control !== undefined && { control }),
    ...(probesAddress !== undefined && { probes: probesAddress }),
  };
  log.info('listening', addresses);
  tellReadiness();
  return {
    addresses,
    reloadBundle: () => bundles.reload(),
    close: (graceMs) => {
      doors.cutAfter(graceMs);
      return opened.close();
    },
  };
}

/** In words for an operator; none: it is ready. */
function notReady(bundle: BundleSlot, stores: Stores, decisionLog: DecisionLog, clock: Clock): readonly string[] {
  const reasons: string[] = [];
  try {
    bundle.serving(clock.now());
  } catch (cause) {
    reasons.push(asSidecarError(cause).code);
  }
  if (!stores.isReady()) reasons.push(stores.status().state === 'ok' ? 'store_in_doubt' : 'store_failed');
  if (decisionLog.failing) reasons.push('audit_unavailable');
  return reasons;
}

/** @returns what is to be called now and then: it says in the log when the sidecar becomes ready, and when it is no longer */
function readinessTeller(readiness: () => readonly string[], log: OperationalLog): () => void {
  let told: string | undefined;
  return () => {
    const reasons = readiness().join(', ');
    if (reasons === told) return;
    told = reasons;
    if (reasons === '') log.info('ready to decide');
    else log.warn('not ready to decide', { reasons });
  };
}

/** Everything that lets requests in. */
class Doors {
  readonly #doorways: { close(): Promise<void>; cut(): void }[] = [];
  readonly #asker: Asker | undefined;
  #cut: NodeJS.Timeout | undefined;

  /** @param asker whom decisions wait for; those that nobody waits for any more need not wait either */
  constructor(asker: Asker | undefined) {
    this.#asker = asker;
  }

  push(doorway: { close(): Promise<void>; cut(): void }): void {
    this.#doorways.push(doorway);
  }

  async close(): Promise<void> {
    await Promise.all(this.#doorways.map((doorway) => doorway.close()));
    clearTimeout(this.#cut);
  }

  /** Answers that take longer than this are not waited for; the last call counts. */
  cutAfter(graceMs: number): void {
    clearTimeout(this.#cut);
    this.#cut = setTimeout(() => {
      this.#asker?.cut();
      for (const doorway of this.#doorways) doorway.cut();
    }, graceMs).unref();
  }
}

/** @returns the TCP address as bound, if there is one */
async function openDecisionDoors(
  config: Config,
  listener: DecisionListener,
  doors: Doors,
): Promise<string | undefined> {
  const { listen, identity, sockets, public_url: publicUrl } = config.decision;
  let address: string | undefined;
  const origin = (): string => publicUrl ?? `http://${address ?? 'localhost'}`;
  if (listen !== null) {
    const via: Via = identity === undefined ? { method: 'none' } : { method: 'configured', id: identity.id };
    const doorway = listener.doorway({ via, kind: 'tcp', origin });
    const port = await listenOn(doorway.server, listen.host, listen.port);
    doors.push(doorway);
    address = written(listen.host, port);
  }
  for (const socket of sockets) {
    const via: Via = { method: 'socket', id: socket.identity.id };
    const doorway = listener.doorway({ via, kind: 'socket', origin });
    await listenOnSocket(doorway.server, socket.path, socket.mode);
    doors.push(doorway);
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
async function openControlDoors({ control }: Config, needs: ControlNeeds, doors: Doors): Promise<string | undefined> {
  const { listen, socket, limits } = control;
  if (listen === null && socket === null) return undefined;
  const { stores, probes, status, metrics, log } = needs;
  const front = new HttpFront({
    limits: {
      headerBytes: limits.header_bytes,
      connections: limits.connections,
      headerTimeoutMs: limits.header_timeout_ms,
      bodyTimeoutMs: limits.body_timeout_ms,
      keepAliveMs: limits.keep_alive_ms,
    },
    refuse: (refused) => {
      metrics.rejected(refused.code);
      return problemOf(refused);
    },
  });
  const app = controlApp({
    ...stores,
    probes,
    status,
    log,
    tokens: await Tokens.open(control.tokens, log),
    parseJson: (body) => parseJson(body, { depthMax: limits.depth }),
    readBody: (request, response) => {
      const { 'content-length': contentLength, 'content-encoding': contentEncoding } = request.headers;
      return front.readBody(request, response, { contentLength, contentEncoding }, limits.body_bytes);
    },
    headersCountMax: limits.headers_count,
    rejected: (why) => metrics.rejected(why),
    signalRefused: (kind) => metrics.signalReceived('other', kind, 'refused'),
  });
  let address: string | undefined;
  if (listen !== null) {
    const server = front.server(app);
    address = written(listen.host, await listenOn(server, listen.host, listen.port));
    doors.push(doorwayOf(server));
  }
  if (socket !== null) {
    const server = front.server(app);
    await listenOnSocket(server, socket.path, socket.mode);
    doors.push(doorwayOf(server));
  }
  return address;
}

async function openProbesDoor(config: Config, probes: Probes, doors: Doors): Promise<string | undefined> {
  const { listen } = config.probes;
  if (listen === null) return undefined;
  const server = probes.server();
  const port = await listenOn(server, listen.host, listen.port);
  doors.push(doorwayOf(server));
  return written(listen.host, port);
}

function doorwayOf(server: Server): { close(): Promise<void>; cut(): void } {
  return {
    close: () => closeServer(server),
    cut: () => server.closeAllConnections(),
  };
}

function written(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function ownHosts({ decision }: Config): readonly string[] {
  return [
    ...(decision.listen === null
      ? []
      : [decision.listen.host.includes(':') ? `[${decision.listen.host}]` : decision.listen.host]),
    ...(decision.public_url === undefined ? [] : [new URL(decision.public_url).hostname]),
  ];
}

function decisionLimits({ decision: { limits } }: Config): ListenerLimits {
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

async function openDecisionLog({ record }: Config, effects: Effects, metrics: Metrics): Promise<DecisionLog> {
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
    const why = cause instanceof Error && 'code' in cause ? cause.code : cause;
    throw new RecordRefused(`the decision record ${record.file} cannot be opened: ${why}`, { cause });
  }
}

/** Device state from the first minute: the machine is read before anybody may ask. */
async function startHostSource(config: Config, effects: Effects, stores: Stores, opened: Opened): Promise<void> {
  if (config.device === undefined || config.device.host === null) return;
  const { id, host } = config.device;
  const source = new HostSource({
    deviceId: id,
    root: host.root,
    intervalMs: host.interval_s * 1_000,
    baseline: host.baseline,
    given: {
      ...(host.image_digest !== undefined && { image_digest: host.image_digest }),
      ...(host.node_name !== undefined && { node_name: host.node_name }),
    },
    signals: stores.signals,
    clock: effects.clock,
    log: effects.log,
  });
  opened.push(() => source.stop());
  await source.start();
}

async function openStoresOf({ store, attestations }: Config, effects: Effects, metrics: Metrics): Promise<Stores> {
  const { clock, log, newId } = effects;
  return openStores({
    directory: store.directory,
    caps: store.caps,
    attestations: {
      keys: await readAttestationKeys(
        attestations.keys.map(({ build_types: buildTypes, ...key }) => ({ ...key, buildTypes })),
      ),
      parseJson: (text) => parseJsonRounding(text, jsonLimits),
    },
    clock,
    log,
    newId,
    onSignal: (source, kind, result) => metrics.signalReceived(source, kind, result),
    onAttestation: (result) => metrics.attestationReceived(result),
  });
}

/** Opens a bundle as a sidecar does, for a look at what it says; it may take its time. @throws BundleRefused */
export async function loadPolicy(file: string, effects: PolicyEffects): Promise<PolicyModule> {
  const bundle = await readBundle(await readFile(file), archiveLimits);
  return PolicyModule.load(bundle, {
    ...timedBy(effects),
    budgetMs: 60_000,
    memoryPages: 4_096,
    resultBytes: resultBytesMax,
    // Nobody outside is asked here, whatever it calls.
    outside: outsideBuiltins,
  });
}

type Builtins = Config['decision']['builtins'];

/** What evaluations are timed by. */
type PolicyEffects = Pick<Effects, 'clock' | 'threadCpuMs'>;

function policyLimits({ decision: { limits, builtins } }: Config, effects: PolicyEffects): PolicyLimits {
  return {
    memoryPages: Math.ceil(limits.policy_memory_bytes / wasmPageBytes),
    resultBytes: resultBytesMax,
    budgetMs: limits.policy_ms,
    outside: allowedOutside(builtins),
    ...timedBy(effects),
  };
}

function allowedOutside({ http_send: http, lookup_ip_addr: lookup }: Builtins): readonly OutsideBuiltin[] {
  return outsideBuiltins.filter((name) => (name === 'http.send' ? http : lookup) !== undefined);
}

/** @returns undefined where policies may ask nobody */
function askerOf({ decision: { builtins } }: Config, metrics: Metrics): Asker | undefined {
  if (allowedOutside(builtins).length === 0) return undefined;
  const { http_send: http, lookup_ip_addr: lookup, calls, wait_ms: waitMs, in_flight: inFlightMax } = builtins;
  return new Asker({
    http: http && {
      origins: new Set(http.origins),
      timeoutMs: http.timeout_ms,
      responseBytes: http.response_bytes,
    },
    lookup: lookup && { names: new Set(lookup.names), timeoutMs: lookup.timeout_ms },
    questionsMax: calls,
    waitMs,
    inFlightMax,
    asked: (builtin, result) => metrics.outsideAsked(builtin, result),
  });
}

function timedBy({ clock, threadCpuMs }: PolicyEffects): Pick<PolicyLimits, 'monotonicMs' | 'threadCpuMs'> {
  return { monotonicMs: () => clock.monotonicMs(), threadCpuMs };
}
