// Tested by test/opa/values/value.test.ts.
import type { Charge } from './charge.ts';
import { compareValues, RegoNumber, RegoObject, RegoSet, type Value } from './value.ts';

/** The text of a value as `opa_value_parse` reads it; bytes that are not UTF-8 become U+FFFD, since it accepts only UTF-8. */
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
export function writeJson(value: Value, charge?: Charge): string {
  // One join for all: one at each depth would copy what is innermost as often as it is deep.
  const parts: string[] = [];
  writeParts(value, parts, charge);
  return parts.join('');
}

function writeParts(value: Value, parts: string[], charge: Charge | undefined): void {
  charge?.(1);
  if (value === null) parts.push('null');
  else if (typeof value === 'boolean') parts.push(value ? 'true' : 'false');
  else if (typeof value === 'string') parts.push(quoted(value, charge));
  else if (value instanceof RegoNumber) parts.push(value.text);
  else if (value instanceof RegoObject) {
    const members = Array.from(value.entries(), ([key, member]) => [keyText(key, charge), member] as const);
    members.sort(([a], [b]) => compareValues(a, b, charge));
    let before = '{';
    for (const [key, member] of members) {
      parts.push(before, quoted(key, charge), ':');
      writeParts(member, parts, charge);
      before = ',';
    }
    parts.push(members.length === 0 ? '{}' : '}');
  } else {
    const items = value instanceof RegoSet ? value.sorted(charge) : value;
    let before = '[';
    for (const item of items) {
      parts.push(before);
      writeParts(item, parts, charge);
      before = ',';
    }
    parts.push(items.length === 0 ? '[]' : ']');
  }
}

/** The name of a key where only strings can be keys; Go's encoder, which names the others, escapes for HTML. */
export function keyText(key: Value, charge?: Charge): string {
  return typeof key === 'string' ? key : writeJson(key, charge).replace(/[<>&\u2028\u2029]/g, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function quoted(text: string, charge?: Charge): string {
  charge?.(text.length / 64);
  // JSON.stringify writes a lone surrogate as an escape that the module's parser aborts on.
  return JSON.stringify(text.toWellFormed());
}
