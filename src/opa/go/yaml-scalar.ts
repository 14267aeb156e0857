// Tested by test/opa/go/yaml-as-opa.test.ts.
/** Plain scalars as go-yaml resolves them. */
export type YamlScalar =
  | { readonly tag: 'null' }
  | { readonly tag: 'bool'; readonly value: boolean }
  | { readonly tag: 'int'; readonly value: bigint }
  | { readonly tag: 'float'; readonly value: number }
  | { readonly tag: 'timestamp' | 'str' };

const words: ReadonlyMap<string, YamlScalar> = new Map<string, YamlScalar>([
  ...['', '~', 'null', 'Null', 'NULL'].map((word) => [word, { tag: 'null' }] as const),
  ...['true', 'True', 'TRUE'].map((word) => [word, { tag: 'bool', value: true }] as const),
  ...['false', 'False', 'FALSE'].map((word) => [word, { tag: 'bool', value: false }] as const),
  ...['.nan', '.NaN', '.NAN'].map((word) => [word, { tag: 'float', value: Number.NaN }] as const),
  ...['.inf', '.Inf', '.INF', '+.inf', '+.Inf', '+.INF'].map(
    (word) => [word, { tag: 'float', value: Infinity }] as const,
  ),
  ...['-.inf', '-.Inf', '-.INF'].map((word) => [word, { tag: 'float', value: -Infinity }] as const),
]);

/**
 * go-yaml's `resolve` of an untagged plain scalar: YAML 1.2's core schema, with 1.1's octals and timestamps.
 *
 * @see go.yaml.in/yaml/v3, resolve.go
 */
export function resolveScalar(text: string): YamlScalar {
  const word = words.get(text);
  if (word !== undefined) return word;
  if (/^\./.test(text)) {
    const float = /^\.\d+(?:_\d+)*(?:[eE][+-]?\d+(?:_\d+)*)?$/.test(text);
    return float ? floatOf(text.replaceAll('_', '')) : { tag: 'str' };
  }
  if (!/^[-+\d]/.test(text)) return { tag: 'str' };
  if (isTimestamp(text)) return { tag: 'timestamp' };
  const plain = text.replaceAll('_', '');
  const integer = integerOf(plain);
  if (integer !== undefined) return { tag: 'int', value: integer };
  return /^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/.test(plain) ? floatOf(plain) : { tag: 'str' };
}

function floatOf(text: string): YamlScalar {
  const value = Number(text);
  return Number.isFinite(value) ? { tag: 'float', value } : { tag: 'str' };
}

function integerOf(text: string): bigint | undefined {
  const match = /^([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9]\d*))$/.exec(text);
  if (match === null) return undefined;
  const [, sign, hex, binary, octal, decimal] = match;
  const magnitude = BigInt(
    hex !== undefined
      ? `0x${hex}`
      : binary !== undefined
        ? `0b${binary}`
        : octal !== undefined
          ? `0o${octal}`
          : (decimal ?? '0'),
  );
  if (sign === '-') return magnitude <= 1n << 63n ? -magnitude : undefined;
  return magnitude < (sign === '+' ? 1n << 63n : 1n << 64n) ? magnitude : undefined;
}

function isTimestamp(text: string): boolean {
  const match =
    /^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:([Tt])| )(\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,]\d+)?(Z|[+-]\d{2}:\d{2})?)?$/.exec(
      text,
    );
  if (match === null) return false;
  const [, year, month, day, separator, hour, minute, second, zone] = match;
  if (hour !== undefined && (separator === undefined) !== (zone === undefined)) return false;
  const days = new Date(Date.UTC(2000 + (Number(year) % 400), Number(month), 0)).getUTCDate();
  return (
    Number(month) >= 1 &&
    Number(month) <= 12 &&
    Number(day) >= 1 &&
    Number(day) <= days &&
    Number(hour ?? 0) < 24 &&
    Number(minute ?? 0) < 60 &&
    Number(second ?? 0) < 60
  );
}

/** A stream that go-yaml does not read, or that holds what JSON has not. */
export class YamlError extends Error {}

/** @throws YamlError for the characters that go-yaml's reader refuses */
export function refuseControls(text: string): void {
  if (/[^\t\n\r\x20-\x7e\u0085\u00a0-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/u.test(text)) {
    throw new YamlError('control characters are not allowed');
  }
}
