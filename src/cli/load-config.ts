// Tested by test/cli/check-config.test.ts.
import { parseConfig } from '../config/config.ts';
import { configFileVariable } from '../config/environment.ts';
import type { Config } from '../config/schema.ts';
import { ConfigRefused } from '../domain/errors.ts';
import type { CliEffects } from './effects.ts';
import { reasonOf } from './read-file.ts';

export interface LoadedConfig {
  readonly path: string;
  readonly config: Config;
}

/**
 * Finds and reads the configuration: the path given, else `POSTERN_CONFIG`, else `postern.yaml`.
 *
 * @throws ConfigRefused
 */
export async function loadConfig(given: string | undefined, effects: CliEffects): Promise<LoadedConfig> {
  const path = given ?? effects.env[configFileVariable] ?? 'postern.yaml';
  const { hostname, directory } = effects;
  return { path, config: parseConfig(await textOf(path, effects), effects.env, { hostname, directory }) };
}

async function textOf(path: string, effects: CliEffects): Promise<string> {
  let bytes: Uint8Array;
  try {
    bytes = await effects.readFile(path);
  } catch (cause) {
    throw new ConfigRefused([
      `${path}: cannot be read (${reasonOf(cause)}); name the file by --config or ${configFileVariable}`,
    ]);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new ConfigRefused([`${path}: not UTF-8`]);
  }
}
