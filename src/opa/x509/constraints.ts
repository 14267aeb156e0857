// Tested by test/opa/builtins/x509-chains.long.test.ts.
import { contains, parseIp } from '../go/ip.ts';
import { splitHostPort } from '../go/url.ts';
import type { Certificate } from './certificate.ts';
import { domainLabelsValid, type Mailbox, mailboxOf } from './domains.ts';
import { alternativeNamesOid, type IpRange, nameConstraintsOid } from './extensions.ts';

/**
 * Whether every name in the chain may be there: none that an authority above it may not sign for (RFC 5280, section
 * 4.2.1.10).
 *
 * @param chain from the leaf to the root
 */
export function namesPermitted(chain: readonly Certificate[], charge: (units: number) => void): boolean {
  const constraining = chain.map((certificate) => has(certificate, nameConstraintsOid));
  const last = constraining.lastIndexOf(true);
  return chain.every((certificate, index) => {
    if (index >= last || !has(certificate, alternativeNamesOid)) return true;
    const names = namesOf(certificate);
    if (names === undefined) return false;
    return chain.every((authority, place) => {
      if (place <= index || constraining[place] !== true) return true;
      return allows(authority, names, charge);
    });
  });
}

function has(certificate: Certificate, oid: string): boolean {
  return certificate.extensions.some((extension) => extension.oid.join('.') === oid);
}

interface Names {
  readonly ips: readonly Buffer[];
  readonly dns: readonly string[];
  readonly uriDomains: readonly string[];
  readonly mailboxes: readonly Mailbox[];
}

/** @returns undefined where a name is none that a constraint could be held against */
function namesOf({ ipAddresses, dnsNames, uris, emailAddresses }: Certificate): Names | undefined {
  const uriDomains: string[] = [];
  for (const { host: authority } of uris) {
    let host = authority.toLowerCase();
    if (host === '') return undefined;
    if (host.includes(':') && !host.endsWith(']')) {
      const { hostname, port } = splitHostPort(authority);
      if (hostname.includes(':') || (port === '' && !authority.endsWith(':'))) return undefined;
      host = hostname;
    }
    // An address, which these constraints are not for.
    if (parseIp(host) !== undefined || host.startsWith('[')) return undefined;
    uriDomains.push(host);
  }
  const mailboxes: Mailbox[] = [];
  for (const email of emailAddresses) {
    const mailbox = mailboxOf(email);
    if (mailbox === undefined) return undefined;
    mailboxes.push({ local: mailbox.local, domain: mailbox.domain.toLowerCase() });
  }
  const domains = [...dnsNames, ...uriDomains, ...mailboxes.map(({ domain }) => domain)];
  if (!domains.every((domain) => domainLabelsValid(domain, false))) return undefined;
  return { ips: ipAddresses, dns: dnsNames, uriDomains, mailboxes };
}

function allows(
  { permitted, excluded }: Certificate,
  { ips, dns, uriDomains, mailboxes }: Names,
  charge: (units: number) => void,
): boolean {
  const sizes = [permitted, excluded].map(
    (list) => list.dns.length + list.ips.length + list.emails.length + list.uris.length,
  );
  charge((ips.length + dns.length + uriDomains.length + mailboxes.length) * ((sizes[0] ?? 0) + (sizes[1] ?? 0)));
  return (
    ips.every((ip) => within(permitted.ips, excluded.ips, (list) => holdsIp(list, ip))) &&
    dns.every((name) => within(permitted.dns, excluded.dns, (list, out) => holdsDomain(list, name, out))) &&
    uriDomains.every((name) => within(permitted.uris, excluded.uris, (list, out) => holdsDomain(list, name, out))) &&
    mailboxes.every((box) => within(permitted.emails, excluded.emails, (list, out) => holdsMailbox(list, box, out)))
  );
}

/** In what is permitted, where anything is, and not in what is excluded. */
function within<T>(
  permitted: readonly T[],
  excluded: readonly T[],
  holds: (list: readonly T[], excluding: boolean) => boolean,
): boolean {
  return (permitted.length === 0 || holds(permitted, false)) && !holds(excluded, true);
}

function holdsIp(ranges: readonly IpRange[], ip: Buffer): boolean {
  return ranges.some((range) => range.ip.length === ip.length && contains(range, ip));
}

function holdsDomain(constraints: readonly string[], name: string, excluding: boolean): boolean {
  if (constraints.some((constraint) => constraint === '' || isInDomain(constraint, name))) return true;
  if (!excluding || !name.startsWith('*')) return false;
  // A wildcard matches the excluded name too.
  const trimmed = withoutFirstLabel(name);
  return trimmed !== '' && constraints.some((constraint) => withoutFirstLabel(constraint) === trimmed);
}

function isInDomain(domain: string, name: string): boolean {
  if (!name.toLowerCase().endsWith(domain.toLowerCase())) return false;
  return domain.startsWith('.') || name.length === domain.length || name.at(-domain.length - 1) === '.';
}

function withoutFirstLabel(name: string): string {
  const dot = name.indexOf('.');
  return dot < 0 ? '' : name.slice(dot).toLowerCase();
}

function holdsMailbox(constraints: readonly string[], { local, domain }: Mailbox, excluding: boolean): boolean {
  const exact = constraints.some((constraint) => {
    const mailbox = constraint.includes('@') ? mailboxOf(constraint) : undefined;
    return mailbox !== undefined && mailbox.local === local && mailbox.domain.toLowerCase() === domain;
  });
  const domains = constraints.filter((constraint) => !constraint.includes('@'));
  return exact || holdsDomain(domains, domain, excluding);
}
