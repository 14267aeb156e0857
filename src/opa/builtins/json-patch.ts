import { BuiltinError } from '../values/builtin.ts';
import { arrayOperand, int64Of, isArray, mustBe } from '../values/operands.ts';
import { equalValues, RegoNumber, RegoObject, RegoSet, type Value, ValueMap } from '../values/value.ts';

/**
 * RFC 6902 on Rego's values, as OPA applies it: targets may hold sets, whose members are their own path, and paths may
 * be arrays of any values.
 *
 * @see OPA's internal/edittree, whose ways are kept where they are odd
 */
export function applyPatch(source: Value, operations: Value): Value | undefined {
  const tree = new EditTree(source);
  for (const operation of arrayOperand(operations, 2)) {
    if (!(operation instanceof RegoObject)) throw new BuiltinError('a JSON patch is no object');
    const path = pathOf(required(operation, 'path'));
    const kind = required(operation, 'op');
    switch (kind) {
      case 'add':
        tree.insertAt(path, required(operation, 'value'));
        break;
      case 'remove':
        tree.deleteAt(path);
        break;
      case 'replace':
        tree.deleteAt(path);
        tree.insertAt(path, required(operation, 'value'));
        break;
      case 'move': {
        const from = pathOf(required(operation, 'from'));
        const chunk = tree.renderAt(from);
        tree.deleteAt(from);
        tree.insertAt(path, chunk);
        break;
      }
      case 'copy':
        tree.insertAt(path, tree.renderAt(pathOf(required(operation, 'from'))));
        break;
      case 'test': {
        const found = tree.renderAt(path);
        const wanted = required(operation, 'value');
        if (found === undefined || !equalValues(found, wanted)) throw new BuiltinError('test: another value is there');
        break;
      }
      default:
        throw new BuiltinError('unrecognized op');
    }
  }
  return tree.render();
}

function required(operation: RegoObject, name: string): Value {
  const value = operation.get(name);
  if (value === undefined) throw new BuiltinError(`missing required attribute '${name}'`);
  return value;
}

/** A JSON pointer's text, or an array of its parts. */
export function pathOf(path: Value): readonly Value[] {
  if (isArray(path)) return path;
  if (typeof path !== 'string') return mustBe(2, path, 'string', 'array');
  if (path === '') return [];
  return path
    .replace(/^\/+/, '')
    .split('/')
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
}

function isComposite(value: Value): boolean {
  return isArray(value) || value instanceof RegoObject || value instanceof RegoSet;
}

const deleted = Symbol('deleted');

/** A value under change: untouched parts stay as they are, changed ones are in `#children` or `#slots`. */
class EditTree {
  #value: Value | undefined;
  readonly #children = new ValueMap<EditTree | typeof deleted>();
  /** An array's items now: where one is untouched, its place in the original. */
  #slots: (number | EditTree)[] = [];

  constructor(value: Value | undefined) {
    this.#reset(value);
  }

  #reset(value: Value | undefined): void {
    this.#value = value;
    this.#children.clear();
    this.#slots = value !== undefined && isArray(value) ? Array.from(value, (_item, index) => index) : [];
  }

  insertAt(path: readonly Value[], value: Value | undefined): void {
    if (value === undefined) throw new BuiltinError('cannot insert nothing');
    const key = path.at(-1);
    if (key === undefined) this.#reset(value);
    else this.#unfold(path.slice(0, -1)).#insert(key, value);
  }

  deleteAt(path: readonly Value[]): void {
    const key = path.at(-1);
    if (key !== undefined) {
      this.#unfold(path.slice(0, -1)).#delete(key);
      return;
    }
    if (this.#value === undefined) throw new BuiltinError('deleted already');
    this.#reset(undefined);
  }

  renderAt(path: readonly Value[]): Value | undefined {
    return this.#unfold(path).render();
  }

  #insert(key: Value, value: Value): EditTree {
    const child = new EditTree(value);
    if (this.#value instanceof RegoObject) {
      this.#children.set(key, child);
    } else if (this.#value instanceof RegoSet) {
      if (!equalValues(key, value)) throw new BuiltinError('a set has members under themselves only');
      if (isComposite(key)) this.#reset(this.render());
      this.#children.set(key, child);
    } else if (this.#value !== undefined && isArray(this.#value)) {
      const index = this.#indexOf(key);
      if (index < 0 || index > this.#slots.length) throw new BuiltinError('index for array insertion out of bounds');
      this.#slots.splice(index, 0, child);
    } else {
      throw new BuiltinError('expected composite type');
    }
    return child;
  }

  #delete(key: Value): void {
    if (this.#value instanceof RegoObject || this.#value instanceof RegoSet) {
      if (this.#value instanceof RegoSet && isComposite(key)) this.#reset(this.render());
      const child = this.#children.get(key);
      if (child === deleted) throw new BuiltinError('deleted already');
      if (child === undefined && !this.#value.has(key)) throw new BuiltinError('does not exist');
      this.#children.set(key, deleted);
    } else if (this.#value !== undefined && isArray(this.#value)) {
      const index = this.#indexOf(key);
      if (index < 0 || index >= this.#slots.length) throw new BuiltinError('index for array delete out of bounds');
      this.#slots.splice(index, 1);
    } else {
      throw new BuiltinError('expected composite type');
    }
  }

  #unfold(path: readonly Value[]): EditTree {
    const [key, ...rest] = path;
    if (key === undefined) return this;
    if (this.#value instanceof RegoObject) {
      const child = this.#children.get(key);
      if (child === deleted) throw new BuiltinError('deleted already');
      if (child !== undefined) return child.#unfold(rest);
      const member = this.#value.get(key);
      if (member === undefined) throw new BuiltinError('does not exist');
      return this.#insert(key, member).#unfold(rest);
    }
    if (this.#value instanceof RegoSet) {
      if (isComposite(key)) this.#reset(this.render());
      const child = this.#children.get(key);
      if (child === deleted) return new EditTree(undefined).#unfold(rest);
      if (child !== undefined) return child.#unfold(rest);
      if (!this.#value.has(key)) throw new BuiltinError('does not exist');
      return this.#insert(key, key).#unfold(rest);
    }
    if (this.#value !== undefined && isArray(this.#value)) {
      const index = this.#indexOf(key);
      const slot = this.#slots[index];
      if (slot instanceof EditTree) return slot.#unfold(rest);
      // OPA reads the original array at the index of now, which is another item once one was inserted or deleted
      // before it. A policy means what `opa test` says it means, so it is read there here, too.
      const item = this.#value[index];
      if (item === undefined) throw new BuiltinError('does not exist');
      this.#delete(new RegoNumber(index.toString()));
      return this.#insert(new RegoNumber(index.toString()), item).#unfold(rest);
    }
    throw new BuiltinError('expected composite type');
  }

  #indexOf(key: Value): number {
    if (key === '-') return this.#slots.length;
    const number = typeof key === 'string' ? new RegoNumber(key) : key;
    const index = number instanceof RegoNumber ? int64Of(number) : undefined;
    if (index === undefined) throw new BuiltinError('invalid type for indexing');
    if (typeof key === 'string' && key !== '0' && key.startsWith('0')) throw new BuiltinError('leading zeros');
    return Number(index);
  }

  render(): Value | undefined {
    if (this.#value instanceof RegoObject) {
      if (this.#children.size === 0) return this.#value;
      const object = new RegoObject(this.#value.entries());
      for (const [key, child] of this.#children.entries()) {
        const member = child === deleted ? undefined : child.render();
        if (member === undefined) object.delete(key);
        else object.set(key, member);
      }
      return object;
    }
    if (this.#value instanceof RegoSet) {
      if (this.#children.size === 0) return this.#value;
      const set = new RegoSet();
      for (const member of this.#value.values()) if (!this.#children.has(member)) set.add(member);
      for (const [, child] of this.#children.entries()) {
        const member = child === deleted ? undefined : child.render();
        if (member !== undefined) set.add(member);
      }
      return set;
    }
    if (this.#value !== undefined && isArray(this.#value)) {
      const original = this.#value;
      return this.#slots
        .map((slot) => (typeof slot === 'number' ? original[slot] : slot.render()))
        .filter((item) => item !== undefined);
    }
    return this.#value;
  }
}
