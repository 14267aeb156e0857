// Tested by test/telemetry/metrics.test.ts.
import { Counter, Histogram, type Registry } from 'prom-client';

export interface Described {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
}

/**
 * A histogram whose observations are two additions into a typed array. prom-client hashes the labels at every
 * observation, which costs some thirty times as much (bench/fast-histogram.ts), and a decision makes several. Here the
 * labels are resolved once, and prom-client only writes the exposition.
 */
export class HistogramTally extends Histogram {
  readonly #bounds: Float64Array;
  readonly #rows = new Map<string, HistogramRow>();
  readonly #label: string;

  constructor(described: Described, bounds: readonly number[], registry: Registry) {
    super({ ...described, labelNames: [...described.labelNames], buckets: [...bounds], registers: [registry] });
    this.#bounds = Float64Array.from(bounds);
    this.#label = described.labelNames[0] ?? '';
  }

  row(labelValue: string): HistogramRow {
    const before = this.#rows.get(labelValue);
    if (before !== undefined) return before;
    const made = new HistogramRow(this.#bounds);
    this.#rows.set(labelValue, made);
    return made;
  }

  /** The values that prom-client writes to the exposition: cumulative buckets, then sum and count. */
  async getForPromString(): Promise<object> {
    const { name, help } = this as unknown as Described;
    const values = [...this.#rows].flatMap(([labelValue, row]) => {
      const labels = { [this.#label]: labelValue };
      let count = 0;
      const buckets = Array.from(this.#bounds, (le, index) => {
        count += row.counts[index] ?? 0;
        return { metricName: `${name}_bucket`, labels: { le, ...labels }, sharedLabels: {}, value: count };
      });
      count += row.counts[this.#bounds.length] ?? 0;
      return [
        ...buckets,
        { metricName: `${name}_bucket`, labels: { le: '+Inf', ...labels }, sharedLabels: {}, value: count },
        { metricName: `${name}_sum`, labels, sharedLabels: {}, value: row.sum },
        { metricName: `${name}_count`, labels, sharedLabels: {}, value: count },
      ];
    });
    return { name, help, type: 'histogram', values, aggregator: 'sum' };
  }
}

export class HistogramRow {
  readonly counts: Float64Array;
  sum = 0;
  readonly #bounds: Float64Array;

  constructor(bounds: Float64Array) {
    this.#bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const bounds = this.#bounds;
    let index = 0;
    while (index < bounds.length && value > (bounds[index] ?? 0)) index += 1;
    this.counts[index] = (this.counts[index] ?? 0) + 1;
    this.sum += value;
  }
}

/** A counter of one or two labels, counted the same way. */
export class CounterTally {
  readonly #rows = new Map<string, Map<string, { value: number }>>();

  constructor(described: Described, registry: Registry) {
    const [first, second] = described.labelNames;
    const rows = this.#rows;
    new Counter({
      ...described,
      labelNames: [...described.labelNames],
      registers: [registry],
      collect() {
        this.reset();
        for (const [a, inner] of rows) {
          for (const [b, { value }] of inner) {
            this.inc(
              { ...(first !== undefined && { [first]: a }), ...(second !== undefined && { [second]: b }) },
              value,
            );
          }
        }
      },
    });
  }

  add(a = '', b = '', count = 1): void {
    let inner = this.#rows.get(a);
    if (inner === undefined) {
      inner = new Map();
      this.#rows.set(a, inner);
    }
    const row = inner.get(b);
    if (row === undefined) inner.set(b, { value: count });
    else row.value += count;
  }
}
