import type { EpochMs } from '../domain/time.ts';

/**
 * What builtins that answer differently from call to call rest on, fixed for one decision: the same clock reading and
 * seed give the same answers again.
 */
export interface Nondeterminism {
  readonly now: EpochMs;
  /** Not to be foreseen by who asks: what is drawn at random follows from it. The decision's own id will do. */
  readonly seed: string;
  /** Filled by the evaluation: by builtin, and by its operands as JSON text, the result as JSON text. */
  drawn?: Map<string, Map<string, string>>;
}

/** @returns OPA's `nd_builtin_cache` as JSON text, or undefined where nothing was drawn */
export function ndBuiltinCacheText({ drawn }: Nondeterminism): string | undefined {
  if (drawn === undefined) return undefined;
  const builtins = Array.from(drawn, ([name, results]) => {
    const members = Array.from(results, ([operands, result]) => `${JSON.stringify(operands)}:${result}`);
    return `${JSON.stringify(name)}:{${members.join(',')}}`;
  });
  return `{${builtins.join(',')}}`;
}
