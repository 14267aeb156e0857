// Tested by test/config/configuration-doc.test.ts.
import { isIP, isIPv4 } from 'node:net';
import Value from 'typebox/value';
import { below, type Fault, shown } from './fault.ts';
import { nearest } from './nearest.ts';
import {
  type Address,
  addressFormat,
  fileModeFormat,
  httpUrlFormat,
  uncontrolled,
  unterminated,
  visible,
} from './schema.ts';
import { everyPath, type Shape, withoutNull } from './shape.ts';

/**
 * Turns the tree of a file into what its shape says: checks it, puts defaults in place, parses addresses and modes.
 * Every fault is gathered; what is faulty is left out of the result. The walk is ours and each leaf's check is typebox's:
 * its own list of errors ends at eight, tells every branch of a union, and knows no names to suggest.
 *
 * @returns undefined where `faults` has grown for the value as a whole
 */
export function read(whole: Shape, value: unknown, at: string, faults: Fault[]): unknown {
  const { shape, nullable } = withoutNull(whole);
  if (nullable && value === null) return null;
  if (shape.properties !== undefined) return readObject(shape, nullable, value, at, faults);
  if (shape.patternProperties !== undefined) return readRecord(shape, value, at, faults);
  if (shape.items !== undefined) return readList(shape, shape.items, value, at, faults);
  return readLeaf(shape, nullable, value, at, faults);
}

function isPlainObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readObject(shape: Shape, nullable: boolean, value: unknown, at: string, faults: Fault[]): unknown {
  if (!isPlainObject(value)) {
    faults.push(unexpected(`keys and values${nullable ? ' or null' : ''}`, value, at, false));
    return undefined;
  }
  const properties = shape.properties ?? {};
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(properties, key)) faults.push(unknownKey(key, Object.keys(properties), at));
  }
  const result: Record<string, unknown> = {};
  for (const [key, child] of Object.entries(properties)) {
    const path = below(at, key);
    if (Object.hasOwn(value, key)) {
      const member = read(child, value[key], path, faults);
      if (member !== undefined) result[key] = member;
    } else if (child.default !== undefined) {
      result[key] = read(child, child.default, path, faults);
    } else if (shape.required?.includes(key) === true) {
      faults.push({ at: path, text: `missing; expected ${expectation(child)}` });
    }
  }
  return result;
}

function readRecord(shape: Shape, value: unknown, at: string, faults: Fault[]): unknown {
  if (!isPlainObject(value)) {
    faults.push(unexpected('keys and values', value, at, false));
    return undefined;
  }
  const keys = Object.keys(value);
  if (shape.maxProperties !== undefined && keys.length > shape.maxProperties) {
    faults.push({ at, text: `${keys.length} entries; the maximum is ${shape.maxProperties}` });
  }
  const [[pattern, child] = ['', {}]] = Object.entries(shape.patternProperties ?? {});
  const named = new RegExp(pattern, 'u');
  const result: Record<string, unknown> = {};
  for (const key of keys) {
    if (!named.test(key)) faults.push({ at: below(at, key), text: `this name does not match ${pattern}` });
    else result[key] = read(child, value[key], below(at, key), faults);
  }
  return result;
}

function readList(shape: Shape, items: Shape, value: unknown, at: string, faults: Fault[]): unknown {
  if (!Array.isArray(value)) {
    faults.push(unexpected('a list', value, at, false));
    return undefined;
  }
  if (shape.minItems !== undefined && value.length < shape.minItems) {
    faults.push({ at, text: `${value.length} entries; the minimum is ${shape.minItems}` });
  }
  if (shape.maxItems !== undefined && value.length > shape.maxItems) {
    faults.push({ at, text: `${value.length} entries; the maximum is ${shape.maxItems}` });
    return undefined;
  }
  value.forEach((item, index) => {
    const twin = value.findIndex((other) => Value.Equal(other, item));
    if (twin < index) faults.push({ at: below(at, index), text: `duplicate of ${below(at, twin)}` });
  });
  // An entry with a fault keeps its place, so that later messages count as the file does.
  return value.map((item, index) => read(items, item, below(at, index), faults));
}

function readLeaf(shape: Shape, nullable: boolean, value: unknown, at: string, faults: Fault[]): unknown {
  // A text is shown only where it cannot be a secret that was written into the wrong place.
  const tellable = shape.type !== 'string' || shape.enum !== undefined || shape.format === fileModeFormat;
  const refuse = (): undefined => {
    const hint = shape.format === fileModeFormat && typeof value === 'number' ? '; put it in quotes' : '';
    const fault = unexpected(expectation(shape, nullable), value, at, tellable || typeof value !== 'string');
    faults.push({ at, text: fault.text + hint });
  };
  const { format, ...plain } = shape;
  if (!Value.Check(plain, value)) return refuse();
  switch (format) {
    case addressFormat:
      return parseAddress(String(value)) ?? refuse();
    case fileModeFormat:
      return Number.parseInt(String(value), 8);
    case 'origin':
      return isOrigin(String(value)) ? value : refuse();
    case httpUrlFormat:
      return isHttpUrl(String(value)) ? value : refuse();
    default:
      return value;
  }
}

/**
 * Reads `127.0.0.1:8181`, `[::1]:8181` or `localhost:8181`. No other names: what a name resolves to is known only when it is
 * bound, too late to judge whether it is loopback. `localhost` is taken for 127.0.0.1, whatever the resolver thinks.
 */
export function parseAddress(text: string): Address | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]]+)):(0|[1-9]\d{0,4})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port > 65_535) return undefined;
  if (match[1] !== undefined) return isIP(match[1]) === 6 ? { host: match[1].toLowerCase(), port } : undefined;
  const host = match[2] === 'localhost' ? '127.0.0.1' : (match[2] ?? '');
  return isIPv4(host) ? { host, port } : undefined;
}

function isOrigin(text: string): boolean {
  const url = URL.parse(text);
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:') && url.origin === text;
}

function isHttpUrl(text: string): boolean {
  const url = URL.parse(text);
  const isHttp = url !== null && (url.protocol === 'http:' || url.protocol === 'https:');
  // Credentials belong into files; a fragment is never sent.
  return isHttp && url.username === '' && url.password === '' && url.hash === '' && !/\s/.test(text);
}

function unexpected(expected: string, value: unknown, at: string, tellable: boolean): Fault {
  return {
    at,
    text: `expected ${expected}, found ${kindOf(value)}${tellable && hasText(value) ? ` ${shown(value)}` : ''}`,
  };
}

function hasText(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}

function kindOf(value: unknown): string {
  if (value === null) return 'null (leave the key out for its default)';
  if (Array.isArray(value)) return 'a list';
  switch (typeof value) {
    case 'string':
      return 'the text';
    case 'number':
      return Number.isFinite(value) ? 'the number' : 'a number out of range:';
    case 'boolean':
      return 'the value';
    default:
      return 'keys and values';
  }
}

/** What a value must be, in words; the documentation's table says the same. */
export function expectation(whole: Shape, nullable = false): string {
  const { shape, nullable: mayBeNull } = withoutNull(whole);
  const words = inWords(shape);
  return nullable || mayBeNull ? `${words} or null` : words;
}

function inWords(shape: Shape): string {
  if (shape.anyOf !== undefined) return shape.anyOf.map(inWords).join(' or ');
  if (shape.enum !== undefined) return `one of ${shape.enum.join(', ')}`;
  switch (shape.format) {
    case addressFormat:
      return 'an IP address and port such as 127.0.0.1:8181 or "[::1]:8181"';
    case fileModeFormat:
      return 'a file mode such as "0660"';
    case 'origin':
      return 'an origin such as https://pdp.acme.example, without a path';
    case httpUrlFormat:
      return 'a URL such as https://bundles.acme.example/authz.tar.gz, without credentials or fragment';
    default:
  }
  switch (shape.type) {
    case 'integer':
      return `an integer from ${shape.minimum} to ${shape.maximum}`;
    case 'number':
      return `a number from ${shape.minimum} to ${shape.maximum}`;
    case 'boolean':
      return 'true or false';
    case 'array':
      return 'a list';
    case 'string': {
      const { minLength, maxLength, pattern } = shape;
      const length = minLength === undefined ? `at most ${maxLength}` : `${minLength} to ${maxLength}`;
      switch (pattern) {
        case undefined:
        case unterminated:
          return `a text of ${length} characters`;
        case visible:
          return `a text of ${length} visible ASCII characters, without blanks`;
        case uncontrolled:
          return `a text of ${length} characters, without control characters`;
        default:
          return `a text like ${pattern}`;
      }
    }
    default:
      return 'keys and values';
  }
}

function unknownKey(key: string, known: readonly string[], at: string): Fault {
  if (/token|secret|passw|passphrase|private/i.test(key) && !known.includes('tokens')) {
    return {
      at: below(at, key),
      text: 'unknown key; secrets do not belong in the configuration: put the secret in a file and name the file in `file`',
    };
  }
  const meant = nearest(key, known);
  if (meant !== undefined) return { at: below(at, key), text: `unknown key; did you mean ${below(at, meant)}?` };
  const elsewhere = [...everyPath()].map(([path]) => path).filter((path) => path.split('.').at(-1) === key);
  return {
    at: below(at, key),
    text:
      elsewhere.length > 0
        ? `unknown key here; it belongs at ${elsewhere.join(', ')}`
        : `unknown key; known here: ${known.join(', ')}`,
  };
}
