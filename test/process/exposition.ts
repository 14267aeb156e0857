/** A line of Prometheus' text format that is a sample, and nothing else may be one. */
const sample = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (\S+)$/;

/** Prometheus reads its own special values in any case; the client library writes "Nan". */
const number = /^(?:[+-]?(?:\d+(?:\.\d+)?(?:e[+-]?\d+)?|inf)|nan)$/i;

export interface Sample {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** @throws if any line is none that Prometheus would read */
export function samples(text: string): readonly Sample[] {
  return text
    .split('\n')
    .filter((line) => line !== '' && !/^# (HELP|TYPE) /.test(line))
    .map((line) => {
      const [, name = '', labels = '', value = ''] = sample.exec(line) ?? [];
      if (name === '' || !number.test(value)) throw new Error(`no sample: ${line}`);
      const pairs = [...labels.matchAll(/([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"/g)].map(([, label, said]) => [label, said]);
      return { name, labels: Object.fromEntries(pairs), value: Number(value) };
    });
}

/** Of all series of that name whose labels include these. */
export function sum(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  return samples(text)
    .filter((one) => one.name === name)
    .filter((one) => Object.entries(labels).every(([label, value]) => one.labels[label] === value))
    .reduce((total, { value }) => total + value, 0);
}

/** A series is its name and labels; values move. */
export function series(text: string): ReadonlySet<string> {
  return new Set(samples(text).map(({ name, labels }) => `${name}${JSON.stringify(labels)}`));
}
