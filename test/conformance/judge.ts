import { readValue } from '../../src/opa/values/read-value.ts';
import { compareValues, equalValues, RegoObject, RegoSet, type Value } from '../../src/opa/values/value.ts';
import { writeJson } from '../../src/opa/values/write-value.ts';

/** One case as the compiler hands it over. */
export interface Case {
  readonly file: string;
  readonly note: string;
  readonly compile_error?: string;
  readonly data?: string;
  readonly input?: string;
  readonly want_defined?: boolean;
  readonly want_result: readonly string[] | null;
  readonly has_result: boolean;
  readonly want_error: boolean;
  readonly strict_error?: boolean;
  readonly sort_bindings?: boolean;
  readonly error_code?: string;
}

export type Outcome = { readonly result: string } | { readonly error: Error };

/**
 * What OPA's own end-to-end test of its WebAssembly engine asserts (internal/wasm/sdk/test/e2e).
 *
 * @returns undefined if the outcome is the one wanted, else what is wrong
 */
export function judge(wanted: Case, outcome: Outcome): string | undefined {
  if (wanted.want_defined !== undefined) {
    if ('error' in outcome) return `failed: ${outcome.error.message}`;
    const defined = outcome.result !== 'set()';
    return defined === wanted.want_defined ? undefined : `defined: ${defined}`;
  }
  if (wanted.has_result) {
    if ('error' in outcome) return `failed: ${outcome.error.message}`;
    return compareRows(wanted.want_result ?? [], outcome.result, wanted.sort_bindings === true);
  }
  if (!wanted.want_error) return undefined;
  // The module cannot be strict about builtin errors: where an error shows only then, undefined is right.
  if (wanted.strict_error === true) {
    if ('error' in outcome) return `failed: ${outcome.error.message}`;
    return compareRows([], outcome.result, false);
  }
  if (!('error' in outcome)) return `wanted ${wanted.error_code}, got ${outcome.result}`;
  const contradiction = /var assignment conflict|object insert conflict/.test(outcome.error.message);
  return wanted.error_code === 'eval_conflict_error' && contradiction
    ? undefined
    : `wanted ${wanted.error_code}, failed otherwise: ${outcome.error.message}`;
}

function compareRows(wanted: readonly string[], result: string, sortBindings: boolean): string | undefined {
  const expected = new RegoSet(wanted.map((one) => readValue(one)));
  const rows = readValue(result);
  if (!(rows instanceof RegoSet)) return `no set of rows: ${result}`;
  const got = new RegoSet();
  for (const row of rows.values()) {
    // Through JSON and back, so that sets are arrays.
    const plain = readValue(writeJson(row));
    if (!(plain instanceof RegoObject)) return `no row: ${result}`;
    const bindings = Array.from(plain.entries(), ([name, value]): [Value, Value] => [
      name,
      sortBindings && Array.isArray(value) ? value.toSorted(compareValues) : value,
    ]);
    got.add(new RegoObject(bindings));
  }
  return equalValues(expected, got) ? undefined : `wanted ${writeJson(expected)}, got ${writeJson(got)}`;
}
