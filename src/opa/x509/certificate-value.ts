// Tested by test/opa/builtins/x509-certificates.test.ts.
import { ipText } from '../go/ip.ts';
import { type Url, urlText } from '../go/url.ts';
import { integer } from '../values/operands.ts';
import { RegoObject, type Value } from '../values/value.ts';
import type { Certificate } from './certificate.ts';
import type { AlternativeNames, Extension, IpRange } from './extensions.ts';
import { nameValue } from './names.ts';
import { publicKeyValue } from './public-key.ts';
import { base64, listed, oidValue, texts, timeValue } from './x509-json.ts';

/** A certificate as Go's encoding/json writes its `x509.Certificate`, which is what OPA's policies see. */
export function certificateValue(certificate: Certificate): RegoObject {
  const { permitted, excluded, policies } = certificate;
  return RegoObject.of({
    Raw: base64(certificate.raw),
    RawTBSCertificate: base64(certificate.toBeSigned),
    RawSubjectPublicKeyInfo: base64(certificate.publicKey.raw),
    RawSubject: base64(certificate.rawSubject),
    RawIssuer: base64(certificate.rawIssuer),
    Signature: base64(certificate.signature),
    SignatureAlgorithm: integer(certificate.signatureAlgorithm.number),
    PublicKeyAlgorithm: integer(certificate.publicKey.algorithm),
    PublicKey: publicKeyValue(certificate.publicKey.key),
    Version: integer(certificate.version),
    SerialNumber: integer(certificate.serialNumber),
    Issuer: nameValue(certificate.issuer),
    Subject: nameValue(certificate.subject),
    NotBefore: timeValue(certificate.notBefore),
    NotAfter: timeValue(certificate.notAfter),
    KeyUsage: integer(certificate.keyUsage),
    Extensions: listed(certificate.extensions, extensionValue),
    ExtraExtensions: null,
    UnhandledCriticalExtensions: listed(certificate.unhandledCritical, oidValue),
    ExtKeyUsage: listed(certificate.extKeyUsage, integer),
    UnknownExtKeyUsage: listed(certificate.unknownExtKeyUsage, oidValue),
    BasicConstraintsValid: certificate.basicConstraintsValid,
    IsCA: certificate.isCa,
    MaxPathLen: integer(certificate.maxPathLen),
    MaxPathLenZero: certificate.basicConstraintsValid && certificate.maxPathLen === 0,
    SubjectKeyId: base64(certificate.subjectKeyId),
    AuthorityKeyId: base64(certificate.authorityKeyId),
    OCSPServer: texts(certificate.ocspServers),
    IssuingCertificateURL: texts(certificate.issuingCertificateUrls),
    ...alternativeNamesValue(certificate),
    PermittedDNSDomainsCritical: certificate.namesCritical,
    PermittedDNSDomains: texts(permitted.dns),
    ExcludedDNSDomains: texts(excluded.dns),
    PermittedIPRanges: listed(permitted.ips, rangeValue),
    ExcludedIPRanges: listed(excluded.ips, rangeValue),
    PermittedEmailAddresses: texts(permitted.emails),
    ExcludedEmailAddresses: texts(excluded.emails),
    PermittedURIDomains: texts(permitted.uris),
    ExcludedURIDomains: texts(excluded.uris),
    CRLDistributionPoints: texts(certificate.crlDistributionPoints),
    PolicyIdentifiers: policies?.flatMap((policy) => smallOid(policy)) ?? null,
    Policies: listed(policies ?? [], oidText),
    ...countValue('InhibitAnyPolicy', certificate.inhibitAnyPolicy),
    ...countValue('InhibitPolicyMapping', certificate.inhibitPolicyMapping),
    ...countValue('RequireExplicitPolicy', certificate.requireExplicitPolicy),
    PolicyMappings: listed(certificate.policyMappings, ({ issuer, subject }) =>
      RegoObject.of({ IssuerDomainPolicy: oidText(issuer), SubjectDomainPolicy: oidText(subject) }),
    ),
  });
}

/** With what OPA adds. */
export function extendedCertificateValue(certificate: Certificate): RegoObject {
  const value = certificateValue(certificate);
  value.set('URIStrings', texts(certificate.uris.map(urlText)));
  return value;
}

export function alternativeNamesValue(names: AlternativeNames): Readonly<Record<string, Value>> {
  return {
    DNSNames: texts(names.dnsNames),
    EmailAddresses: texts(names.emailAddresses),
    IPAddresses: texts(names.ipAddresses.map(ipText)),
    URIs: listed(names.uris, urlValue),
  };
}

export function extensionValue({ oid, critical, value }: Extension): Value {
  return RegoObject.of({ Id: oidValue(oid), Critical: critical, Value: base64(value) });
}

function rangeValue({ ip, mask }: IpRange): Value {
  return RegoObject.of({ IP: ipText(ip), Mask: base64(mask) });
}

function urlValue(url: Url): Value {
  return RegoObject.of({
    Scheme: url.scheme,
    Opaque: url.opaque,
    // Its members are for Go alone.
    User: url.user === undefined ? null : new RegoObject(),
    Host: url.host,
    Path: url.path,
    RawPath: url.rawPath,
    ForceQuery: url.forceQuery,
    RawQuery: url.rawQuery,
    Fragment: url.fragment,
    RawFragment: url.rawFragment,
    OmitHost: url.omitHost,
  });
}

function countValue(name: string, count: number | undefined): Readonly<Record<string, Value>> {
  return { [name]: integer(count ?? 0), [`${name}Zero`]: count === 0 };
}

/** The numbers of an identifier, whatever their size. */
function numbersOf(oid: Buffer): readonly bigint[] {
  const numbers: bigint[] = [];
  let number = 0n;
  for (const octet of oid) {
    number = (number << 7n) | BigInt(octet & 0x7f);
    if (octet >= 0x80) continue;
    if (numbers.length > 0) numbers.push(number);
    else if (number < 80n) numbers.push(number / 40n, number % 40n);
    else numbers.push(2n, number - 80n);
    number = 0n;
  }
  return numbers;
}

function oidText(oid: Buffer): string {
  return numbersOf(oid).join('.');
}

/** None where a number is past what Go's older type for identifiers holds. */
function smallOid(oid: Buffer): readonly Value[] {
  const numbers = numbersOf(oid);
  return numbers.every((number) => number < 2n ** 31n) ? [numbers.map(integer)] : [];
}
