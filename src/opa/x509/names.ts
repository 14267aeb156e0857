// Tested by test/opa/builtins/x509-chains.long.test.ts.
import { RegoObject, type Value } from '../values/value.ts';
import { Der, tags } from './der.ts';
import { stringOf } from './text.ts';
import { oidValue, texts } from './x509-json.ts';

export interface Attribute {
  readonly type: readonly number[];
  readonly value: Value;
  /** Where the value is a text, and not bytes or a time that JSON only has as one. */
  readonly text: string | undefined;
}

/** A Name (RFC 5280, section 4.1.2.4): its attributes, one after the other. */
export function readName(raw: Buffer): readonly Attribute[] {
  return attributesOf(new Der(raw), (tag, content) => {
    const text = stringOf(tag, content);
    return { value: text, text };
  });
}

/** @param read makes an attribute's value */
export function attributesOf(
  der: Der,
  read: (tag: number, content: Buffer) => Pick<Attribute, 'value' | 'text'>,
): readonly Attribute[] {
  const attributes: Attribute[] = [];
  const sequence = der.enter(tags.sequence);
  while (!sequence.empty) {
    const set = sequence.enter(tags.set);
    while (!set.empty) {
      const attribute = set.enter(tags.sequence);
      const type = attribute.oid();
      const { tag, content } = attribute.any();
      attributes.push({ type, ...read(tag, content) });
    }
  }
  return attributes;
}

const lists: Readonly<Record<string, string>> = {
  '2.5.4.6': 'Country',
  '2.5.4.7': 'Locality',
  '2.5.4.8': 'Province',
  '2.5.4.9': 'StreetAddress',
  '2.5.4.10': 'Organization',
  '2.5.4.11': 'OrganizationalUnit',
  '2.5.4.17': 'PostalCode',
};
const singles: Readonly<Record<string, string>> = { '2.5.4.3': 'CommonName', '2.5.4.5': 'SerialNumber' };

/** Go's `pkix.Name`. */
export function nameValue(attributes: readonly Attribute[]): Value {
  const found = new Map<string, string[]>();
  const single = { CommonName: '', SerialNumber: '' };
  for (const { type, text } of attributes) {
    if (text === undefined) continue;
    const oid = type.join('.');
    const list = lists[oid];
    const one = singles[oid];
    if (list !== undefined) found.set(list, [...(found.get(list) ?? []), text]);
    if (one === 'CommonName' || one === 'SerialNumber') single[one] = text;
  }
  return RegoObject.of({
    ...Object.fromEntries(Object.values(lists).map((name) => [name, texts(found.get(name))])),
    ...single,
    Names: attributes.length === 0 ? null : attributes.map(attributeValue),
    ExtraNames: null,
  });
}

export function attributeValue({ type, value }: Pick<Attribute, 'type' | 'value'>): Value {
  return RegoObject.of({ Type: oidValue(type), Value: value });
}
