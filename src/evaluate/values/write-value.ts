import { compareValues, RegoNumber, RegoObject, RegoSet, type Value } from './value.ts';

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

/**
 * The same value as plain JSON, as OPA answers with it: sets as sorted arrays, other keys than strings as their text.
 * Members in OPA's order too: as part of such a key, their order is part of a name.
 */
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
        return `{${Array.from(value.entries(), ([key, member]) => [keyText(key), member] as const)
          .sort(([a], [b]) => compareValues(a, b))
          .map(([key, member]) => `${quoted(key)}:${writeJson(member)}`)
          .join(',')}}`;
      return `[${value.map(writeJson).join(',')}]`;
  }
}

/** What a key is called where only strings can be keys; Go's encoder, which names the others, escapes for HTML. */
export function keyText(key: Value): string {
  return typeof key === 'string' ? key : writeJson(key).replace(/[<>&\u2028\u2029]/g, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function quoted(text: string): string {
  // JSON.stringify writes a lone surrogate as an escape that the module's parser aborts on.
  return JSON.stringify(text.toWellFormed());
}
