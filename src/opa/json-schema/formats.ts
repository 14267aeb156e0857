// Tested by test/opa/builtins/json-schema.long.test.ts.
import { parseIp } from '../go/ip.ts';
import { parseTime } from '../go/layout.ts';
import { isAddress } from '../go/mail.ts';
import { Regexp } from '../go/regexp.ts';
import { parseUrl } from '../go/url.ts';
import type { Charge } from '../values/charge.ts';
import { byteLength } from '../values/text.ts';

/** An unknown format is not a constraint. */
export function hasFormat(format: string, text: string, charge: Charge): boolean {
  switch (format) {
    case 'date':
      return isTime(text, date);
    case 'time':
      return isTime(text, time, zonedTime);
    case 'date-time':
      return isTime(text, time, zonedTime, date, rfc3339, rfc3339Nano);
    case 'hostname':
      return byteLength(text) < 256 && text.split('.').every(isLabel);
    case 'email':
    case 'idn-email':
      return isAddress(text);
    case 'ipv4':
      return text.includes('.') && parseIp(text) !== undefined;
    case 'ipv6':
      return text.includes(':') && parseIp(text) !== undefined;
    case 'uri':
    case 'iri':
      return !text.includes('\\') && (parseUrl(text)?.scheme ?? '') !== '';
    case 'uri-reference':
    case 'iri-reference':
      return !text.includes('\\') && parseUrl(text) !== undefined;
    case 'uri-template':
      return !text.includes('\\') && isTemplate(parseUrl(text)?.path);
    case 'uuid':
      return /^[a-f0-9]{8}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{4}-[a-f0-9]{12}$/i.test(text);
    case 'regex':
      return Regexp.compile(text, charge) !== undefined;
    case 'json-pointer':
      return isPointer(text);
    case 'relative-json-pointer': {
      const rest = /^(?:0|[1-9]\d*)([\s\S]*)$/.exec(text)?.[1];
      return rest !== undefined && (rest === '#' || isPointer(rest));
    }
    default:
      return true;
  }
}

const date = '2006-01-02';
const time = '15:04:05';
const zonedTime = '15:04:05Z07:00';
const rfc3339 = '2006-01-02T15:04:05Z07:00';
const rfc3339Nano = '2006-01-02T15:04:05.999999999Z07:00';

function isTime(text: string, ...layouts: readonly string[]): boolean {
  return layouts.some((layout) => parseTime(layout, text) !== undefined);
}

function isLabel(label: string): boolean {
  return label.length <= 63 && /^[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?$/.test(label);
}

/** Every brace that opens is closed by the next one that closes. */
function isTemplate(path: string | undefined): boolean {
  if (path === undefined) return false;
  for (let open = path.indexOf('{'); open >= 0; ) {
    const close = path.indexOf('}', open);
    if (close < 0) return false;
    open = path.indexOf('{', close);
  }
  return true;
}

function isPointer(text: string): boolean {
  return (text === '' || text.startsWith('/')) && !/~(?![01])/.test(text);
}
