// Tested by test/bundle/reading/read-bundle.long.test.ts.
import { posix } from 'node:path';
import { BundleRefused } from '../../domain/errors.ts';
import { membersOf, objectText } from '../../text/json-text.ts';
import type { Archive } from './read-archive.ts';
import { jsonTextOf } from './read-json-text.ts';
import { isYaml, jsonTextOfYaml } from './read-yaml-text.ts';
import { isBelow, leadsTo, type Root, shownPath } from './roots.ts';

/**
 * A bundle's data document as JSON text: each data file at the path of its directory. Values go on as they are written,
 * digits and all; one file at the root, which is what `opa build` writes, goes on whole.
 *
 * @throws BundleRefused if two files give the same value, or one gives a value outside of the roots
 */
export function readData(archive: Archive, roots: readonly Root[]): string {
  const names = [...archive.keys()].filter(isData).sort();
  let data = '{}';
  for (const name of names) {
    const bytes = archive.get(name) ?? Buffer.alloc(0);
    const text = isYaml(posix.basename(name)) ? jsonTextOfYaml(bytes, name) : jsonTextOf(bytes, name);
    const directory = posix.dirname(name);
    const mounted = mountedAt(text, directory === '.' ? [] : directory.split('/'));
    data = names.length === 1 ? mounted : united(data, mounted, name);
  }
  if (!/^\s*\{/.test(data)) throw new BundleRefused('data at the root is no object');
  requireInsideRoots(data, [], roots);
  return data;
}

export function isData(name: string): boolean {
  const base = posix.basename(name);
  return base === 'data.json' || isYaml(base);
}

/**
 * Data of several bundles as one document.
 *
 * @param parts whose roots do not overlap
 * @throws BundleRefused if they give the same value nevertheless
 */
export function unitedData(parts: readonly { readonly name: string; readonly dataText: string }[]): string {
  const [first = { dataText: '{}' }, ...rest] = parts;
  return rest.reduce((data, part) => united(data, part.dataText, part.name), first.dataText);
}

function mountedAt(text: string, path: readonly string[]): string {
  return path.reduceRight((inner, name) => objectText([[name, inner]]), text);
}

/** Objects are joined member by member; anything else may be given once. */
function united(a: string, b: string, name: string): string {
  const ours = membersOf(a);
  const theirs = membersOf(b);
  if (ours === undefined || theirs === undefined) throw new BundleRefused(`${name} collides with other data`);
  for (const [key, value] of theirs) {
    const before = ours.get(key);
    ours.set(key, before === undefined ? value : united(before, value, name));
  }
  return objectText(ours);
}

/** Every value stands below a root, or is an object on the way to one. */
function requireInsideRoots(text: string, path: readonly string[], roots: readonly Root[]): void {
  if (roots.some((root) => isBelow(path, root))) return;
  const members = roots.some((root) => leadsTo(path, root)) ? membersOf(text) : undefined;
  if (members === undefined) throw new BundleRefused(`${shownPath(path)} stands outside of the bundle's roots`);
  for (const [key, value] of members) requireInsideRoots(value, [...path, key], roots);
}
