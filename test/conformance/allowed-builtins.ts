import { execFileSync } from 'node:child_process';
import { type Builtin, BuiltinError } from '../../src/opa/values/builtin.ts';
import { stringOperand } from '../../src/opa/values/operands.ts';
import { RegoObject, RegoSet } from '../../src/opa/values/value.ts';

// What a sidecar refuses unless it is configured to allow it, and what only OPA's own test knows.

const lookUp = `
  const { lookup } = await import('node:dns/promises');
  console.log(JSON.stringify((await lookup(process.argv[1], { all: true })).map(({ address }) => address)));
`;

export const allowedBuiltins: ReadonlyMap<string, Builtin> = new Map<string, Builtin>([
  [
    'net.lookup_ip_addr',
    (_context, name) => {
      const text = execFileSync(process.execPath, ['--input-type=module', '-e', lookUp, stringOperand(name, 1)]);
      return new RegoSet(JSON.parse(text.toString()) as string[]);
    },
  ],
  [
    'http.send',
    () => {
      throw new BuiltinError('there is no network here');
    },
  ],
  // As in OPA where nothing is known of its surroundings.
  ['opa.runtime', () => new RegoObject()],
  ['test.sleep', () => null],
]);
