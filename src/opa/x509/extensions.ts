// Tested by test/opa/builtins/x509-certificates.test.ts.
import { parseIp } from '../go/ip.ts';
import { parseUrl, type Url } from '../go/url.ts';
import { BuiltinError } from '../values/builtin.ts';
import { textOf } from '../values/text.ts';
import { constructed, context, Der, tags } from './der.ts';
import { domainLabelsValid, mailboxOf } from './domains.ts';
import { ia5 } from './text.ts';

export interface Extension {
  readonly oid: readonly number[];
  readonly critical: boolean;
  readonly value: Buffer;
}

export interface IpRange {
  readonly ip: Buffer;
  readonly mask: Buffer;
}

/** Names of which a certificate may sign others, or may not. */
export interface Subtrees {
  readonly dns: string[];
  readonly ips: IpRange[];
  readonly emails: string[];
  readonly uris: string[];
}

export interface AlternativeNames {
  readonly dnsNames: readonly string[];
  readonly emailAddresses: readonly string[];
  readonly ipAddresses: readonly Buffer[];
  readonly uris: readonly Url[];
}

/** A certificate's extensions as Go reads them; zero and -1 as Go has them. */
export interface Extensions extends AlternativeNames {
  readonly keyUsage: number;
  readonly extKeyUsage: readonly number[];
  readonly unknownExtKeyUsage: readonly (readonly number[])[];
  readonly unhandledCritical: readonly (readonly number[])[];
  readonly basicConstraintsValid: boolean;
  readonly isCa: boolean;
  readonly maxPathLen: number;
  readonly subjectKeyId: Buffer | undefined;
  readonly authorityKeyId: Buffer | undefined;
  readonly ocspServers: readonly string[];
  readonly issuingCertificateUrls: readonly string[];
  readonly permitted: Subtrees;
  readonly excluded: Subtrees;
  readonly namesCritical: boolean;
  readonly crlDistributionPoints: readonly string[];
  /** The policies' identifiers, as DER has them without tag and length; undefined without the extension. */
  readonly policies: readonly Buffer[] | undefined;
  readonly policyMappings: readonly { readonly issuer: Buffer; readonly subject: Buffer }[];
  /** undefined where the extension does not say */
  readonly inhibitAnyPolicy: number | undefined;
  readonly inhibitPolicyMapping: number | undefined;
  readonly requireExplicitPolicy: number | undefined;
}

const noSubtrees: Subtrees = { dns: [], ips: [], emails: [], uris: [] };
const noNames: AlternativeNames = { dnsNames: [], emailAddresses: [], ipAddresses: [], uris: [] };

export const noExtensions: Extensions = {
  ...noNames,
  keyUsage: 0,
  extKeyUsage: [],
  unknownExtKeyUsage: [],
  unhandledCritical: [],
  basicConstraintsValid: false,
  isCa: false,
  maxPathLen: 0,
  subjectKeyId: undefined,
  authorityKeyId: undefined,
  ocspServers: [],
  issuingCertificateUrls: [],
  permitted: noSubtrees,
  excluded: noSubtrees,
  namesCritical: false,
  crlDistributionPoints: [],
  policies: undefined,
  policyMappings: [],
  inhibitAnyPolicy: undefined,
  inhibitPolicyMapping: undefined,
  requireExplicitPolicy: undefined,
};

export function readExtension(der: Der): Extension {
  const oid = der.oid();
  const critical = der.peek(tags.boolean) && der.boolean();
  return { oid, critical, value: der.read(tags.octetString) };
}

export const alternativeNamesOid = '2.5.29.17';
export const nameConstraintsOid = '2.5.29.30';

type Reading = { -readonly [Member in keyof Extensions]?: Extensions[Member] } & { unhandled?: boolean };

/** By its identifier, what each extension says; one that says nothing of what it should is unhandled. */
const readers: Readonly<Record<string, (extension: Extension) => Reading>> = {
  '2.5.29.14': ({ critical, value }) => {
    mustNotBeCritical(critical);
    return { subjectKeyId: new Der(value).read(tags.octetString) };
  },
  '2.5.29.15': ({ value }) => ({ keyUsage: readKeyUsage(new Der(value)) }),
  [alternativeNamesOid]: ({ value }) => {
    const names = readAlternativeNames(value);
    return { ...names, unhandled: Object.values(names).every((list) => list.length === 0) };
  },
  '2.5.29.19': ({ value }) => readBasicConstraints(new Der(value).enter(tags.sequence)),
  [nameConstraintsOid]: (extension) => readNameConstraints(extension),
  '2.5.29.31': ({ value }) => ({ crlDistributionPoints: readDistributionPoints(new Der(value).enter(tags.sequence)) }),
  '2.5.29.32': ({ value }) => ({ policies: readPolicies(new Der(value).enter(tags.sequence)) }),
  '2.5.29.33': ({ value }) => ({ policyMappings: readPolicyMappings(new Der(value).enter(tags.sequence)) }),
  '2.5.29.35': ({ critical, value }) => {
    mustNotBeCritical(critical);
    const id = new Der(value).enter(tags.sequence).optional(context(0));
    return id === undefined ? {} : { authorityKeyId: id };
  },
  '2.5.29.36': ({ value }) => readPolicyConstraints(new Der(value).enter(tags.sequence)),
  '2.5.29.37': ({ value }) => readExtKeyUsage(new Der(value).enter(tags.sequence)),
  '2.5.29.54': ({ value }) => ({ inhibitAnyPolicy: new Der(value).int() }),
  '1.3.6.1.5.5.7.1.1': ({ critical, value }) => {
    mustNotBeCritical(critical);
    return readAuthorityInfo(new Der(value).enter(tags.sequence));
  },
};

export function readExtensions(extensions: readonly Extension[]): Extensions {
  let read: Extensions = noExtensions;
  const unhandledCritical: (readonly number[])[] = [];
  for (const extension of extensions) {
    const { unhandled, ...found } = readers[extension.oid.join('.')]?.(extension) ?? { unhandled: true };
    read = { ...read, ...found };
    if (unhandled === true && extension.critical) unhandledCritical.push(extension.oid);
  }
  return { ...read, unhandledCritical };
}

function mustNotBeCritical(critical: boolean): void {
  if (critical) throw new BuiltinError('extension incorrectly marked critical');
}

function readKeyUsage(der: Der): number {
  const { bytes, length } = der.bitString();
  let usage = 0;
  for (let bit = 0; bit < Math.min(length, 9); bit++) {
    if (((bytes[bit >> 3] ?? 0) >> (7 - (bit & 7))) & 1) usage |= 1 << bit;
  }
  return usage;
}

function readBasicConstraints(der: Der): Reading {
  const isCa = der.peek(tags.boolean) && der.boolean();
  let maxPathLen = -1;
  if (der.peek(tags.integer)) {
    const length = der.integer();
    if (length < 0n || length >= 2n ** 63n) throw new BuiltinError('invalid basic constraints');
    maxPathLen = Number(length);
  }
  return { basicConstraintsValid: true, isCa, maxPathLen };
}

export function readAlternativeNames(value: Buffer): AlternativeNames {
  const names = { dnsNames: [], emailAddresses: [], ipAddresses: [], uris: [] } as {
    dnsNames: string[];
    emailAddresses: string[];
    ipAddresses: Buffer[];
    uris: Url[];
  };
  const der = new Der(value).enter(tags.sequence);
  while (!der.empty) {
    const { tag, content } = der.any();
    switch (tag) {
      case context(1):
        names.emailAddresses.push(ia5(content));
        break;
      case context(2):
        names.dnsNames.push(ia5(content));
        break;
      case context(6): {
        const url = parseUrl(ia5(content));
        if (url === undefined || !domainLabelsValid(url.host, false)) throw new BuiltinError('cannot parse URI');
        names.uris.push(url);
        break;
      }
      case context(7):
        if (content.length !== 4 && content.length !== 16) throw new BuiltinError('cannot parse IP address');
        names.ipAddresses.push(content);
        break;
    }
  }
  return names;
}

function readNameConstraints({ critical, value }: Extension): Reading {
  const outer = new Der(value);
  const der = outer.enter(tags.sequence);
  const permitted = der.optional(constructed(0)) ?? Buffer.alloc(0);
  const excluded = der.optional(constructed(1)) ?? Buffer.alloc(0);
  if (!outer.empty || !der.empty || permitted.length + excluded.length === 0) {
    throw new BuiltinError('invalid NameConstraints extension');
  }
  const first = readSubtrees(new Der(permitted));
  const second = readSubtrees(new Der(excluded));
  return {
    permitted: first.subtrees,
    excluded: second.subtrees,
    namesCritical: critical,
    unhandled: first.unhandled || second.unhandled,
  };
}

function readSubtrees(der: Der): { readonly subtrees: Subtrees; readonly unhandled: boolean } {
  const subtrees: Subtrees = { dns: [], ips: [], emails: [], uris: [] };
  let unhandled = false;
  while (!der.empty) {
    const { tag, content } = der.enter(tags.sequence).any();
    switch (tag) {
      case context(1): {
        const email = ia5(content);
        const valid = email.includes('@') ? mailboxOf(email) !== undefined : domainLabelsValid(email, true);
        if (!valid) throw new BuiltinError('failed to parse rfc822Name constraint');
        subtrees.emails.push(email);
        break;
      }
      case context(2): {
        const domain = ia5(content);
        if (!domainLabelsValid(domain, true)) throw new BuiltinError('failed to parse dnsName constraint');
        subtrees.dns.push(domain);
        break;
      }
      case context(6): {
        const domain = ia5(content);
        if (parseIp(domain) !== undefined || !domainLabelsValid(domain, true)) {
          throw new BuiltinError('failed to parse URI constraint');
        }
        subtrees.uris.push(domain);
        break;
      }
      case context(7):
        subtrees.ips.push(rangeOf(content));
        break;
      default:
        unhandled = true;
    }
  }
  return { subtrees, unhandled };
}

function rangeOf(content: Buffer): IpRange {
  const half = content.length / 2;
  const mask = content.subarray(half);
  const bits = Array.from(mask, (byte) => byte.toString(2).padStart(8, '0')).join('');
  if ((half !== 4 && half !== 16) || !/^1*0*$/.test(bits)) throw new BuiltinError('invalid IP constraint');
  return { ip: content.subarray(0, half), mask };
}

function readDistributionPoints(der: Der): readonly string[] {
  const points: string[] = [];
  while (!der.empty) {
    const name = der.enter(tags.sequence).optional(constructed(0));
    if (name === undefined) continue;
    const full = new Der(name).enter(constructed(0));
    while (full.peek(context(6))) points.push(textOf(full.read(context(6))).toWellFormed());
  }
  return points;
}

function readPolicies(der: Der): readonly Buffer[] {
  const policies: Buffer[] = [];
  const seen = new Set<string>();
  while (!der.empty) {
    const policy = der.enter(tags.sequence).read(tags.oid);
    const key = policy.toString('hex');
    if (seen.has(key) || !isOid(policy)) throw new BuiltinError('invalid certificate policies');
    seen.add(key);
    policies.push(policy);
  }
  return policies;
}

/** Numbers of any size, each in its shortest form. */
function isOid(content: Buffer): boolean {
  let starts = true;
  for (const octet of content) {
    if (starts && octet === 0x80) return false;
    starts = octet < 0x80;
  }
  return content.length > 0 && starts;
}

function readPolicyMappings(der: Der): Extensions['policyMappings'] {
  const mappings: { issuer: Buffer; subject: Buffer }[] = [];
  while (!der.empty) {
    const mapping = der.enter(tags.sequence);
    mappings.push({ issuer: mapping.read(tags.oid), subject: mapping.read(tags.oid) });
  }
  return mappings;
}

function readPolicyConstraints(der: Der): Reading {
  const read: Reading = {};
  if (der.peek(context(0))) read.requireExplicitPolicy = der.int(context(0));
  if (der.peek(context(1))) read.inhibitPolicyMapping = der.int(context(1));
  return read;
}

const extKeyUsages: Readonly<Record<string, number>> = {
  '2.5.29.37.0': 0,
  '1.3.6.1.5.5.7.3.1': 1,
  '1.3.6.1.5.5.7.3.2': 2,
  '1.3.6.1.5.5.7.3.3': 3,
  '1.3.6.1.5.5.7.3.4': 4,
  '1.3.6.1.5.5.7.3.5': 5,
  '1.3.6.1.5.5.7.3.6': 6,
  '1.3.6.1.5.5.7.3.7': 7,
  '1.3.6.1.5.5.7.3.8': 8,
  '1.3.6.1.5.5.7.3.9': 9,
  '1.3.6.1.4.1.311.10.3.3': 10,
  '2.16.840.1.113730.4.1': 11,
  '1.3.6.1.4.1.311.2.1.22': 12,
  '1.3.6.1.4.1.311.61.1.1': 13,
};

function readExtKeyUsage(der: Der): Reading {
  const extKeyUsage: number[] = [];
  const unknownExtKeyUsage: (readonly number[])[] = [];
  while (!der.empty) {
    const oid = der.oid();
    const usage = extKeyUsages[oid.join('.')];
    if (usage === undefined) unknownExtKeyUsage.push(oid);
    else extKeyUsage.push(usage);
  }
  return { extKeyUsage, unknownExtKeyUsage };
}

function readAuthorityInfo(der: Der): Reading {
  const ocspServers: string[] = [];
  const issuingCertificateUrls: string[] = [];
  while (!der.empty) {
    const access = der.enter(tags.sequence);
    const method = access.oid().join('.');
    if (!access.peek(context(6))) continue;
    const location = textOf(access.read(context(6))).toWellFormed();
    if (method === '1.3.6.1.5.5.7.48.1') ocspServers.push(location);
    if (method === '1.3.6.1.5.5.7.48.2') issuingCertificateUrls.push(location);
  }
  return { ocspServers, issuingCertificateUrls };
}
