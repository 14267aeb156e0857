import { createHash } from 'node:crypto';
import { access, constants, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { delimiter, isAbsolute, join, resolve } from 'node:path';
import { AuthorFault } from './author-fault.ts';
import { type Environment, runProgram } from './run-program.ts';

/** The one that is installed where none is found; any of its line compiles the same bundles. */
export const opaVersion = '1.22.2';
const supported = /^1\.22\.\d+$/;

const opaModule = 'github.com/open-policy-agent/opa';
/** The hash of that version's whole source, as go.sum files contain it. */
const opaModuleSum = 'h1:WzqReKk2VjcvBN/NQTlcIxKqFPKpzIdb6KYMHzPEbe0=';

const askMs = 30_000;
const installMs = 20 * 60_000;

export interface OpaSearch {
  readonly env: Environment;
  /** Where an OPA of our own is kept, e.g. `.tools`. */
  readonly toolsDirectory: string;
  /** Progress, a line at a time. */
  readonly say: (line: string) => void;
}

export interface Opa {
  readonly path: string;
  readonly version: string;
  readonly from: 'OPA' | 'PATH' | 'tools' | 'go install';
}

/**
 * Finds the OPA compiler: `$OPA`; `opa` on PATH, if it is of the supported line; one in the tools directory whose
 * SHA-256 is the one written down beside it, as OPA's releases publish it; else Go installs the pinned module there.
 * With `$OPA_SHA256` set, none but that very file is taken, wherever it is found.
 *
 * @throws AuthorFault which says what can be done
 */
export async function findOpa(search: OpaSearch): Promise<Opa> {
  const { env, toolsDirectory, say } = search;
  if (env['OPA'] !== undefined && env['OPA'] !== '') return named(env['OPA'], env);
  for await (const path of onPath('opa', env)) {
    const version = await versionOf(path, env);
    if (version !== undefined && supported.test(version)) return checked({ path, version, from: 'PATH' }, env);
    say(`${path} is skipped: ${version === undefined ? 'it does not report its version' : `version ${version}`}`);
  }
  const kept = await keptIn(toolsDirectory, env, say);
  return kept === undefined ? installed(search) : checked(kept, env);
}

/** Asked for by name, so nothing else will do. */
async function named(name: string, env: Environment): Promise<Opa> {
  const path = name.includes('/') ? name : ((await first(onPath(name, env))) ?? name);
  const version = await versionOf(path, env);
  if (version === undefined) throw new AuthorFault([`OPA=${name} is not an OPA that runs here`]);
  if (!supported.test(version)) throw new AuthorFault([`OPA=${name} is version ${version}; 1.22 is needed`]);
  return checked({ path, version, from: 'OPA' }, env);
}

async function checked(opa: Opa, env: Environment): Promise<Opa> {
  const wanted = env['OPA_SHA256'];
  if (wanted === undefined || wanted === '') return opa;
  const digest = await sha256Of(opa.path);
  if (digest === wanted.toLowerCase()) return opa;
  throw new AuthorFault([`${opa.path} has SHA-256 ${digest}; OPA_SHA256 asks for ${wanted}`]);
}

/** A relative directory would run a program from the current directory. */
async function* onPath(name: string, env: Environment): AsyncGenerator<string> {
  for (const directory of (env['PATH'] ?? '').split(delimiter)) {
    if (!isAbsolute(directory)) continue;
    const path = join(directory, name);
    if (await isExecutable(path)) yield path;
  }
}

async function first(paths: AsyncGenerator<string>): Promise<string | undefined> {
  for await (const path of paths) return path;
  return undefined;
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function versionOf(path: string, env: Environment): Promise<string | undefined> {
  try {
    const { stdout } = await runProgram(path, ['version'], { env, timeoutMs: askMs });
    return /^Version: (\S+)$/m.exec(stdout)?.[1];
  } catch {
    return undefined; // what cannot be started has no version; the caller says so
  }
}

async function sha256Of(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex');
}

async function keptIn(tools: string, env: Environment, say: (line: string) => void): Promise<Opa | undefined> {
  const path = join(tools, 'bin', 'opa');
  if (!(await isExecutable(path))) return undefined;
  const written = await readFile(`${path}.sha256`, 'utf8').catch(() => '');
  const wanted = /^[0-9a-f]{64}(?=\s|$)/.exec(written)?.[0];
  if (wanted === undefined || wanted !== (await sha256Of(path))) {
    say(`${path} is skipped: its SHA-256 is not the one in opa.sha256 beside it`);
    return undefined;
  }
  const version = await versionOf(path, env);
  if (version !== undefined && supported.test(version)) return { path, version, from: 'tools' };
  say(`${path} is skipped: version ${version ?? 'unknown'}`);
  return undefined;
}

async function installed({ env, toolsDirectory, say }: OpaSearch): Promise<Opa> {
  const go = await first(onPath('go', env));
  if (go === undefined) {
    throw new AuthorFault([
      'OPA 1.22 is needed to build policies, and neither OPA nor Go was found. Do one of these:',
      `  - put the opa ${opaVersion} binary of OPA's releases on PATH, or name it in OPA`,
      '  - put it in as .tools/bin/opa, with the opa.sha256 that its release publishes beside it',
      '  - put Go on PATH; OPA is then built from its module',
      'Serving the committed bundle needs neither.',
    ]);
  }
  say(`installing OPA ${opaVersion} with ${go}: a few minutes, once`);
  const bin = resolve(toolsDirectory, 'bin');
  await mkdir(bin, { recursive: true });
  const goEnv = goEnvironment(env, resolve(toolsDirectory));
  // Into a directory of its own, then moved: a process that looks at the same time sees a whole OPA or none.
  const building = await mkdtemp(join(bin, '.opa-'));
  try {
    await requireModule(go, goEnv, building);
    const built = await runProgram(go, ['install', '-trimpath', `${opaModule}@v${opaVersion}`], {
      env: { ...goEnv, GOBIN: building },
      directory: building,
      timeoutMs: installMs,
    });
    if (built.code !== 0) throw new AuthorFault([`go install of OPA failed:\n${built.stderr.trim()}`]);
    const path = join(building, 'opa');
    const version = await versionOf(path, env);
    if (version !== opaVersion) throw new AuthorFault([`go install gave OPA ${version}; ${opaVersion} was asked for`]);
    await writeFile(join(building, 'opa.sha256'), `${await sha256Of(path)}  opa\n`);
    await rename(join(building, 'opa.sha256'), join(bin, 'opa.sha256'));
    await rename(path, join(bin, 'opa'));
    return checked({ path: join(bin, 'opa'), version, from: 'go install' }, env);
  } finally {
    await rm(building, { recursive: true, force: true });
  }
}

/** The checksum database verifies every module; a setting that lets some pass unverified does not count here. */
function goEnvironment(env: Environment, toolsDirectory: string): Environment {
  const { GOSUMDB, GONOSUMDB, GONOSUMCHECK, GOINSECURE, GOPRIVATE, GOFLAGS, ...rest } = env;
  const ownSumDb = GOSUMDB !== undefined && GOSUMDB !== 'off' ? { GOSUMDB } : {};
  // Without a home Go does not know where to keep what it downloads.
  const home = rest['HOME'] === undefined || rest['HOME'] === '' ? homeless(toolsDirectory) : {};
  return { ...rest, ...ownSumDb, ...home, GOFLAGS: '-mod=mod -modcacherw', CGO_ENABLED: '0' };
}

function homeless(toolsDirectory: string): Environment {
  return { GOPATH: join(toolsDirectory, 'go'), GOCACHE: join(toolsDirectory, 'go', 'cache') };
}

/** The module's source is the one that was looked at when it was pinned, whatever the database says. */
async function requireModule(go: string, env: Environment, directory: string): Promise<void> {
  const { code, stdout, stderr } = await runProgram(go, ['mod', 'download', '-json', `${opaModule}@v${opaVersion}`], {
    env,
    directory,
    timeoutMs: installMs,
  });
  if (code !== 0) throw new AuthorFault([`OPA's module cannot be downloaded:\n${(stderr || stdout).trim()}`]);
  const { Sum: sum } = JSON.parse(stdout) as { readonly Sum?: unknown };
  if (sum !== opaModuleSum) {
    throw new AuthorFault([`${opaModule} v${opaVersion} has the sum ${String(sum)}; ${opaModuleSum} is pinned`]);
  }
}
