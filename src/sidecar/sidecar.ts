import { openBundles } from '../bundle/open-bundles.ts';
import type { Config } from '../config/schema.ts';
import { Probes } from '../control/probes.ts';
import { RequestRefused, type SidecarError } from '../domain/errors.ts';
import type { Answer, Surface } from '../domain/request.ts';
import { every } from '../domain/time.ts';
import { authorize, type Parts } from '../request/authorize.ts';
import { enricher } from '../request/enrich/enrich.ts';
import { identifier } from '../request/identify/identify.ts';
import { DecisionListener } from '../request/listen/decision-listener.ts';
import { eventWriter } from '../request/record/decision-event.ts';
import { Recorder } from '../request/record/recorder.ts';
import { respondRefusal } from '../request/respond/respond.ts';
import { Metrics } from '../telemetry/metrics.ts';
import { Overruns } from '../telemetry/overruns.ts';
import { CloseStack } from './close-stack.ts';
import type { Effects } from './effects.ts';
import { decisionLimits, ownHosts, policyLimits } from './limits.ts';
import { openDecisionLog } from './open-decision-log.ts';
import { openKnowledge, startHostSource } from './open-knowledge.ts';
import { Listeners, openControlListeners, openDecisionListeners, openProbesListener } from './open-listeners.ts';
import { openOutbound } from './open-outbound.ts';
import { notReady, readinessTeller } from './readiness.ts';

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
/** In challenges: RFC 9110 section 11.5. */
const realm = 'postern';

/**
 * Puts the parts together and lets callers in: first what decisions rest on, last the listeners.
 *
 * @throws with one clear reason if something cannot be opened; everything opened before it is closed again
 */
export async function startSidecar(config: Config, effects: Effects): Promise<Sidecar> {
  const opened = new CloseStack();
  try {
    return await start(config, effects, opened);
  } catch (cause) {
    await opened
      .close()
      .catch((second: unknown) => effects.log.warn('closing after a failed start failed', { cause: second }));
    throw cause;
  }
}

async function start(config: Config, effects: Effects, opened: CloseStack): Promise<Sidecar> {
  const { clock, timers, random, log, newId } = effects;
  const metrics = new Metrics({ version: effects.version, node: effects.nodeVersion });
  const stores = await openKnowledge(config, effects, metrics);
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
    timers,
    random,
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
  const endUpkeep = every(timers, upkeepMs, () => {
    void stores.tick();
    decisionLog.look();
    tellReadiness();
  });
  opened.push(async () => endUpkeep());

  const outbound = openOutbound(config, effects, metrics);
  const parts: Parts = {
    clock,
    newDecisionId: newId,
    limits: { depthMax: config.decision.limits.depth },
    identify: identifier({ relays: new Set(config.decision.relays), deviceId: config.device?.id }),
    enrich: enricher({ ...stores, sidecar: about }),
    servingBundle: (now) => bundle.serving(now),
    ...(outbound !== undefined && { outbound }),
    decisionLogRules: () => bundle.decisionLogRules,
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
    ...(config.bundle.shadow !== undefined && { onAnswered: (answered) => bundles.onAnswered(answered) }),
  };

  const refuse = (error: SidecarError, surface: Surface): Answer => {
    if (error instanceof RequestRefused) metrics.rejected(error.code);
    return respondRefusal(error, surface);
  };
  const decisions = new DecisionListener({
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
    inFlight: () => decisions.inFlight,
    outsideWaiting: () => outbound?.inFlight ?? 0,
    logLinesDropped: () => log.dropped(),
  });
  const listeners = new Listeners(outbound, timers);
  opened.push(() => listeners.close());
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
    requests_in_flight: decisions.inFlight,
  });
  const control = await openControlListeners(config, { stores, probes, status, metrics, log }, listeners);
  const probesAddress = await openProbesListener(config, probes, listeners);
  const decision = await openDecisionListeners(config, decisions, listeners);
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
      listeners.cutAfter(graceMs);
      return opened.close();
    },
  };
}
