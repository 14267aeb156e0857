// Tested by test/opa/values/value.test.ts.
/**
 * The one door of this part: whatever is outside `opa/` takes OPA's builtins, and values as Rego has them, from here.
 * What lies behind it, and how it is checked against OPA: docs/builtins.md.
 */
export { BuiltinRefused, builtinTable } from './builtin-table.ts';
export { readYaml } from './go/yaml-read.ts';
export { resolveScalar } from './go/yaml-scalar.ts';
export { type Builtin, type BuiltinContext, BuiltinError, type HostedBuiltin } from './values/builtin.ts';
export type { Charge } from './values/charge.ts';
export { readJson } from './values/read-json.ts';
export { readValue } from './values/read-value.ts';
export { bytesOf, textOf } from './values/text.ts';
export { RegoObject, type Value } from './values/value.ts';
export { writeJson, writeValue } from './values/write-value.ts';
