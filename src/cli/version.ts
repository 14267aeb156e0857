import { readArguments } from './arguments.ts';
import { type CliEffects, exitCodes } from './effects.ts';

export interface Versions {
  readonly postern: string;
  /** e.g. `26.10.0` */
  readonly node: string;
  /** e.g. `linux-x64` */
  readonly platform: string;
}

/** `postern version` */
export async function version(args: readonly string[], effects: CliEffects, versions: Versions): Promise<number> {
  const { values } = readArguments(args, { json: { type: 'boolean' } });
  const { postern, node, platform } = versions;
  effects.out(
    values.json === true ? `${JSON.stringify(versions)}\n` : `postern ${postern} (node ${node}, ${platform})\n`,
  );
  return exitCodes.ok;
}
