// Tested by test/request/record/mask-and-drop.test.ts.
import { itemsOf, membersOf, objectText } from '../../text/json-text.ts';

/** A JSON text that parts are taken out of and put into; what is left alone keeps its very text, to the last digit. */
export class EditableJson {
  readonly #text: string;
  #members: Map<string, EditableJson> | undefined;
  /** Undefined where an item was taken, so that the others keep their places until `closeGaps`. */
  #items: (EditableJson | undefined)[] | undefined;

  /** @param text found sound by `scanJson`, or written by ourselves */
  constructor(text: string) {
    this.#text = text;
  }

  has(name: string): boolean {
    return this.#child(name) !== undefined;
  }

  /** @returns false if that place does not exist */
  remove(path: readonly string[]): boolean {
    let at: EditableJson = this;
    for (const segment of path.slice(0, -1)) {
      const child = at.#child(segment);
      if (child === undefined) return false;
      at = child;
    }
    return at.#take(path.at(-1) ?? '');
  }

  /** Puts a value there, and the objects above it that are missing. @returns false if something else is in the way */
  put(path: readonly string[], valueText: string): boolean {
    let at: EditableJson = this;
    for (const segment of path.slice(0, -1)) {
      let child = at.#child(segment);
      if (child === undefined) {
        child = new EditableJson('{}');
        if (!at.#set(segment, child)) return false;
      }
      at = child;
    }
    return at.#set(path.at(-1) ?? '', new EditableJson(valueText));
  }

  /** Moves the items behind those that were taken up to their places. */
  closeGaps(): void {
    this.#items = this.#items?.filter((item) => item !== undefined);
    for (const part of this.#members?.values() ?? this.#items ?? []) part?.closeGaps();
  }

  toString(): string {
    if (this.#members !== undefined)
      return objectText(Array.from(this.#members, ([name, value]) => [name, value.toString()]));
    if (this.#items !== undefined)
      return `[${this.#items.flatMap((item) => (item === undefined ? [] : [item.toString()])).join(',')}]`;
    return this.#text;
  }

  #open(): void {
    if (this.#members !== undefined || this.#items !== undefined) return;
    const parts = membersOf(this.#text);
    if (parts !== undefined)
      this.#members = new Map(Array.from(parts, ([name, text]) => [name, new EditableJson(text)]));
    else if (this.#text.startsWith('[')) this.#items = itemsOf(this.#text).map((text) => new EditableJson(text));
  }

  #child(segment: string): EditableJson | undefined {
    this.#open();
    if (this.#members !== undefined) return this.#members.get(this.#name(segment));
    return this.#items?.[this.#index(segment)];
  }

  #take(segment: string): boolean {
    if (this.#child(segment) === undefined) return false;
    if (this.#items !== undefined) this.#items[this.#index(segment)] = undefined;
    return this.#items !== undefined || this.#members?.delete(this.#name(segment)) === true;
  }

  #set(segment: string, value: EditableJson): boolean {
    const isThere = this.#child(segment) !== undefined;
    if (this.#items !== undefined && isThere) this.#items[this.#index(segment)] = value;
    else if (this.#members !== undefined) this.#members.set(this.#name(segment), value);
    else return false;
    return true;
  }

  /** As it is written, which is OPA's reading; else without a JSON pointer's escapes (RFC 6901, section 4). */
  #name(segment: string): string {
    return this.#members?.has(segment) ? segment : segment.replaceAll('~1', '/').replaceAll('~0', '~');
  }

  #index(segment: string): number {
    return /^\d{1,9}$/.test(segment) ? Number(segment) : -1;
  }
}
