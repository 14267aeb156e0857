import { posix } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { type BundleRevision, bundleRevision, type PolicyCatalogue } from '../domain/bundle.ts';
import { BundleRefused } from '../domain/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../domain/json.ts';
import { type Archive, type ArchiveLimits, readArchive } from './read-archive.ts';

/** A bundle, read and found whole; not yet tried. */
export interface Bundle {
  readonly revision: BundleRevision;
  readonly wasm: Uint8Array;
  readonly dataText: string;
  /** What the manifest promises; undefined where it names none and the module's own table counts. */
  readonly entrypoints: readonly string[] | undefined;
  readonly catalogue: PolicyCatalogue;
}

/**
 * OPA's bundle format, the parts that a compiled bundle needs.
 *
 * @throws BundleRefused
 * @see OPA documentation, "Bundles", file format
 */
export async function readBundle(file: Uint8Array, limits: ArchiveLimits): Promise<Bundle> {
  const archive = await readArchive(file, limits);
  if (archive.has('.signatures.json'))
    throw new BundleRefused('the bundle is signed, and no verification key is configured');
  if (archive.has('patch.json')) throw new BundleRefused('a delta bundle cannot be activated by itself');
  const manifest = readManifest(archive);
  const wasm = archive.get(manifest.module);
  if (wasm === undefined) throw new BundleRefused(`the bundle holds no ${manifest.module}`);
  return {
    revision: manifest.revision,
    wasm,
    dataText: readData(archive, manifest.roots),
    entrypoints: manifest.entrypoints,
    catalogue: manifest.catalogue,
  };
}

interface Manifest {
  readonly revision: BundleRevision;
  readonly roots: readonly string[];
  readonly module: string;
  readonly entrypoints: readonly string[] | undefined;
  readonly catalogue: PolicyCatalogue;
}

function readManifest(archive: Archive): Manifest {
  const text = archive.get('.manifest');
  const manifest = text === undefined ? {} : parsed(text, '.manifest');
  if (!isJsonObject(manifest)) throw new BundleRefused('.manifest is no object');
  const revision = member(manifest, 'revision') ?? '';
  if (typeof revision !== 'string' || revision.length > 256)
    throw new BundleRefused('.manifest: revision is no short string');
  const roots = member(manifest, 'roots') ?? [''];
  if (!isStrings(roots)) throw new BundleRefused('.manifest: roots is no array of strings');
  const modules = readModules(member(manifest, 'wasm'));
  return {
    revision: bundleRevision(revision),
    roots,
    ...modules,
    catalogue: readCatalogue(member(manifest, 'metadata')),
  };
}

function readModules(wasm: JsonValue | undefined): { module: string; entrypoints: readonly string[] | undefined } {
  if (wasm === undefined) return { module: 'policy.wasm', entrypoints: undefined };
  if (!Array.isArray(wasm) || wasm.length === 0) throw new BundleRefused('.manifest: wasm is no list of modules');
  const modules = new Set<string>();
  const entrypoints: string[] = [];
  for (const entry of wasm as readonly JsonValue[]) {
    const module = isJsonObject(entry) ? member(entry, 'module') : undefined;
    const entrypoint = isJsonObject(entry) ? member(entry, 'entrypoint') : undefined;
    if (typeof module !== 'string' || typeof entrypoint !== 'string') {
      throw new BundleRefused('.manifest: a wasm entry lacks its module or entrypoint');
    }
    modules.add(module.replace(/^\/+/, ''));
    entrypoints.push(entrypoint);
  }
  const [module, second] = modules;
  if (module === undefined || second !== undefined)
    throw new BundleRefused('.manifest: one wasm module is served, and several are named');
  return { module, entrypoints };
}

/** `metadata.postern.policies`: policy name to requirement ids. Bundles from elsewhere have none, and no label values either. */
function readCatalogue(metadata: JsonValue | undefined): PolicyCatalogue {
  const ours = isJsonObject(metadata) ? member(metadata, 'postern') : undefined;
  const policies = isJsonObject(ours) ? member(ours, 'policies') : undefined;
  if (policies === undefined) return { policies: new Map() };
  if (!isJsonObject(policies)) throw new BundleRefused('.manifest: metadata.postern.policies is no object');
  const catalogue = new Map<string, readonly string[]>();
  for (const [policy, requirements] of Object.entries(policies)) {
    if (!isStrings(requirements))
      throw new BundleRefused('.manifest: metadata.postern.policies lists what is no requirement');
    catalogue.set(policy, requirements);
  }
  return { policies: catalogue };
}

/** The data document. One file at the root, which is what `opa build` writes, goes on as its own text, digits and all. */
function readData(archive: Archive, roots: readonly string[]): string {
  const files = [...archive.keys()].filter((name) => /^data\.(json|ya?ml)$/.test(posix.basename(name))).sort();
  const only = files[0] === 'data.json' && files.length === 1 ? archive.get('data.json') : undefined;
  let data: JsonObject = {};
  for (const name of files) {
    const text = archive.get(name) ?? Buffer.alloc(0);
    const value = name.endsWith('.json') ? parsed(text, name) : parsedYaml(text, name);
    const directory = posix.dirname(name);
    data = mounted(data, directory === '.' ? [] : directory.split('/'), value, name);
  }
  requireInsideRoots(data, roots);
  return only === undefined ? JSON.stringify(data) : only.toString('utf8');
}

function mounted(data: JsonObject, path: readonly string[], value: JsonValue, name: string): JsonObject {
  const [first, ...rest] = path;
  if (first === undefined) {
    if (!isJsonObject(value)) throw new BundleRefused(`${name} is no object`);
    return united(data, value, name);
  }
  const inner = member(data, first) ?? {};
  if (!isJsonObject(inner)) throw new BundleRefused(`${name} stands below a value that is no object`);
  return {
    ...data,
    [first]:
      rest.length === 0 && !isJsonObject(value)
        ? conflictFree(data, first, value, name)
        : mounted(inner, rest, value, name),
  };
}

function conflictFree(data: JsonObject, name: string, value: JsonValue, file: string): JsonValue {
  if (Object.hasOwn(data, name)) throw new BundleRefused(`${file} collides with other data`);
  return value;
}

function united(a: JsonObject, b: JsonObject, name: string): JsonObject {
  const both = new Map<string, JsonValue>(Object.entries(a));
  for (const [key, value] of Object.entries(b)) {
    const before = both.get(key);
    if (before === undefined) both.set(key, value);
    else if (isJsonObject(before) && isJsonObject(value)) both.set(key, united(before, value, name));
    else throw new BundleRefused(`${name} collides with other data`);
  }
  return Object.fromEntries(both);
}

/** Every value stands below a root, or on the way to one. */
function requireInsideRoots(data: JsonObject, roots: readonly string[]): void {
  const paths = roots.map((root) => (root === '' ? [] : root.split('/')));
  const walk = (value: JsonValue, path: readonly string[]): void => {
    if (paths.some((root) => root.every((segment, index) => path[index] === segment))) return;
    const onTheWay = paths.some((root) => path.every((segment, index) => root[index] === segment));
    if (!onTheWay || !isJsonObject(value))
      throw new BundleRefused(`data.${path.join('.')} stands outside of the bundle's roots`);
    for (const [key, inner] of Object.entries(value)) walk(inner, [...path, key]);
  };
  walk(data, []);
}

function parsed(text: Buffer, name: string): JsonValue {
  try {
    return JSON.parse(text.toString('utf8')) as JsonValue;
  } catch (cause) {
    throw new BundleRefused(`${name} is no JSON`, { cause });
  }
}

function parsedYaml(text: Buffer, name: string): JsonValue {
  try {
    return parseYaml(text.toString('utf8'), { maxAliasCount: 0 }) as JsonValue;
  } catch (cause) {
    throw new BundleRefused(`${name} is no YAML`, { cause });
  }
}

function isStrings(value: JsonValue): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}
