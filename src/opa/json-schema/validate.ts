// Tested by test/opa/builtins/json-schema.long.test.ts.
import { compareDecimals } from '../../text/decimal.ts';
import type { Charge } from '../values/charge.ts';
import { RegoNumber } from '../values/value.ts';
import { hasFormat } from './formats.ts';
import type { Schema } from './schema.ts';
import { comparableText, isInteger, isMultiple, type Json, type JsonObject, wideFloatText } from './schema-json.ts';

export interface Violation {
  readonly type: string;
  /** Where in the document: names and places with points between them. */
  readonly field: string;
  readonly description: string;
}

/** The current place in the document. */
interface Place {
  readonly name: string;
  readonly parent: Place | undefined;
}

/** @returns what the document violates, in the order in which OPA tells it; names are taken in the order of their bytes */
export function validate(schema: Schema, document: Json, charge: Charge): readonly Violation[] {
  return new Validation(charge).of(schema, document, { name: '(Root)', parent: undefined }).violations;
}

/** The violations of one schema, and how near the document came to it: of alternatives, the nearest is told of. */
class Findings {
  readonly violations: Violation[] = [];
  score = 0;

  get valid(): boolean {
    return this.violations.length === 0;
  }

  add(type: string, place: Place, description: string | ((field: string) => string)): void {
    const field = fieldOf(place);
    this.violations.push({
      type,
      field,
      description: typeof description === 'string' ? description : description(field),
    });
    this.score -= 2;
  }

  merge(other: Findings): void {
    for (const violation of other.violations) this.violations.push(violation);
    this.score += other.score;
  }
}

class Validation {
  readonly #charge: Charge;

  constructor(charge: Charge) {
    this.#charge = charge;
  }

  of(schema: Schema, node: Json, place: Place): Findings {
    const findings = new Findings();
    this.#check(schema, node, findings, place);
    return findings;
  }

  #check(schema: Schema, node: Json, findings: Findings, place: Place): void {
    this.#charge(1);
    if (schema.pass !== undefined) {
      if (!schema.pass) findings.add('false', place, 'False always fails validation');
      return;
    }
    if (schema.reference !== undefined) {
      this.#check(schema.reference, node, findings, place);
      return;
    }
    const type = typeOf(node);
    const { types } = schema;
    if (types.length > 0 && !types.includes(type) && !(type === 'integer' && types.includes('number'))) {
      const expected = types.length > 1 ? `[${types.join(',')}]` : types[0];
      findings.add('invalid_type', place, `Invalid type. Expected: ${expected}, given: ${type}`);
      return;
    }
    this.#checkCombinations(schema, node, findings, place);
    if (Array.isArray(node)) {
      this.#checkArray(schema, node, findings, place);
      this.#checkCommon(schema, node, findings, place);
    } else if (node instanceof Map) {
      this.#checkObject(schema, node, findings, place);
      this.#checkCommon(schema, node, findings, place);
      for (const property of schema.properties) {
        const member = node.get(property.property);
        if (member !== undefined) this.#check(property, member, findings, within(place, property.property));
      }
    } else {
      if (node instanceof RegoNumber) checkNumber(schema, node, findings, place);
      this.#checkCommon(schema, node, findings, place);
      if (typeof node === 'string') this.#checkString(schema, node, findings, place);
    }
    findings.score++;
  }

  #checkCombinations(schema: Schema, node: Json, findings: Findings, place: Place): void {
    this.#checkAlternatives(schema, node, findings, place);
    let valid = 0;
    for (const part of schema.allOf) {
      const found = this.of(part, node, place);
      if (found.valid) valid++;
      findings.merge(found);
    }
    if (valid !== schema.allOf.length) findings.add('number_all_of', place, 'Must validate all the schemas (allOf)');
    if (schema.not !== undefined && this.of(schema.not, node, place).valid) {
      findings.add('number_not', place, 'Must not validate the schema (not)');
    }
    if (node instanceof Map) this.#checkDependencies(schema, node, findings, place);
    this.#checkCondition(schema, node, findings, place);
    findings.score++;
  }

  #checkAlternatives(schema: Schema, node: Json, findings: Findings, place: Place): void {
    let best: Findings | undefined;
    let anyOf = schema.anyOf.length === 0;
    for (const part of schema.anyOf) {
      const found = this.of(part, node, place);
      anyOf = found.valid;
      if (anyOf) break;
      if (best === undefined || found.score > best.score) best = found;
    }
    if (!anyOf) {
      findings.add('number_any_of', place, 'Must validate at least one schema (anyOf)');
      if (best !== undefined) findings.merge(best);
    }
    if (schema.oneOf.length === 0) return;
    best = undefined;
    let valid = 0;
    for (const part of schema.oneOf) {
      const found = this.of(part, node, place);
      if (found.valid) valid++;
      else if (valid === 0 && (best === undefined || found.score > best.score)) best = found;
    }
    if (valid === 1) return;
    findings.add('number_one_of', place, 'Must validate one and only one schema (oneOf)');
    if (valid === 0 && best !== undefined) findings.merge(best);
  }

  #checkDependencies({ dependencies }: Schema, node: JsonObject, findings: Findings, place: Place): void {
    if (dependencies.size === 0) return;
    for (const name of node.keys()) {
      const dependency = dependencies.get(name);
      if (dependency === undefined) continue;
      if ('property' in dependency) {
        this.#check(dependency, node, findings, place);
      } else {
        for (const needed of dependency) {
          if (!node.has(needed)) findings.add('missing_dependency', place, `Has a dependency on ${needed}`);
        }
      }
    }
  }

  #checkCondition(schema: Schema, node: Json, findings: Findings, place: Place): void {
    if (schema.condition === undefined) return;
    const { valid } = this.of(schema.condition, node, place);
    const branch = valid ? schema.consequence : schema.alternative;
    if (branch === undefined) return;
    const found = this.of(branch, node, place);
    if (found.valid) return;
    if (valid) findings.add('condition_then', place, 'Must validate "then" as "if" was valid');
    else findings.add('condition_else', place, 'Must validate "else" as "if" was not valid');
    findings.merge(found);
  }

  #checkCommon(schema: Schema, node: Json, findings: Findings, place: Place): void {
    if (schema.constant !== undefined || schema.enumeration !== undefined) {
      const text = comparableText(node);
      this.#charge(text.length / 64);
      const { constant, enumeration } = schema;
      if (constant !== undefined && text !== constant) {
        findings.add('const', place, (field) => `${field} does not match: ${constant}`);
      }
      if (enumeration !== undefined && !enumeration.includes(text)) {
        const allowed = enumeration.join(', ');
        findings.add('enum', place, (field) => `${field} must be one of the following: ${allowed}`);
      }
    }
    if (typeof node === 'string' && !hasFormat(schema.format, node, this.#charge)) {
      findings.add('format', place, `Does not match format '${schema.format}'`);
    }
    findings.score++;
  }

  #checkArray(schema: Schema, items: readonly Json[], findings: Findings, place: Place): void {
    const { additionalItems } = schema;
    for (const [index, item] of items.entries()) {
      let part = schema.items[schema.oneForAllItems ? 0 : index];
      if (part === undefined) {
        if (schema.items.length === 0 || typeof additionalItems !== 'object') break;
        part = additionalItems;
      }
      findings.merge(this.of(part, item, within(place, index.toString())));
    }
    const places = schema.items.length;
    if (additionalItems === false && !schema.oneForAllItems && places > 0 && items.length > places) {
      findings.add('array_no_additional_items', place, 'No additional items allowed on array');
    }
    const { minItems, maxItems } = schema;
    if (minItems !== undefined && items.length < minItems) {
      findings.add('array_min_items', place, `Array must have at least ${minItems} items`);
    }
    if (maxItems !== undefined && items.length > maxItems) {
      findings.add('array_max_items', place, `Array must have at most ${maxItems} items`);
    }
    if (schema.uniqueItems) this.#checkUnique(items, findings, place);
    if (schema.contains !== undefined) this.#checkContains(schema.contains, items, findings, place);
    findings.score++;
  }

  #checkUnique(items: readonly Json[], findings: Findings, place: Place): void {
    const seen = new Map<string, number>();
    for (const [index, item] of items.entries()) {
      const text = comparableText(item);
      this.#charge(1 + text.length / 64);
      const before = seen.get(text);
      if (before !== undefined) findings.add('unique', place, `array items[${before},${index}] must be unique`);
      seen.set(text, index);
    }
  }

  #checkContains(contains: Schema, items: readonly Json[], findings: Findings, place: Place): void {
    let best: Findings | undefined;
    for (const [index, item] of items.entries()) {
      const found = this.of(contains, item, within(place, index.toString()));
      if (found.valid) return;
      if (best === undefined || found.score > best.score) best = found;
    }
    findings.add('contains', place, 'At least one of the items must match');
    if (best !== undefined) findings.merge(best);
  }

  #checkObject(schema: Schema, object: JsonObject, findings: Findings, place: Place): void {
    const { minProperties, maxProperties } = schema;
    if (minProperties !== undefined && object.size < minProperties) {
      findings.add('array_min_properties', place, `Must have at least ${minProperties} properties`);
    }
    if (maxProperties !== undefined && object.size > maxProperties) {
      findings.add('array_max_properties', place, `Must have at most ${maxProperties} properties`);
    }
    for (const name of schema.required) {
      if (object.has(name)) findings.score++;
      else findings.add('required', place, `${name} is required`);
    }
    const described = new Set(schema.properties.map(({ property }) => property));
    for (const [name, member] of object) {
      this.#charge(1);
      const matched = this.#checkPatterns(schema, name, member, findings, place);
      if (matched || described.has(name)) continue;
      const { additionalProperties } = schema;
      if (additionalProperties === false) {
        findings.add('additional_property_not_allowed', place, `Additional property ${name} is not allowed`);
      } else if (typeof additionalProperties === 'object') {
        findings.merge(this.of(additionalProperties, member, within(place, name)));
      }
    }
    if (schema.propertyNames !== undefined) {
      for (const name of object.keys()) {
        const found = this.of(schema.propertyNames, name, place);
        if (found.valid) continue;
        findings.add('invalid_property_name', place, `Property name of "${name}" does not match`);
        findings.merge(found);
      }
    }
    findings.score++;
  }

  #checkPatterns(schema: Schema, name: string, member: Json, findings: Findings, place: Place): boolean {
    let matched = false;
    for (const { pattern, schema: part } of schema.patternProperties) {
      this.#charge(1);
      if (!pattern.test(name, this.#charge)) continue;
      matched = true;
      findings.merge(this.of(part, member, within(place, name)));
    }
    if (matched) findings.score++;
    return matched;
  }

  #checkString(schema: Schema, text: string, findings: Findings, place: Place): void {
    const { minLength, maxLength, pattern } = schema;
    if (minLength !== undefined || maxLength !== undefined) {
      const length = charactersOf(text);
      if (minLength !== undefined && length < minLength) {
        findings.add('string_gte', place, `String length must be greater than or equal to ${minLength}`);
      }
      if (maxLength !== undefined && length > maxLength) {
        findings.add('string_lte', place, `String length must be less than or equal to ${maxLength}`);
      }
    }
    if (pattern !== undefined && !pattern.regexp.test(text, this.#charge)) {
      findings.add('pattern', place, `Does not match pattern '${pattern.source}'`);
    }
    findings.score++;
  }
}

function checkNumber(schema: Schema, number: RegoNumber, findings: Findings, place: Place): void {
  const { multipleOf, maximum, exclusiveMaximum, minimum, exclusiveMinimum } = schema;
  if (multipleOf !== undefined && !isMultiple(number, multipleOf)) {
    findings.add('multiple_of', place, `Must be a multiple of ${wideFloatText(multipleOf)}`);
  }
  if (maximum !== undefined && compareDecimals(number.text, maximum.text) > 0) {
    findings.add('number_lte', place, `Must be less than or equal to ${wideFloatText(maximum)}`);
  }
  if (exclusiveMaximum !== undefined && compareDecimals(number.text, exclusiveMaximum.text) >= 0) {
    findings.add('number_lt', place, `Must be less than ${wideFloatText(exclusiveMaximum)}`);
  }
  if (minimum !== undefined && compareDecimals(number.text, minimum.text) < 0) {
    findings.add('number_gte', place, `Must be greater than or equal to ${wideFloatText(minimum)}`);
  }
  if (exclusiveMinimum !== undefined && compareDecimals(number.text, exclusiveMinimum.text) <= 0) {
    findings.add('number_gt', place, `Must be greater than ${wideFloatText(exclusiveMinimum)}`);
  }
  findings.score++;
}

function typeOf(node: Json): string {
  if (node === null) return 'null';
  if (typeof node !== 'object') return typeof node;
  if (node instanceof RegoNumber) return isInteger(node) ? 'integer' : 'number';
  return Array.isArray(node) ? 'array' : 'object';
}

function within(parent: Place, name: string): Place {
  return { name, parent };
}

function fieldOf(place: Place): string {
  const names: string[] = [];
  // The root means only itself.
  for (let at: Place | undefined = place; at?.parent !== undefined; at = at.parent) names.push(at.name);
  return names.length === 0 ? place.name : names.reverse().join('.');
}

function charactersOf(text: string): number {
  let characters = 0;
  for (const _ of text) characters++;
  return characters;
}
