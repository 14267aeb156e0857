import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { BundleRevision, PolicyCatalogue } from '../../domain/bundle.ts';
import { BundleRefused } from '../../domain/errors.ts';
import type { EpochMs } from '../../domain/time.ts';
import { type Archive, type ArchiveLimits, readArchive } from './read-archive.ts';
import { isData, readData } from './read-data.ts';
import { type Manifest, manifestFile, readManifest } from './read-manifest.ts';
import { type Patch, patchFile, readPatches } from './read-patches.ts';
import { readSamples, type Sample } from './read-samples.ts';
import type { Root } from './roots.ts';
import { type SigningRule, signaturesFile, verifySignature } from './verify-signature.ts';

/** What every bundle says of itself. */
export interface BundleFacts {
  readonly revision: BundleRevision;
  readonly roots: readonly Root[];
  readonly sequence: number | undefined;
  /** The manifest's modules and their entrypoints, as one text each. */
  readonly modules: readonly string[];
  /** Of all it holds but its signature: two archives of one content have the same. None for what deltas led to. */
  readonly contentDigest: string | undefined;
  /** From the signature; undefined: it has no end of its own. */
  readonly expiresAt: EpochMs | undefined;
}

/** A whole bundle: a policy with its data, or data alone. */
export interface Snapshot extends BundleFacts {
  readonly kind: 'snapshot';
  readonly policy: CompiledPolicy | undefined;
  readonly dataText: string;
  readonly samples: readonly Sample[];
}

export interface CompiledPolicy {
  readonly wasm: Uint8Array;
  /** What the manifest promises; undefined where it names none and the module's own table counts. */
  readonly entrypoints: readonly string[] | undefined;
  /** Entrypoints that earlier revisions had and that are gone on purpose. */
  readonly retired: readonly string[];
  readonly catalogue: PolicyCatalogue;
}

/** Changes to the data of the bundle before it. */
export interface Delta extends BundleFacts {
  readonly kind: 'delta';
  readonly patches: readonly Patch[];
}

/** A bundle with a policy in it, read and found whole; not yet tried. */
export interface Bundle {
  readonly revision: BundleRevision;
  readonly wasm: Uint8Array;
  readonly dataText: string;
  readonly entrypoints: readonly string[] | undefined;
  readonly catalogue: PolicyCatalogue;
}

const unsigned: SigningRule = { required: false, keys: [], scope: undefined };

/**
 * OPA's bundle format, the parts that a compiled bundle needs: one unsigned bundle with a policy.
 *
 * @throws BundleRefused
 * @see OPA documentation, "Bundles", file format
 */
export async function readBundle(file: Uint8Array, limits: ArchiveLimits): Promise<Bundle> {
  const contents = await readContents(file, limits, unsigned);
  if (contents.kind === 'delta') throw new BundleRefused('a delta bundle cannot be activated by itself');
  const { revision, dataText, policy } = contents;
  if (policy === undefined) throw new BundleRefused('the bundle holds no policy.wasm');
  return { revision, wasm: policy.wasm, dataText, entrypoints: policy.entrypoints, catalogue: policy.catalogue };
}

/**
 * Reads any bundle, and verifies its signature before anything in it is looked at.
 *
 * @throws BundleRefused
 */
export async function readContents(
  file: Uint8Array,
  limits: ArchiveLimits,
  signing: SigningRule,
): Promise<Snapshot | Delta> {
  const archive = await readArchive(file, limits);
  if (archive.size === 0) throw new BundleRefused('the archive is empty');
  const isDelta = archive.has(patchFile);
  // Deltas cannot be signed (`opa sign` knows none): where signing is required, one is somebody else's word.
  if (isDelta && signing.required)
    throw new BundleRefused('the bundle is a delta, which cannot be signed, and it has to be');
  const signed = verifySignature(archive, signing);
  const manifest = readManifest(archive);
  const facts = {
    revision: manifest.revision,
    roots: manifest.roots,
    modules: (manifest.wasm?.entrypoints ?? []).map((entrypoint) => `${manifest.wasm?.module} ${entrypoint}`),
    sequence: manifest.sequence,
    contentDigest: contentDigest(archive),
    expiresAt: signed?.expiresAt,
  };
  if (isDelta) return { kind: 'delta', ...facts, patches: patchesIn(archive, manifest) };
  return {
    kind: 'snapshot',
    ...facts,
    policy: policyIn(archive, manifest),
    dataText: readData(archive, manifest.roots),
    samples: readSamples(archive, manifest.samplesText),
  };
}

function patchesIn(archive: Archive, manifest: Manifest): readonly Patch[] {
  const other = [...archive.keys()].find((name) => ![patchFile, manifestFile, signaturesFile].includes(name));
  if (other !== undefined)
    throw new BundleRefused(
      `a delta bundle holds patches and nothing else, and this one ${JSON.stringify(other.slice(0, 100))}`,
    );
  return readPatches(archive.get(patchFile) ?? Buffer.alloc(0), manifest.roots);
}

function policyIn(archive: Archive, { wasm: named, catalogue, retired }: Manifest): CompiledPolicy | undefined {
  const name = named?.module ?? 'policy.wasm';
  const wasm = archive.get(name);
  const stray = [...archive.keys()].find((one) => one !== name && posix.extname(one) === '.wasm');
  if (stray !== undefined)
    throw new BundleRefused(
      `the bundle holds ${JSON.stringify(stray.slice(0, 100))}, a module that its manifest does not name`,
    );
  if (wasm !== undefined) return { wasm, entrypoints: named?.entrypoints, retired, catalogue };
  if (named !== undefined) throw new BundleRefused(`the bundle holds no ${name}`);
  const source = [...archive.keys()].find((one) => posix.extname(one) === '.rego');
  // Passed over in silence, its rules would be missing from what decides.
  if (source !== undefined || ![...archive.keys()].some(isData))
    throw new BundleRefused('the bundle holds no policy.wasm; `opa build -t wasm` puts it there');
  return undefined;
}

function contentDigest(archive: Archive): string {
  const hash = createHash('sha256');
  for (const name of [...archive.keys()].sort()) {
    const bytes = archive.get(name);
    if (name === signaturesFile || bytes === undefined) continue;
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  }
  return hash.digest('hex');
}
