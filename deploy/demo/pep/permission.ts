import type { Answer } from './answer.ts';

/** Reads the value of one constraint; `undefined`: not a value that this enforcement point can carry out. */
export type Reader<T> = (value: unknown) => T | undefined;

/** What an enforcement point is able to carry out, by the constraint's key. */
export type Able<C> = { readonly [K in keyof C]-?: Reader<NonNullable<C[K]>> };

export type Permission<C> =
  | { readonly permitted: true; readonly constraints: Partial<C> }
  | { readonly permitted: false; readonly because: string };

/**
 * What the answer lets this enforcement point do. A constraint or an obligation that it does not know, or whose value it
 * cannot carry out, makes the answer a deny: doing the rest of it would be doing something else than was permitted.
 */
export function permission<C extends object>(
  answer: Answer,
  able: Able<C>,
  obligations: readonly string[] = [],
): Permission<C> {
  if (!answer.permits) {
    return { permitted: false, because: `${answer.effect}: ${answer.reasons.map(({ code }) => code).join(', ')}` };
  }
  for (const { type } of answer.obligations) {
    // `constrain` says again, in the words of AuthZEN's profile, what `constraints` says.
    if (type !== 'constrain' && !obligations.includes(type)) {
      return { permitted: false, because: `cannot carry out the obligation ${type}` };
    }
  }
  if (answer.effect === 'constrain' && Object.keys(answer.constraints).length === 0) {
    return { permitted: false, because: 'a constraint is due and none is named' };
  }
  const constraints: Partial<C> = {};
  for (const [key, value] of Object.entries(answer.constraints)) {
    const read = Object.hasOwn(able, key) ? able[key as keyof C] : undefined;
    const carried = read?.(value);
    if (carried === undefined) return { permitted: false, because: `cannot carry out the constraint ${key}` };
    constraints[key as keyof C] = carried;
  }
  return { permitted: true, constraints };
}

/** A limit that limits: a whole number from 1. */
export function limit(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 ? value : undefined;
}

/** `true` alone; a `false` would ask for less than nothing, and who writes it means something that is not understood. */
export function isTrue(value: unknown): true | undefined {
  return value === true ? true : undefined;
}
