import { posix } from 'node:path';
import { ConfigRefused } from '../domain/errors.ts';
import type { ConfigDraft } from './draft.ts';
import { override } from './environment.ts';
import type { Fault } from './fault.ts';
import { read } from './read.ts';
import { rules } from './rules.ts';
import type { Config } from './schema.ts';
import { configShape } from './shape.ts';
import { readYaml } from './yaml.ts';

/** Values that the configuration takes from its surroundings. */
export interface Surroundings {
  /** Stands in for `sidecar.id`. */
  readonly hostname: string;
  /** Working directory: relative paths start here. It serves to compare paths; they stay as they were written. */
  readonly directory: string;
}

/**
 * Reads a configuration: one YAML text, and variables of the environment over it.
 *
 * @param env all of the environment; only names that begin with `POSTERN_` are looked at, each of which must be known
 * @throws ConfigRefused with every fault there is, each with its path and, where a variable set it, the variable
 */
export function parseConfig(
  yamlText: string,
  env: Readonly<Record<string, string | undefined>>,
  surroundings: Surroundings,
): Config {
  const faults: Fault[] = [];
  const file = readYaml(yamlText, '', faults);
  const unreadable = file === undefined;
  if (file === null) faults.push({ at: '', text: 'the file is empty' });
  const { tree, setBy } = override(file ?? {}, env, faults);
  let config: unknown;
  // Text that is not YAML has no members: reporting each of them as missing would only hide the real fault.
  if (!unreadable && file !== null) {
    config = read(configShape, withDerived(tree, surroundings), '', faults);
    // The draft is what `read` gives for this very shape; members with a fault are the ones left out.
    faults.push(...rules((config ?? {}) as ConfigDraft, surroundings.directory));
  }
  if (faults.length > 0) throw new ConfigRefused([...new Set(faults.map((fault) => told(fault, setBy)))]);
  return config as Config;
}

/** Fills in defaults that depend on other settings (see `derived`). */
function withDerived(tree: unknown, { hostname }: Surroundings): unknown {
  if (!isObject(tree)) return tree;
  const { sidecar = {}, bundle }: Top = tree;
  const place = isObject(bundle) ? placeOf(bundle) : undefined;
  // Without a place there is a fault that says so; that the name is missing too would be no news.
  const name = place === undefined ? 'none' : posix.basename(place, '.tar.gz') || 'bundle';
  return {
    ...tree,
    sidecar: absentIn(sidecar, 'id', hostname),
    ...(bundle === undefined ? {} : { bundle: absentIn(bundle, 'name', name) }),
  };
}

/** The path that the bundle's name is taken from. */
function placeOf({ file, directory, http }: Top): string | undefined {
  const url = isObject(http) && typeof http.url === 'string' ? URL.parse(http.url)?.pathname : undefined;
  return [file, directory, url].find((place) => typeof place === 'string');
}

/** Members that are looked at before anything is checked. */
interface Top {
  readonly sidecar?: unknown;
  readonly bundle?: unknown;
  readonly file?: unknown;
  readonly directory?: unknown;
  readonly http?: unknown;
  readonly url?: unknown;
}

function absentIn(value: unknown, name: string, standIn: string): unknown {
  return isObject(value) && !Object.hasOwn(value, name) ? { ...value, [name]: standIn } : value;
}

function isObject(value: unknown): value is Top {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function told({ at, text }: Fault, setBy: ReadonlyMap<string, string>): string {
  if (at === '') return text;
  const from = [...setBy]
    .filter(([path]) => at === path || at.startsWith(`${path}.`) || at.startsWith(`${path}[`))
    .at(-1);
  return from === undefined ? `${at}: ${text}` : `${at} (from ${from[1]}): ${text}`;
}
