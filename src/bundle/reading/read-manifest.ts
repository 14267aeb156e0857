// Tested by test/bundle/reading/read-bundle.long.test.ts.
import { type BundleRevision, bundleRevision, type PolicyCatalogue } from '../../domain/bundle.ts';
import { BundleRefused } from '../../domain/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue, member } from '../../domain/json-value.ts';
import { membersOf } from '../../text/json-text.ts';
import type { Archive } from './read-archive.ts';
import { jsonValueOf } from './read-json-text.ts';
import { isBelow, overlap, type Root } from './roots.ts';

export interface Manifest {
  readonly revision: BundleRevision;
  readonly roots: readonly Root[];
  /** The one module and its entrypoints; undefined where the manifest names none. */
  readonly wasm: { readonly module: string; readonly entrypoints: readonly string[] } | undefined;
  readonly catalogue: PolicyCatalogue;
  /** Of the revision among its publisher's: a lower one is older. */
  readonly sequence: number | undefined;
  /** Entrypoints that are gone on purpose. */
  readonly retired: readonly string[];
  /** `metadata.postern.samples`, as it is written. */
  readonly samplesText: string | undefined;
}

export const manifestFile = '.manifest';

/**
 * The `.manifest` of a bundle; one without it is a bundle with the manifest's defaults.
 *
 * @throws BundleRefused
 * @see OPA documentation, "Bundles", file format
 */
export function readManifest(archive: Archive): Manifest {
  if (archive.has('.manifest.pb')) throw new BundleRefused('.manifest.pb is not read here: build with a JSON manifest');
  const bytes = archive.get(manifestFile);
  const { text, value: manifest } = jsonValueOf(bytes ?? Buffer.from('{}'), manifestFile);
  if (!isJsonObject(manifest)) throw new BundleRefused('.manifest is no object');
  const revision = member(manifest, 'revision') ?? '';
  if (typeof revision !== 'string' || revision.length > 256)
    throw new BundleRefused('.manifest: revision is no short string');
  const ours = readOurs(manifest);
  const roots = readRoots(manifest);
  const wasm = readModules(member(manifest, 'wasm'));
  const stray = wasm?.entrypoints.find((entrypoint) => !roots.some((root) => isBelow(entrypoint.split('/'), root)));
  if (stray !== undefined)
    throw new BundleRefused(`.manifest: entrypoint ${JSON.stringify(stray.slice(0, 100))} stands outside of the roots`);
  return {
    revision: bundleRevision(revision),
    roots,
    wasm,
    catalogue: readCatalogue(ours),
    sequence: readSequence(member(ours, 'sequence')),
    retired: readStrings(member(ours, 'retired'), 'metadata.postern.retired'),
    samplesText: member(ours, 'samples') === undefined ? undefined : innermost(text, 'metadata', 'postern', 'samples'),
  };
}

function readRoots(manifest: JsonObject): readonly Root[] {
  const named = member(manifest, 'roots');
  // OPA takes a null for the default, and `opa build` may write one.
  const roots = named === undefined || named === null ? [''] : readStrings(named, 'roots');
  const normal = roots.map((root) => root.replace(/^\/+|\/+$/g, ''));
  if (normal.some((root) => root !== '' && root.split('/').includes('')))
    throw new BundleRefused('.manifest: a root has an empty segment');
  for (const [index, root] of normal.entries()) {
    const twin = overlap([root], normal.slice(0, index));
    if (twin !== undefined)
      throw new BundleRefused(`.manifest: the roots ${twin.map((one) => JSON.stringify(one)).join(' and ')} overlap`);
  }
  return normal;
}

function readModules(wasm: JsonValue | undefined): Manifest['wasm'] {
  if (wasm === undefined || wasm === null) return undefined;
  if (!Array.isArray(wasm)) throw new BundleRefused('.manifest: wasm is no list of modules');
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
  if (module === undefined) return undefined;
  if (second !== undefined) throw new BundleRefused('.manifest: one wasm module is served, and several are named');
  return { module, entrypoints };
}

/** What is ours in `metadata`; bundles from elsewhere have none of it. */
function readOurs(manifest: JsonObject): JsonObject {
  const metadata = member(manifest, 'metadata');
  const ours = isJsonObject(metadata) ? member(metadata, 'postern') : undefined;
  if (ours === undefined) return {};
  if (!isJsonObject(ours)) throw new BundleRefused('.manifest: metadata.postern is no object');
  return ours;
}

/** Policy name to requirement ids. */
function readCatalogue(ours: JsonObject): PolicyCatalogue {
  const policies = member(ours, 'policies');
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

function readSequence(value: JsonValue | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0)
    throw new BundleRefused('.manifest: metadata.postern.sequence is no whole number');
  return value;
}

function readStrings(value: JsonValue | undefined, what: string): readonly string[] {
  if (value === undefined) return [];
  if (!isStrings(value)) throw new BundleRefused(`.manifest: ${what} is no array of strings`);
  return value;
}

function isStrings(value: JsonValue): value is readonly string[] {
  return Array.isArray(value) && value.every((one) => typeof one === 'string');
}

/** The text of a member of a member …, digits and all. */
function innermost(text: string, ...names: readonly string[]): string {
  return names.reduce((inner, name) => membersOf(inner)?.get(name) ?? 'null', text);
}
