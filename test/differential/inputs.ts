import fc from 'fast-check';
import { isJsonObject, type JsonValue } from '../../src/domain/json-value.ts';
import { changed } from '../author/requests.ts';

type Path = readonly (string | number)[];

const oddNumbers = [0, -1, 1, 0.5, 1e21, -1e-7, 12_345_678_901, 4_294_967_296, 2_147_483_648, 100];
const oddTexts = ['', ' ', 'a', 'ä𝄞', '\u0000', '\n\t', '"\\', '%', '/', '1', 'true', '\ud7ff\ufffd', '日本', 'İı'];
const oddValues: readonly JsonValue[] = [null, true, false, [], {}, [null], { a: 1 }, [[]], [1, '1', 1.5]];

const leaf: fc.Arbitrary<JsonValue> = fc.oneof(
  fc.constantFrom<JsonValue>(...oddValues),
  fc.constantFrom<JsonValue>(...oddNumbers, ...oddTexts),
  fc.integer({ min: -1000, max: 1000 }),
  // Of few digits: what is lost between numbers that are far apart is another matter than what a policy means.
  fc.integer({ min: -1_000_000_000, max: 1_000_000_000 }).map((number) => number / 1_000),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
);

/** What the value at a place becomes: left out, another of its kind, something odd, or a value that stands elsewhere. */
function replacement(value: JsonValue, others: readonly JsonValue[]): fc.Arbitrary<JsonValue | undefined> {
  const any = fc.oneof(leaf, fc.constantFrom(...others), fc.constant(undefined));
  if (typeof value === 'number') {
    return fc.oneof(
      any,
      fc.constantFrom(value + 1, value - 1, -value || 0, value / 2, value * 10, Math.trunc(value)),
      fc.constant(String(value)),
    );
  }
  if (typeof value === 'string') {
    const cut = fc.nat({ max: value.length }).map((at) => [...value].slice(0, at).join(''));
    const grown = fc.tuple(fc.constantFrom(...oddTexts), fc.boolean());
    return fc.oneof(
      any,
      cut,
      grown.map(([text, before]) => (before ? text + value : value + text)),
      fc.constantFrom(value.toUpperCase(), value.toLowerCase(), value + value),
    );
  }
  if (Array.isArray(value)) {
    const list = value as readonly JsonValue[];
    return fc.oneof(
      any,
      fc.constantFrom<JsonValue>([...list, ...list], list.toReversed(), list.slice(1)),
      leaf.map((one) => [...list, one]),
    );
  }
  if (isJsonObject(value)) {
    return fc.oneof(
      any,
      fc.tuple(fc.constantFrom(...oddTexts, 'a', 'x', 'id'), leaf).map(([name, one]) => ({ ...value, [name]: one })),
      fc.constant<JsonValue>(Object.values(value)),
    );
  }
  return any;
}

function placesIn(value: JsonValue, at: Path = []): readonly { readonly path: Path; readonly value: JsonValue }[] {
  const inner: readonly (readonly [string | number, JsonValue])[] = Array.isArray(value)
    ? [...(value as readonly JsonValue[]).entries()]
    : isJsonObject(value)
      ? Object.entries(value)
      : [];
  return inner.flatMap(([name, below]) => [{ path: [...at, name], value: below }, ...placesIn(below, [...at, name])]);
}

/**
 * Inputs around those that a policy is written for: as they are, with up to four places changed, and now and then
 * something else altogether.
 */
export function inputsAround(examples: readonly JsonValue[]): fc.Arbitrary<JsonValue> {
  const others = examples.flatMap((example) => placesIn(example).map(({ value }) => value));
  const near = fc.constantFrom(...examples).chain((example) => {
    const places = placesIn(example);
    if (places.length === 0) return fc.constant(example);
    const change = fc
      .constantFrom(...places)
      .chain(({ path, value }) => replacement(value, others).map((to) => ({ path, to })));
    return fc
      .array(change, { maxLength: 4 })
      .map((changes) => changes.reduce((value, { path, to }) => changed(value, path, to), example));
  });
  const far = fc.oneof(leaf, fc.jsonValue({ maxDepth: 3 }) as fc.Arbitrary<JsonValue>);
  return fc.oneof({ weight: 19, arbitrary: near }, { weight: 1, arbitrary: far });
}
