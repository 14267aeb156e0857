// Tested by test/opa/builtins/identifiers.test.ts.
import { equalIps, type Ip, join, maskIp, maskOf, maskSize, type Network, to4 } from './ip.ts';

interface Range {
  readonly first: Ip;
  readonly last: Ip;
  /** The network that the range came from, until it was merged with another. */
  readonly network: Network | undefined;
}

const v4Prefix = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff);
const lowest4 = Uint8Array.of(...v4Prefix, 0, 0, 0, 0);
const lowest6 = new Uint8Array(16);
const highest4 = Uint8Array.of(...v4Prefix, 255, 255, 255, 255);
const highest6 = new Uint8Array(16).fill(255);

/**
 * The fewest networks that cover the same addresses.
 *
 * @see OPA's internal/cidr/merge, taken from Cilium, whose results on IPv4-mapped IPv6 networks are kept as they are
 */
export function mergeNetworks(networks: readonly Network[]): readonly Network[] {
  const ranges: Range[] = networks.map((network) => ({ ...rangeOf(network), network }));
  ranges.sort((a, b) => Buffer.compare(a.last, b.last) || Buffer.compare(a.first, b.first));
  for (let at = ranges.length - 1; at > 0; at--) {
    const range = ranges[at];
    const before = ranges[at - 1];
    if (range === undefined || before === undefined) continue;
    if (Buffer.compare(previousIp(range.first), before.last) <= 0) {
      const first = Buffer.compare(before.first, range.first) < 0 ? before.first : range.first;
      ranges.splice(at - 1, 2, { first, last: range.last, network: undefined });
    }
  }
  return ranges.flatMap(({ first, last, network }) => (network === undefined ? networksOf(first, last) : [network]));
}

function rangeOf({ ip, mask }: Network): { readonly first: Ip; readonly last: Ip } {
  const masked = maskIp(ip, mask) ?? new Uint8Array();
  const first = to4(masked) === undefined ? masked : join(v4Prefix, masked);
  const last = Uint8Array.from(first);
  for (let index = 0; index < mask.length; index++) {
    const at = 15 - index;
    last[at] = (last[at] ?? 0) | (~(mask[mask.length - 1 - index] ?? 0) & 0xff);
  }
  return { first, last };
}

function previousIp(ip: Ip): Ip {
  if (equalIps(ip, lowest4) || equalIps(ip, lowest6)) return ip;
  const previous = Uint8Array.from(ip);
  const bound = to4(ip) === undefined ? 0 : 12;
  for (let index = ip.length - 1; index >= bound; index--) {
    previous[index] = (previous[index] ?? 0) - 1;
    if (ip[index] !== 0) break;
  }
  return previous;
}

function nextIp(ip: Ip): Ip {
  if (equalIps(ip, highest4) || equalIps(ip, highest6)) return ip;
  const next = Uint8Array.from(ip);
  for (let index = ip.length - 1; index >= 0; index--) {
    next[index] = (next[index] ?? 0) + 1;
    if (next[index] !== 0) break;
  }
  return next;
}

function networksOf(first: Ip, last: Ip): readonly Network[] {
  let spanning = spanningNetwork(first, last);
  const whole = rangeOf(spanning);
  const networks: Network[] = [];
  if (Buffer.compare(whole.first, first) < 0) {
    const { right } = partition(spanning, hostNetwork(previousIp(first)));
    const [head, ...rest] = right;
    networks.push(...rest);
    if (head !== undefined) spanning = head;
  }
  if (Buffer.compare(whole.last, last) > 0) networks.push(...partition(spanning, hostNetwork(nextIp(last))).left);
  else networks.push(spanning);
  return networks;
}

function hostNetwork(ip: Ip): Network {
  const bits = to4(ip) === undefined ? 128 : 32;
  return { ip, mask: maskOf(bits, bits) };
}

function spanningNetwork(first: Ip, last: Ip): Network {
  const bits = to4(first) === undefined ? 128 : 32;
  const low = numberOf(first);
  let high = numberOf(last);
  let size = bits;
  while (size > 0 && low < high) {
    size--;
    high &= -(1n << BigInt(bits - size));
  }
  return { ip: bytesOf(high), mask: maskOf(size, bits) };
}

/** The networks of `target` below and above `excluded`. */
function partition(target: Network, excluded: Network): { readonly left: Network[]; readonly right: Network[] } {
  const whole = rangeOf(target);
  const hole = rangeOf(excluded);
  if (Buffer.compare(hole.last, whole.first) < 0) return { left: [], right: [target] };
  if (Buffer.compare(whole.last, hole.first) < 0) return { left: [target], right: [] };
  const bits = to4(target.ip) === undefined ? 128 : 32;
  const holeSize = maskSize(excluded.mask) ?? 0;
  const left: Network[] = [];
  const right: Network[] = [];
  let size = (maskSize(target.mask) ?? 0) + 1;
  let lower = numberOf(whole.first);
  let upper = lower + (1n << BigInt(Math.max(bits - size, 0)));
  while (holeSize >= size) {
    const mask = maskOf(size, bits);
    const above = bytesOf(upper);
    let matched: bigint;
    if (Buffer.compare(hole.first, above) >= 0) {
      left.push({ ip: bytesOf(lower), mask });
      matched = upper;
    } else {
      right.push({ ip: above, mask });
      matched = lower;
    }
    size++;
    if (size > bits) break;
    lower = matched;
    upper = matched + (1n << BigInt(bits - size));
  }
  return { left, right };
}

function numberOf(ip: Ip): bigint {
  return BigInt(`0x${Buffer.from(ip).toString('hex') || '0'}`);
}

function bytesOf(value: bigint): Ip {
  return new Uint8Array(Buffer.from(value.toString(16).padStart(32, '0'), 'hex'));
}
