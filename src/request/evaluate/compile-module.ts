// Tested by test/request/evaluate/policy-image.long.test.ts.
import { BundleRefused } from '../../domain/errors.ts';
import { metered } from './meter.ts';

/** Bytes to a module: the one place where a policy's code is looked at, and given a meter, before it is compiled. */
export async function compileModule(wasm: Uint8Array): Promise<WebAssembly.Module> {
  let module: WebAssembly.Module;
  try {
    // As it came, before anything is put in: code that names what only the meter brings could fill its own tank.
    const isValid = WebAssembly.validate(wasm);
    module = await WebAssembly.compile(isValid ? metered(wasm) : Uint8Array.from(wasm));
    if (!isValid) throw new Error('it is not valid');
  } catch (cause) {
    if (cause instanceof BundleRefused) throw cause;
    throw new BundleRefused(`policy.wasm does not compile: ${cause instanceof Error ? cause.message : String(cause)}`, {
      cause,
    });
  }
  checkModule(module);
  return module;
}

/** Refuses what could run on load or reach outside: a start function cannot be seen, but what it could call can. */
function checkModule(module: WebAssembly.Module): void {
  for (const { module: from, name } of WebAssembly.Module.imports(module)) {
    if (from !== 'env' || !/^(memory|opa_abort|opa_println|opa_builtin[0-4])$/.test(name)) {
      throw new BundleRefused(`policy.wasm imports ${from}.${name}, which no OPA policy does`);
    }
  }
  const exported = new Set(WebAssembly.Module.exports(module).map(({ name }) => name));
  for (const name of [
    'opa_eval',
    'opa_malloc',
    'opa_free',
    'opa_json_parse',
    'opa_json_dump',
    'opa_value_parse',
    'opa_value_dump',
    'opa_heap_ptr_get',
    'opa_heap_ptr_set',
    'builtins',
    'entrypoints',
  ]) {
    if (!exported.has(name)) throw new BundleRefused(`policy.wasm does not export ${name}`);
  }
}
