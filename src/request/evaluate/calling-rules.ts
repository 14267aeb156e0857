import { BuiltinRefused } from '../../opa/opa.ts';
import { Reader, readImports, readSections, sections } from './wasm-binary.ts';
import { readInstruction } from './wasm-instructions.ts';

const functionNames = 1;
const shownMax = 8;
/** As OPA's compiler names the function that it makes of all rules with one name. */
const ruleName = /^g\d+\.(data\..+)$/;
const i32Const = 0x41;

/**
 * Does the work, and if that is refused for a builtin, says which rules call it.
 *
 * @param wasm the module as the compiler wrote it, with its names
 */
export async function namingRules<T>(wasm: Uint8Array, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if (!(cause instanceof BuiltinRefused)) throw cause;
    const { builtin, id, why } = cause;
    throw new BuiltinRefused(builtin, id, why, shown(rulesIfNamed(wasm, id)));
  }
}

function rulesIfNamed(wasm: Uint8Array, id: number): readonly string[] {
  try {
    return callingRules(wasm, id);
  } catch {
    // The name section is not code and was never checked; a fault in it is not a reason to refuse the bundle.
    return [];
  }
}

/**
 * The rules that call a builtin themselves, e.g. `data.policies.deploy.met`. A bundle need hold no Rego, but the compiler
 * puts names beside the code, and hands the builtin's number to the host as the first operand.
 *
 * @param wasm a module that was compiled before
 * @returns none for a module whose names were taken out
 */
export function callingRules(wasm: Uint8Array, builtinId: number): readonly string[] {
  const module = readSections(wasm);
  const { functions } = readImports(module.get(sections.import));
  /** By the function's index: how many operands precede a call of it. */
  const operandsOf = new Map<number, number>();
  for (const [index, name] of functions.entries()) {
    const arity = /^env\.opa_builtin([0-4])$/.exec(name)?.[1];
    if (arity !== undefined) operandsOf.set(index, Number(arity) + 2);
  }
  const names = functionNamesIn(wasm);
  const rules = new Set<string>();
  const reader = new Reader(module.get(sections.code) ?? Uint8Array.of(0));
  for (let count = reader.u32(), index = functions.length; count > 0; count -= 1, index += 1) {
    const body = reader.bytes(reader.u32());
    if (!calls(body, operandsOf, builtinId)) continue;
    const rule = ruleName.exec(names.get(index) ?? '')?.[1];
    if (rule !== undefined) rules.add(rule);
  }
  return [...rules].sort();
}

/** The compiler emits one instruction for each operand, so the number is that many instructions before the call. */
function calls(body: Uint8Array, operandsOf: ReadonlyMap<number, number>, builtinId: number): boolean {
  const reader = new Reader(body);
  for (let groups = reader.u32(); groups > 0; groups -= 1) {
    reader.u32();
    reader.byte();
  }
  /** The last instructions, the youngest last: a number where it is a constant. */
  const before: (number | undefined)[] = [];
  while (!reader.atEnd) {
    const at = reader.at;
    const instruction = readInstruction(reader);
    const callee = instruction.kind === 'call' ? instruction.callee : undefined;
    const operands = callee === undefined ? undefined : operandsOf.get(callee);
    if (operands !== undefined && before.at(-operands) === builtinId) return true;
    before.push(body[at] === i32Const ? signed(body, at + 1) : undefined);
    if (before.length > 8) before.shift();
  }
  return false;
}

/** LEB128 of at most 32 bits. */
function signed(bytes: Uint8Array, start: number): number {
  let value = 0;
  let shift = 0;
  for (let at = start; shift < 35; at += 1) {
    const byte = bytes[at] ?? 0;
    value |= (byte & 0x7f) << shift;
    shift += 7;
    if ((byte & 0x80) === 0) return shift < 32 && (byte & 0x40) !== 0 ? value | (-1 << shift) : value;
  }
  return value;
}

/** @see WebAssembly core specification 2.0, appendix "Custom Sections", name section */
function functionNamesIn(wasm: Uint8Array): ReadonlyMap<number, string> {
  const names = new Map<number, string>();
  const reader = new Reader(wasm);
  reader.bytes(8);
  while (!reader.atEnd) {
    const id = reader.byte();
    const content = new Reader(reader.bytes(reader.u32()));
    if (id !== 0 || content.text() !== 'name') continue;
    while (!content.atEnd) {
      const kind = content.byte();
      const part = new Reader(content.bytes(content.u32()));
      if (kind !== functionNames) continue;
      for (let count = part.u32(); count > 0; count -= 1) names.set(part.u32(), part.text());
    }
  }
  return names;
}

/** A bundle's text in a message of ours: no longer than helps. */
function shown(rules: readonly string[]): readonly string[] {
  const first = rules.slice(0, shownMax).map((rule) => rule.replace(/[^\x20-\x7e]/g, '?').slice(0, 200));
  return rules.length <= shownMax ? first : [...first, `${rules.length - shownMax} more`];
}
