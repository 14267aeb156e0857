/** Claim (src/telemetry/fast-histogram.ts): counting in typed arrays costs a fraction of prom-client's labelled observation. */
import { Counter, Histogram, Registry } from 'prom-client';
import { CounterTally, HistogramTally } from '../src/telemetry/fast-histogram.ts';
import { durationBuckets, metric } from '../src/telemetry/metric-names.ts';
import { compare } from './support/measure.ts';

const row = new HistogramTally(metric.stageDuration, durationBuckets, new Registry()).row('evaluate');
const tally = new CounterTally(metric.decisions, new Registry());
const histogram = new Histogram({
  ...metric.stageDuration,
  labelNames: ['stage'],
  buckets: [...durationBuckets],
  registers: [new Registry()],
});
const counter = new Counter({ ...metric.decisions, labelNames: ['policy', 'effect'], registers: [new Registry()] });

compare('one histogram observation', {
  tally: () => row.observe(0.000_02),
  'prom-client': () => histogram.observe({ stage: 'evaluate' }, 0.000_02),
});
compare('one counter step', {
  tally: () => tally.add('database_access', 'constrain'),
  'prom-client': () => counter.inc({ policy: 'database_access', effect: 'constrain' }),
});
