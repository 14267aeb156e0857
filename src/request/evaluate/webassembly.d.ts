/**
 * The part of the WebAssembly JavaScript interface that the evaluator uses. TypeScript has it only inside the DOM
 * library, whose other globals a server does not have.
 *
 * @see W3C WebAssembly JavaScript Interface, section 5
 */
declare namespace WebAssembly {
  type Exports = Readonly<Record<string, unknown>>;
  interface ModuleImportDescriptor {
    readonly module: string;
    readonly name: string;
    readonly kind: string;
  }
  interface ModuleExportDescriptor {
    readonly name: string;
    readonly kind: string;
  }
  class Module {
    private constructor();
    static imports(module: Module): ModuleImportDescriptor[];
    static exports(module: Module): ModuleExportDescriptor[];
  }
  type Imports = Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  class Instance {
    constructor(module: Module, imports: Imports);
    readonly exports: Exports;
  }
  interface WebAssemblyInstantiatedSource {
    readonly instance: Instance;
    readonly module: Module;
  }
  interface MemoryDescriptor {
    initial: number;
    maximum?: number;
    /** Between threads; needs a maximum. */
    shared?: boolean;
  }
  class Memory {
    constructor(descriptor: MemoryDescriptor);
    readonly buffer: ArrayBuffer;
    /** @returns the size before, in pages of 64 KiB */
    grow(pages: number): number;
  }
  function validate(bytes: Uint8Array): boolean;
  function compile(bytes: Uint8Array<ArrayBuffer>): Promise<Module>;
}
