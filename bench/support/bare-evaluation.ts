import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readBundle } from '../../src/bundle/reading/read-bundle.ts';

const file = readFileSync(join(import.meta.dirname, '../../bundles/starter.tar.gz'));
const bundle = await readBundle(file, { inflatedBytes: 2 ** 30, members: 10_000 });
const known = {
  caller: { id: 'spiffe://acme.example/agent/report-bot', method: 'configured', claims: {}, age_s: 0, relay: false },
  device: { id: 'node-7', known: true, compliant: true, attributes: { compliant: true }, age_s: 1, sources: {} },
  trust: { risk_level: 'low', session: { revoked: false }, attributes: {}, age_s: 1, sources: ['idp'] },
  grants: [],
  attestations: [],
};
export const wasm = bundle.wasm;
const input = Buffer.from(
  JSON.stringify({
    subject: { type: 'agent', id: known.caller.id },
    action: { name: 'query' },
    resource: { type: 'database', id: 'payroll' },
    context: { task: 'monthly-report' },
    ...known,
  }),
);

/** The part of OPA's ABI that an evaluation without host builtins takes. */
interface Exports {
  readonly opa_malloc: (bytes: number) => number;
  readonly opa_json_parse: (address: number, bytes: number) => number;
  readonly opa_json_dump: (value: number) => number;
  readonly opa_heap_ptr_get: () => number;
  readonly entrypoints: () => number;
  readonly opa_eval: (...values: readonly number[]) => number;
}

/** The database case of the starter bundle on a module as it is, with nothing of the sidecar's around it. */
export async function bareEvaluation(code: Uint8Array, shared = false): Promise<() => string> {
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 4_096, shared });
  const refuse = (): never => {
    throw new Error('no builtin is needed here');
  };
  const module = await WebAssembly.compile(new Uint8Array(code));
  const instance = new WebAssembly.Instance(module, {
    env: {
      memory,
      opa_abort: refuse,
      opa_println: refuse,
      // Nobody but the meter asks.
      opa_builtin0: () => 256,
      opa_builtin1: refuse,
      opa_builtin2: refuse,
      opa_builtin3: refuse,
      opa_builtin4: refuse,
    },
  });
  const exports = instance.exports as unknown as Exports;
  const bytes = (): Buffer => Buffer.from(memory.buffer);
  const textAt = (address: number): string => bytes().toString('utf8', address, bytes().indexOf(0, address));
  const data = Buffer.from(bundle.dataText);
  const dataAt = exports.opa_malloc(data.length);
  bytes().set(data, dataAt);
  const dataAddress = exports.opa_json_parse(dataAt, data.length);
  const entrypoints = JSON.parse(textAt(exports.opa_json_dump(exports.entrypoints()))) as Record<string, number>;
  const heap = exports.opa_heap_ptr_get();
  const entrypoint = entrypoints['authz/decision'] ?? 0;
  return () => {
    bytes().set(input, heap);
    return textAt(exports.opa_eval(0, entrypoint, dataAddress, heap, input.length, heap + input.length, 0));
  };
}
