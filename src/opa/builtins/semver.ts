// Tested by test/opa/builtins/identifiers.test.ts.
import { BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { integer, stringOperand } from '../values/operands.ts';

interface Version {
  readonly numbers: readonly bigint[];
  readonly preRelease: string;
}

export const builtins: BuiltinFamily = {
  'semver.compare': (_context, a, b) => {
    const first = stringOperand(a, 1);
    const second = stringOperand(b, 2);
    return integer(compare(versionOf(first, 1), versionOf(second, 2)));
  },
  'semver.is_valid': (_context, version) => typeof version === 'string' && parse(version) !== undefined,
};

function versionOf(text: string, position: number): Version {
  const version = parse(text);
  if (version === undefined) throw new BuiltinError(`operand ${position}: not a valid SemVer`);
  return version;
}

const identifiers = '[0-9A-Za-z-]+(?:\\.[0-9A-Za-z-]+)*';
const versionText = new RegExp(
  `^v?(0|[1-9]\\d*)\\.(0|[1-9]\\d*)\\.(0|[1-9]\\d*)(?:-(${identifiers}))?(?:\\+${identifiers})?$`,
);

/** SemVer 2.0.0 with OPA's leave: a leading `v` is allowed, and each number must fit 64 bits. */
function parse(text: string): Version | undefined {
  const match = versionText.exec(text);
  if (match === null) return undefined;
  const [, major = '', minor = '', patch = '', preRelease = ''] = match;
  const numbers = [major, minor, patch].map(BigInt);
  if (numbers.some((number) => number >= 1n << 63n)) return undefined;
  if (preRelease.split('.').some((identifier) => /^0\d+$/.test(identifier))) return undefined;
  return { numbers, preRelease };
}

function compare(a: Version, b: Version): -1 | 0 | 1 {
  for (const [index, number] of a.numbers.entries()) {
    const other = b.numbers[index] ?? 0n;
    if (number !== other) return number < other ? -1 : 1;
  }
  if (a.preRelease === b.preRelease) return 0;
  if (a.preRelease === '') return 1;
  if (b.preRelease === '') return -1;
  const left = a.preRelease.split('.');
  const right = b.preRelease.split('.');
  for (const [index, identifier] of left.entries()) {
    const other = right[index];
    if (other === undefined) return 1;
    const order = compareIdentifiers(identifier, other);
    if (order !== 0) return order;
  }
  return left.length < right.length ? -1 : 0;
}

/** Numbers by their value and before all others, others by their ASCII. */
function compareIdentifiers(a: string, b: string): -1 | 0 | 1 {
  if (a === b) return 0;
  const numericA = /^\d+$/.test(a);
  const numericB = /^\d+$/.test(b);
  if (numericA !== numericB) return numericA ? -1 : 1;
  if (numericA) return BigInt(a) < BigInt(b) ? -1 : 1;
  return a < b ? -1 : 1;
}
