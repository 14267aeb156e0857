// Tested by test/opa/builtins/identifiers.test.ts.
import { compareStrings } from '../../text/utf8-order.ts';
import { RegoNumber, RegoObject, RegoSet, type Value } from '../values/value.ts';
import { keyText } from '../values/write-value.ts';

export interface Indentation {
  readonly prefix: string;
  readonly indent: string;
}

/** Go's `json.Marshal` or `MarshalIndent` of a value: keys in order of their bytes, HTML's characters escaped. */
export function goJson(value: Value, indentation?: Indentation): string {
  return jsonAt(value, indentation, indentation === undefined ? '' : `\n${indentation.prefix}`);
}

function jsonAt(value: Value, indentation: Indentation | undefined, newline: string): string {
  if (value === null) return 'null';
  if (typeof value === 'boolean') return value ? 'true' : 'false';
  if (typeof value === 'string') return goJsonString(value);
  if (value instanceof RegoNumber) return value.text;
  const inner = indentation === undefined ? '' : newline + indentation.indent;
  if (value instanceof RegoObject) {
    const colon = indentation === undefined ? ':' : ': ';
    const members = membersOf(value).map(
      ([key, member]) => `${inner}${goJsonString(key)}${colon}${jsonAt(member, indentation, inner)}`,
    );
    return members.length === 0 ? '{}' : `{${members.join(',')}${newline}}`;
  }
  const items = (value instanceof RegoSet ? value.sorted() : value).map(
    (item) => inner + jsonAt(item, indentation, inner),
  );
  return items.length === 0 ? '[]' : `[${items.join(',')}${newline}]`;
}

/** An object's members as a Go map[string]any has them, in the order of their keys. */
export function membersOf(object: RegoObject): (readonly [string, Value])[] {
  return Array.from(object.entries(), ([key, member]) => [keyText(key), member] as const).sort(([a], [b]) =>
    compareStrings(a, b),
  );
}

export function goJsonString(text: string): string {
  return JSON.stringify(text.toWellFormed()).replace(
    /[<>&\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
