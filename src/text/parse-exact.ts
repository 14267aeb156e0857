import type { JsonValue } from '../domain/json-value.ts';
import { compareDecimals } from './decimal.ts';

/** A number with enough digits, or an exponent, to be another one as a double. Strings may match too: it only asks for a closer look. */
const inexactPerhaps = /\d(?:[eE]|[\d.]{15})/;

/**
 * JSON.parse, except that it changes no number: one that a double does not hold to the last digit is refused instead of
 * rounded (9007199254740993, 1e400).
 *
 * @throws SyntaxError for text that is not JSON, RangeError for such a number
 */
export function parseExact(text: string): JsonValue {
  return (inexactPerhaps.test(text) ? JSON.parse(text, exact) : JSON.parse(text)) as JsonValue;
}

/** The reviver's third argument, which the types do not know yet: ECMAScript, "JSON.parse source text access". */
function exact(this: unknown, _name: string, value: JsonValue, context?: { readonly source?: string }): JsonValue {
  if (typeof value !== 'number') return value;
  if (!Number.isFinite(value) || compareDecimals(context?.source ?? '', String(value)) !== 0) {
    throw new RangeError('a number with more digits than can be kept');
  }
  return value;
}
