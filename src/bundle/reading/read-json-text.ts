// Tested by test/bundle/reading/read-yaml-text.long.test.ts.
import { BundleRefused, SidecarError } from '../../domain/errors.ts';
import type { JsonValue } from '../../domain/json-value.ts';
import { scanJson } from '../../text/scan-json.ts';

/** Deeper data than this no policy walks; the module's own parser runs out of stack some thousand levels further down. */
const depthMax = 256;
/** No module could take more: they would not fit in two gibibytes (policy-image.ts). */
const valuesMax = 16_000_000;
/** A manifest of ten thousand files, samples or signed names has room in it. */
const readWholeBytesMax = 4_194_304;

/**
 * The value of a document that says how a bundle is to be taken. An object of some eight million members ends the process
 * while V8 parses it, whatever limits the thread has; what is longer than any of these needs to be is not parsed.
 *
 * @param name of the file, for the message
 * @throws BundleRefused
 */
export function jsonValueOf(bytes: Uint8Array, name: string): { readonly text: string; readonly value: JsonValue } {
  if (bytes.length > readWholeBytesMax)
    throw new BundleRefused(`${name} has ${bytes.length} bytes; at most ${readWholeBytesMax} are read`);
  const text = jsonTextOf(bytes, name);
  return { text, value: JSON.parse(text) as JsonValue };
}

/**
 * Bytes to JSON text that has one reading: UTF-8, RFC 8259, no member twice, no number outside of a double's range.
 *
 * @param name of the file, for the message
 * @throws BundleRefused
 */
export function jsonTextOf(bytes: Uint8Array, name: string): string {
  requireFewValues(bytes, name);
  const text = utf8TextOf(bytes, name);
  requireJson(text, name);
  return text;
}

/**
 * Before any list of them is made: an array that grows too long ends the process, too. Commas in strings count, as they do
 * where the data is loaded.
 */
function requireFewValues(bytes: Uint8Array, name: string): void {
  let commas = 0;
  // By index: of 44 MB an iterator would take half a second more (bench/large-data.ts).
  for (let at = 0; at < bytes.length; at += 1) if (bytes[at] === 0x2c) commas += 1;
  if (commas >= valuesMax)
    throw new BundleRefused(`${name} has more than ${valuesMax} values, too many for any policy`);
}

/** @throws BundleRefused rather than to read two names as one that holds U+FFFD */
export function utf8TextOf(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new BundleRefused(`${name} is no UTF-8`, { cause });
  }
}

/** @throws BundleRefused as `jsonTextOf` */
export function requireJson(text: string, name: string): void {
  try {
    scanJson(text, { depthMax, notedDepth: 0 });
  } catch (cause) {
    // The public text says what is wrong of a request's body; here the same is wrong with a file.
    if (cause instanceof SidecarError)
      throw new BundleRefused(`${name}: ${cause.publicMessage.replace(/^the body/, 'the file')}`, { cause });
    throw cause;
  }
}
