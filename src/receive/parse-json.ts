import type { JsonValue } from '../domain/json.ts';
import { type JsonLimits, scanJson } from '../domain/scan-json.ts';
import { decodeUtf8 } from './decode-utf8.ts';

/** The strict reading of a body as values, for the ways in that need values: the control listener's. */
export function parseJson(body: Uint8Array, limits: JsonLimits): JsonValue {
  const text = decodeUtf8(body);
  scanJson(text, limits);
  return JSON.parse(text) as JsonValue;
}
