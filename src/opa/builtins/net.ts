// Tested by test/opa/builtins/identifiers.test.ts.
import {
  contains,
  equalIps,
  type Ip,
  ipText,
  maskIp,
  maskSize,
  type Network,
  networkText,
  parseCidr,
  parseIp,
  to4,
} from '../go/ip.ts';
import { mergeNetworks } from '../go/merge-networks.ts';
import { BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { integer, isArray, stringOperand } from '../values/operands.ts';
import { RegoObject, RegoSet, type Value } from '../values/value.ts';

export const builtins: BuiltinFamily = {
  'net.cidr_contains_matches': (context, networks, addresses) => {
    const matches = new RegoSet();
    const inner = candidatesOf(addresses);
    for (const [network, networkIndex] of candidatesOf(networks)) {
      for (const [address, addressIndex] of inner) {
        context.charge(1);
        if (networkContains(network, address)) matches.add([networkIndex, addressIndex]);
      }
    }
    return matches;
  },

  'net.cidr_expand': (context, cidr) => {
    const parsed = cidrOperand(cidr);
    const all = new RegoSet();
    const address = maskIp(parsed.ip, parsed.network.mask);
    if (address === undefined) return all;
    while (contains(parsed.network, address)) {
      context.charge(1);
      all.add(ipText(address));
      increment(address);
    }
    return all;
  },

  'net.cidr_is_valid': (_context, cidr) => typeof cidr === 'string' && parseCidr(cidr) !== undefined,

  'net.cidr_merge': (context, networks) => {
    const list = networks instanceof RegoSet ? networks.sorted() : networks;
    if (!isArray(list)) throw new BuiltinError('operand must be an array');
    context.charge(list.length * 8);
    return new RegoSet(mergeNetworks(list.map(networkOf)).map(networkText));
  },
};

function cidrOperand(value: Value): { readonly ip: Ip; readonly network: Network } {
  const parsed = parseCidr(stringOperand(value, 1));
  if (parsed === undefined) throw new BuiltinError('invalid CIDR address');
  return parsed;
}

/** `net.cidr_contains` */
function networkContains(cidr: Value, cidrOrIp: Value): boolean {
  const { network } = cidrOperand(cidr);
  const ip = parseIp(stringOperand(cidrOrIp, 1));
  if (ip !== undefined) return contains(network, ip);
  const other = cidrOperand(cidrOrIp).network;
  if (isPlainV6(network) && isPlainV6(other)) {
    const masked = maskIp(other.ip, network.mask);
    return (
      (maskSize(network.mask) ?? 0) <= (maskSize(other.mask) ?? 0) &&
      masked !== undefined &&
      equalIps(network.ip, masked)
    );
  }
  return contains(network, other.ip) && contains(network, lastOf(other));
}

function isPlainV6({ ip, mask }: Network): boolean {
  return ip.length === 16 && mask.length === 16 && to4(ip) === undefined;
}

function lastOf({ ip, mask }: Network): Ip {
  return ip.map((byte, index) => byte | (~(mask[index] ?? 0) & 0xff));
}

function increment(ip: Ip): void {
  for (let index = ip.length - 1; index >= 0; index--) {
    ip[index] = (ip[index] ?? 0) + 1;
    if (ip[index] !== 0) return;
  }
}

/** The items to match, and their names in the result: an array's index, a set's member, an object's key. */
function candidatesOf(value: Value): readonly (readonly [Value, Value])[] {
  if (typeof value === 'string') return [[value, value]];
  if (isArray(value)) return value.map((item, index) => [candidate(item), integer(index)]);
  if (value instanceof RegoSet) return value.sorted().map((member) => [candidate(member), member]);
  if (value instanceof RegoObject) return value.sorted().map(([key, member]) => [candidate(member), key]);
  return [];
}

function candidate(item: Value): Value {
  if (typeof item === 'string') return item;
  const first = isArray(item) ? item[0] : undefined;
  if (first === undefined) throw new BuiltinError('element must be string or non-empty array');
  return first;
}

function networkOf(item: Value): Network {
  if (typeof item !== 'string') throw new BuiltinError('element must be string');
  const ip = parseIp(item);
  if (ip === undefined) return cidrOperand(item).network;
  const v4 = to4(ip);
  if (v4 === undefined) throw new BuiltinError('IPv6 invalid: needs prefix length');
  // A bare IPv4 address means its class network, as in Go's DefaultMask.
  const lead = v4[0] ?? 0;
  return { ip, mask: Uint8Array.of(255, lead < 0x80 ? 0 : 255, lead < 0xc0 ? 0 : 255, 0) };
}
