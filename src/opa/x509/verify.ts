// Tested by test/opa/builtins/x509-chains.long.test.ts.
import { equalIps, parseIp } from '../go/ip.ts';
import { BuiltinError } from '../values/builtin.ts';
import type { Certificate } from './certificate.ts';
import { namesPermitted } from './constraints.ts';
import { alternativeNamesOid } from './extensions.ts';
import { policiesValid } from './policies.ts';
import { isSignedBy } from './signature.ts';

export interface VerifyOptions {
  /** Empty for any. */
  readonly dnsName: string;
  readonly nowNs: bigint;
  /** Go's `ExtKeyUsage`; none for the usual, a server's. */
  readonly keyUsages: readonly number[];
}

const anyUsage = 0;
const serverAuth = 1;
const certSign = 1 << 5;
/** As Go has it: a chain of certificates that name one another could take for ever. */
const signatureChecksMax = 100;
/** So that a budget of time is looked at before each signature. */
const unitsPerCheck = 256;

/**
 * Go's `Certificate.Verify`.
 *
 * @param certificates the root, any number of others, and last the one to be verified
 * @returns the chain, from the leaf to the root; undefined where there is none
 */
export function verifiedChain(
  certificates: readonly Certificate[],
  options: VerifyOptions,
  charge: (units: number) => void,
): readonly Certificate[] | undefined {
  const root = certificates[0];
  const leaf = certificates.at(-1);
  if (root === undefined || leaf === undefined || certificates.length < 2) {
    throw new BuiltinError('must supply at least two certificates to be able to verify');
  }
  if (!isValid(leaf, [], false, options)) return undefined;
  if (options.dnsName !== '' && !isFor(leaf, options.dnsName)) return undefined;
  const builder = new ChainBuilder(root, unique(certificates.slice(1, -1)), options, charge);
  return builder.chains(leaf).find((chain) => {
    charge(chain.length);
    return policiesValid(chain, charge) && mayBeUsed(chain, options.keyUsages) && namesPermitted(chain, charge);
  });
}

function unique(certificates: readonly Certificate[]): readonly Certificate[] {
  return [...new Map(certificates.map((certificate) => [certificate.raw.toString('latin1'), certificate])).values()];
}

class ChainBuilder {
  readonly #root: Certificate;
  readonly #intermediates: readonly Certificate[];
  readonly #options: VerifyOptions;
  readonly #charge: (units: number) => void;
  #checks = 0;

  constructor(
    root: Certificate,
    intermediates: readonly Certificate[],
    options: VerifyOptions,
    charge: (units: number) => void,
  ) {
    this.#root = root;
    this.#intermediates = intermediates;
    this.#options = options;
    this.#charge = charge;
  }

  chains(leaf: Certificate): readonly (readonly Certificate[])[] {
    return leaf.raw.equals(this.#root.raw) ? [[leaf]] : this.#above([leaf]);
  }

  #above(chain: readonly Certificate[]): (readonly Certificate[])[] {
    const child = chain.at(-1) as Certificate;
    const chains: (readonly Certificate[])[] = [];
    for (const root of potentialParents(child, [this.#root])) {
      if (this.#mayFollow(root, chain, child, false)) chains.push([...chain, root]);
    }
    for (const intermediate of potentialParents(child, this.#intermediates)) {
      if (this.#checks > signatureChecksMax) break;
      if (this.#mayFollow(intermediate, chain, child, true)) chains.push(...this.#above([...chain, intermediate]));
    }
    return chains;
  }

  #mayFollow(
    candidate: Certificate,
    chain: readonly Certificate[],
    child: Certificate,
    intermediate: boolean,
  ): boolean {
    this.#charge(unitsPerCheck);
    this.#checks++;
    return (
      this.#checks <= signatureChecksMax &&
      candidate.publicKey.key !== undefined &&
      !isIn(chain, candidate) &&
      isIssuedBy(child, candidate) &&
      isValid(candidate, chain, intermediate, this.#options)
    );
  }
}

/** Those that have the issuer's name, the likeliest first: whose key identifiers match. */
function potentialParents(child: Certificate, pool: readonly Certificate[]): readonly Certificate[] {
  const none = Buffer.alloc(0);
  const wanted = child.authorityKeyId ?? none;
  const distance = ({ subjectKeyId = none }: Certificate): number => {
    if (subjectKeyId.equals(wanted)) return 0;
    return subjectKeyId.length === 0 || wanted.length === 0 ? 1 : 2;
  };
  return pool
    .filter(({ rawSubject }) => rawSubject.equals(child.rawIssuer))
    .toSorted((a, b) => distance(a) - distance(b));
}

/** The same name, key and alternative names: another certificate of an authority that is in the chain already. */
function isIn(chain: readonly Certificate[], candidate: Certificate): boolean {
  const names = alternativeNames(candidate);
  for (const { rawSubject, publicKey, extensions } of chain) {
    if (!rawSubject.equals(candidate.rawSubject) || !publicKey.raw.equals(candidate.publicKey.raw)) continue;
    const others = alternativeNames({ extensions });
    if (names === undefined && others === undefined) return true;
    if (names === undefined || others === undefined) return false;
    if (names.equals(others)) return true;
  }
  return false;
}

function alternativeNames({ extensions }: Pick<Certificate, 'extensions'>): Buffer | undefined {
  return extensions.find(({ oid }) => oid.join('.') === alternativeNamesOid)?.value;
}

function isIssuedBy(child: Certificate, parent: Certificate): boolean {
  if (parent.basicConstraintsValid ? !parent.isCa : parent.version === 3) return false;
  if (parent.keyUsage !== 0 && (parent.keyUsage & certSign) === 0) return false;
  return isSignedBy(child.signatureAlgorithm, child.toBeSigned, child.signature, parent.publicKey);
}

function isValid(
  certificate: Certificate,
  chain: readonly Certificate[],
  intermediate: boolean,
  { nowNs }: VerifyOptions,
): boolean {
  if (certificate.unhandledCritical.length > 0) return false;
  const child = chain.at(-1);
  if (child !== undefined && !child.rawIssuer.equals(certificate.rawSubject)) return false;
  if (nowNs < certificate.notBefore.ns || nowNs > certificate.notAfter.ns) return false;
  if (intermediate && (!certificate.basicConstraintsValid || !certificate.isCa)) return false;
  const { basicConstraintsValid, maxPathLen } = certificate;
  return !(basicConstraintsValid && maxPathLen >= 0 && chain.length - 1 > maxPathLen);
}

/** Each certificate that says what it may be used for has to say one of the usages that all above it do. */
function mayBeUsed(chain: readonly Certificate[], wanted: readonly number[]): boolean {
  if (wanted.includes(anyUsage)) return true;
  let usages = wanted.length === 0 ? [serverAuth] : wanted;
  for (const { extKeyUsage, unknownExtKeyUsage } of chain.toReversed()) {
    if (extKeyUsage.length + unknownExtKeyUsage.length === 0 || extKeyUsage.includes(anyUsage)) continue;
    usages = usages.filter((usage) => extKeyUsage.includes(usage));
    if (usages.length === 0) return false;
  }
  return true;
}

/** Go's `VerifyHostname`. */
function isFor({ ipAddresses, dnsNames }: Certificate, host: string): boolean {
  const bracketed = host.length >= 3 && host.startsWith('[') && host.endsWith(']');
  const ip = parseIp(bracketed ? host.slice(1, -1) : host);
  if (ip !== undefined) return ipAddresses.some((address) => equalIps(ip, address));
  const name = lowerAscii(host);
  const validName = isHostname(name.replace(/\.$/, ''), false);
  return dnsNames.some((pattern) => {
    if (validName && isHostname(pattern, true)) return matches(lowerAscii(pattern), name.replace(/\.$/, ''));
    return !['', '.'].includes(pattern) && !['', '.'].includes(name) && lowerAscii(pattern) === name;
  });
}

function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

function isHostname(host: string, pattern: boolean): boolean {
  if (host === '' || host === '*') return false;
  return host
    .split('.')
    .every((part, index) => (pattern && index === 0 && part === '*') || /^[A-Za-z0-9_][A-Za-z0-9_-]*$/.test(part));
}

function matches(pattern: string, host: string): boolean {
  const wanted = pattern.split('.');
  const parts = host.split('.');
  return (
    wanted.length === parts.length &&
    wanted.every((part, index) => (index === 0 && part === '*') || part === parts[index])
  );
}
