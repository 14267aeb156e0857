import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { BlockList, isIP } from 'node:net';
import { osErrorCode } from '../system/os-error.ts';

/**
 * Of the machine's resolver, which holds one of Node's four threads for disk and names until it has given up: two are left
 * for the record, whatever name servers do.
 */
const lookupsMax = 2;

export type Looked =
  | { readonly kind: 'found'; readonly addresses: readonly LookupAddress[] }
  | { readonly kind: 'failed'; readonly why: 'network' | 'not_found'; readonly message: string };

/** @throws with a `code`, `ENOTFOUND` if the name does not exist */
export type Resolve = (name: string) => Promise<readonly LookupAddress[]>;

/** Addresses that a name must not resolve to: this machine, its neighbours on the link, a cloud's metadata. */
const near = new BlockList();
for (const [network, bits] of [
  ['0.0.0.0', 8],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['224.0.0.0', 3],
] as const)
  near.addSubnet(network, bits, 'ipv4');
for (const [network, bits] of [
  ['::', 127],
  ['fd00:ec2::', 32],
  ['fe80::', 10],
  ['ff00::', 8],
] as const)
  near.addSubnet(network, bits, 'ipv6');

/** Names to addresses, by the machine's own resolver, as other programs on it have them: hosts file, search domains. */
export class Names {
  readonly #resolve: Resolve;
  readonly #underWay = new Map<string, Promise<Looked>>();
  readonly #queue: (() => void)[] = [];
  #running = 0;

  /** @param resolve the machine's own, unless a test has another */
  constructor(resolve: Resolve = (name) => lookup(name, { all: true, order: 'verbatim' })) {
    this.#resolve = resolve;
  }

  /** @throws the signal's reason; the lookup itself cannot be ended, and other decisions that need the name share it */
  async lookup(name: string, signal: AbortSignal): Promise<Looked> {
    signal.throwIfAborted();
    let looked = this.#underWay.get(name);
    if (looked === undefined) {
      looked = this.#look(name).finally(() => this.#underWay.delete(name));
      this.#underWay.set(name, looked);
    }
    const aborted = Promise.withResolvers<never>();
    const abort = (): void => aborted.reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await Promise.race([looked, aborted.promise]);
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  /**
   * Where to connect to. An address that the configuration names is always allowed; a name may resolve to any address
   * that its owner chooses.
   *
   * @param host as a URL has it
   */
  async connectable(host: string, signal: AbortSignal): Promise<Looked> {
    const literal = host.replace(/^\[|\]$/g, '');
    const family = isIP(literal);
    if (family !== 0) return { kind: 'found', addresses: [{ address: literal, family }] };
    const looked = await this.lookup(host, signal);
    if (looked.kind === 'failed' || /(?:^|\.)localhost$/.test(host)) return looked;
    const close = looked.addresses.find(({ address, family: v }) =>
      near.check(address.replace(/%.*$/, ''), v === 6 ? 'ipv6' : 'ipv4'),
    );
    return close === undefined
      ? looked
      : { kind: 'failed', why: 'network', message: `the name resolves to ${close.address}, which is not allowed` };
  }

  async #look(name: string): Promise<Looked> {
    if (this.#running < lookupsMax) this.#running += 1;
    else await new Promise<void>((resolve) => this.#queue.push(resolve));
    try {
      return { kind: 'found', addresses: await this.#resolve(name) };
    } catch (cause) {
      const code = osErrorCode(cause) ?? 'unknown';
      const why = code === 'ENOTFOUND' ? 'not_found' : 'network';
      return { kind: 'failed', why, message: `the name was not found: ${code}` };
    } finally {
      // Its place goes to the one that waits: given back first, it could be taken before that one runs.
      const next = this.#queue.shift();
      if (next === undefined) this.#running -= 1;
      else next();
    }
  }
}
