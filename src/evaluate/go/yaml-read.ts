import {
  type Alias,
  Composer,
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  Lexer,
  type Node,
  type Pair,
  Parser,
  Scalar,
  visit,
} from 'yaml';
import type { Charge } from '../charge.ts';
import { bytesOf, textOf } from '../values/text.ts';
import { RegoNumber, RegoObject, type Value } from '../values/value.ts';
import { formatFloat } from './float.ts';
import { refuseControls, resolveScalar, YamlError, type YamlScalar } from './yaml-scalar.ts';

type Key = { readonly text: string } | { readonly fault: string };

const resolvableTags: ReadonlySet<string> = new Set(['str', 'bool', 'int', 'float', 'null', 'timestamp']);

/**
 * The first document of a YAML stream as JSON would have it, as OPA reads YAML: the syntax is the `yaml` package's, what
 * its scalars mean is go-yaml's.
 *
 * @throws YamlError where any document of the stream is malformed, or the first holds what JSON has not
 * @see OPA's internal/yaml
 */
export function readYaml(text: string, charge: Charge): Value {
  refuseControls(text);
  // YAML 1.1 breaks lines in more places than 1.2, and go-yaml with it.
  const lines = text.replace(/\r\n|[\r\u0085\u2028\u2029]/g, '\n');
  if (/^(?:[ \t]*(?:#.*)?\n)*(?:\.\.\.(?:\s|$)|%(?!YAML[ \t]+1\.1\b|TAG[ \t]))/.test(lines)) {
    throw new YamlError('did not find expected node content');
  }
  const documents = documentsIn(lines, charge);
  for (const [index, { errors, directives }] of documents.entries()) {
    const [fault] = errors;
    if (fault !== undefined) throw new YamlError(fault.message);
    if (index > 0 && directives?.docStart !== true) throw new YamlError('did not find expected <document start>');
    if (directives?.yaml.explicit === true && directives.yaml.version !== '1.1') {
      throw new YamlError('found incompatible YAML document');
    }
  }
  const [first] = documents;
  if (first?.contents === null || first?.contents === undefined) return null;
  const anchors = new Map<Alias, Node>();
  visit(first, {
    Alias(_key, alias) {
      const node = alias.resolve(first);
      if (node === undefined) throw new YamlError('unknown anchor');
      anchors.set(alias, node);
    },
  });
  return new Decoder(anchors, lines, charge).value(first.contents as Node);
}

/** Token by token, so that a long text can be left in the middle: reading those takes most of the time. */
function documentsIn(text: string, charge: Charge): readonly Document[] {
  const composer = new Composer({ schema: 'failsafe', uniqueKeys: false, prettyErrors: false, logLevel: 'silent' });
  const parser = new Parser();
  const documents: Document[] = [];
  for (const lexeme of new Lexer().lex(text)) {
    charge(1 + lexeme.length / 64);
    for (const token of parser.next(lexeme)) documents.push(...composer.next(token));
  }
  for (const token of parser.end()) documents.push(...composer.next(token));
  documents.push(...composer.end());
  return documents;
}

class Decoder {
  readonly #anchors: ReadonlyMap<Alias, Node>;
  /** A block scalar that the stream ends in has no line break which the stream has not. */
  readonly #cutShortAt: number;
  readonly #open = new Set<Node>();
  #decoded = 0;
  #decodedInAlias = 0;
  #aliasDepth = 0;

  readonly #charge: Charge;

  constructor(anchors: ReadonlyMap<Alias, Node>, text: string, charge: Charge) {
    this.#anchors = anchors;
    this.#charge = charge;
    this.#cutShortAt = text.endsWith('\n') ? Infinity : text.length;
  }

  value(node: Node | null): Value {
    this.#count();
    if (node === null) return null;
    if (isAlias(node)) return this.#throughAlias(node, (target) => this.value(target));
    if (isScalar(node)) {
      const value = scalarValue(node);
      const cutShort = (node.range?.[1] ?? 0) >= this.#cutShortAt && node.type?.startsWith('BLOCK') === true;
      return cutShort && typeof value === 'string' ? value.replace(/\n$/, '') : value;
    }
    if (isSeq(node)) return node.items.map((item) => this.value(item as Node | null));
    if (isMap(node)) return this.#object(node.items as readonly Pair<Node | null, Node | null>[]);
    throw new YamlError('unknown node');
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

  #throughAlias<T>(alias: Alias, decode: (target: Node) => T): T {
    const target = this.#anchors.get(alias);
    if (target === undefined || this.#open.has(target)) throw new YamlError('anchor contains itself');
    this.#open.add(target);
    this.#aliasDepth++;
    const value = decode(target);
    this.#aliasDepth--;
    this.#open.delete(target);
    return value;
  }

  #object(pairs: readonly Pair<Node | null, Node | null>[]): RegoObject {
    const object = new RegoObject();
    for (const { key, value } of pairs) {
      if (isMergeKey(key)) continue;
      const name = this.#key(key);
      const member = this.value(value);
      if ('fault' in name) throw new YamlError(name.fault);
      object.set(name.text, member);
    }
    const own = new Set(Array.from(object.entries(), ([key]) => key));
    for (const { key, value } of pairs) if (isMergeKey(key)) this.#merge(object, own, value);
    return object;
  }

  #key(node: Node | null): Key {
    this.#count();
    if (node === null) return { fault: 'null is no key' };
    if (isAlias(node)) return this.#throughAlias(node, (target) => this.#key(target));
    if (!isScalar(node)) return { fault: 'a collection is no key' };
    return keyOf(scalarMeaning(node));
  }

  /** What stands in the map itself comes first, then what was merged earlier. */
  #merge(object: RegoObject, taken: Set<Value>, source: Node | null): void {
    if (source !== null && isAlias(source)) {
      this.#throughAlias(source, (target) => {
        if (!isMap(target)) throw new YamlError('map merge requires map or sequence of maps as the value');
        this.#merge(object, taken, target);
      });
    } else if (isSeq(source)) {
      for (const item of source.items as readonly (Node | null)[]) {
        if (!isMap(item) && !isAlias(item))
          throw new YamlError('map merge requires map or sequence of maps as the value');
        this.#merge(object, taken, item);
      }
    } else if (isMap(source)) {
      for (const [key, member] of this.#object(source.items as readonly Pair<Node | null, Node | null>[]).entries()) {
        if (taken.has(key)) continue;
        taken.add(key);
        object.set(key, member);
      }
    } else {
      throw new YamlError('map merge requires map or sequence of maps as the value');
    }
  }
}

function isMergeKey(key: Node | null): boolean {
  return isScalar(key) && key.source === '<<' && key.type === Scalar.PLAIN && tagOf(key) === undefined;
}

/** A tag's short name for those of YAML itself, the whole tag for others. */
function tagOf({ tag }: Scalar): string | undefined {
  return tag?.startsWith('tag:yaml.org,2002:') === true ? tag.slice(18) : tag;
}

type Meaning = YamlScalar | { readonly tag: 'text'; readonly value: string };

function scalarMeaning(node: Scalar): Meaning {
  const text = node.source ?? '';
  const tag = tagOf(node);
  const quoted = node.type !== Scalar.PLAIN;
  if (tag === undefined || tag === '!') {
    if (quoted || tag === '!') return { tag: 'text', value: text };
    return withoutTimestamp(resolveScalar(text), text);
  }
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

function scalarValue(node: Scalar): Value {
  const meaning = scalarMeaning(node);
  switch (meaning.tag) {
    case 'null':
      return null;
    case 'bool':
      return meaning.value;
    case 'int':
      return new RegoNumber(meaning.value.toString());
    case 'float':
      if (!Number.isFinite(meaning.value)) throw new YamlError('JSON has no such number');
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
