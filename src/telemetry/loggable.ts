// Tested by test/telemetry/log.test.ts.
import { isNativeError } from 'node:util/types';
import type { JsonObject, JsonValue } from '../domain/json-value.ts';

/** One line is for one event; what is larger than this belongs elsewhere, and would only push out what matters. */
const bounds = { depth: 6, members: 64, textUnits: 4096, lineUnits: 32_768, causes: 5 } as const;

/** Names under which secrets travel, with camelCase and `-` read as `_`: `accessToken`, `Set-Cookie`, `x_api_key`. */
const secretName =
  /(^|_)(authorization|tokens?|cookies?|passwords?|passwd|passphrase|secrets?|api_?keys?|private_?keys?|bearer|assertion|dpop)$/;

/** Secrets that are recognised by their form, in any text. */
const secretTexts: readonly (readonly [looks: RegExp, replacement: string])[] = [
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|$)/g, '[redacted key]'],
  [/\beyJ[\w-]{8,}\.[\w-]{2,}(?:\.[\w-]*)?/g, '[redacted token]'],
  [/\b(bearer|basic|dpop) {1,4}[\w.~+/=-]{16,}/gi, '$1 [redacted]'],
  // The scheme is bounded so that a long run of letters is not searched again from each of them.
  [/\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/@]{1,512}@/gi, '$1[redacted]@'],
];

export function redactText(text: string): string {
  // Cut twice: the first keeps the search short, and a secret that it cuts in two lies past the second.
  const near = text.slice(0, 2 * bounds.textUnits);
  const clean = secretTexts.reduce((rest, [looks, replacement]) => rest.replace(looks, replacement), near);
  return text.length <= bounds.textUnits ? clean : `${clean.slice(0, bounds.textUnits)}… (${text.length} in all)`;
}

/** One line on its way to plain JSON. */
interface Walk {
  /** Whether errors show where they come from. */
  readonly stacks: boolean;
  readonly above: Set<object>;
  /** Characters left for the line: many short members are as long as one long text. */
  unitsLeft: number;
}

/** Turns fields of a log line into plain JSON: bounded, without secrets, errors told apart. */
export function loggableFields(fields: Readonly<Record<string, unknown>>, stacks: boolean): JsonObject {
  return membersOf(fields, 0, { stacks, above: new Set([fields]), unitsLeft: bounds.lineUnits });
}

function membersOf(object: object, depth: number, walk: Walk): JsonObject {
  const names = Object.keys(object);
  // Without a prototype `__proto__` is a name like any other.
  const result: Record<string, JsonValue> = Object.create(null);
  for (const name of names.slice(0, bounds.members)) {
    const value: unknown = Reflect.get(object, name);
    if (value === undefined) continue;
    result[redacted(name, walk)] = isSecret(name) ? '[redacted]' : loggable(value, depth + 1, walk);
  }
  if (names.length > bounds.members) result['…'] = `${names.length - bounds.members} more`;
  return result;
}

function redacted(text: string, walk: Walk): string {
  const clean = redactText(text);
  walk.unitsLeft -= clean.length;
  return clean;
}

function isSecret(name: string): boolean {
  return secretName.test(
    name
      .slice(0, 256)
      .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
      .replaceAll('-', '_')
      .toLowerCase(),
  );
}

function loggable(value: unknown, depth: number, walk: Walk): JsonValue {
  walk.unitsLeft -= 8;
  if (walk.unitsLeft <= 0) return '[more]';
  switch (typeof value) {
    case 'string':
      return redacted(value, walk);
    case 'number':
      // JSON has no NaN and no Infinity; null would look like a number that was never there.
      return Number.isFinite(value) ? value : String(value);
    case 'boolean':
      return value;
    case 'object':
      return value === null ? null : loggableObject(value, depth, walk);
    case 'function':
      return '[function]';
    default:
      return String(value).slice(0, bounds.textUnits);
  }
}

function loggableObject(value: object, depth: number, walk: Walk): JsonValue {
  if (walk.above.has(value)) return '[circular]';
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (isNativeError(value)) return loggableError(value, bounds.causes, walk);
  if (depth > bounds.depth) return '[deeper]';
  walk.above.add(value);
  try {
    if (value instanceof Map) return membersOf(Object.fromEntries(value), depth, walk);
    const items = Array.isArray(value) ? value : value instanceof Set ? [...value] : undefined;
    if (items === undefined) return membersOf(value, depth, walk);
    const shown = items.slice(0, bounds.members).map((item: unknown) => loggable(item, depth + 1, walk));
    return items.length > bounds.members ? [...shown, `… ${items.length - bounds.members} more`] : shown;
  } finally {
    walk.above.delete(value);
  }
}

/** An error as far as it is known to be safe: members that a library hangs on its errors may hold whole requests. */
function loggableError(error: Error, causesLeft: number, walk: Walk): JsonObject {
  const { name, message, stack, cause } = error;
  const errors: readonly unknown[] | undefined = error instanceof AggregateError ? error.errors : undefined;
  return {
    name: redacted(name, walk),
    message: redacted(message, walk),
    ...systemMembers(error, walk),
    ...(walk.stacks && stack !== undefined ? { stack: redacted(stack, walk) } : {}),
    ...(errors === undefined || causesLeft === 0
      ? {}
      : { errors: errors.slice(0, 8).map((each) => causeOf(each, causesLeft - 1, walk)) }),
    ...(cause === undefined ? {} : { cause: causesLeft === 0 ? '[deeper]' : causeOf(cause, causesLeft - 1, walk) }),
  };
}

/** Node's members of a failed system call's error, and the code that Node's errors and ours have. */
function systemMembers(error: object, walk: Walk): JsonObject {
  const members = ['code', 'syscall', 'path'].flatMap((member) => {
    const value: unknown = Reflect.get(error, member);
    return typeof value === 'string' || typeof value === 'number' ? [[member, loggable(value, 1, walk)] as const] : [];
  });
  return Object.fromEntries(members);
}

function causeOf(cause: unknown, causesLeft: number, walk: Walk): JsonValue {
  return isNativeError(cause) ? loggableError(cause, causesLeft, walk) : loggable(cause, 1, walk);
}
