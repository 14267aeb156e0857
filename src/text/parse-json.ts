// Tested by test/control/control.test.ts.
import { RequestRefused } from '../domain/errors.ts';
import type { JsonValue } from '../domain/json-value.ts';
import { decodeUtf8 } from './decode-utf8.ts';
import { parseExact } from './parse-exact.ts';
import { type JsonLimits, scanJson } from './scan-json.ts';

/**
 * The strict reading of a body as values, for the ways in that need values: the control listener's. What it gives may be
 * kept and shown, so no number is another one than was sent.
 *
 * @throws RequestRefused 400 with the code of what is wrong
 */
export function parseJson(body: Uint8Array, limits: JsonLimits): JsonValue {
  const text = soundText(body, limits);
  try {
    return parseExact(text);
  } catch (cause) {
    if (cause instanceof RangeError) throw new RequestRefused('number_out_of_range', 400);
    throw cause;
  }
}

/** The same for a signed document whose numbers are not read: it may contain any number. */
export function parseJsonRounding(body: Uint8Array, limits: JsonLimits): JsonValue {
  return JSON.parse(soundText(body, limits)) as JsonValue;
}

function soundText(body: Uint8Array, limits: JsonLimits): string {
  const text = decodeUtf8(body);
  scanJson(text, limits);
  return text;
}
