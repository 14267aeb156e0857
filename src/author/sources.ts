// Tested by test/author/build-bundle.long.test.ts.
import { readdir, readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { jsonTextOf } from '../bundle/reading/read-json-text.ts';
import { manifestFile } from '../bundle/reading/read-manifest.ts';
import { samplesFile } from '../bundle/reading/read-samples.ts';
import { BundleRefused } from '../domain/errors.ts';
import { AuthorFault } from './author-fault.ts';

/** The files of a policy directory, by path below it, e.g. `policies/deploy/policy.rego`. */
export interface Sources {
  readonly directory: string;
  /** Rego that goes into the bundle. */
  readonly modules: readonly string[];
  /** `data.json`, `data.yaml`: each is loaded at the path of its directory, as in any OPA bundle. */
  readonly data: readonly string[];
  /** Rego that does not go into it: tests. */
  readonly tests: readonly string[];
  /** The manifest that the author wrote, JSON, if there is one. */
  readonly manifest: string | undefined;
  /** Requests and the answers that the bundle has to give to them, JSON, if there are any. */
  readonly samples: string | undefined;
}

/** Files in it are for tests alone. */
const testingDirectory = 'testing';

/** @throws AuthorFault if there is nothing to build, or something in it that no bundle takes */
export async function readSources(directory: string): Promise<Sources> {
  const files = (await filesBelow(directory, '')).toSorted();
  const served = files.filter((name) => !name.startsWith(`${testingDirectory}/`));
  const modules = served.filter((name) => name.endsWith('.rego') && !name.endsWith('_test.rego'));
  const data = served.filter((name) => /(^|\/)data\.(json|ya?ml)$/.test(name));
  const stray = served.filter((name) => /\.(json|ya?ml)$/.test(name) && !data.includes(name) && !isSamples(name));
  if (stray.length > 0) {
    // A test would see them, since OPA loads every such file for tests, and the bundle would not hold them.
    throw new AuthorFault(
      stray.map((name) => `${join(directory, name)}: data of a bundle must be named data.json or data.yaml`),
    );
  }
  // OPA tells only by its name that this file is not data for tests.
  const astray = files.filter((name) => isSamples(name) && name !== samplesFile);
  if (astray.length > 0)
    throw new AuthorFault(
      astray.map((name) => `${join(directory, name)}: ${samplesFile} belongs at the top of the folder`),
    );
  if (modules.length === 0) throw new AuthorFault([`${directory} contains no Rego to build`]);
  return {
    directory,
    modules,
    data,
    tests: files.filter((name) => name.endsWith('.rego') && !modules.includes(name)),
    manifest: files.includes(manifestFile) ? await documentIn(join(directory, manifestFile)) : undefined,
    samples: files.includes(samplesFile) ? await documentIn(join(directory, samplesFile)) : undefined,
  };
}

function isSamples(name: string): boolean {
  return basename(name) === samplesFile;
}

async function documentIn(path: string): Promise<string> {
  try {
    return jsonTextOf(await readFile(path), path);
  } catch (cause) {
    // Half of it, if it was saved at this moment.
    if (cause instanceof BundleRefused) throw new AuthorFault([cause.message], { cause });
    throw cause;
  }
}

async function filesBelow(directory: string, below: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const entry of await readdir(join(directory, below), { withFileTypes: true })) {
    const name = below === '' ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) found.push(...(await filesBelow(directory, name)));
    else if (entry.isFile()) found.push(name);
    // The compiler follows links and this does not: what is checked has to be what is built.
    else throw new AuthorFault([`${join(directory, name)} is neither a file nor a directory`]);
  }
  return found;
}
