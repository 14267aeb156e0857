// Tested by test/opa/builtins/texts.long.test.ts.
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

/** The parts that Go's `url.Parse` finds; an absent part is empty. */
export interface Url {
  readonly scheme: string;
  /** All there is behind the scheme, where no slash begins it. */
  readonly opaque: string;
  readonly user: { readonly name: string; readonly password: string | undefined } | undefined;
  readonly host: string;
  readonly path: string;
  /** As written, where encoding the path again would not give the same. */
  readonly rawPath: string;
  readonly rawQuery: string;
  /** A question mark is written, with no query behind it. */
  readonly forceQuery: boolean;
  readonly fragment: string;
  /** As written, where encoding the fragment again would not give the same. */
  readonly rawFragment: string;
  /** Of `file:/path`: the empty host has no slashes before it. */
  readonly omitHost: boolean;
}

const pathCharacter = /[A-Za-z0-9\-_.~$&+,/:;=@]/;
const fragmentCharacter = /[A-Za-z0-9\-_.~$&+,/:;=?@!()*]/;
const userCharacter = /[A-Za-z0-9\-_.~$&+,;=]/;
const hostCharacter = /^[A-Za-z0-9\-_.~!$&'()*+,;=:[\]<>"]$/;

/** Go's `url.Parse`; undefined for what it refuses. */
export function parseUrl(text: string): Url | undefined {
  const hash = text.indexOf('#');
  const url = parseWithoutFragment(hash < 0 ? text : text.slice(0, hash));
  if (url === undefined || hash < 0) return url;
  const rawFragment = text.slice(hash + 1);
  const fragment = unescapePercent(rawFragment);
  if (fragment === undefined) return undefined;
  return { ...url, fragment, rawFragment: escapeBytes(fragment, fragmentCharacter) === rawFragment ? '' : rawFragment };
}

const emptyUrl: Url = {
  scheme: '',
  opaque: '',
  user: undefined,
  host: '',
  path: '',
  rawPath: '',
  rawQuery: '',
  forceQuery: false,
  fragment: '',
  rawFragment: '',
  omitHost: false,
};

function parseWithoutFragment(text: string): Url | undefined {
  if (/\p{Cc}/u.test(text) && [...text].some((character) => character < ' ' || character === '\x7f')) return undefined;
  if (text === '*') return { ...emptyUrl, path: '*' };
  if (text.startsWith(':')) return undefined;
  const scheme = /^([A-Za-z][A-Za-z0-9+\-.]*):/.exec(text)?.[1]?.toLowerCase() ?? '';
  const afterScheme = scheme === '' ? text : text.slice(scheme.length + 1);
  const question = afterScheme.indexOf('?');
  const rest = question < 0 ? afterScheme : afterScheme.slice(0, question);
  const found = {
    ...emptyUrl,
    scheme,
    rawQuery: question < 0 ? '' : afterScheme.slice(question + 1),
    forceQuery: question >= 0 && question === afterScheme.length - 1,
  };
  if (!rest.startsWith('/')) {
    if (scheme !== '') return { ...found, opaque: rest };
    // It would read as a scheme.
    if (rest.split('/')[0]?.includes(':') === true) return undefined;
  }
  if (!rest.startsWith('//') || (scheme === '' && rest.startsWith('///'))) {
    return withPath({ ...found, omitHost: scheme !== '' && rest.startsWith('/') }, rest);
  }
  const slash = rest.indexOf('/', 2);
  const authority = authorityOf(scheme, slash < 0 ? rest.slice(2) : rest.slice(2, slash));
  return authority === undefined ? undefined : withPath({ ...found, ...authority }, slash < 0 ? '' : rest.slice(slash));
}

function withPath(url: Url, text: string): Url | undefined {
  const path = unescapePercent(text);
  if (path === undefined) return undefined;
  return { ...url, path, rawPath: escapeBytes(path, pathCharacter) === text ? '' : text };
}

function authorityOf(scheme: string, authority: string): Pick<Url, 'host' | 'user'> | undefined {
  const at = authority.lastIndexOf('@');
  const host = parseHost(scheme, authority.slice(at + 1));
  if (host === undefined || at < 0) return host === undefined ? undefined : { host, user: undefined };
  const info = authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(info)) return undefined;
  const colon = info.indexOf(':');
  const name = unescapePercent(colon < 0 ? info : info.slice(0, colon));
  const password = colon < 0 ? '' : unescapePercent(info.slice(colon + 1));
  if (name === undefined || password === undefined) return undefined;
  return { host, user: { name, password: colon < 0 ? undefined : password } };
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
  // Brackets contain an IPv6 address: an address with colons.
  if (ip === undefined || !address.includes(':')) return undefined;
  return `[${address}${zone}]${host.slice(close + 1)}`;
}

function isOptionalPort(port: string): boolean {
  return /^(?::\d*)?$/.test(port);
}

/** In a host only non-ASCII bytes and the percent sign itself may be escaped. */
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

/** Go's `URL.String`. */
export function urlText(url: Url): string {
  const { scheme, opaque, user, host, rawQuery, forceQuery, fragment, rawFragment, omitHost } = url;
  let text = scheme === '' ? '' : `${scheme}:`;
  if (opaque !== '') {
    text += opaque;
  } else {
    const path = escapedPath(url);
    const authority = scheme !== '' || host !== '' || user !== undefined;
    if (authority && !(omitHost && host === '' && user === undefined)) {
      if (host !== '' || path !== '' || user !== undefined) text += '//';
      if (user !== undefined) text += `${userText(user)}@`;
      text += escapeBytes(host, hostCharacter);
    }
    if (path !== '' && !path.startsWith('/') && host !== '') text += '/';
    // A colon in the first segment would end a scheme.
    if (text === '' && path.split('/')[0]?.includes(':') === true) text += './';
    text += path;
  }
  if (forceQuery || rawQuery !== '') text += `?${rawQuery}`;
  if (fragment === '') return text;
  const asWritten = rawFragment !== '' && /^[A-Za-z0-9\-_.~$&+,/:;=?@!'()*[\]%]*$/.test(rawFragment);
  return `${text}#${asWritten ? rawFragment : escapeBytes(fragment, fragmentCharacter)}`;
}

function userText({ name, password }: NonNullable<Url['user']>): string {
  const text = escapeBytes(name, userCharacter);
  return password === undefined ? text : `${text}:${escapeBytes(password, userCharacter)}`;
}
