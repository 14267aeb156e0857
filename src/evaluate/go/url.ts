import { bytesOf, textOf } from '../values/text.ts';
import { parseIp } from './ip.ts';

/** Go's `url.QueryEscape`. */
export function queryEscape(text: string): string {
  return escapeBytes(text, /[A-Za-z0-9\-_.~]/).replaceAll('%20', '+');
}

/** Percent-encodes every byte but those of the characters that `unreserved` takes. */
export function escapeBytes(text: string, unreserved: RegExp): string {
  let escaped = '';
  for (const byte of bytesOf(text)) {
    const character = String.fromCharCode(byte);
    escaped +=
      byte < 0x80 && unreserved.test(character) ? character : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return escaped;
}

/** Go's `url.QueryUnescape`; undefined for a malformed escape. */
export function queryUnescape(text: string): string | undefined {
  return unescapePercent(text.replaceAll('+', ' '));
}

/** Go's `url.PathUnescape`; undefined for a malformed escape. */
export function unescapePercent(text: string): string | undefined {
  if (!text.includes('%')) return text;
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return undefined;
  const bytes = bytesOf(text);
  const plain: number[] = [];
  for (let at = 0; at < bytes.length; at++) {
    if (bytes[at] === 0x25) {
      plain.push(Number.parseInt(bytes.toString('latin1', at + 1, at + 3), 16));
      at += 2;
    } else {
      plain.push(bytes[at] ?? 0);
    }
  }
  return textOf(Buffer.from(plain));
}

/** What Go's `url.Parse` finds; empty where there is none. */
export interface Url {
  readonly scheme: string;
  readonly host: string;
  readonly path: string;
  /** As written, where encoding the path again would not give the same. */
  readonly rawPath: string;
  readonly rawQuery: string;
  readonly fragment: string;
}

const pathCharacter = /[A-Za-z0-9\-_.~$&+,/:;=@]/;
const hostCharacter = /^[A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"]$/;

/** Go's `url.Parse`; undefined for what it refuses. */
export function parseUrl(text: string): Url | undefined {
  const hash = text.indexOf('#');
  const url = parseWithoutFragment(hash < 0 ? text : text.slice(0, hash));
  if (url === undefined || hash < 0) return url;
  const fragment = unescapePercent(text.slice(hash + 1));
  return fragment === undefined ? undefined : { ...url, fragment };
}

function parseWithoutFragment(text: string): Url | undefined {
  if (/\p{Cc}/u.test(text) && [...text].some((character) => character < ' ' || character === '\x7f')) return undefined;
  const url: Url = { scheme: '', host: '', path: '', rawPath: '', rawQuery: '', fragment: '' };
  if (text === '*') return { ...url, path: '*' };
  if (text.startsWith(':')) return undefined;
  const scheme = /^([A-Za-z][A-Za-z0-9+\-.]*):/.exec(text)?.[1]?.toLowerCase() ?? '';
  const afterScheme = scheme === '' ? text : text.slice(scheme.length + 1);
  const question = afterScheme.indexOf('?');
  const rest = question < 0 ? afterScheme : afterScheme.slice(0, question);
  const found = { ...url, scheme, rawQuery: question < 0 ? '' : afterScheme.slice(question + 1) };
  if (!rest.startsWith('/')) {
    if (scheme !== '') return found;
    // It would read as a scheme.
    if (rest.split('/')[0]?.includes(':') === true) return undefined;
  }
  if (!rest.startsWith('//') || (scheme === '' && rest.startsWith('///'))) return withPath(found, rest);
  const slash = rest.indexOf('/', 2);
  const host = hostOf(scheme, slash < 0 ? rest.slice(2) : rest.slice(2, slash));
  return host === undefined ? undefined : withPath({ ...found, host }, slash < 0 ? '' : rest.slice(slash));
}

function withPath(url: Url, text: string): Url | undefined {
  const path = unescapePercent(text);
  if (path === undefined) return undefined;
  return { ...url, path, rawPath: escapeBytes(path, pathCharacter) === text ? '' : text };
}

function hostOf(scheme: string, authority: string): string | undefined {
  const at = authority.lastIndexOf('@');
  if (at < 0) return parseHost(scheme, authority);
  const user = authority.slice(0, at);
  const valid = /^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(user) && unescapePercent(user) !== undefined;
  return valid ? parseHost(scheme, authority.slice(at + 1)) : undefined;
}

function parseHost(scheme: string, host: string): string | undefined {
  const open = host.lastIndexOf('[');
  if (open > 0) return undefined;
  if (open === 0) return parseLiteral(host);
  const colon = host.indexOf(':');
  if (colon >= 0) {
    const port = scheme === 'http' || scheme === 'https' ? colon : host.lastIndexOf(':');
    if (!isOptionalPort(host.slice(port))) return undefined;
  }
  return unescapeHost(host);
}

/** `[` address, perhaps with an escaped zone, `]` and perhaps a port. */
function parseLiteral(host: string): string | undefined {
  const close = host.lastIndexOf(']');
  if (close < 0 || !isOptionalPort(host.slice(close + 1))) return undefined;
  const name = host.slice(1, close);
  const zoneAt = name.indexOf('%25');
  const address = unescapeHost(zoneAt < 0 ? name : name.slice(0, zoneAt));
  const zone = zoneAt < 0 ? '' : unescapeZone(name.slice(zoneAt));
  if (address === undefined || zone === undefined) return undefined;
  const withZone = /^([^%]*)(%.+)?$/s.exec(address + zone);
  const ip = withZone === null ? undefined : parseIp(withZone[1] ?? '');
  // In brackets stands an IPv6 address, which one with colons is.
  if (ip === undefined || !address.includes(':')) return undefined;
  return `[${address}${zone}]${host.slice(close + 1)}`;
}

function isOptionalPort(port: string): boolean {
  return /^(?::\d*)?$/.test(port);
}

/** In a host only bytes that are no ASCII may be escaped, and the percent sign itself. */
function unescapeHost(text: string): string | undefined {
  if (/%(?![89a-fA-F][0-9a-fA-F]|25)/.test(text)) return undefined;
  return onlyHostCharacters(text.replace(/%[0-9a-fA-F]{2}/g, '')) ? unescapePercent(text) : undefined;
}

function unescapeZone(text: string): string | undefined {
  const plain = unescapePercent(text);
  if (plain === undefined || !onlyHostCharacters(text.replace(/%[0-9a-fA-F]{2}/g, ''))) return undefined;
  for (const [octet] of text.matchAll(/%[0-9a-fA-F]{2}/g)) {
    const byte = String.fromCharCode(Number.parseInt(octet.slice(1), 16));
    if (octet !== '%25' && byte !== ' ' && !hostCharacter.test(byte)) return undefined;
  }
  return plain;
}

function onlyHostCharacters(text: string): boolean {
  for (const character of text) if (character < '\x80' && !hostCharacter.test(character)) return false;
  return true;
}

/** Go's `URL.Hostname` and `URL.Port`. */
export function splitHostPort(hostPort: string): { readonly hostname: string; readonly port: string } {
  const colon = hostPort.lastIndexOf(':');
  const ported = colon >= 0 && isOptionalPort(hostPort.slice(colon));
  const host = ported ? hostPort.slice(0, colon) : hostPort;
  const bracketed = host.startsWith('[') && host.endsWith(']');
  return { hostname: bracketed ? host.slice(1, -1) : host, port: ported ? hostPort.slice(colon + 1) : '' };
}

/** Go's `URL.EscapedPath`. */
export function escapedPath({ path, rawPath }: Url): string {
  if (rawPath !== '' && /^[A-Za-z0-9\-_.~$&+,/:;=@!'()*[\]%]*$/.test(rawPath)) return rawPath;
  return path === '*' ? '*' : escapeBytes(path, pathCharacter);
}
