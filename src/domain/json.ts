export type JsonValue = null | boolean | number | string | readonly JsonValue[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: JsonValue;
}

export function isJsonObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** An object's own member; `toString` and the like are absent unless somebody really sent them. */
export function member(object: JsonObject, name: string): JsonValue | undefined {
  return Object.hasOwn(object, name) ? object[name] : undefined;
}

/** One text for one value: members sorted by code unit, no blanks. Two values are equal when their texts are. */
export function canonicalJson(value: JsonValue): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (isJsonObject(value)) {
    const members = Object.keys(value)
      .sort()
      .map((name) => `${JSON.stringify(name)}:${canonicalJson(member(value, name) ?? null)}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(value);
}

/** A number with enough digits, or an exponent, to be another one as a double. Strings may match too: it only asks for a closer look. */
const inexactPerhaps = /\d(?:[eE]|[\d.]{15})/;

/**
 * JSON.parse, except that it changes no number: one that a double does not hold to the last digit is refused instead of
 * rounded (9007199254740993, 1e400).
 *
 * @throws SyntaxError for what is no JSON, RangeError for such a number
 */
export function parseExact(text: string): JsonValue {
  return (inexactPerhaps.test(text) ? JSON.parse(text, exact) : JSON.parse(text)) as JsonValue;
}

/** The reviver's third argument, which the types do not know yet: ECMAScript, "JSON.parse source text access". */
function exact(this: unknown, _name: string, value: JsonValue, context?: { readonly source?: string }): JsonValue {
  if (typeof value === 'number' && decimal(context?.source ?? '') !== decimal(String(value))) {
    throw new RangeError('a number with more digits than can be kept');
  }
  return value;
}

/** One text for one value of a decimal number: digits without zeros at either end, and the power of ten. */
function decimal(number: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [];
  const digits = (whole + fraction).replace(/^0+/, '');
  const significant = digits.replace(/0+$/, '');
  if (significant === '') return whole === '' ? '' : '0';
  return `${sign}${significant}e${Number(exponent) - fraction.length + digits.length - significant.length}`;
}
