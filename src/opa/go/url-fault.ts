// Tested by test/opa/builtins/texts.long.test.ts.
import { quote } from './quote.ts';

/**
 * What Go's `url.Parse` says of a text that it refuses. Of an address in brackets that is none it tells more.
 *
 * @see parseUrl, which says what it refuses
 */
export function urlFault(text: string): string {
  const hash = text.indexOf('#');
  const before = hash < 0 ? text : text.slice(0, hash);
  const reason = faultBeforeFragment(before);
  if (reason !== undefined) return `parse ${quote(before)}: ${reason}`;
  return `parse ${quote(text)}: ${escapeFault(text.slice(before.length)) ?? 'invalid URL'}`;
}

function faultBeforeFragment(text: string): string | undefined {
  if ([...text].some((character) => character < ' ' || character === '\x7f')) {
    return 'net/url: invalid control character in URL';
  }
  if (text.startsWith(':')) return 'missing protocol scheme';
  const [start = '', scheme = ''] = /^([A-Za-z][A-Za-z0-9+\-.]*):/.exec(text) ?? [];
  const [rest = ''] = text.slice(start.length).split('?');
  if (!rest.startsWith('/')) {
    if (scheme !== '') return undefined;
    if (rest.split('/')[0]?.includes(':') === true) return 'first path segment in URL cannot contain colon';
  }
  const [, authority, path = rest] = /^\/\/([^/]*)([\s\S]*)$/.exec(rest) ?? [];
  const fault = authority === undefined ? undefined : authorityFault(scheme.toLowerCase(), authority);
  return fault ?? escapeFault(path);
}

function authorityFault(scheme: string, authority: string): string | undefined {
  const at = authority.lastIndexOf('@');
  const fault = hostFault(scheme, authority.slice(at + 1));
  if (fault !== undefined || at < 0) return fault;
  const info = authority.slice(0, at);
  return /^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(info) ? escapeFault(info) : 'net/url: invalid userinfo';
}

function hostFault(scheme: string, host: string): string | undefined {
  const open = host.lastIndexOf('[');
  if (open > 0) return 'invalid IP-literal';
  const close = host.lastIndexOf(']');
  if (open === 0 && close < 0) return "missing ']' in host";
  const strict = scheme === 'http' || scheme === 'https';
  const colon = strict ? host.indexOf(':') : host.lastIndexOf(':');
  const port = open === 0 ? host.slice(close + 1) : host.slice(colon < 0 ? host.length : colon);
  if (!/^(?::\d*)?$/.test(port)) return `invalid port ${quote(port)} after host`;
  const wrong = /%(?![89a-fA-F][0-9a-fA-F]|25)[\s\S]{0,2}|[ "\\^`{|}]/.exec(host)?.[0];
  if (wrong === undefined) return open === 0 ? 'invalid host' : undefined;
  return wrong.startsWith('%')
    ? `invalid URL escape ${quote(wrong)}`
    : `invalid character ${quote(wrong)} in host name`;
}

function escapeFault(text: string): string | undefined {
  const wrong = /%(?![0-9a-fA-F]{2})[\s\S]{0,2}/.exec(text)?.[0];
  return wrong === undefined ? undefined : `invalid URL escape ${quote(wrong)}`;
}
