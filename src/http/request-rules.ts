// Tested by test/request/listen/decision-listener.test.ts.
import { isIPv4, isIPv6 } from 'node:net';
import { RequestRefused } from '../domain/errors.ts';

/** The header fields that listeners use; no other is read. */
export interface Head {
  readonly host: string | undefined;
  readonly origin: string | undefined;
  readonly contentType: string | undefined;
  readonly contentLength: string | undefined;
  readonly contentEncoding: string | undefined;
  readonly requestId: string | undefined;
}

/** By length first: most header fields of a request are none of these, and lower-casing each one costs more. */
const lengths: ReadonlySet<number> = new Set([4, 6, 11, 12, 13, 14, 16]);

/**
 * Reads header fields as they came, since Node's own merging drops or joins repeated ones. A field that counts once
 * and occurs twice is refused: two readers could take two different ones.
 *
 * @param raw names and values in turn, as `IncomingMessage.rawHeaders` has them
 * @throws RequestRefused `header_invalid` 400, 431 past `countMax`
 */
export function readHead(raw: readonly string[], countMax: number): Head {
  if (raw.length > countMax * 2) throw new RequestRefused('header_invalid', 431, `more than ${countMax} header fields`);
  let host: string | undefined;
  let origin: string | undefined;
  let contentType: string | undefined;
  let contentLength: string | undefined;
  let contentEncoding: string | undefined;
  let requestId: string | undefined;
  let authorization: string | undefined;
  let traceparent: string | undefined;
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? '';
    if (!lengths.has(name.length)) continue;
    const value = raw[index + 1] ?? '';
    switch (name.toLowerCase()) {
      case 'host':
        host = once(host, value, 'Host');
        break;
      case 'origin':
        origin = once(origin, value, 'Origin');
        break;
      case 'content-type':
        contentType = once(contentType, value, 'Content-Type');
        break;
      case 'content-length':
        contentLength = once(contentLength, value, 'Content-Length');
        break;
      case 'content-encoding':
        contentEncoding = once(contentEncoding, value, 'Content-Encoding').toLowerCase();
        break;
      case 'x-request-id':
        requestId = once(requestId, value, 'X-Request-ID');
        break;
      case 'authorization':
        authorization = once(authorization, value, 'Authorization');
        break;
      case 'traceparent':
        traceparent = once(traceparent, value, 'traceparent');
        break;
      default:
    }
  }
  return { host, origin, contentType, contentLength, contentEncoding, requestId };
}

function once(before: string | undefined, value: string, name: string): string {
  if (before !== undefined) throw new RequestRefused('header_invalid', 400, `${name} was sent twice`);
  return value;
}

const json = /^application\/json\s*(;\s*charset="?utf-8"?\s*)?$/i;
const envelope = /^application\/vnd\.(in-toto|dsse\.envelope\.v1)\+json\s*(;\s*charset="?utf-8"?\s*)?$/i;

/** `application/json`, alone or in UTF-8: RFC 8259 section 11 knows no other. */
export function isJson(contentType: string | undefined): boolean {
  return contentType === 'application/json' || json.test(contentType ?? '');
}

/** JSON, or one of the names that DSSE and in-toto give an envelope. */
export function isJsonOrEnvelope(contentType: string | undefined): boolean {
  return isJson(contentType) || envelope.test(contentType ?? '');
}

/**
 * Whether a Host field names this machine, with any port or none: a page of `evil.example` that resolves to 127.0.0.1
 * must not (DNS rebinding). A request without the field is HTTP/1.0, which has none.
 *
 * @param ownHosts in lower case, IPv6 addresses in brackets
 */
export function isOwnHost(host: string | undefined, ownHosts: ReadonlySet<string>): boolean {
  if (host === undefined) return true;
  const colon = host.indexOf(':', host.startsWith('[') ? host.indexOf(']') : 0);
  const name = colon < 0 ? host : host.slice(0, colon);
  return ownHosts.has(name.toLowerCase()) && (colon < 0 || /^:\d{0,5}$/.test(host.slice(colon)));
}

/** Whether a Host field is an IP address or `localhost`: a name that DNS could rebind is neither. */
export function isAddressOrLocalhost(host: string | undefined): boolean {
  const [, bracketed, plain = ''] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:]+))(?::\d{1,5})?$/.exec(host ?? '') ?? [];
  return bracketed === undefined ? plain.toLowerCase() === 'localhost' || isIPv4(plain) : isIPv6(bracketed);
}
