import { isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { BundleRefused } from '../../domain/errors.ts';
import { readYaml, resolveScalar, writeJson } from '../../opa/opa.ts';
import { canonicalText, objectText } from '../../text/json-text.ts';
import { requireJson, utf8TextOf } from './read-json-text.ts';

type Document = ReturnType<typeof parseDocument>;

export function isYaml(baseName: string): boolean {
  return baseName === 'data.yaml' || baseName === 'data.yml';
}

/**
 * A YAML data file as JSON text. OPA's reader and those of YAML 1.1 (`yes` is true, `0777` is octal) and 1.2 do not
 * always agree; a file that means two things is refused, so that the policy and its owner see the same one. A key has to
 * be to OPA what stands there: it makes 8 of `010`, and 1 of `1.0`.
 *
 * @throws BundleRefused
 */
export function jsonTextOfYaml(bytes: Uint8Array, name: string): string {
  const text = utf8TextOf(bytes, name);
  const reading = onlyReading(text, name);
  requireJson(reading, name);
  return reading;
}

function onlyReading(text: string, name: string): string {
  try {
    const opas = canonicalText(writeJson(readYaml(text, () => undefined)));
    if (reading(text, '1.1') === opas && reading(text, '1.2') === opas) return opas;
  } catch (cause) {
    throw new BundleRefused(whyRefused(text, name), { cause });
  }
  throw new BundleRefused(whyRefused(text, name));
}

function reading(text: string, version: '1.1' | '1.2'): string {
  const document = parsed(text, version);
  const fault = faultIn(document);
  if (fault !== undefined) throw new TypeError(fault.what);
  return canonicalText(jsonOf(document.toJS() as unknown));
}

function parsed(text: string, version: '1.1' | '1.2', lineCounter = new LineCounter()): Document {
  // Keys are compared here: the library compares each with all before it, which takes minutes for 50,000 of them.
  const keys = { stringKeys: true, uniqueKeys: false };
  return parseDocument(text, { version, intAsBigInt: true, prettyErrors: false, lineCounter, ...keys });
}

interface Fault {
  readonly start: number | undefined;
  readonly what: string;
}

function faultIn(document: Document): Fault | undefined {
  const [error] = [...document.errors, ...document.warnings];
  if (error !== undefined) return { start: error.pos[0], what: `no YAML that is read here (${error.code})` };
  let found: Fault | undefined;
  visit(document, {
    Alias: (_, { range }) => {
      found = { start: range?.[0], what: 'aliases are not read; write out what it stands for' };
      return visit.BREAK;
    },
    Map: (_, { items }) => {
      const known = new Set<unknown>();
      for (const { key } of items) {
        // Any other key is an error by itself.
        if (!isScalar(key)) continue;
        if (known.has(key.value)) {
          found = { start: key.range?.[0], what: 'a key that its object has already' };
          return visit.BREAK;
        }
        known.add(key.value);
      }
      return undefined;
    },
  });
  return found;
}

function jsonOf(value: unknown): string {
  switch (typeof value) {
    case 'bigint':
      return String(value);
    case 'number':
      if (Number.isFinite(value)) return JSON.stringify(value);
      break;
    case 'string':
    case 'boolean':
      return JSON.stringify(value);
    case 'object': {
      if (value === null) return 'null';
      if (Array.isArray(value)) return `[${value.map(jsonOf).join(',')}]`;
      // Dates, binary and the like come as instances of something.
      if (Object.getPrototypeOf(value) !== Object.prototype) break;
      return objectText(Object.entries(value).map(([key, item]) => [key, jsonOf(item)]));
    }
    default:
  }
  throw new TypeError('a value that JSON does not know');
}

/** Where it is and what to do about it; nothing of what stands there. */
function whyRefused(text: string, name: string): string {
  const lines = new LineCounter();
  const newer = parsed(text, '1.2', lines);
  const at = (offset = 0): string => `${name}:${lines.linePos(offset).line}`;
  const fault = faultIn(newer);
  if (fault !== undefined) return `${at(fault.start)}: ${fault.what}`;
  const older = plainScalars(parsed(text, '1.1'));
  const twofold = plainScalars(newer).find((one, index) => one.value !== older[index]?.value || !isAsOpa(one));
  if (twofold !== undefined)
    return `${at(twofold.start)}: OPA, YAML 1.1, YAML 1.2 and JSON do not have the same here; put it in quotes (yes, dates, 010, a key such as 1.0)`;
  return `${name} is no YAML that OPA and readers of YAML 1.1 and 1.2 read alike; write JSON`;
}

/** A scalar without quotes, whose meaning is for the reader to find. */
interface PlainScalar {
  readonly isKey: boolean;
  readonly source: string;
  readonly value: unknown;
  readonly start: number | undefined;
}

function plainScalars(document: Document): readonly PlainScalar[] {
  const found: PlainScalar[] = [];
  visit(document, {
    Scalar: (place, { type, source = '', value, range }) => {
      if (type === 'PLAIN') found.push({ isKey: place === 'key', source, value, start: range?.[0] });
    },
  });
  return found;
}

function isAsOpa({ isKey, source, value }: PlainScalar): boolean {
  const meaning = resolveScalar(source);
  switch (meaning.tag) {
    case 'str':
    case 'timestamp':
      return value === source;
    case 'null':
      return !isKey && value === null;
    default:
      return isKey ? String(meaning.value) === source : meaning.value === value && Number.isFinite(Number(value));
  }
}
