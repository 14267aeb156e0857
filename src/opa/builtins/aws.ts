// Tested by test/opa/builtins/budget.long.test.ts.
import { createHash, createHmac } from 'node:crypto';
import { compareStrings } from '../../text/utf8-order.ts';
import { goJson } from '../go/go-json.ts';
import { formatTime } from '../go/layout.ts';
import { escapedPath, parseUrl } from '../go/url.ts';
import { utc } from '../go/zones.ts';
import { BuiltinError, type BuiltinFamily } from '../values/builtin.ts';
import { booleanOperand, int64Of, numberOperand, objectOperand, stringOperand } from '../values/operands.ts';
import { bytesOf } from '../values/text.ts';
import { RegoObject, type Value } from '../values/value.ts';
import { requestMembers } from './http-request.ts';

/** Headers that a proxy may change are not signed. */
const unsigned: ReadonlySet<string> = new Set(['authorization', 'user-agent', 'x-amzn-trace-id']);

export const builtins: BuiltinFamily = {
  'providers.aws.sign_req': (_context, request, config, time) => {
    const signed = objectOperand(request, 1);
    const credentials = readConfig(objectOperand(config, 2));
    const ns = int64Of(numberOperand(time, 3));
    if (ns === undefined) throw new BuiltinError('operand 3 could not convert time_ns value into a unix timestamp');
    for (const [name] of signed.entries()) {
      if (!requestMembers.has(name)) throw new BuiltinError('operand 1 invalid request parameters(s)');
    }
    const headers = sign(signed, credentials, Number(ns / 1_000_000_000n) - (ns % 1_000_000_000n < 0n ? 1 : 0));
    const result = new RegoObject(signed.entries());
    result.set('headers', headers);
    return result;
  },
};

interface Credentials {
  readonly service: string;
  readonly accessKey: string;
  readonly secretKey: string;
  readonly region: string;
  readonly sessionToken: string;
  readonly payloadUnsigned: boolean;
}

function readConfig(config: RegoObject): Credentials {
  const required = (name: string): string => {
    const value = config.get(name);
    if (typeof value !== 'string') throw new BuiltinError('operand 2 missing or invalid AWS config parameters(s)');
    return value;
  };
  return {
    service: required('aws_service'),
    accessKey: required('aws_access_key'),
    secretKey: required('aws_secret_access_key'),
    region: required('aws_region'),
    sessionToken: textOr(config.get('aws_session_token')),
    payloadUnsigned: booleanOperand(config.get('disable_payload_signing') ?? false, 2),
  };
}

/** OPA takes a value that is not a string for an empty string. */
function textOr(value: Value | undefined): string {
  return typeof value === 'string' ? value : '';
}

function bodyOf(request: RegoObject): Buffer {
  const raw = request.get('raw_body');
  if (raw !== undefined) return bytesOf(textOr(raw));
  const body = request.get('body');
  return Buffer.from(body === undefined ? '' : goJson(body), 'utf8');
}

/**
 * The request's headers, with those that sign it.
 *
 * @see AWS General Reference, "Signature Version 4 signing process"; OPA's internal/providers/aws
 */
function sign(request: RegoObject, credentials: Credentials, seconds: number): RegoObject {
  const url = parseUrl(stringOperand(request.get('url') ?? null, 1));
  const method = stringOperand(request.get('method') ?? null, 1);
  if (url === undefined) throw new BuiltinError('operand 1 invalid URL');
  const given = objectOperand(request.get('headers') ?? new RegoObject(), 1);
  const { service, accessKey, secretKey, region, sessionToken, payloadUnsigned } = credentials;
  const contentHash = payloadUnsigned ? 'UNSIGNED-PAYLOAD' : sha256(bodyOf(request));
  const date = formatTime(seconds, 0, utc, '20060102');
  const dateTime = formatTime(seconds, 0, utc, '20060102T150405Z');

  const own = new Map([
    ['host', url.host],
    ['x-amz-date', dateTime],
  ]);
  if (service === 's3' || service === 'glacier') own.set('x-amz-content-sha256', contentHash);
  if (sessionToken !== '') own.set('x-amz-security-token', sessionToken);
  const toSign = new Map(own);
  for (const [name, value] of given.entries()) {
    const lower = textOr(name).toLowerCase();
    if (!unsigned.has(lower)) toSign.set(lower, textOr(value));
  }
  const ordered = [...toSign].sort(([a], [b]) => compareStrings(a, b));
  const signedNames = ordered.map(([name]) => name).join(';');
  const canonical = [
    method,
    escapedPath(url),
    url.rawQuery,
    ...ordered.map(([name, value]) => `${name}:${value}`),
    '',
    signedNames,
    contentHash,
  ].join('\n');
  const scope = `${date}/${region}/${service}/aws4_request`;
  const toBeSigned = ['AWS4-HMAC-SHA256', dateTime, scope, sha256(bytesOf(canonical))].join('\n');
  const key = [date, region, service, 'aws4_request'].reduce(
    (signing, part) => mac(signing, part),
    bytesOf(`AWS4${secretKey}`),
  );
  const signature = mac(key, toBeSigned).toString('hex');

  const headers = new RegoObject(Array.from(given.entries(), ([name, value]) => [textOr(name), textOr(value)]));
  headers.set(
    'Authorization',
    `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope},SignedHeaders=${signedNames},Signature=${signature}`,
  );
  for (const [name, value] of own) headers.set(name, value);
  return headers;
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function mac(key: Buffer, text: string): Buffer {
  return createHmac('sha256', key).update(bytesOf(text)).digest();
}
