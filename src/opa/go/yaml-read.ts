// Tested by test/opa/go/yaml-as-opa.test.ts.
import type { Charge } from '../values/charge.ts';
import { bytesOf, textOf } from '../values/text.ts';
import { RegoNumber, RegoObject, type Value } from '../values/value.ts';
import { formatFloat } from './float.ts';
import { composeYaml, type YamlAlias, type YamlNode, type YamlScalarNode } from './yaml-compose.ts';
import { refuseControls, resolveScalar, YamlError, type YamlScalar } from './yaml-scalar.ts';

type Pairs = readonly (readonly [key: YamlNode, value: YamlNode])[];
type Key = { readonly text: string } | { readonly fault: string };

const resolvableTags: ReadonlySet<string> = new Set(['str', 'bool', 'int', 'float', 'null', 'timestamp']);

/**
 * The first document of a YAML stream as JSON would have it, as OPA reads YAML.
 *
 * @throws YamlError where any document of the stream is malformed, or the first holds what JSON has not
 * @see OPA's internal/yaml
 */
export function readYaml(text: string, charge: Charge): Value {
  refuseControls(text);
  const first = composeYaml(text, charge);
  if (first === undefined) return null;
  const decoder = new Decoder(charge);
  const value = decoder.value(first);
  // Only here: a later member of the same name may have taken its place.
  if (decoder.metNoNumber && holdsNoNumber(value)) throw new YamlError('JSON has no such number');
  return value;
}

/** Replaces infinities and NaN. */
const noNumber = new RegoNumber('');

function holdsNoNumber(value: Value): boolean {
  if (value instanceof RegoObject) return Array.from(value.entries()).some(([, member]) => holdsNoNumber(member));
  return Array.isArray(value) ? value.some(holdsNoNumber) : value === noNumber;
}

class Decoder {
  metNoNumber = false;
  readonly #open = new Set<YamlNode>();
  #decoded = 0;
  #decodedInAlias = 0;
  #aliasDepth = 0;
  readonly #charge: Charge;

  constructor(charge: Charge) {
    this.#charge = charge;
  }

  value(node: YamlNode): Value {
    this.#count();
    switch (node.kind) {
      case 'alias':
        return this.#throughAlias(node, (target) => this.value(target));
      case 'scalar': {
        const value = scalarValue(node);
        this.metNoNumber ||= value === noNumber;
        return value;
      }
      case 'sequence':
        return node.items.map((item) => this.value(item));
      case 'mapping':
        return this.#object(node.pairs);
      default:
        return node satisfies never;
    }
  }

  /** go-yaml's bound on what aliases may blow a document up to. */
  #count(): void {
    this.#charge(1);
    this.#decoded++;
    if (this.#aliasDepth > 0) this.#decodedInAlias++;
    if (this.#decodedInAlias <= 100 || this.#decoded <= 1_000) return;
    const spread = Math.min(Math.max((this.#decoded - 400_000) / 3_600_000, 0), 1);
    if (this.#decodedInAlias / this.#decoded > 0.99 - 0.89 * spread) throw new YamlError('excessive aliasing');
  }

  #throughAlias<T>({ target }: YamlAlias, decode: (target: YamlNode) => T): T {
    if (this.#open.has(target)) throw new YamlError('anchor contains itself');
    this.#open.add(target);
    this.#aliasDepth++;
    const value = decode(target);
    this.#aliasDepth--;
    this.#open.delete(target);
    return value;
  }

  #object(pairs: Pairs): RegoObject {
    const object = new RegoObject();
    for (const [key, value] of pairs) {
      if (isMergeKey(key)) continue;
      const name = this.#key(key);
      const member = this.value(value);
      if ('fault' in name) throw new YamlError(name.fault);
      object.set(name.text, member);
    }
    const own = new Set(Array.from(object.entries(), ([key]) => key));
    for (const [key, value] of pairs) if (isMergeKey(key)) this.#merge(object, own, value);
    return object;
  }

  #key(node: YamlNode): Key {
    this.#count();
    if (node.kind === 'alias') return this.#throughAlias(node, (target) => this.#key(target));
    if (node.kind !== 'scalar') return { fault: 'a collection is no key' };
    return keyOf(scalarMeaning(node));
  }

  /** Members of the map itself come first, then those that were merged earlier. */
  #merge(object: RegoObject, taken: Set<Value>, source: YamlNode): void {
    const fault = 'map merge requires map or sequence of maps as the value';
    if (source.kind === 'alias') {
      this.#throughAlias(source, (target) => {
        if (target.kind !== 'mapping') throw new YamlError(fault);
        this.#merge(object, taken, target);
      });
    } else if (source.kind === 'sequence') {
      for (const item of source.items) {
        if (item.kind !== 'mapping' && item.kind !== 'alias') throw new YamlError(fault);
        this.#merge(object, taken, item);
      }
    } else if (source.kind === 'mapping') {
      for (const [key, member] of this.#object(source.pairs).entries()) {
        if (taken.has(key)) continue;
        taken.add(key);
        object.set(key, member);
      }
    } else {
      throw new YamlError(fault);
    }
  }
}

function isMergeKey(key: YamlNode): boolean {
  if (key.kind !== 'scalar' || key.text !== '<<') return false;
  const tag = tagOf(key);
  return tag === 'merge' || (tag === undefined && key.plain);
}

/** A tag's short name for those of YAML itself, the whole tag for others; `!` by itself says nothing. */
function tagOf({ tag }: YamlScalarNode): string | undefined {
  if (tag === '!') return undefined;
  return tag?.startsWith('tag:yaml.org,2002:') === true ? tag.slice(18) : tag;
}

type Meaning = YamlScalar | { readonly tag: 'text'; readonly value: string };

function scalarMeaning(node: YamlScalarNode): Meaning {
  const { text, plain } = node;
  const tag = tagOf(node);
  if (tag === undefined) return plain ? withoutTimestamp(resolveScalar(text), text) : { tag: 'text', value: text };
  if (tag === 'binary') return { tag: 'text', value: binary(text) };
  if (tag === 'str' || !resolvableTags.has(tag)) return { tag: 'text', value: text };
  const meaning = resolveScalar(text);
  if (tag === 'float' && meaning.tag === 'int') return { tag: 'float', value: Number(meaning.value) };
  if (tag !== meaning.tag) throw new YamlError(`cannot decode as ${tag}`);
  return withoutTimestamp(meaning, text);
}

/** OPA keeps dates as the strings that they are. */
function withoutTimestamp(meaning: YamlScalar, text: string): Meaning {
  return meaning.tag === 'str' || meaning.tag === 'timestamp' ? { tag: 'text', value: text } : meaning;
}

function binary(text: string): string {
  if (!/^[A-Za-z0-9+/\r\n]*={0,2}[\r\n]*$/.test(text) || text.replace(/[\r\n]/g, '').length % 4 !== 0) {
    throw new YamlError('!!binary value contains invalid base64 data');
  }
  return textOf(Buffer.from(text, 'base64'));
}

function scalarValue(node: YamlScalarNode): Value {
  const meaning = scalarMeaning(node);
  switch (meaning.tag) {
    case 'null':
      return null;
    case 'bool':
      return meaning.value;
    case 'int':
      return new RegoNumber(meaning.value.toString());
    case 'float':
      if (!Number.isFinite(meaning.value)) return noNumber;
      return new RegoNumber(Object.is(meaning.value, -0) ? '-0' : meaning.value.toString());
    case 'text':
      // The way goes through JSON, which has no other bytes than text.
      return bytesOf(meaning.value).toString('utf8');
    default:
      throw new YamlError('unknown scalar');
  }
}

function keyOf(meaning: Meaning): Key {
  switch (meaning.tag) {
    case 'text':
      return { text: bytesOf(meaning.value).toString('utf8') };
    case 'bool':
    case 'int':
      return { text: meaning.value.toString() };
    case 'float':
      return { text: floatKey(meaning.value) };
    default:
      return { fault: 'null is no key' };
  }
}

/** OPA writes such keys with the precision of 32 bits. */
function floatKey(value: number): string {
  if (Number.isNaN(value)) return '.nan';
  const float = Math.fround(value);
  if (!Number.isFinite(float)) return float > 0 ? '.inf' : '-.inf';
  for (let digits = 1; digits < 9; digits++) {
    const shorter = Number(float.toPrecision(digits));
    if (Math.fround(shorter) === float) return formatFloat(shorter, 'g', -1);
  }
  return formatFloat(Number(float.toPrecision(9)), 'g', -1);
}
