import { parseDocument } from 'yaml';
import { BundleRefused } from '../domain/errors.ts';
import { requireJson, utf8TextOf } from './json-text.ts';

export function isYaml(baseName: string): boolean {
  return baseName === 'data.yaml' || baseName === 'data.yml';
}

/**
 * A YAML data file as JSON text. OPA reads YAML 1.1 (`yes` is true, `0777` is octal), other readers 1.2; a file that
 * means two things is refused, so that the policy and its owner see the same one.
 *
 * @throws BundleRefused
 */
export function jsonTextOfYaml(bytes: Uint8Array, name: string): string {
  const text = utf8TextOf(bytes, name);
  const older = read(text, '1.1', name);
  if (older !== read(text, '1.2', name)) {
    throw new BundleRefused(
      `${name} means one thing in YAML 1.1 and another in 1.2: put words such as yes, dates and numbers such as 010 in quotes, or write JSON`,
    );
  }
  requireJson(older, name);
  return older;
}

function read(text: string, version: '1.1' | '1.2', name: string): string {
  try {
    const document = parseDocument(text, { version, intAsBigInt: true, prettyErrors: false, stringKeys: true });
    const [fault] = [...document.errors, ...document.warnings];
    if (fault !== undefined) throw fault;
    return jsonOf(document.toJS({ maxAliasCount: 0 }) as unknown, name);
  } catch (cause) {
    if (cause instanceof BundleRefused) throw cause;
    throw new BundleRefused(`${name} is no YAML that is read here`, { cause });
  }
}

function jsonOf(value: unknown, name: string): string {
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
      if (Array.isArray(value)) return `[${value.map((item) => jsonOf(item, name)).join(',')}]`;
      // Dates, binary and the like come as instances of something.
      if (Object.getPrototypeOf(value) !== Object.prototype) break;
      const members = Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${jsonOf(item, name)}`);
      return `{${members.join(',')}}`;
    }
    default:
  }
  throw new BundleRefused(`${name} holds a value that JSON does not know`);
}
