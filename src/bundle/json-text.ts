import { BundleRefused, SidecarError } from '../domain/errors.ts';
import { scanJson } from '../domain/scan-json.ts';

/** Deeper data than this no policy walks; the module's own parser runs out of stack some thousand levels further down. */
const depthMax = 256;

/**
 * Bytes to JSON text that has one reading: UTF-8, RFC 8259, no member twice, no number outside of a double's range.
 *
 * @param name of the file, for the message
 * @throws BundleRefused
 */
export function jsonTextOf(bytes: Uint8Array, name: string): string {
  const text = utf8TextOf(bytes, name);
  requireJson(text, name);
  return text;
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
