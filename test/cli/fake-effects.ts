import { fileURLToPath } from 'node:url';
import type { CliEffects } from '../../src/cli/effects.ts';
import { epochMs } from '../../src/domain/time.ts';

/** Effects that remember what was said and read files from memory; what is not there is absent, as on a disk. */
export function fakeEffects(files: Readonly<Record<string, string | Uint8Array>> = {}, more: Partial<CliEffects> = {}) {
  const said = { out: '', err: '' };
  const effects: CliEffects = {
    out: (text) => {
      said.out += text;
    },
    err: (text) => {
      said.err += text;
    },
    env: {},
    readFile: async (path) => {
      const content = Object.hasOwn(files, path) ? files[path] : undefined;
      if (content === undefined)
        throw Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: 'ENOENT' });
      return Buffer.from(content);
    },
    hostname: 'box-1',
    directory: '/srv/postern',
    isTerminal: false,
    clock: { now: () => epochMs(1_793_613_600_000), monotonicMs: () => 0 },
    threadCpuMs: () => 0,
    ...more,
  };
  return { effects, said };
}

export const repository = fileURLToPath(new URL('../../', import.meta.url));

export const soundYaml = `
decision:
  identity: {id: "spiffe://acme.example/agent/report-bot"}
  sockets: [{path: run/ci.sock, identity: {id: "spiffe://acme.example/ci/payments-deploy"}}]
  relays: ["spiffe://acme.example/ci/payments-deploy"]
control: {tokens: [{name: ops, file: control.token}], socket: {path: control/c.sock}}
probes: {listen: "0.0.0.0:8383"}
bundle: {file: bundles/starter.tar.gz}
store: {directory: state/store}
record: {file: state/decisions.jsonl}
device: {id: node-7}
`;
