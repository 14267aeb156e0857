import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client';
import type { PolicyCatalogue } from '../domain/bundle.ts';
import { type Decision, effectOf } from '../domain/decision.ts';
import { type ErrorCode, publicMessages, refusalCodes, remedies } from '../domain/errors.ts';
import type { Facts } from '../domain/facts.ts';
import { type OutboundBuiltin, outboundBuiltins } from '../domain/outbound.ts';
import type { MaskOrDropStep } from '../domain/ports.ts';
import { CounterTally, type Described, type HistogramRow, HistogramTally } from './fast-histogram.ts';
import { ageBuckets, durationBuckets, metric } from './metric-names.ts';

export interface Gauges {
  readonly bundle: () => { readonly name: string; readonly revision: string; readonly ageS: number } | undefined;
  readonly storeEntries: () => Readonly<Record<string, number>>;
  readonly grantsActive: () => number;
  readonly journalPendingBytes: () => number;
  readonly inFlight: () => number;
  readonly outsideWaiting: () => number;
  readonly logLinesDropped: () => number;
}

export type Stage = 'receive' | 'identify' | 'enrich' | 'evaluate' | 'decide' | 'respond' | 'record';

const misnamedDefaults = [
  'nodejs_active_handles_total',
  'nodejs_active_requests_total',
  'nodejs_active_resources_total',
];

// Label values that are known beforehand. A series that came with its first event would show no increase for it, so
// these are there from the start.
const activationResults = ['activated', 'refused'] as const;
const requestResults = ['new', 'unchanged', 'failed'] as const;
const attestationResults = ['kept', 'refused'] as const;
const comparisonResults = ['same', 'flip', 'dropped', 'failed'] as const;
const maskOrDropSteps = [
  'masked',
  'dropped',
  'mask_failed',
  'drop_failed',
] as const satisfies readonly MaskOrDropStep[];
const outsideResults = ['answered', 'failed', 'refused'] as const;

/** A label value that no bundle announced; policies can invent names, but not series. */
const other = 'other';

/** All metrics of one sidecar, in a registry of its own. */
export class Metrics {
  readonly registry = new Registry();
  readonly #decisions = new CounterTally(metric.decisions, this.registry);
  readonly #durations = new HistogramTally(metric.decisionDuration, durationBuckets, this.registry);
  readonly #stages = new HistogramTally(metric.stageDuration, durationBuckets, this.registry);
  readonly #unmet = new CounterTally(metric.unmetRequirements, this.registry);
  readonly #undecided = new CounterTally(metric.undecided, this.registry);
  readonly #rejected = new CounterTally(metric.rejected, this.registry);
  readonly #signalAges = new HistogramTally(metric.signalAge, ageBuckets, this.registry);
  readonly #signals = this.#counter(metric.signalsReceived);
  readonly #attestations = this.#byResult(metric.attestationsReceived, attestationResults);
  readonly #overruns = this.#counter(metric.overruns);
  readonly #outsideQuestions = this.#counter(
    metric.outsideQuestions,
    outboundBuiltins.flatMap((builtin) => outsideResults.map((result) => ({ builtin, result }))),
  );
  readonly #activations = this.#byResult(metric.bundleActivations, activationResults);
  readonly #bundleRequests = this.#counter(metric.bundleRequests);
  readonly #bundleKeepFailures = this.#counter(metric.bundleKeepFailures);
  readonly #shadowComparisons = this.#byResult(metric.shadowComparisons, comparisonResults);
  readonly #shadowFlips = this.#counter(metric.shadowFlips);
  readonly #journalWritten = this.#counter(metric.journalWritten);
  readonly #journalDropped = this.#counter(metric.journalDropped);
  readonly #journalScreened = this.#byResult(metric.journalScreened, maskOrDropSteps);
  readonly #stageRows: Readonly<Record<Stage, HistogramRow>>;
  #catalogue: PolicyCatalogue = { policies: new Map() };

  constructor(build: { readonly version: string; readonly node: string }) {
    this.#stageRows = {
      receive: this.#stages.row('receive'),
      identify: this.#stages.row('identify'),
      enrich: this.#stages.row('enrich'),
      evaluate: this.#stages.row('evaluate'),
      decide: this.#stages.row('decide'),
      respond: this.#stages.row('respond'),
      record: this.#stages.row('record'),
    };
    new Gauge({ ...metric.build, labelNames: [...metric.build.labelNames], registers: [this.registry] }).set(
      { ...build },
      1,
    );
    for (const code of Object.keys(remedies)) this.#undecided.add(code, '', 0);
    for (const why of refusalCodes) this.#rejected.add(why, '', 0);
    collectDefaultMetrics({ register: this.registry });
    // Gauges that call themselves totals: promtool refuses the names, and the ones without `_total` say the same by type.
    for (const name of misnamedDefaults) this.registry.removeSingleMetric(name);
  }

  /** Names of policies and requirements that may be labels; anything else counts as `other`. */
  catalogue(catalogue: PolicyCatalogue): void {
    this.#catalogue = catalogue;
  }

  /** The bundles that configuration names. */
  bundles(names: readonly string[]): void {
    for (const bundle of names) {
      for (const result of requestResults) this.#bundleRequests.inc({ bundle, result }, 0);
      this.#bundleKeepFailures.inc({ bundle }, 0);
    }
  }

  stage(stage: Stage, seconds: number): void {
    this.#stageRows[stage].observe(seconds);
  }

  decided(decision: Decision, facts: Facts | undefined, seconds: number): void {
    const effect = effectOf(decision);
    this.#durations.row(effect).observe(seconds);
    const spoken = 'policy' in decision ? decision.policy : undefined;
    const requirements = spoken === undefined ? undefined : this.#catalogue.policies.get(spoken);
    const policy = requirements === undefined || spoken === undefined ? other : spoken;
    this.#decisions.add(policy, effect);
    if (decision.kind === 'undecided') this.#undecided.add(decision.error.code);
    else if (decision.kind !== 'queried') {
      for (const { code } of decision.reasons) {
        // Policies' reasons contain codes of ours too: the library's and the router's.
        const named = requirements?.includes(code) === true || Object.hasOwn(publicMessages, code);
        this.#unmet.add(policy, named ? code : other);
      }
    }
    if (facts === undefined) return;
    const { device, trust, workload } = facts.signalAgesS;
    if (device !== undefined) this.#signalAge('device', device);
    if (trust !== undefined) this.#signalAge('trust', trust);
    if (workload !== undefined) this.#signalAge('workload', workload);
  }

  /** A report from the future has no age; a negative one would make the histogram's sum go down. */
  #signalAge(kind: string, ageS: number): void {
    this.#signalAges.row(kind).observe(Math.max(0, ageS));
  }

  /** @param entrypoint one of the bundle's: nothing else is ever evaluated */
  overrun(entrypoint: string): void {
    this.#overruns.inc({ entrypoint });
  }

  outsideAsked(builtin: OutboundBuiltin, result: (typeof outsideResults)[number]): void {
    this.#outsideQuestions.inc({ builtin, result });
  }

  rejected(why: ErrorCode): void {
    this.#rejected.add(why);
  }

  signalReceived(source: string, type: string, result: string): void {
    this.#signals.inc({ source, type, result });
  }

  attestationReceived(result: (typeof attestationResults)[number]): void {
    this.#attestations.inc({ result });
  }

  bundleActivation(result: (typeof activationResults)[number]): void {
    this.#activations.inc({ result });
  }

  bundleRequest(bundle: string, result: (typeof requestResults)[number]): void {
    this.#bundleRequests.inc({ bundle, result });
  }

  bundleKeepFailed(bundle: string): void {
    this.#bundleKeepFailures.inc({ bundle });
  }

  shadowCompared(result: (typeof comparisonResults)[number]): void {
    this.#shadowComparisons.inc({ result });
  }

  shadowFlip(from: string, to: string): void {
    this.#shadowFlips.inc({ from, to });
  }

  journalWritten(events: number): void {
    this.#journalWritten.inc(events);
  }

  journalDropped(events: number): void {
    this.#journalDropped.inc(events);
  }

  journalScreened(result: MaskOrDropStep): void {
    this.#journalScreened.inc({ result });
  }

  /** Values that only a look at the moment of the scrape can give. */
  gauges(gauges: Gauges): void {
    this.#gauge(metric.bundleInfo, (gauge) => {
      gauge.reset();
      const bundle = gauges.bundle();
      if (bundle !== undefined) gauge.set({ name: bundle.name, revision: bundle.revision }, 1);
    });
    this.#gauge(metric.bundleAge, (gauge) => {
      const bundle = gauges.bundle();
      // Nothing that serves has no age; nought would be the best of all.
      if (bundle === undefined) gauge.remove();
      else gauge.set(bundle.ageS);
    });
    this.#gauge(metric.storeEntries, (gauge) => {
      for (const [kind, entries] of Object.entries(gauges.storeEntries())) gauge.set({ kind }, entries);
    });
    this.#gauge(metric.grantsActive, (gauge) => gauge.set(gauges.grantsActive()));
    this.#gauge(metric.journalPending, (gauge) => gauge.set(gauges.journalPendingBytes()));
    this.#gauge(metric.outsideWaiting, (gauge) => gauge.set(gauges.outsideWaiting()));
    this.#gauge(metric.inFlight, (gauge) => gauge.set(gauges.inFlight()));
    new Counter({
      ...metric.logDropped,
      labelNames: [],
      registers: [this.registry],
      collect() {
        this.reset();
        this.inc(gauges.logLinesDropped());
      },
    });
  }

  #counter(described: Described, known: readonly Readonly<Record<string, string>>[] = []): Counter {
    const counter = new Counter({ ...described, labelNames: [...described.labelNames], registers: [this.registry] });
    for (const labels of known) counter.inc(labels, 0);
    return counter;
  }

  #byResult(described: Described, results: readonly string[]): Counter {
    return this.#counter(
      described,
      results.map((result) => ({ result })),
    );
  }

  #gauge(described: Described, collect: (gauge: Gauge) => void): void {
    new Gauge({
      ...described,
      labelNames: [...described.labelNames],
      registers: [this.registry],
      collect() {
        collect(this);
      },
    });
  }
}
