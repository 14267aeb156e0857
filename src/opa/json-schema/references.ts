// Tested by test/opa/builtins/json-schema.long.test.ts.
import { escapeBytes, parseUrl, unescapePercent } from '../go/url.ts';
import { urlFault } from '../go/url-fault.ts';
import { BuiltinError } from '../values/builtin.ts';
import { readJson } from '../values/read-json.ts';
import { metaSchemas } from './meta-schemas.ts';
import { type Json, jsonOf } from './schema-json.ts';

/** Which rules a schema is read by; the hybrid takes what any draft has. */
export type Draft = 4 | 6 | 7 | 'hybrid';

/** A reference as Go's URLs write it: its parts, still encoded. */
interface Reference {
  readonly scheme: string;
  /** With the text before it; undefined without `//`. */
  readonly authority: string | undefined;
  readonly path: string;
  readonly query: string | undefined;
  readonly fragment: string;
}

const referenceParts = /^(?:([A-Za-z][A-Za-z0-9+\-.]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#([\s\S]*))?$/;

function parseReference(text: string): Reference {
  const parts = parseUrl(text) === undefined ? null : referenceParts.exec(text);
  if (parts === null) throw new BuiltinError(urlFault(text));
  const [, scheme = '', authority, path = '', query, fragment = ''] = parts;
  return {
    scheme: scheme.toLowerCase(),
    authority,
    path: encoded(path, /[A-Za-z0-9\-_.~!$&'()*+,;=:@/[\]]/),
    query,
    fragment: encoded(fragment, /[A-Za-z0-9\-_.~!$&'()*+,;=:@/?[\]]/),
  };
}

/** As written, where that is a way to write it; otherwise with the escapes that it lacks. */
function encoded(part: string, allowed: RegExp): string {
  if ([...part].every((character) => character === '%' || allowed.test(character))) return part;
  return escapeBytes(unescapePercent(part) ?? part, /[A-Za-z0-9\-_.~$&+,/:;=@!()*]/);
}

function referenceText({ scheme, authority, path, query, fragment }: Reference): string {
  const start = (scheme === '' ? '' : `${scheme}:`) + (authority === undefined ? '' : `//${authority}`);
  return start + path + (query === undefined ? '' : `?${query}`) + (fragment === '' ? '' : `#${fragment}`);
}

/** One text for each reference: without a fragment that says nothing. */
export function normalReference(text: string): string {
  return referenceText(parseReference(text));
}

/** RFC 3986, section 5.2, as Go has it; a parent's fragment plays no part. */
export function resolveReference(parent: string, child: string): string {
  const base = parseReference(parent);
  const reference = parseReference(child);
  if (reference.scheme !== '' || (reference.authority ?? '') !== '') {
    const opaque = reference.scheme !== '' && reference.authority === undefined && !reference.path.startsWith('/');
    const path = opaque ? reference.path : withoutDots(reference.path, '');
    return referenceText({ ...reference, scheme: reference.scheme || base.scheme, path });
  }
  const opaque = base.scheme !== '' && base.authority === undefined && !base.path.startsWith('/');
  if (reference.path === '') {
    const path = opaque ? base.path : withoutDots(base.path, '');
    return referenceText({ ...base, path, query: reference.query ?? base.query, fragment: reference.fragment });
  }
  const path = withoutDots(opaque ? '' : base.path, reference.path);
  return referenceText({ ...reference, scheme: base.scheme, authority: base.authority, path });
}

function withoutDots(base: string, reference: string): string {
  let full = reference;
  if (reference === '') full = base;
  else if (!reference.startsWith('/')) full = base.slice(0, base.lastIndexOf('/') + 1) + reference;
  if (full === '') return '';
  const segments = full.split('/');
  const kept: string[] = [];
  for (const segment of segments) {
    if (segment === '..') kept.pop();
    else if (segment !== '.') kept.push(segment);
  }
  const last = segments.at(-1);
  const path = `/${kept.join('/')}${last === '.' || last === '..' ? '/' : ''}`;
  return path.replace(/^\/\//, '/');
}

interface Pooled {
  readonly document: Json;
  readonly draft: Draft | undefined;
}

/** The documents that references may name: the schema, its parts with an id, the drafts' own schemas, and no other. */
export class SchemaPool {
  readonly #documents = new Map<string, Pooled>();
  readonly #charge: (units: number) => void;

  constructor(charge: (units: number) => void) {
    this.#charge = charge;
  }

  /** Finds the document's ids, and makes its references whole. */
  add(document: Json, reference: string): void {
    if (this.#documents.has(reference)) throw alreadyThere(reference);
    const draft = draftOf(document);
    this.#resolve(document, reference, draft);
    this.#documents.set(reference, { document, draft });
  }

  get(reference: string): Pooled {
    const found = this.#documents.get(reference);
    if (found !== undefined) return found;
    const parts = parseReference(reference);
    const address = referenceText({ ...parts, fragment: '' });
    const holder = this.#documents.get(address) ?? this.#wellKnown(reference, address, parts);
    const pooled = { document: memberAt(holder.document, unescapePercent(parts.fragment) ?? ''), draft: holder.draft };
    this.#documents.set(reference, pooled);
    return pooled;
  }

  #wellKnown(reference: string, address: string, { scheme, authority = '', path }: Reference): Pooled {
    const whole = scheme === 'file' ? path.startsWith('/') : scheme !== '' && authority !== '';
    if (!whole) throw new BuiltinError(`Reference ${reference} must be canonical`);
    const text = Object.hasOwn(metaSchemas, address) ? metaSchemas[address] : undefined;
    // Neither the network nor the file system: OPA would fetch, and read any file a policy's input names.
    if (text === undefined) throw new BuiltinError(`remote reference loading disabled: ${address}`);
    const document = jsonOf(readJson(text));
    this.add(document, address);
    return { document, draft: draftOf(document) };
  }

  #resolve(document: Json, reference: string, draft: Draft | undefined): void {
    this.#charge(1);
    if (Array.isArray(document)) {
      for (const item of document) this.#resolve(item, reference, draft);
      return;
    }
    if (!(document instanceof Map)) return;
    let local = reference;
    const id = document.get(document.has('id') ? 'id' : '$id');
    if (typeof id === 'string') {
      const resolved = quietly(reference, id);
      if (resolved !== undefined) {
        if (this.#documents.has(resolved)) throw alreadyThere(resolved);
        this.#documents.set(resolved, { document, draft });
        local = resolved;
      }
    }
    const named = document.get('$ref');
    if (typeof named === 'string') {
      const resolved = quietly(local, named);
      if (resolved !== undefined) document.set('$ref', resolved);
    }
    for (const [key, member] of document) {
      // Taken as they are, whatever they hold.
      if (key === 'const' || key === 'enum') continue;
      if (key === 'properties' || key === 'dependencies' || key === 'patternProperties') {
        // Their members' names are not keywords.
        if (member instanceof Map) for (const inner of member.values()) this.#resolve(inner, local, draft);
      } else {
        this.#resolve(member, local, draft);
      }
    }
  }
}

/** A value that is not a reference is reported when the schema is read. */
function quietly(parent: string, child: string): string | undefined {
  try {
    return resolveReference(parent, child);
  } catch (cause) {
    if (cause instanceof BuiltinError) return undefined;
    throw cause;
  }
}

function alreadyThere(reference: string): BuiltinError {
  return new BuiltinError(`Reference already exists: "${reference}"`);
}

/** @returns undefined where the document names no draft, or one that is not known */
export function draftOf(document: Json): Draft | undefined {
  if (typeof document === 'boolean') return undefined;
  if (!(document instanceof Map)) throw new BuiltinError('schema is invalid');
  const schema = document.get('$schema');
  if (schema === undefined) return undefined;
  if (typeof schema !== 'string') throw new BuiltinError('$schema must be of type string');
  switch (normalReference(schema)) {
    case 'http://json-schema.org/draft-04/schema':
      return 4;
    case 'http://json-schema.org/draft-06/schema':
      return 6;
    case 'http://json-schema.org/draft-07/schema':
      return 7;
    default:
      return undefined;
  }
}

/** The target of a JSON pointer. A fragment that is neither a pointer nor an id means the whole document. */
function memberAt(document: Json, pointer: string): Json {
  if (!pointer.startsWith('/')) return document;
  let node: Json = document;
  for (const token of pointer.slice(1).split('/')) {
    if (node instanceof Map) {
      const name = token.replaceAll('~1', '/').replaceAll('~0', '~');
      const member = node.get(name);
      if (member === undefined) throw new BuiltinError(`Object has no key '${name}'`);
      node = member;
    } else if (Array.isArray(node)) {
      if (!/^[+-]?\d+$/.test(token)) throw new BuiltinError(`Invalid array index '${token}'`);
      const item: Json | undefined = node[Number(token)];
      if (item === undefined) throw new BuiltinError(`Out of bound array[0,${node.length}] index '${Number(token)}'`);
      node = item;
    } else {
      throw new BuiltinError(`Invalid token reference '${token}'`);
    }
  }
  return node;
}
