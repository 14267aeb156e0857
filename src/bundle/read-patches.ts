import { BundleRefused } from '../domain/errors.ts';
import { isJsonObject, type JsonValue, member } from '../domain/json.ts';
import { itemsOf, membersOf } from '../domain/json-text.ts';
import { jsonTextOf } from './json-text.ts';
import { isBelow, type Root, shownPath } from './roots.ts';

/** One step of a delta bundle. Steps are taken in order; each sees what the one before has done. */
export interface Patch {
  readonly op: 'upsert' | 'replace' | 'remove';
  readonly path: readonly string[];
  /** JSON, as it is written; empty for `remove`. */
  readonly valueText: string;
}

export const patchFile = 'patch.json';
const patchesMax = 100_000;

/**
 * The `patch.json` of a delta bundle.
 *
 * @param roots what the bundle that is patched may hold
 * @throws BundleRefused for an empty list too: OPA takes that for "remove all data"
 * @see OPA documentation, "Bundles", delta bundles
 */
export function readPatches(bytes: Uint8Array, roots: readonly Root[]): readonly Patch[] {
  const text = jsonTextOf(bytes, patchFile);
  const document = JSON.parse(text) as JsonValue;
  const list = isJsonObject(document) ? member(document, 'data') : undefined;
  if (!Array.isArray(list) || Object.keys(document as object).length !== 1)
    throw new BundleRefused(`${patchFile} has to hold one list, data, and nothing else`);
  if (list.length === 0) throw new BundleRefused(`${patchFile} holds no patch`);
  if (list.length > patchesMax)
    throw new BundleRefused(`${patchFile} holds ${list.length} patches; at most ${patchesMax} are taken`);
  const texts = itemsOf(membersOf(text)?.get('data') ?? '[]');
  return (list as readonly JsonValue[]).map((item, index) =>
    patchOf(item, texts[index] ?? '{}', `${patchFile} [${index}]`, roots),
  );
}

function patchOf(item: JsonValue, text: string, where: string, roots: readonly Root[]): Patch {
  const op = isJsonObject(item) ? member(item, 'op') : undefined;
  const pointer = isJsonObject(item) ? member(item, 'path') : undefined;
  if ((op !== 'upsert' && op !== 'replace' && op !== 'remove') || typeof pointer !== 'string')
    throw new BundleRefused(`${where} has to have an op (upsert, replace or remove) and a path`);
  const path = pathOf(pointer);
  if (path.length === 0) throw new BundleRefused(`${where}: its path is all of data`);
  if (!roots.some((root) => isBelow(path, root)))
    throw new BundleRefused(`${where}: ${shownPath(path)} stands outside of the bundle's roots`);
  const valueText = membersOf(text)?.get('value');
  if (op === 'remove') return { op, path, valueText: '' };
  if (valueText === undefined) throw new BundleRefused(`${where} has no value`);
  return { op, path, valueText };
}

/** A JSON pointer, with or without its slashes at the ends, as OPA reads it (RFC 6901 section 4 for the escapes). */
function pathOf(pointer: string): readonly string[] {
  const trimmed = pointer.replace(/^\/+|\/+$/g, '');
  if (trimmed === '') return [];
  return trimmed.split('/').map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}
