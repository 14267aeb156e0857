// Tested by test/opa/builtins/x509-certificates.test.ts.
import { decodeBase64 } from '../go/base64.ts';
import { decodePem, encodePem } from '../go/pem.ts';
import { type BuiltinContext, BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { int64Of, isArray, objectOperand, stringOperand } from '../values/operands.ts';
import { bytesOf } from '../values/text.ts';
import { RegoNumber, RegoObject, RegoSet, type Value } from '../values/value.ts';
import { type Certificate, parseCertificate, parseCertificates } from '../x509/certificate.ts';
import { certificateValue, extendedCertificateValue } from '../x509/certificate-value.ts';
import {
  isPair,
  jwkOf,
  type PrivateKey,
  parseEc,
  parsePkcs1,
  parsePkcs8,
  privateKeyValue,
} from '../x509/private-key.ts';
import { certificateRequestValue } from '../x509/request.ts';
import { type VerifyOptions, verifiedChain } from '../x509/verify.ts';
import { base64 } from '../x509/x509-json.ts';

export const builtins: BuiltinFamily = {
  'crypto.x509.parse_certificates': (context, text) =>
    certificatesOf(context, stringOperand(text, 1)).map(extendedCertificateValue),

  'crypto.x509.parse_and_verify_certificates': (context, text) => {
    const chain = verified(context, stringOperand(text, 1), () => usualOptions(context));
    return chain === undefined ? [false, []] : [true, chain.map(extendedCertificateValue)];
  },

  'crypto.x509.parse_and_verify_certificates_with_options': (context, text, options) => {
    const certificates = stringOperand(text, 1);
    const object = objectOperand(options, 2);
    const chain = verified(context, certificates, () => optionsOf(context, object));
    return chain === undefined ? [false, []] : [true, chain.map(certificateValue)];
  },

  'crypto.x509.parse_certificate_request': (context, text) => {
    const given = stringOperand(text, 1);
    const pem = given.startsWith('-----BEGIN CERTIFICATE REQUEST-----');
    const bytes = pem ? bytesOf(given) : decoded(given);
    chargeFor(context, bytes.length);
    const block = decodePem(bytes.toString('latin1'));
    if (block !== undefined && block.type !== 'CERTIFICATE REQUEST') {
      throw new BuiltinError('invalid PEM-encoded certificate signing request');
    }
    return certificateRequestValue(block?.bytes ?? bytes);
  },

  'crypto.x509.parse_keypair': (context, certificate, key) => {
    const certificates = pemOf(stringOperand(certificate, 1), 'CERTIFICATE');
    const keys = pemOf(stringOperand(key, 1), 'PRIVATE KEY');
    chargeFor(context, certificates.length + keys.length);
    return keyPair(context, certificates, keys);
  },

  'crypto.x509.parse_rsa_private_key': (context, text) => {
    const given = stringOperand(text, 1);
    if (given === '') throw new BuiltinError('input PEM data was empty');
    const pem = given.startsWith('-----BEGIN') ? bytesOf(given) : decoded(given);
    const [first] = privateKeysOf(context, pem.toString('latin1'));
    return first === undefined ? null : jwkOf(first);
  },

  'crypto.parse_private_keys': (context, text) => {
    const given = stringOperand(text, 1);
    return given === '' ? null : privateKeysOf(context, bytesOf(given).toString('latin1')).map(privateKeyValue);
  },
};

function decoded(text: string): Buffer {
  const bytes = decodeBase64(text, 'std');
  if (bytes === undefined) throw new BuiltinError('illegal base64 data');
  return bytes;
}

function chargeFor(context: BuiltinContext, length: number): void {
  context.charge(1 + length / 100);
}

/** Certificates in PEM, in PEM in base64, or in DER in base64. */
function certificatesOf(context: BuiltinContext, text: string): readonly Certificate[] {
  chargeFor(context, text.length);
  if (text.startsWith('-----BEGIN')) return certificatesOfPem(bytesOf(text).toString('latin1'));
  const bytes = decoded(text);
  const pem = bytes.toString('latin1');
  return pem.startsWith('-----BEGIN') ? certificatesOfPem(pem) : parseCertificates(bytes);
}

function certificatesOfPem(text: string): readonly Certificate[] {
  const parts: Buffer[] = [];
  for (let rest = text; rest !== ''; ) {
    const block = decodePem(rest);
    if (block === undefined) break;
    if (block.type !== 'CERTIFICATE') throw new BuiltinError(`PEM block type is '${block.type}', expected CERTIFICATE`);
    parts.push(block.bytes);
    rest = block.rest;
  }
  return parseCertificates(Buffer.concat(parts));
}

/** Certificates that cannot be parsed are not verified; malformed options are an error. */
function verified(
  context: BuiltinContext,
  text: string,
  optionsOfCall: () => VerifyOptions,
): readonly Certificate[] | undefined {
  const certificates = undefinedOnError(() => certificatesOf(context, text));
  if (certificates === undefined) return undefined;
  const options = optionsOfCall();
  return undefinedOnError(() => verifiedChain(certificates, options, context.charge));
}

function undefinedOnError<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch (cause) {
    if (cause instanceof BuiltinError) return undefined;
    throw cause;
  }
}

function usualOptions(context: BuiltinContext): VerifyOptions {
  return { dnsName: '', nowNs: context.nowNs, keyUsages: [] };
}

const keyUsageNames = [
  'KeyUsageAny',
  'KeyUsageServerAuth',
  'KeyUsageClientAuth',
  'KeyUsageCodeSigning',
  'KeyUsageEmailProtection',
  'KeyUsageIPSECEndSystem',
  'KeyUsageIPSECTunnel',
  'KeyUsageIPSECUser',
  'KeyUsageTimeStamping',
  'KeyUsageOCSPSigning',
  'KeyUsageMicrosoftServerGatedCrypto',
  'KeyUsageNetscapeServerGatedCrypto',
  'KeyUsageMicrosoftCommercialCodeSigning',
  'KeyUsageMicrosoftKernelCodeSigning',
];

function optionsOf(context: BuiltinContext, object: RegoObject): VerifyOptions {
  let options = usualOptions(context);
  for (const [key, value] of object.entries()) {
    if (typeof key !== 'string') continue;
    switch (key) {
      case 'DNSName':
        if (typeof value !== 'string') throw new BuiltinError("'DNSName' should be a string");
        options = { ...options, dnsName: unquoted(value) };
        break;
      case 'CurrentTime':
        options = { ...options, nowNs: wholeNumber(key, value) };
        break;
      case 'MaxConstraintComparisons':
        // Go reads it no more.
        wholeNumber(key, value);
        break;
      case 'KeyUsages':
        options = { ...options, keyUsages: keyUsagesOf(value) };
        break;
      default:
        throw new BuiltinError('invalid key option');
    }
  }
  return options;
}

function unquoted(text: string): string {
  return text.replace(/^"+|"+$/g, '');
}

function wholeNumber(key: string, value: Value): bigint {
  const number = value instanceof RegoNumber ? int64Of(value) : undefined;
  if (number === undefined) throw new BuiltinError(`'${key}' should be a whole number`);
  return number;
}

function keyUsagesOf(value: Value): readonly number[] {
  const list = value instanceof RegoSet ? [...value.values()] : value;
  if (!isArray(list)) throw new BuiltinError("'KeyUsages' should be an Array or Set");
  const names = list.filter((item) => typeof item === 'string').map(unquoted);
  const usages = names.map((name) => keyUsageNames.indexOf(name));
  if (usages.includes(-1)) throw new BuiltinError("invalid entries for 'KeyUsages' found");
  return usages;
}

/** @returns the PEM text of what is given in PEM, or in PEM or DER in base64; DER is put into one block */
function pemOf(text: string, type: string): string {
  if (text.startsWith('-----BEGIN ')) return bytesOf(text).toString('latin1');
  const bytes = decoded(text);
  const pem = bytes.toString('latin1');
  if (pem.startsWith('-----BEGIN')) return pem;
  return encodePem(type, bytes);
}

function keyPair(context: BuiltinContext, certificatePem: string, keyPem: string): Value {
  const certificates: Buffer[] = [];
  for (let block = decodePem(certificatePem); block !== undefined; block = decodePem(block.rest)) {
    if (block.type === 'CERTIFICATE') certificates.push(block.bytes);
  }
  let keyBlock = decodePem(keyPem);
  while (keyBlock !== undefined && !/(?:^| )PRIVATE KEY$/.test(keyBlock.type)) keyBlock = decodePem(keyBlock.rest);
  const [leafBytes] = certificates;
  if (leafBytes === undefined || keyBlock === undefined) throw new BuiltinError('failed to find any PEM data');
  const leaf = parseCertificate(leafBytes);
  const key = anyPrivateKey(context, keyBlock.bytes);
  if (!isPair(leaf.publicKey.key, key)) throw new BuiltinError('private key does not match public key');
  return RegoObject.of({
    Certificate: certificates.map(base64),
    PrivateKey: privateKeyValue(key),
    SupportedSignatureAlgorithms: null,
    OCSPStaple: null,
    SignedCertificateTimestamps: null,
    Leaf: certificateValue(leaf),
  });
}

function anyPrivateKey(context: BuiltinContext, bytes: Buffer): PrivateKey {
  const charge = (units: number): void => {
    context.charge(units);
  };
  const key =
    undefinedOnError(() => parsePkcs1(bytes, charge)) ??
    undefinedOnError(() => parsePkcs8(bytes, charge)) ??
    undefinedOnError(() => parseEc(bytes));
  if (key === undefined) throw new BuiltinError('failed to parse private key');
  return key;
}

/** Those of all blocks that are private keys; other blocks are passed over. */
function privateKeysOf(context: BuiltinContext, text: string): readonly PrivateKey[] {
  chargeFor(context, text.length);
  const charge = (units: number): void => {
    context.charge(units);
  };
  const keys: PrivateKey[] = [];
  const pem = decodeBase64(text, 'std')?.toString('latin1') ?? text;
  for (let block = decodePem(pem); block !== undefined; block = decodePem(block.rest)) {
    if (block.type === 'RSA PRIVATE KEY') keys.push(parsePkcs1(block.bytes, charge));
    if (block.type === 'PRIVATE KEY') keys.push(parsePkcs8(block.bytes, charge));
    if (block.type === 'EC PRIVATE KEY') keys.push(parseEc(block.bytes));
  }
  return keys;
}
