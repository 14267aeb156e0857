// Tested by test/bundle/reading/read-bundle.long.test.ts.
import { BundleRefused } from '../../domain/errors.ts';
import { itemsOf, membersOf } from '../../text/json-text.ts';
import { jsonTextOf } from './read-json-text.ts';
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
const pointerLengthMax = 65_536;

/**
 * The `patch.json` of a delta bundle.
 *
 * @param roots what the bundle that is patched may hold
 * @throws BundleRefused for an empty list too: OPA takes that for "remove all data"
 * @see OPA documentation, "Bundles", delta bundles
 */
export function readPatches(bytes: Uint8Array, roots: readonly Root[]): readonly Patch[] {
  const document = membersOf(jsonTextOf(bytes, patchFile));
  const list = document?.get('data');
  if (document?.size !== 1 || list?.startsWith('[') !== true)
    throw new BundleRefused(`${patchFile} has to hold one list, data, and nothing else`);
  const items = itemsOf(list);
  if (items.length === 0) throw new BundleRefused(`${patchFile} holds no patch`);
  if (items.length > patchesMax)
    throw new BundleRefused(`${patchFile} holds ${items.length} patches; at most ${patchesMax} are taken`);
  return items.map((item, index) => patchOf(item, `${patchFile} [${index}]`, roots));
}

function patchOf(text: string, where: string, roots: readonly Root[]): Patch {
  const members = membersOf(text);
  const op = stringIn(members?.get('op'));
  const pointer = stringIn(members?.get('path'));
  if ((op !== 'upsert' && op !== 'replace' && op !== 'remove') || pointer === undefined)
    throw new BundleRefused(`${where} has to have an op (upsert, replace or remove) and a path`);
  if (pointer.length > pointerLengthMax) throw new BundleRefused(`${where}: its path has ${pointer.length} characters`);
  const path = pathOf(pointer);
  if (path.length === 0) throw new BundleRefused(`${where}: its path is all of data`);
  if (!roots.some((root) => isBelow(path, root)))
    throw new BundleRefused(`${where}: ${shownPath(path)} stands outside of the bundle's roots`);
  const valueText = members?.get('value');
  if (op === 'remove') return { op, path, valueText: '' };
  if (valueText === undefined) throw new BundleRefused(`${where} has no value`);
  return { op, path, valueText };
}

/** Values are never parsed here: they may be as large as data is. */
function stringIn(text: string | undefined): string | undefined {
  return text?.startsWith('"') === true ? (JSON.parse(text) as string) : undefined;
}

/** A JSON pointer, with or without its slashes at the ends, as OPA reads it (RFC 6901 section 4 for the escapes). */
function pathOf(pointer: string): readonly string[] {
  const trimmed = pointer.replace(/^\/+|\/+$/g, '');
  if (trimmed === '') return [];
  return trimmed.split('/').map((segment) => segment.replaceAll('~1', '/').replaceAll('~0', '~'));
}
