// Tested by test/opa/builtins/identifiers.test.ts.
import { valueText } from '../go/quote.ts';
import type { BuiltinFamily } from '../values/builtin.ts';
import { integer, stringOperand } from '../values/operands.ts';
import { RegoObject, type Value } from '../values/value.ts';

/** From 1582-10-15, where UUIDs count from, to 1970, in 100 ns. */
const gregorianOffset = 122_192_928_000_000_000n;
const domains = ['Person', 'Group', 'Org'];

export const builtins: BuiltinFamily = {
  'uuid.rfc4122': (context, key) => {
    const bytes = context.random(`uuid.rfc4122 ${valueText(key)}`).subarray(0, 16);
    bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
    bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
    return bytes.toString('hex').replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5');
  },

  'uuid.parse': (_context, text) => {
    const bytes = parse(stringOperand(text, 1));
    // OPA's function gives no result here, and no error either.
    return bytes === undefined ? undefined : describe(bytes);
  },
};

/** As google/uuid reads it: plain, in braces, as a URN, or as bare digits. */
function parse(text: string): Buffer | undefined {
  let plain = text;
  if (text.length === 45) {
    if (text.slice(0, 9).toLowerCase() !== 'urn:uuid:') return undefined;
    plain = text.slice(9);
  } else if (text.length === 38) {
    // The characters around it are not checked.
    plain = text.slice(1, 37);
  } else if (text.length === 32) {
    return /^[0-9a-fA-F]{32}$/.test(text) ? Buffer.from(text, 'hex') : undefined;
  }
  const dashed = /^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$/;
  return dashed.test(plain) ? Buffer.from(plain.replaceAll('-', ''), 'hex') : undefined;
}

function describe(bytes: Buffer): Value {
  const version = (bytes[6] ?? 0) >> 4;
  const members: Record<string, Value> = { version: integer(version), variant: variantOf(bytes[8] ?? 0) };
  if (version === 1 || version === 2) {
    const node = bytes.subarray(10);
    const low = BigInt(bytes.readUInt32BE(0));
    const middle = BigInt(bytes.readUInt16BE(4));
    const high = BigInt(bytes.readUInt16BE(6) & 0x0fff);
    const ticks = BigInt.asIntN(64, low | (middle << 32n) | (high << 48n)) - gregorianOffset;
    members['time'] = integer(BigInt.asIntN(64, ticks * 100n));
    members['nodeid'] = node.toString('hex').replace(/..(?=.)/g, '$&-');
    members['macvariables'] = macOf(node[0] ?? 0);
    members['clocksequence'] = integer(bytes.readUInt16BE(8) & 0x3fff);
    if (version === 2) {
      members['id'] = integer(bytes.readUInt32BE(0));
      const domain = bytes[9] ?? 0;
      members['domain'] = domains[domain] ?? `Domain${domain}`;
    }
  }
  return RegoObject.of(members);
}

function variantOf(byte: number): string {
  if ((byte & 0xc0) === 0x80) return 'RFC4122';
  if ((byte & 0xe0) === 0xc0) return 'Microsoft';
  return (byte & 0xe0) === 0xe0 ? 'Future' : 'Reserved';
}

function macOf(byte: number): string {
  return `${(byte & 0b10) === 0 ? 'global' : 'local'}:${(byte & 0b01) === 0 ? 'unicast' : 'multicast'}`;
}
