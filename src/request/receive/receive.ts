import { RequestRefused } from '../../domain/errors.ts';
import { type Asked, type AuthzRequest, type Entity, knownMembers, type RawRequest } from '../../domain/request.ts';
import { decodeUtf8 } from '../../text/decode-utf8.ts';
import { type JsonLimits, type Scan, scanJson } from '../../text/scan-json.ts';

/** Longer than any SPIFFE ID (2048 bytes must be taken, SPIFFE-ID section 2.3), shorter than what would hurt a log. */
const nameLengthMax = 4096;
const digestForm = /^sha256:[0-9a-f]{64}$/;
const known: ReadonlySet<string> = new Set(knownMembers);

/**
 * Bytes to a request, sizes and shapes checked; nothing untrusted goes on unparsed.
 *
 * @throws RequestRefused 400 with the code and the place, e.g. `member_missing: subject.id`
 * @see OpenID AuthZEN Authorization API 1.0, section 5 (information model); OPA REST API, "Data API"
 */
export function receive(raw: RawRequest, limits: JsonLimits): AuthzRequest {
  return raw.surface === 'opa' ? receiveOpa(raw, limits) : receiveAuthzen(raw, limits);
}

function receiveAuthzen(raw: RawRequest, limits: JsonLimits): AuthzRequest {
  const scan = scanJson(decodeUtf8(raw.body), limits);
  if (scan.text[scan.root] !== '{') throw new RequestRefused('body_not_object', 400);
  const reader = new Members(scan);
  const subject = reader.entity(scan.root, 'subject');
  const action = reader.action(scan.root);
  const resource = reader.entity(scan.root, 'resource');
  const contextText = reader.objectText(scan.root, 'context', 'context');
  const askedText =
    `"subject":${entityText(subject)}` +
    `,"action":{"name":${JSON.stringify(action.name)}${propertiesOf(action.propertiesText)}}` +
    `,"resource":${entityText(resource)}` +
    (contextText === undefined ? '' : `,"context":${contextText}`);
  return asRequest(
    raw,
    reader,
    scan.root,
    { subject, action, resource, ...(contextText !== undefined && { contextText }) },
    askedText,
  );
}

function receiveOpa(raw: RawRequest, limits: JsonLimits): AuthzRequest {
  // OPA takes an empty body for "no input".
  const scan = scanJson(raw.body.length === 0 ? '{}' : decodeUtf8(raw.body), limits);
  if (scan.text[scan.root] !== '{') throw new RequestRefused('body_not_object', 400);
  const reader = new Members(scan);
  const inputAt = reader.find(scan.root, 'input');
  if (inputAt === undefined) return { ...asRequest(raw, reader, -1, {}, ''), lacksInput: true };
  const input = scan.starts[inputAt] ?? 0;
  if (scan.text[input] !== '{') throw new RequestRefused('member_invalid', 400, 'input must be an object');
  const parts: string[] = [];
  for (let index = inputAt + 1; index < scan.names.length; index += 1) {
    if (scan.parents[index] !== input) continue;
    const name = scan.names[index] ?? '';
    // The sidecar's half has one writer, and it is not the caller.
    if (!known.has(name)) parts.push(`${JSON.stringify(name)}:${reader.text(index)}`);
  }
  return asRequest(raw, reader, input, reader.asAsked(input), parts.join(','));
}

function asRequest(raw: RawRequest, reader: Members, root: number, asked: Asked, askedText: string): AuthzRequest {
  const claimedDevice = reader.claimedDevice(root);
  return {
    surface: raw.surface,
    entrypoint: raw.entrypoint,
    asked,
    askedText,
    digests: reader.digests(root),
    via: raw.via,
    remote: raw.remote,
    ...(claimedDevice !== undefined && { claimedDevice }),
    ...(raw.requestId !== undefined && { requestId: raw.requestId }),
  };
}

function entityText(entity: Entity): string {
  return `{"type":${JSON.stringify(entity.type)},"id":${JSON.stringify(entity.id)}${propertiesOf(entity.propertiesText)}}`;
}

function propertiesOf(text: string | undefined): string {
  return text === undefined ? '' : `,"properties":${text}`;
}

/** Reads members out of a scanned text. A place is where an object's value starts; -1 means "no object". */
class Members {
  readonly #scan: Scan;

  constructor(scan: Scan) {
    this.#scan = scan;
  }

  find(parent: number, name: string): number | undefined {
    const { names, parents } = this.#scan;
    for (let index = 0; index < names.length; index += 1) {
      if (parents[index] === parent && names[index] === name) return index;
    }
    return undefined;
  }

  /** A value's text, on one line. */
  text(index: number): string {
    const { text, starts, ends, hasLineBreaks } = this.#scan;
    const slice = text.slice(starts[index], ends[index]);
    return hasLineBreaks ? slice.replace(/[\n\r\t]+/g, ' ') : slice;
  }

  /** Where the object named `name` starts; undefined if it is absent or not an object. */
  #objectAt(parent: number, name: string): number | undefined {
    const index = parent < 0 ? undefined : this.find(parent, name);
    if (index === undefined) return undefined;
    const start = this.#scan.starts[index] ?? -1;
    return this.#scan.text[start] === '{' ? start : undefined;
  }

  #string(parent: number, name: string): string | undefined {
    const index = parent < 0 ? undefined : this.find(parent, name);
    if (index === undefined) return undefined;
    const { text, starts, ends } = this.#scan;
    const start = starts[index] ?? 0;
    if (text[start] !== '"') return undefined;
    const end = ends[index] ?? 0;
    const inner = text.slice(start + 1, end - 1);
    return inner.includes('\\') ? (JSON.parse(text.slice(start, end)) as string) : inner;
  }

  #requiredObject(parent: number, name: string): number {
    if (this.find(parent, name) === undefined) throw new RequestRefused('member_missing', 400, name);
    const at = this.#objectAt(parent, name);
    if (at === undefined) throw new RequestRefused('member_invalid', 400, `${name} must be an object`);
    return at;
  }

  #requiredName(parent: number, name: string, path: string): string {
    if (this.find(parent, name) === undefined) throw new RequestRefused('member_missing', 400, path);
    const value = this.#string(parent, name);
    if (value === undefined) throw new RequestRefused('member_invalid', 400, `${path} must be a string`);
    if (value === '') throw new RequestRefused('member_invalid', 400, `${path} must not be empty`);
    if (value.length > nameLengthMax) {
      throw new RequestRefused('member_invalid', 400, `${path} is longer than ${nameLengthMax} characters`);
    }
    return value;
  }

  /** An optional object's text; null counts as not sent (AuthZEN: members with null value SHOULD be omitted). */
  objectText(parent: number, name: string, path: string): string | undefined {
    const index = this.find(parent, name);
    if (index === undefined) return undefined;
    const first = this.#scan.text[this.#scan.starts[index] ?? -1];
    if (first === 'n') return undefined;
    if (first !== '{') throw new RequestRefused('member_invalid', 400, `${path} must be an object`);
    return this.text(index);
  }

  entity(parent: number, name: 'subject' | 'resource'): Entity {
    const at = this.#requiredObject(parent, name);
    const type = this.#requiredName(at, 'type', `${name}.type`);
    const id = this.#requiredName(at, 'id', `${name}.id`);
    const propertiesText = this.objectText(at, 'properties', `${name}.properties`);
    return propertiesText === undefined ? { type, id } : { type, id, propertiesText };
  }

  action(parent: number): { readonly name: string; readonly propertiesText?: string } {
    const at = this.#requiredObject(parent, 'action');
    const name = this.#requiredName(at, 'name', 'action.name');
    const propertiesText = this.objectText(at, 'properties', 'action.properties');
    return propertiesText === undefined ? { name } : { name, propertiesText };
  }

  /** An OPA client's input, as far as it happens to have AuthZEN's shape; what has another shape is simply not there. */
  asAsked(input: number): Asked {
    const subject = this.#looseEntity(input, 'subject');
    const resource = this.#looseEntity(input, 'resource');
    const actionAt = this.#objectAt(input, 'action');
    const actionName = actionAt === undefined ? undefined : this.#string(actionAt, 'name');
    return {
      ...(subject !== undefined && { subject }),
      ...(resource !== undefined && { resource }),
      ...(actionName !== undefined && { action: { name: actionName } }),
    };
  }

  #looseEntity(parent: number, name: string): Entity | undefined {
    const at = this.#objectAt(parent, name);
    if (at === undefined) return undefined;
    const id = this.#string(at, 'id');
    return id === undefined ? undefined : { type: this.#string(at, 'type') ?? '', id };
  }

  claimedDevice(root: number): string | undefined {
    const subject = this.#objectAt(root, 'subject');
    const properties = subject === undefined ? undefined : this.#objectAt(subject, 'properties');
    return properties === undefined ? undefined : this.#string(properties, 'device_id');
  }

  /** The artifacts the request is about: `digest` in the resource's or action's properties, or in the context. */
  digests(root: number): readonly string[] {
    const found: string[] = [];
    for (const name of ['resource', 'action'] as const) {
      const at = this.#objectAt(root, name);
      const properties = at === undefined ? undefined : this.#objectAt(at, 'properties');
      if (properties !== undefined) this.#digest(properties, found);
    }
    const context = this.#objectAt(root, 'context');
    if (context !== undefined) this.#digest(context, found);
    return found;
  }

  #digest(parent: number, found: string[]): void {
    const digest = this.#string(parent, 'digest');
    if (digest !== undefined && digestForm.test(digest) && !found.includes(digest)) found.push(digest);
  }
}
