// Tested by test/opa/go/yaml-as-opa.test.ts.
import type { Charge } from '../values/charge.ts';
import { YamlError } from './yaml-scalar.ts';
import { type Mark, scanYaml, type YamlToken } from './yaml-scan.ts';

export interface YamlScalarNode {
  readonly kind: 'scalar';
  /** Whole, e.g. `tag:yaml.org,2002:str`. */
  readonly tag: string | undefined;
  readonly text: string;
  readonly plain: boolean;
}

export interface YamlAlias {
  readonly kind: 'alias';
  readonly target: YamlNode;
}

interface Sequence {
  readonly kind: 'sequence';
  readonly items: YamlNode[];
}

interface Mapping {
  readonly kind: 'mapping';
  readonly pairs: (readonly [key: YamlNode, value: YamlNode])[];
}

export type YamlNode = YamlScalarNode | Sequence | Mapping | YamlAlias;

const nothing: YamlScalarNode = { kind: 'scalar', tag: undefined, text: '', plain: true };

/**
 * The first document of a YAML stream; the others are only looked at for faults.
 *
 * @returns undefined for a stream without any
 * @throws YamlError
 * @see go.yaml.in/yaml/v3, parserc.go
 */
export function composeYaml(text: string, charge: Charge): YamlNode | undefined {
  return new Composer(scanYaml(text, charge), charge).compose();
}

class Composer {
  readonly #tokens: readonly YamlToken[];
  #at = 0;
  /** They hold from one document to the next. */
  readonly #anchors = new Map<string, YamlNode>();
  #prefixes = new Map<string, string>();

  readonly #charge: Charge;

  constructor(tokens: readonly YamlToken[], charge: Charge) {
    this.#tokens = tokens;
    this.#charge = charge;
  }

  compose(): YamlNode | undefined {
    let first: YamlNode | undefined;
    for (let isImplicit = true; ; isImplicit = false) {
      if (!isImplicit) while (this.#take('document-end'));
      if (this.#is('stream-end')) return first;
      const isBare = isImplicit && !this.#is('version-directive', 'tag-directive', 'document-start');
      const document = isBare ? this.#bareDocument() : this.#explicitDocument();
      this.#take('document-end');
      first ??= document;
    }
  }

  get #token(): YamlToken {
    return this.#tokens[this.#at] ?? { kind: 'stream-end' };
  }

  #is(...kinds: readonly YamlToken['kind'][]): boolean {
    return kinds.includes(this.#token.kind);
  }

  #take(kind: Mark): boolean {
    if (this.#token.kind !== kind) return false;
    this.#at += 1;
    return true;
  }

  #bareDocument(): YamlNode {
    this.#directives();
    return this.#node('block');
  }

  #explicitDocument(): YamlNode {
    this.#directives();
    if (!this.#take('document-start')) throw new YamlError('did not find expected <document start>');
    const isEmpty = this.#is('version-directive', 'tag-directive', 'document-start', 'document-end', 'stream-end');
    return isEmpty ? nothing : this.#node('block');
  }

  #directives(): void {
    this.#prefixes = new Map();
    let hasVersion = false;
    for (let token = this.#token; this.#is('version-directive', 'tag-directive'); token = this.#token) {
      if (token.kind === 'version-directive') {
        if (hasVersion) throw new YamlError('found duplicate %YAML directive');
        if (token.text !== '1.1') throw new YamlError('found incompatible YAML document');
        hasVersion = true;
      } else if (token.kind === 'tag-directive') {
        if (this.#prefixes.has(token.handle)) throw new YamlError('found duplicate %TAG directive');
        this.#prefixes.set(token.handle, token.text);
      }
      this.#at += 1;
    }
    if (!this.#prefixes.has('!')) this.#prefixes.set('!', '!');
    if (!this.#prefixes.has('!!')) this.#prefixes.set('!!', 'tag:yaml.org,2002:');
  }

  /** @param place a sequence that is not indented is allowed only as a value or a key of a block mapping */
  #node(place: 'block' | 'mapping' | 'flow'): YamlNode {
    this.#charge(1);
    const start = this.#token;
    if (start.kind === 'alias') {
      this.#at += 1;
      const target = this.#anchors.get(start.text);
      if (target === undefined) throw new YamlError('unknown anchor');
      return { kind: 'alias', target };
    }
    const { anchor, tag } = this.#properties();
    const noted = <T extends YamlNode>(node: T): T => {
      if (anchor !== undefined) this.#anchors.set(anchor, node);
      return node;
    };
    const token = this.#token;
    if (token.kind === 'scalar') {
      this.#at += 1;
      return noted({ kind: 'scalar', tag, text: token.text, plain: token.plain });
    }
    // Noted before what is in it is read: an alias inside may name the whole.
    if (place === 'mapping' && token.kind === 'block-entry') return this.#flatSequence(noted(emptySequence()));
    if (this.#take('flow-sequence')) return this.#flowSequence(noted(emptySequence()));
    if (this.#take('flow-mapping')) return this.#flowMapping(noted(emptyMapping()));
    if (place !== 'flow' && this.#take('block-sequence')) return this.#blockSequence(noted(emptySequence()));
    if (place !== 'flow' && this.#take('block-mapping')) return this.#blockMapping(noted(emptyMapping()));
    if (anchor !== undefined || tag !== undefined) return noted({ ...nothing, tag });
    throw new YamlError('did not find expected node content');
  }

  /** An anchor and a tag, in either order. */
  #properties(): { readonly anchor: string | undefined; readonly tag: string | undefined } {
    let anchor: string | undefined;
    let tag: string | undefined;
    for (;;) {
      const token = this.#token;
      if (token.kind === 'anchor' && anchor === undefined) anchor = token.text;
      else if (token.kind === 'tag' && tag === undefined) tag = this.#wholeTag(token.handle, token.text);
      else return { anchor, tag };
      this.#at += 1;
    }
  }

  #wholeTag(handle: string, suffix: string): string {
    if (handle === '') return suffix;
    const prefix = this.#prefixes.get(handle);
    if (prefix === undefined || prefix + suffix === '') throw new YamlError('found undefined tag handle');
    return prefix + suffix;
  }

  /** A mapping's value whose dashes are not indented more than its keys. */
  #flatSequence(sequence: Sequence): Sequence {
    const ends = ['block-entry', 'key', 'value', 'block-end'] as const;
    while (this.#take('block-entry')) sequence.items.push(this.#is(...ends) ? nothing : this.#node('block'));
    return sequence;
  }

  #blockSequence(sequence: Sequence): Sequence {
    while (this.#take('block-entry'))
      sequence.items.push(this.#is('block-entry', 'block-end') ? nothing : this.#node('block'));
    if (!this.#take('block-end')) throw new YamlError('did not find expected "-" indicator');
    return sequence;
  }

  #blockMapping(mapping: Mapping): Mapping {
    const part = (): YamlNode => (this.#is('key', 'value', 'block-end') ? nothing : this.#node('mapping'));
    while (!this.#take('block-end')) {
      if (!this.#take('key')) throw new YamlError('did not find expected key');
      const key = part();
      mapping.pairs.push([key, this.#take('value') ? part() : nothing]);
    }
    return mapping;
  }

  #flowSequence(sequence: Sequence): Sequence {
    for (let isFirst = true; !this.#take('flow-sequence-end'); isFirst = false) {
      if (!isFirst && !this.#take('flow-entry')) throw new YamlError('did not find expected "," or "]"');
      if (this.#take('key')) sequence.items.push({ kind: 'mapping', pairs: [this.#flowPair('flow-sequence-end')] });
      else if (!this.#is('flow-sequence-end')) sequence.items.push(this.#node('flow'));
    }
    return sequence;
  }

  #flowMapping(mapping: Mapping): Mapping {
    for (let isFirst = true; !this.#take('flow-mapping-end'); isFirst = false) {
      if (!isFirst && !this.#take('flow-entry')) throw new YamlError('did not find expected "," or "}"');
      if (this.#take('key')) mapping.pairs.push(this.#flowPair('flow-mapping-end'));
      else if (!this.#is('flow-mapping-end')) mapping.pairs.push([this.#node('flow'), nothing]);
    }
    return mapping;
  }

  #flowPair(end: Mark): readonly [YamlNode, YamlNode] {
    const key = this.#is('value', 'flow-entry', end) ? nothing : this.#node('flow');
    const hasValue = this.#take('value') && !this.#is('flow-entry', end);
    return [key, hasValue ? this.#node('flow') : nothing];
  }
}

function emptySequence(): Sequence {
  return { kind: 'sequence', items: [] };
}

function emptyMapping(): Mapping {
  return { kind: 'mapping', pairs: [] };
}
