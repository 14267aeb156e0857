// Tested by test/opa/builtins/x509-certificates.test.ts.
import { BuiltinError } from '../values/builtin.ts';
import { constructed, context, Der, rightAligned, tags } from './der.ts';
import { type Extension, type Extensions, noExtensions, readExtension, readExtensions } from './extensions.ts';
import { type Attribute, readName } from './names.ts';
import { type PublicKeyInfo, readAlgorithm, readPublicKeyInfo } from './public-key.ts';
import { type SignatureAlgorithm, signatureAlgorithmOf } from './signature.ts';
import { type Instant, readTime } from './text.ts';

/** A certificate (RFC 5280) as Go's crypto/x509 reads it. */
export interface Certificate extends Extensions {
  readonly raw: Buffer;
  /** The signed part. */
  readonly toBeSigned: Buffer;
  readonly version: number;
  readonly serialNumber: bigint;
  readonly signatureAlgorithm: SignatureAlgorithm;
  readonly signature: Buffer;
  readonly rawIssuer: Buffer;
  readonly issuer: readonly Attribute[];
  readonly rawSubject: Buffer;
  readonly subject: readonly Attribute[];
  readonly notBefore: Instant;
  readonly notAfter: Instant;
  readonly publicKey: PublicKeyInfo;
  readonly extensions: readonly Extension[];
}

/** Certificates that follow one another with nothing between them. */
export function parseCertificates(bytes: Buffer): readonly Certificate[] {
  const certificates: Certificate[] = [];
  for (let rest = bytes; rest.length > 0; ) {
    const certificate = readCertificate(rest);
    certificates.push(certificate);
    rest = rest.subarray(certificate.raw.length);
  }
  return certificates;
}

export function parseCertificate(bytes: Buffer): Certificate {
  const certificate = readCertificate(bytes);
  if (certificate.raw.length !== bytes.length) throw new BuiltinError('trailing data');
  return certificate;
}

function readCertificate(bytes: Buffer): Certificate {
  const outer = new Der(bytes).element(tags.sequence);
  const certificate = new Der(outer.content);
  const toBeSigned = certificate.element(tags.sequence);
  const der = new Der(toBeSigned.content);
  const version = readVersion(der);
  const serialNumber = der.integer();
  if (serialNumber < 0n) throw new BuiltinError('negative serial number');
  const algorithm = der.read(tags.sequence);
  if (!certificate.read(tags.sequence).equals(algorithm)) {
    throw new BuiltinError("inner and outer signature algorithm identifiers don't match");
  }
  const signatureAlgorithm = signatureAlgorithmOf(readAlgorithm(new Der(algorithm)));
  const rawIssuer = der.element(tags.sequence).whole;
  const issuer = readName(rawIssuer);
  const validity = der.enter(tags.sequence);
  const notBefore = readTime(validity);
  const notAfter = readTime(validity);
  const rawSubject = der.element(tags.sequence).whole;
  const subject = readName(rawSubject);
  const publicKey = readPublicKeyInfo(der.element(tags.sequence));
  const extensions = version === 3 ? readAllExtensions(der) : undefined;
  if (version === 2) skipUniqueIds(der);
  return {
    raw: outer.whole,
    toBeSigned: toBeSigned.whole,
    version,
    serialNumber,
    signatureAlgorithm,
    rawIssuer,
    issuer,
    notBefore,
    notAfter,
    rawSubject,
    subject,
    publicKey,
    extensions: extensions ?? [],
    ...(extensions === undefined ? noExtensions : readExtensions(extensions)),
    signature: rightAligned(certificate.bitString()),
  };
}

/** Counted from 1, though it is written counted from 0. */
function readVersion(der: Der): number {
  const content = der.optional(constructed(0));
  if (content === undefined) return 1;
  const inner = new Der(content);
  const version = inner.int() + 1;
  if (!inner.empty || version < 1 || version > 3) throw new BuiltinError('invalid version');
  return version;
}

function skipUniqueIds(der: Der): void {
  der.optional(context(1));
  der.optional(context(2));
}

function readAllExtensions(der: Der): readonly Extension[] | undefined {
  skipUniqueIds(der);
  const content = der.optional(constructed(3));
  if (content === undefined) return undefined;
  const list = new Der(content).enter(tags.sequence);
  const extensions: Extension[] = [];
  const seen = new Set<string>();
  while (!list.empty) {
    const extension = readExtension(list.enter(tags.sequence));
    const oid = extension.oid.join('.');
    if (seen.has(oid)) throw new BuiltinError('certificate contains duplicate extension');
    seen.add(oid);
    extensions.push(extension);
  }
  return extensions;
}
