import { createHash } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { archiveLimits, readArchive } from '../bundle/reading/read-archive.ts';
import { manifestFile } from '../bundle/reading/read-manifest.ts';
import { samplesFile } from '../bundle/reading/read-samples.ts';
import { canonicalJson, isJsonObject, type JsonObject, type JsonValue, member } from '../domain/json-value.ts';
import { AuthorFault } from './author-fault.ts';
import { type Checked, type Compiler, checkPolicies } from './check-policies.ts';
import { findOpa, type Opa } from './find-opa.ts';
import type { Linted } from './lint/lint.ts';
import { packBundle } from './pack.ts';
import { type Environment, runProgram } from './run-program.ts';
import { readSources, type Sources } from './sources.ts';

export interface BuildOptions {
  /** The policies, e.g. `rego`. */
  readonly directory: string;
  /** The revision begins with it. */
  readonly name: string;
  /** Percent of the lines that the tests have to reach. */
  readonly coverageFloor: number;
}

export interface BuildEffects {
  readonly env: Environment;
  /** Where OPA is kept if it has to be installed, e.g. `.tools`. */
  readonly toolsDirectory: string;
  readonly temporaryDirectory: string;
  /** Progress, a line at a time. */
  readonly say: (line: string) => void;
}

export interface BuiltBundle extends Checked {
  readonly bytes: Uint8Array;
  readonly revision: string;
  readonly opa: Opa;
}

const buildMs = 5 * 60_000;

/**
 * Checks, tests and compiles policies, and packs them into OPA's bundle format: the same bytes for the same sources.
 *
 * @throws AuthorFault with every fault of the step that failed
 */
export async function buildBundle(options: BuildOptions, effects: BuildEffects): Promise<BuiltBundle> {
  const sources = await readSources(options.directory);
  const opa = await findOpa(effects);
  const compiler = { opa, env: effects.env };
  const checked = await checkPolicies(sources, options.coverageFloor, compiler);
  const { bytes, revision } = await compileBundle(sources, checked, options.name, compiler, effects.temporaryDirectory);
  return { ...checked, bytes, revision, opa };
}

/**
 * The last step alone: compiles and packs what was linted.
 *
 * @throws AuthorFault
 */
export async function compileBundle(
  sources: Sources,
  linted: Linted,
  name: string,
  compiler: Compiler,
  temporaryDirectory: string,
): Promise<{ readonly bytes: Uint8Array; readonly revision: string }> {
  if (linted.entrypoints.length === 0) throw new AuthorFault(['no rule is annotated with `entrypoint: true`']);
  return packed(await compiled(sources, linted, compiler, temporaryDirectory), sources.samples, name);
}

/** The bundle that `opa build` makes from a copy of the served sources alone. */
async function compiled(
  sources: Sources,
  linted: Linted,
  { opa, env }: Compiler,
  temporaryDirectory: string,
): Promise<ReadonlyMap<string, Buffer>> {
  const workplace = await mkdtemp(join(temporaryDirectory, 'postern-build-'));
  try {
    const staged = join(workplace, 'sources');
    for (const name of [...sources.modules, ...sources.data]) {
      await mkdir(dirname(join(staged, name)), { recursive: true });
      await copyFile(join(sources.directory, name), join(staged, name));
    }
    await writeFile(join(staged, manifestFile), canonicalJson(manifestOf(sources, linted)));
    const output = join(workplace, 'bundle.tar.gz');
    const entrypoints = linted.entrypoints.flatMap((entrypoint) => ['--entrypoint', entrypoint]);
    const args = ['build', '--target', 'wasm', '--bundle', '.', ...entrypoints, '--output', output];
    const { code, stdout, stderr } = await runProgram(opa.path, args, { env, directory: staged, timeoutMs: buildMs });
    if (code !== 0) throw new AuthorFault([`opa build failed: ${(stderr || stdout).trim()}`]);
    return await readArchive(await readFile(output), archiveLimits);
  } finally {
    await rm(workplace, { recursive: true, force: true });
  }
}

/** The author's own manifest where there is one; what the sidecar reads of a bundle's policies is written into it. */
function manifestOf(sources: Sources, linted: Linted): JsonObject {
  const objectAt = (what: string, value: JsonValue | undefined): JsonObject => {
    if (value === undefined) return {};
    if (!isJsonObject(value))
      throw new AuthorFault([`${join(sources.directory, manifestFile)}: ${what} is not an object`]);
    return value;
  };
  const own = objectAt('it', sources.manifest === undefined ? undefined : (JSON.parse(sources.manifest) as JsonValue));
  const metadata = objectAt('metadata', member(own, 'metadata'));
  const postern = objectAt('metadata.postern', member(metadata, 'postern'));
  return {
    ...own,
    roots: member(own, 'roots') ?? rootsOf(sources),
    metadata: { ...metadata, postern: { ...postern, policies: linted.policies } },
  };
}

/** The topmost directories: what this bundle owns of `data`, and leaves to others. */
function rootsOf({ modules, data }: Sources): readonly string[] {
  const tops = [...modules, ...data].map((name) => (name.includes('/') ? (name.split('/')[0] ?? '') : ''));
  return tops.includes('') ? [''] : [...new Set(tops)].sort();
}

/**
 * The compiled module, the data, the samples and the manifest; not the Rego, from which OPA has taken the entrypoints' rules, so that
 * it says less than the policies do. The revision is the hash of what is served: one revision is never two bundles, and
 * a change to tests alone does not change the revision.
 */
async function packed(
  files: ReadonlyMap<string, Buffer>,
  samples: string | undefined,
  name: string,
): Promise<{ readonly bytes: Uint8Array; readonly revision: string }> {
  const manifest = JSON.parse(read(files, manifestFile).toString('utf8')) as JsonObject;
  const { revision: _, ...unnamed } = manifest;
  const served = new Map([
    ['data.json', read(files, 'data.json')],
    ['policy.wasm', read(files, 'policy.wasm')],
    ...(samples === undefined ? [] : [[samplesFile, Buffer.from(samples)] as const]),
  ]);
  const hash = createHash('sha256').update(canonicalJson(unnamed));
  for (const [file, bytes] of served) hash.update(`\n${file} ${bytes.length}\n`).update(bytes);
  const revision = `${name}-${hash.digest('hex').slice(0, 12)}`;
  const head = Buffer.from(`${canonicalJson({ ...unnamed, revision })}\n`);
  return { bytes: await packBundle(new Map([[manifestFile, head], ...served])), revision };
}

function read(files: ReadonlyMap<string, Buffer>, name: string): Buffer {
  const bytes = files.get(name);
  if (bytes === undefined) throw new AuthorFault([`opa build wrote no ${name}`]);
  return bytes;
}
