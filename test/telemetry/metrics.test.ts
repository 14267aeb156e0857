import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { Histogram, Registry } from 'prom-client';
import { bundleRevision } from '../../src/domain/bundle.ts';
import type { Decision } from '../../src/domain/decision.ts';
import { refusalCodes, remedies, Undecided } from '../../src/domain/errors.ts';
import type { Facts } from '../../src/domain/facts.ts';
import { epochMs } from '../../src/domain/time.ts';
import { CounterTally, HistogramTally } from '../../src/telemetry/fast-histogram.ts';
import { durationBuckets, metric } from '../../src/telemetry/metric-names.ts';
import { Metrics } from '../../src/telemetry/metrics.ts';
import { asked, sumIn, Testbed } from '../support/testbed.ts';

const build = { version: '0.0.0-test', node: 'v0.0.0' };

function denied(policy: string | undefined, ...codes: readonly string[]): Decision {
  return {
    kind: 'deny',
    revision: bundleRevision('r1'),
    policy,
    reasons: codes.map((code) => ({ code })),
    met: [],
    obligations: [],
    ttlS: undefined,
    labels: {},
    grants: undefined,
  };
}

function facts(signalAgesS: Facts['signalAgesS']): Facts {
  return {
    entrypoint: 'authz/decision',
    input: '{}',
    now: epochMs(0),
    caller: { id: undefined, method: 'none', claims: {}, ageS: 0, relay: false, deviceId: undefined },
    grants: [],
    signalAgesS,
  };
}

interface Series {
  readonly name: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** Reads an exposition by its grammar, and fails on anything that is not of it. */
function parsed(exposition: string): {
  readonly types: ReadonlyMap<string, string>;
  readonly series: readonly Series[];
} {
  const types = new Map<string, string>();
  const helps = new Set<string>();
  const series: Series[] = [];
  for (const line of exposition.split('\n')) {
    if (line === '') continue;
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) .+$/.exec(line);
    const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|histogram|summary|untyped)$/.exec(line);
    const sample =
      /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/.exec(line);
    if (help !== null) {
      expect(helps.has(help[1] ?? '')).toBe(false);
      helps.add(help[1] ?? '');
    } else if (type !== null) {
      expect(types.has(type[1] ?? '')).toBe(false);
      types.set(type[1] ?? '', type[2] ?? '');
    } else if (sample !== null) {
      const labels = new Map(
        [...(sample[2] ?? '').matchAll(/([a-zA-Z0-9_]+)="((?:[^"\\]|\\.)*)"/g)].map((one) => [
          one[1] ?? '',
          one[2] ?? '',
        ]),
      );
      const value = sample[3] === '+Inf' ? Number.POSITIVE_INFINITY : Number(sample[3]);
      expect(Number.isNaN(value) && sample[3] !== 'Nan').toBe(false);
      series.push({ name: sample[1] ?? '', labels, value });
    } else throw new Error(`no line of an exposition: ${JSON.stringify(line)}`);
  }
  const keys = series.map(({ name, labels }) => `${name}${JSON.stringify([...labels].sort())}`);
  expect(new Set(keys).size).toBe(keys.length);
  return { types, series };
}

describe('the exposition', () => {
  it('is of the text format, each family once, each series once, histograms cumulative', async () => {
    const bed = await Testbed.open();
    try {
      bed.metrics.gauges({
        bundle: () => ({ name: 'starter', revision: 'r1', ageS: 3 }),
        storeEntries: () => ({ device: 2, grant: 1 }),
        grantsActive: () => 1,
        journalPendingBytes: () => 0,
        inFlight: () => 1,
        outsideWaiting: () => 0,
        logLinesDropped: () => 0,
      });
      bed.metrics.signalReceived('mdm', 'device', 'changed');
      bed.metrics.attestationReceived('kept');
      bed.metrics.bundleActivation('activated');
      await bed.ask(asked());
      await bed.ask('{}');
      await bed.ask(asked({ subject: { type: 'agent', id: 'other' } }));
      const { types, series } = parsed(await bed.exposition());
      for (const { name } of Object.values(metric)) expect(types.has(name)).toBe(true);
      for (const [family, type] of types) {
        if (type === 'counter') expect(family).toMatch(/_total$/);
        if (type !== 'histogram') continue;
        const groups = Map.groupBy(
          series.filter(({ name }) => name === `${family}_bucket`),
          ({ labels }) => JSON.stringify([...labels].filter(([label]) => label !== 'le')),
        );
        for (const [key, buckets] of groups) {
          const of = (suffix: string): number | undefined =>
            series.find(({ name, labels }) => name === `${family}${suffix}` && JSON.stringify([...labels]) === key)
              ?.value;
          expect(buckets.at(-1)?.labels.get('le')).toBe('+Inf');
          expect(buckets.at(-1)?.value).toBe(of('_count'));
          const bounds = buckets.slice(0, -1).map(({ labels }) => Number(labels.get('le')));
          expect(bounds).toEqual(bounds.toSorted((a, b) => a - b));
          expect(buckets.map(({ value }) => value)).toEqual(
            buckets.map(({ value }) => value).toSorted((a, b) => a - b),
          );
          expect(of('_sum')).toBeGreaterThanOrEqual(0);
        }
      }
    } finally {
      await bed.close();
    }
  });

  it('M02 escapes what a label value may not hold', async () => {
    const metrics = new Metrics(build);
    metrics.gauges({
      bundle: () => ({ name: 'starter', revision: 'a"b\\c\nd} 1\nevil_total 9', ageS: 0 }),
      storeEntries: () => ({}),
      grantsActive: () => 0,
      journalPendingBytes: () => 0,
      inFlight: () => 0,
      outsideWaiting: () => 0,
      logLinesDropped: () => 0,
    });
    const { series } = parsed(await metrics.registry.metrics());
    expect(series.some(({ name }) => name === 'evil_total')).toBe(false);
    expect(series.find(({ name }) => name === 'postern_bundle_info')?.labels.get('revision')).toBe(
      'a\\"b\\\\c\\nd} 1\\nevil_total 9',
    );
  });

  it('has nothing of a bundle that is not there', async () => {
    const metrics = new Metrics(build);
    metrics.gauges({
      bundle: () => undefined,
      storeEntries: () => ({}),
      grantsActive: () => 0,
      journalPendingBytes: () => 0,
      inFlight: () => 0,
      outsideWaiting: () => 0,
      logLinesDropped: () => 0,
    });
    expect(
      parsed(await metrics.registry.metrics()).series.filter(({ name }) => /^postern_bundle_(?!.*_total$)/.test(name)),
    ).toEqual([]);
  });
});

describe('a counter whose labels are known beforehand', () => {
  it('is there before its first event, which then shows as an increase', async () => {
    const metrics = new Metrics(build);
    metrics.bundles(['authz', 'next']);
    const { series } = parsed(await metrics.registry.metrics());
    const values = (name: string, label: string): readonly (string | undefined)[] => {
      const found = series.filter((one) => one.name === name);
      for (const { value } of found) expect(value).toBe(0);
      return found.map(({ labels }) => labels.get(label)).sort();
    };
    expect(values('postern_bundle_activations_total', 'result')).toEqual(['activated', 'refused']);
    expect(values('postern_bundle_requests_total', 'bundle')).toEqual(
      ['authz', 'next'].flatMap((one) => [one, one, one]),
    );
    expect(values('postern_bundle_keep_failures_total', 'bundle')).toEqual(['authz', 'next']);
    expect(values('postern_attestations_received_total', 'result')).toEqual(['kept', 'refused']);
    expect(values('postern_shadow_comparisons_total', 'result')).toEqual(['dropped', 'failed', 'flip', 'same']);
    expect(values('postern_journal_events_screened_total', 'result')).toHaveLength(4);
    expect(values('postern_outside_questions_total', 'result')).toHaveLength(6);
    expect(values('postern_undecided_total', 'code')).toEqual(Object.keys(remedies).sort());
    expect(values('postern_rejected_total', 'why')).toEqual([...refusalCodes].sort());
  });

  it('counts lines of the log as the log does, however often it is asked', async () => {
    const metrics = new Metrics(build);
    let lines = 0;
    metrics.gauges({
      bundle: () => undefined,
      storeEntries: () => ({}),
      grantsActive: () => 0,
      journalPendingBytes: () => 0,
      inFlight: () => 0,
      outsideWaiting: () => 0,
      logLinesDropped: () => lines,
    });
    for (lines of [0, 3, 3, 7]) {
      const { types, series } = parsed(await metrics.registry.metrics());
      expect(types.get('postern_log_lines_dropped_total')).toBe('counter');
      expect(series.filter(({ name }) => name === 'postern_log_lines_dropped_total')).toMatchObject([{ value: lines }]);
    }
  });
});

describe('M01 the number of series', () => {
  it('M01 does not grow with what policies say', async () => {
    const metrics = new Metrics(build);
    metrics.catalogue({ policies: new Map([['known', ['asked_for']]]) });
    metrics.decided(denied('known', 'asked_for', 'invented'), facts({ device: 1 }), 0.001);
    metrics.decided(denied('invented', 'invented'), facts({ device: 1 }), 0.001);
    const before = parsed(await metrics.registry.metrics()).series.length;
    for (let index = 0; index < 100_000; index += 1) {
      metrics.decided(denied(`policy-${index}`, `code-${index}`), facts({ device: index }), index / 1_000);
      metrics.decided(denied('known', `code-${index}`), undefined, 0);
    }
    const { series } = parsed(await metrics.registry.metrics());
    expect(series.length).toBe(before);
    const text = await metrics.registry.metrics();
    expect(sumIn(text, 'postern_decisions_total', { policy: 'other', effect: 'deny' })).toBe(100_001);
    expect(sumIn(text, 'postern_unmet_requirements_total', { policy: 'known', requirement: 'other' })).toBe(100_001);
    expect(sumIn(text, 'postern_unmet_requirements_total', { policy: 'known', requirement: 'asked_for' })).toBe(1);
  });

  it('M01 does not grow with what callers send', async () => {
    const bed = await Testbed.open();
    try {
      const ask = async (index: number): Promise<void> => {
        await bed.ask(asked({ subject: { type: `t-${index}`, id: `s-${index}` } }));
        await bed.ask(asked({ action: { name: `a-${index}` }, resource: { type: `t-${index}`, id: `r-${index}` } }), {
          requestId: `q-${index}`,
          remote: `10.0.0.1:${index}`,
        });
        await bed.ask('{}', { surface: 'opa', entrypoint: `path/${index}` });
        await bed.ask(`{"member-${index}":`);
      };
      await ask(0);
      const before = parsed(await bed.exposition()).series.length;
      for (let index = 1; index < 1_000; index += 1) await ask(index);
      expect(parsed(await bed.exposition()).series.length).toBe(before);
    } finally {
      await bed.close();
    }
  }, 30_000);
});

describe('what is counted', () => {
  let metrics: Metrics;
  let text: () => Promise<string>;

  beforeEach(() => {
    metrics = new Metrics(build);
    text = () => metrics.registry.metrics();
  });

  afterEach(() => metrics.registry.clear());

  it('is a decision, by policy and effect', async () => {
    metrics.catalogue({ policies: new Map([['known', []]]) });
    metrics.decided({ ...denied('known'), kind: 'allow' } as Decision, undefined, 0);
    metrics.decided(denied('known'), undefined, 0);
    metrics.decided(denied(undefined), undefined, 0);
    metrics.decided({ kind: 'queried', revision: bundleRevision('r'), resultText: '1' }, undefined, 0);
    metrics.decided({ kind: 'undecided', revision: undefined, error: new Undecided('no_bundle', '') }, undefined, 0);
    const exposition = await text();
    expect(sumIn(exposition, 'postern_decisions_total', { policy: 'known', effect: 'allow' })).toBe(1);
    expect(sumIn(exposition, 'postern_decisions_total', { policy: 'known', effect: 'deny' })).toBe(1);
    expect(sumIn(exposition, 'postern_decisions_total', { policy: 'other', effect: 'deny' })).toBe(2);
    expect(sumIn(exposition, 'postern_decisions_total', { policy: 'other', effect: 'query' })).toBe(1);
    expect(sumIn(exposition, 'postern_decisions_total')).toBe(5);
    expect(sumIn(exposition, 'postern_undecided_total', { code: 'no_bundle' })).toBe(1);
    expect(sumIn(exposition, 'postern_decision_duration_seconds_count')).toBe(5);
  });

  it('is an unmet requirement, a bundle’s or a code of ours', async () => {
    metrics.catalogue({ policies: new Map([['known', ['device_fresh']]]) });
    metrics.decided(denied('known', 'device_fresh', 'subject_not_caller', 'toString'), undefined, 0);
    metrics.decided(denied(undefined, 'no_policy_applies'), undefined, 0);
    const exposition = await text();
    for (const [policy, requirement] of [
      ['known', 'device_fresh'],
      ['known', 'subject_not_caller'],
      ['known', 'other'],
      ['other', 'no_policy_applies'],
    ] as const) {
      expect(sumIn(exposition, 'postern_unmet_requirements_total', { policy, requirement })).toBe(1);
    }
  });

  it('is what a decision knew, by its age, and a report from the future has none', async () => {
    metrics.decided(denied(undefined), facts({ device: 10, trust: 100, workload: -5 }), 0);
    metrics.decided(denied(undefined), facts({}), 0);
    const exposition = await text();
    expect(sumIn(exposition, 'postern_signal_age_seconds_sum', { kind: 'device' })).toBe(10);
    expect(sumIn(exposition, 'postern_signal_age_seconds_sum', { kind: 'trust' })).toBe(100);
    expect(sumIn(exposition, 'postern_signal_age_seconds_sum', { kind: 'workload' })).toBe(0);
    expect(sumIn(exposition, 'postern_signal_age_seconds_count')).toBe(3);
  });
});

describe('a tally', () => {
  it('of a histogram says what prom-client’s own says', async () => {
    const value = fc.oneof(fc.constantFrom(...durationBuckets), fc.double({ min: 0, max: 2, noNaN: true }));
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom('allow', 'deny'), value), { minLength: 1, maxLength: 50 }),
        async (observed) => {
          const [ours, theirs] = [new Registry(), new Registry()];
          const described = { name: 'h_seconds', help: 'h', labelNames: ['effect'] };
          const tally = new HistogramTally(described, durationBuckets, ours);
          const histogram = new Histogram({ ...described, buckets: durationBuckets, registers: [theirs] });
          for (const [effect, seconds] of observed) {
            tally.row(effect).observe(seconds);
            histogram.labels(effect).observe(seconds);
          }
          const lines = async (registry: Registry): Promise<readonly string[]> =>
            (await registry.metrics()).split('\n').sort();
          expect(await lines(ours)).toEqual(await lines(theirs));
        },
      ),
      { numRuns: 100 },
    );
  });

  it('of a counter adds up, and says the same however often it is asked', async () => {
    const registry = new Registry();
    const tally = new CounterTally({ name: 'c_total', help: 'c', labelNames: ['a', 'b'] }, registry);
    tally.add('x', 'y');
    tally.add('x', 'y');
    tally.add('x', 'z');
    const first = await registry.metrics();
    expect(first).toContain('c_total{a="x",b="y"} 2');
    expect(first).toContain('c_total{a="x",b="z"} 1');
    expect(await registry.metrics()).toBe(first);
  });
});
