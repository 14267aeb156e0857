// Tested by test/opa/builtins/x509-certificates.test.ts.
import { BuiltinError } from '../values/builtin.ts';
import { integer } from '../values/operands.ts';
import { RegoObject, type Value } from '../values/value.ts';
import { alternativeNamesValue, extensionValue } from './certificate-value.ts';
import { constructed, Der, oidOf, rightAligned, tags } from './der.ts';
import {
  type AlternativeNames,
  alternativeNamesOid,
  type Extension,
  noExtensions,
  readAlternativeNames,
  readExtension,
} from './extensions.ts';
import { type Attribute, attributesOf, attributeValue, nameValue } from './names.ts';
import { publicKeyValue, readAlgorithm, readPublicKeyInfo } from './public-key.ts';
import { signatureAlgorithmOf } from './signature.ts';
import { readTime, stringOf } from './text.ts';
import { base64, listed, NoJson, oidValue, timeValue } from './x509-json.ts';

const extensionRequest = '1.2.840.113549.1.9.14';

/** A certification request (RFC 2986) as Go's encoding/json writes its `x509.CertificateRequest`. */
export function certificateRequestValue(bytes: Buffer): Value {
  const input = new Der(bytes, 'asn1');
  const outer = input.element(tags.sequence);
  if (!input.empty) throw new BuiltinError('trailing data');
  const request = new Der(outer.content, 'asn1');
  const info = request.element(tags.sequence);
  const algorithm = signatureAlgorithmOf(readAlgorithm(request.enter(tags.sequence)));
  const signature = rightAligned(request.bitString());

  const der = new Der(info.content, 'asn1');
  const version = der.int();
  const subject = der.any();
  const publicKey = readPublicKeyInfo(der.element(tags.sequence));
  const rawAttributes: Buffer[] = [];
  const attributes = der.enter(constructed(0));
  while (!attributes.empty) rawAttributes.push(attributes.any().whole);

  const extensions = rawAttributes.flatMap(requestedExtensions);
  if (new Set(extensions.map(({ oid }) => oid.join('.'))).size < extensions.length) {
    throw new BuiltinError('certificate request contains duplicate requested extensions');
  }
  const requested = extensions.find(({ oid }) => oid.join('.') === alternativeNamesOid);
  const names: AlternativeNames = requested === undefined ? noExtensions : readAlternativeNames(requested.value);
  return RegoObject.of({
    Raw: base64(outer.whole),
    RawTBSCertificateRequest: base64(info.whole),
    RawSubjectPublicKeyInfo: base64(publicKey.raw),
    RawSubject: base64(subject.whole),
    Version: integer(version),
    Signature: base64(signature),
    SignatureAlgorithm: integer(algorithm.number),
    PublicKeyAlgorithm: integer(publicKey.algorithm),
    PublicKey: publicKeyValue(publicKey.key),
    Subject: nameValue(attributesOf(new Der(subject.whole, 'asn1'), valueAndText)),
    Attributes: listed(rawAttributes.flatMap(setsOf), (value) => value),
    Extensions: listed(extensions, extensionValue),
    ExtraExtensions: null,
    ...alternativeNamesValue(names),
  });
}

/** An attribute whose values are lists of attributes themselves; others are passed over, as Go has it. */
function setsOf(raw: Buffer): readonly Value[] {
  try {
    const attribute = new Der(raw, 'asn1').enter(tags.sequence);
    const type = attribute.oid();
    const sets: Value[] = [];
    const values = attribute.enter(tags.set);
    while (!values.empty) {
      const list: Value[] = [];
      const sequence = values.enter(tags.sequence);
      while (!sequence.empty) {
        const item = sequence.enter(tags.sequence);
        const itemType = item.oid();
        const { tag, content } = item.any();
        list.push(attributeValue({ type: itemType, value: anyValue(tag, content) }));
      }
      sets.push(list);
    }
    return [RegoObject.of({ Type: oidValue(type), Value: sets })];
  } catch (cause) {
    if (cause instanceof BuiltinError && !(cause instanceof NoJson)) return [];
    throw cause;
  }
}

function requestedExtensions(raw: Buffer): readonly Extension[] {
  const first = firstValueOf(raw);
  if (first === undefined) return [];
  const list = new Der(first, 'asn1').enter(tags.sequence);
  const extensions: Extension[] = [];
  while (!list.empty) extensions.push(readExtension(list.enter(tags.sequence)));
  return extensions;
}

function firstValueOf(raw: Buffer): Buffer | undefined {
  try {
    const attribute = new Der(raw, 'asn1').enter(tags.sequence);
    const type = attribute.oid().join('.');
    const values = attribute.enter(tags.set);
    return values.empty || type !== extensionRequest ? undefined : values.any().whole;
  } catch (cause) {
    if (cause instanceof BuiltinError) return undefined;
    throw cause;
  }
}

const textTags: ReadonlySet<number> = new Set([
  tags.printableString,
  tags.numericString,
  tags.ia5String,
  tags.t61String,
  tags.utf8String,
  tags.bmpString,
]);

function valueAndText(tag: number, content: Buffer): Pick<Attribute, 'value' | 'text'> {
  const value = anyValue(tag, content);
  return { value, text: textTags.has(tag) && typeof value === 'string' ? value : undefined };
}

/** A value without an expected type as Go's encoding/asn1 reads it. */
function anyValue(tag: number, content: Buffer): Value {
  if (textTags.has(tag)) return stringOf(tag, content);
  const whole = (): Der => new Der(Buffer.concat([Buffer.of(tag), lengthOf(content.length), content]));
  switch (tag) {
    case tags.boolean:
      return whole().boolean();
    case tags.integer:
      return integer(whole().int());
    case tags.bitString: {
      const { bytes, length } = whole().bitString();
      return RegoObject.of({ Bytes: base64(bytes), BitLength: integer(length) });
    }
    case tags.octetString:
      return base64(content);
    case tags.oid:
      return oidValue(oidOf(content));
    case tags.utcTime:
    case tags.generalizedTime:
      return timeValue(readTime(whole()));
    default:
      return null;
  }
}

function lengthOf(length: number): Buffer {
  if (length < 0x80) return Buffer.of(length);
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(length);
  const short = bytes.subarray(bytes.findIndex((byte) => byte !== 0));
  return Buffer.concat([Buffer.of(0x80 | short.length), short]);
}
