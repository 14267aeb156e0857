// Tested by test/request/evaluate/builtin-faults.test.ts.
import { type Charge, readValue, writeJson } from '../../opa/opa.ts';

/**
 * Forms that JSON does not have: an empty set, a set's brace (without a `"key": ` behind it), a key that is not a string.
 * It may match inside a string, which only costs the longer way; it never misses one.
 */
const notJson = /set\(\)|\{(?!\}|"[^"\\]*(?:\\.[^"\\]*)*": )|[\]})]: |, (?:-?\d[\d.eE+-]*|true|false|null): /;
/** A number as only Rego writes it: `+5`, `.5`, `05`, `5.`. Apart from the others, because together they take twice as long. */
const oddNumber = /[[{ ](?:\+|-?\.|-?0\d|-?\d+\.(?!\d))/;

/** Thrown for a result set that is not one value, which an entrypoint that names a rule never has. */
export class NotOneResult extends Error {}

/**
 * The one value of a result set as JSON text, as OPA's data API has it: sets as sorted arrays. Most results hold no
 * set, and then the module's text is JSON already.
 *
 * @param text a result set as `opa_value_dump` writes it: a set of objects, one member for each variable
 * @returns undefined for the empty set, which means that the entrypoint is undefined
 * @throws NotOneResult, and SyntaxError for text that is not a value or is nested too deeply
 */
export function jsonOfResult(text: string, charge: Charge): string | undefined {
  if (text === 'set()') return undefined;
  // A second row, or a second variable, would make what is cut out here no single value.
  if (!text.startsWith('{{"result": ') || !text.endsWith('}}'))
    throw new NotOneResult('the result set is not one value');
  const value = text.slice(12, -2);
  const plain = !/^[-+.\d]/.test(value) && !notJson.test(value) && !oddNumber.test(value);
  return plain ? value : writeJson(readValue(value, charge), charge);
}
