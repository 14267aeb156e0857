import { RegoNumber, RegoObject, RegoSet, type Value } from './value.ts';

/** The text of a value as `opa_value_parse` reads it; bytes that are no UTF-8 become U+FFFD, which is all it takes. */
export function writeValue(value: Value): string {
  if (value === null) return 'null';
  switch (typeof value) {
    case 'boolean':
      return value ? 'true' : 'false';
    case 'string':
      return quoted(value);
    default:
      if (value instanceof RegoNumber) return value.text;
      if (value instanceof RegoSet)
        return value.size === 0 ? 'set()' : `{${Array.from(value.values(), writeValue).join(',')}}`;
      if (value instanceof RegoObject)
        return `{${Array.from(value.entries(), ([key, member]) => `${writeValue(key)}:${writeValue(member)}`).join(',')}}`;
      return `[${value.map(writeValue).join(',')}]`;
  }
}

/** The same value as plain JSON, as OPA answers with it: sets as sorted arrays, other keys than strings as their text. */
export function writeJson(value: Value): string {
  if (value === null) return 'null';
  switch (typeof value) {
    case 'boolean':
      return value ? 'true' : 'false';
    case 'string':
      return quoted(value);
    default:
      if (value instanceof RegoNumber) return value.text;
      if (value instanceof RegoSet) return `[${value.sorted().map(writeJson).join(',')}]`;
      if (value instanceof RegoObject)
        return `{${Array.from(value.entries(), ([key, member]) => `${quoted(keyText(key))}:${writeJson(member)}`).join(',')}}`;
      return `[${value.map(writeJson).join(',')}]`;
  }
}

/** What a key is called where only strings can be keys. */
export function keyText(key: Value): string {
  return typeof key === 'string' ? key : writeJson(key);
}

function quoted(text: string): string {
  // JSON.stringify writes a lone surrogate as an escape that the module's parser aborts on.
  return JSON.stringify(text.toWellFormed());
}
