import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readBundle } from '../../src/bundle/reading/read-bundle.ts';
import type { Attestation } from '../../src/domain/attestation.ts';
import { RequestRefused, type SidecarError, Undecided } from '../../src/domain/errors.ts';
import { type Outbound, type OutboundBuiltin, outboundBuiltins } from '../../src/domain/outbound.ts';
import type { Answer, CallerBinding, RawRequest, Surface } from '../../src/domain/request.ts';
import { listenOn } from '../../src/http/bind.ts';
import { authorize, type Parts, type ServingBundle } from '../../src/request/authorize.ts';
import { enricher } from '../../src/request/enrich/enrich.ts';
import { decisionLogRulesOf } from '../../src/request/evaluate/decision-log-rules.ts';
import { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { identifier } from '../../src/request/identify/identify.ts';
import {
  type BoundListener,
  DecisionListener,
  type ListenerLimits,
} from '../../src/request/listen/decision-listener.ts';
import { eventWriter } from '../../src/request/record/decision-event.ts';
import { DecisionLog } from '../../src/request/record/decision-log.ts';
import { Recorder } from '../../src/request/record/recorder.ts';
import { type ReasonDetail, respondRefusal } from '../../src/request/respond/respond.ts';
import { metric } from '../../src/telemetry/metric-names.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { Overruns } from '../../src/telemetry/overruns.ts';
import { HeldGrants } from '../fakes/held-grants.ts';
import { KeptLog } from '../fakes/kept-log.ts';
import { KnownSignals } from '../fakes/known-signals.ts';
import { TestClock } from '../fakes/test-clock.ts';
import { compilePolicy } from './compile-policy.ts';
import { patientLimits } from './patient-limits.ts';

export const agent = 'spiffe://acme.example/agent/report-bot';
export const archiveLimits = { inflatedBytes: 64 * 1024 * 1024, members: 1_000 };
const quietLog = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export const policyLimits = { ...patientLimits, memoryPages: 1_024, resultBytes: 65_536 };
export const listenerLimits: ListenerLimits = {
  bodyBytes: 1_048_576,
  headerBytes: 16_384,
  headersCount: 100,
  connections: 1_024,
  inFlight: 512,
  requestsPerSocket: 100_000,
  headerTimeoutMs: 10_000,
  bodyTimeoutMs: 10_000,
  keepAliveMs: 65_000,
};

export interface TestbedOptions {
  /** A directory in test/policies/. */
  readonly policy?: string;
  /** Instead: a policy that is loaded already. */
  readonly policyModule?: PolicyModule;
  readonly entrypoints?: readonly string[];
  readonly limits?: Partial<ListenerLimits>;
  readonly relays?: readonly string[];
  readonly reasons?: ReasonDetail;
  readonly pendingBytesMax?: number;
  readonly via?: CallerBinding;
  /** Whom the policy may ask; it is loaded with what that takes. */
  readonly outside?: Outbound;
  /** Keeps events in their other form, too. */
  readonly prints?: boolean;
}

export async function loadPolicy(bundle: Uint8Array, outside: readonly OutboundBuiltin[] = []): Promise<PolicyModule> {
  return PolicyModule.load(await readBundle(bundle, archiveLimits), { ...policyLimits, outside });
}

/** A well-formed request, as text. */
export function asked(change: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({
    subject: { type: 'agent', id: agent },
    action: { name: 'read' },
    resource: { type: 'database', id: 'payroll' },
    ...change,
  });
}

/** The whole way of a request on real parts: real policy module, real record, real listener; only time, signals and grants are the test's. */
export class Testbed {
  readonly clock = new TestClock();
  readonly log = new KeptLog();
  readonly signals = new KnownSignals();
  readonly grants = new HeldGrants();
  readonly attestations: Attestation[] = [];
  readonly metrics = new Metrics({ version: '0.0.0-test', node: 'v0.0.0' });
  readonly via: CallerBinding;
  readonly listener: DecisionListener;
  readonly parts: Parts;
  readonly overruns = new Overruns(quietLog);
  readonly logFile: string;
  /** Events in their other form, on the operational log. */
  readonly printed: string[] = [];
  /** Undefined: no bundle. */
  bundle: ServingBundle | undefined;
  /** Called with each request that gets as far as `authorize`. */
  beforeAuthorize: (raw: RawRequest) => void | Promise<void> = () => undefined;
  readonly #directory: string;
  readonly #decisionLog: DecisionLog;
  readonly #bound: BoundListener[] = [];
  #decisions = 0;
  #isLogClosed = false;

  private constructor(directory: string, decisionLog: DecisionLog, policy: PolicyModule, options: TestbedOptions) {
    this.#directory = directory;
    this.logFile = join(directory, 'decisions.jsonl');
    this.#decisionLog = decisionLog;
    this.via = options.via ?? { method: 'configured', id: agent };
    const decisionLogRules = decisionLogRulesOf(policy);
    this.bundle = { revision: policy.revision, policy, currentAt: this.clock.now(), decisionLogRules };
    const recorder = new Recorder({
      overruns: this.overruns,
      log: this.log,
      clock: this.clock,
      metrics: this.metrics,
      decisionLog,
      writeEvent: eventWriter({ id: 'test', labels: { region: 'local' }, version: '0.0.0-test' }, 'test'),
      ...(options.prints === true && { console: (line: string) => this.printed.push(line) }),
    });
    this.parts = {
      clock: this.clock,
      newDecisionId: () => {
        this.#decisions += 1;
        return `decision-${this.#decisions}`;
      },
      limits: { depthMax: 64 },
      identify: identifier({ relays: new Set(options.relays), deviceId: 'node-7' }),
      enrich: enricher({
        signals: this.signals,
        grants: this.grants,
        attestations: { of: (digest) => this.attestations.filter((one) => one.digest === digest) },
        sidecar: { id: 'test', labels: { region: 'local' } },
      }),
      servingBundle: () => {
        if (this.bundle === undefined) throw new Undecided('no_bundle', 'the test took it away');
        return this.bundle;
      },
      ...(options.outside !== undefined && { outbound: options.outside }),
      decisionLogRules: () => decisionLogRules,
      grants: this.grants,
      recorder,
      respond: { reasons: options.reasons ?? 'remedies', realm: 'test' },
    };
    this.listener = new DecisionListener({
      limits: { ...listenerLimits, ...options.limits },
      entrypoint: 'authz/decision',
      ownHosts: [],
      log: this.log,
      authorize: async (raw) => {
        await this.beforeAuthorize(raw);
        return authorize(raw, this.parts);
      },
      refuse: (error: SidecarError, surface: Surface) => {
        if (error instanceof RequestRefused) recorder.refused(error);
        return respondRefusal(error, surface);
      },
    });
  }

  static async open(options: TestbedOptions = {}): Promise<Testbed> {
    const policy =
      options.policyModule ??
      (await loadPolicy(
        await compilePolicy(options.policy ?? 'allow', options.entrypoints ?? ['authz/decision']),
        options.outside === undefined ? [] : outboundBuiltins,
      ));
    const directory = await mkdtemp(join(tmpdir(), 'testbed-'));
    const made: { testbed?: Testbed } = {};
    const decisionLog = await DecisionLog.open({
      path: join(directory, 'decisions.jsonl'),
      pendingBytesMax: options.pendingBytesMax ?? 8 * 1024 * 1024,
      closeMs: 3_000,
      monotonicMs: () => performance.now(),
      log: quietLog,
      written: (events) => made.testbed?.metrics.journalWritten(events),
      dropped: (events) => made.testbed?.metrics.journalDropped(events),
    });
    made.testbed = new Testbed(directory, decisionLog, policy, options);
    return made.testbed;
  }

  /** @returns the port */
  async listen(): Promise<number> {
    const listener = this.listener.bind({ via: this.via, kind: 'tcp', origin: () => 'http://127.0.0.1:8181' });
    this.#bound.push(listener);
    return listenOn(listener.server, '127.0.0.1', 0);
  }

  /** One request, past the listener. */
  ask(body: string | Uint8Array, change: Partial<RawRequest> = {}): Promise<Answer> {
    return authorize(
      {
        surface: 'authzen',
        entrypoint: 'authz/decision',
        body: typeof body === 'string' ? Buffer.from(body, 'utf8') : body,
        via: this.via,
        remote: '127.0.0.1:50000',
        ...change,
      },
      this.parts,
    );
  }

  /** What the decision file holds by now, a parsed event each. */
  async recorded(): Promise<readonly RecordedEvent[]> {
    return (await this.recordText())
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as RecordedEvent);
  }

  async recordText(): Promise<string> {
    while (this.#decisionLog.pendingBytes > 0) await new Promise((resolve) => setImmediate(resolve));
    return readFile(this.logFile, 'utf8');
  }

  /** Our own series alone; the process's are slow to collect. */
  async ownSeries(): Promise<string> {
    const families = Object.values(metric).filter(
      ({ name }) => this.metrics.registry.getSingleMetric(name) !== undefined,
    );
    return (await Promise.all(families.map(({ name }) => this.metrics.registry.getSingleMetricAsString(name)))).join(
      '\n',
    );
  }

  exposition(): Promise<string> {
    return this.metrics.registry.metrics();
  }

  /** The sum of a metric's series whose labels include these. */
  async counted(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const family = name.replace(/_(bucket|sum|count)$/, '');
    return sumIn(await this.metrics.registry.getSingleMetricAsString(family), name, labels);
  }

  /** Ends the record as a sidecar that stops does. */
  closeLog(): Promise<void> {
    this.#isLogClosed = true;
    return this.#decisionLog.close();
  }

  async close(): Promise<void> {
    await Promise.all(
      this.#bound.map((listener) => {
        const closed = listener.close();
        listener.cut();
        return closed;
      }),
    );
    if (!this.#isLogClosed) await this.closeLog();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

/** An event of the decision log, as far as tests look at it. */
export interface RecordedEvent {
  readonly decision_id: string;
  readonly path: string;
  readonly effect: string;
  readonly reasons: readonly { readonly code: string }[];
  readonly input?: Readonly<Record<string, unknown>>;
  readonly result?: unknown;
  readonly error?: { readonly code: string; readonly message: string };
  readonly request_id?: string;
  readonly [member: string]: unknown;
}

export function sumIn(exposition: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  let sum = 0;
  for (const line of exposition.split('\n')) {
    const match = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line);
    if (match === null || match[1] !== name) continue;
    const said = new Map(
      [...(match[2] ?? '').matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map((one) => [one[1], one[2]]),
    );
    if (Object.entries(labels).every(([label, value]) => said.get(label) === value)) sum += Number(match[3]);
  }
  return sum;
}
