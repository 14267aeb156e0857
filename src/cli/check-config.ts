import type { Address, Config } from '../config/schema.ts';
import { fileSchema } from '../config/shape.ts';
import { printable } from '../text/printable.ts';
import { readArguments } from './arguments.ts';
import { type CliEffects, exitCodes } from './effects.ts';
import { loadConfig } from './load-config.ts';

/** `postern check-config`: a short account of a sound configuration; every fault of another one. */
export async function checkConfig(args: readonly string[], effects: CliEffects): Promise<number> {
  const { values } = readArguments(args, { config: { type: 'string' }, schema: { type: 'boolean' } });
  if (values.schema === true) {
    effects.out(`${JSON.stringify(fileSchema(), undefined, 2)}\n`);
    return exitCodes.ok;
  }
  const { path, config } = await loadConfig(values.config, effects);
  effects.out(`${[`${path}: no errors`, ...account(config)].map(printable).join('\n')}\n`);
  return exitCodes.ok;
}

function account({ decision, control, probes, bundle, store, record, device, attestations }: Config): string[] {
  const { listen, identity, sockets, relays } = decision;
  return [
    ...(listen === null
      ? []
      : [`  decides on    ${at(listen)} for ${identity === undefined ? 'unknown callers' : identity.id}`]),
    ...sockets.map((socket) => `  decides on    ${socket.path} for ${socket.identity.id}`),
    ...relays.map((relay) => `  relay         ${relay}`),
    ...(control.listen === null ? [] : [`  control on    ${at(control.listen)} for ${holders(control.tokens)}`]),
    ...(control.socket === null ? [] : [`  control on    ${control.socket.path} for ${holders(control.tokens)}`]),
    ...(probes.listen === null ? [] : [`  probes on     ${at(probes.listen)}`]),
    ...[bundle, ...bundle.data].map((one) => `  bundle        ${originOf(one)}`),
    ...(bundle.shadow === undefined ? [] : [`  shadow        ${originOf(bundle.shadow)}`]),
    `  store         ${store.directory}`,
    `  record        ${record.file}`,
    `  device        ${device === undefined ? 'none' : `${device.id}, host source ${device.host === null ? 'off' : 'on'}`}`,
    `  attestations  ${attestations.keys.length === 0 ? 'none' : attestations.keys.map((key) => key.id).join(', ')}`,
  ];
}

function originOf({
  name,
  file,
  directory,
  http,
  signing,
}: Config['bundle'] | Config['bundle']['data'][number]): string {
  const signed = signing === undefined ? '' : `, signed by ${signing.keys.map((key) => key.id).join(' or ')}`;
  return `${name} from ${file ?? directory ?? http?.url}${signed}`;
}

function at({ host, port }: Address): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function holders(tokens: Config['control']['tokens']): string {
  return tokens.map((token) => token.name).join(', ');
}
