// Tested by test/process/bundles.long.test.ts.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { AuthorFault } from './author-fault.ts';
import { compileBundle } from './build-bundle.ts';
import { type Compiler, uncompiled, unformatted, untested } from './check-policies.ts';
import { type Linted, lint } from './lint/lint.ts';
import { type Module, parseModule } from './rego-ast.ts';
import { readSources, type Sources } from './sources.ts';

export interface RebuilderOptions {
  readonly directory: string;
  /** The revision begins with it. */
  readonly name: string;
  readonly compiler: Compiler;
  readonly temporaryDirectory: string;
}

export interface Rebuilt extends Linted {
  readonly bytes: Uint8Array;
  readonly revision: string;
}

class NotParsed extends AuthorFault {}
class NotSound extends AuthorFault {}

/** As many compilers at once as are of use on a small machine. */
const parsersMax = 4;

/**
 * Builds the same policies again and again, as fast as it goes: what did not change is not parsed again, and what does
 * not depend on each other runs side by side. How many lines the tests reach is not asked: it takes OPA many times as
 * long as the tests themselves.
 */
export class Rebuilder {
  readonly #options: RebuilderOptions;
  /** By file, with the text it was parsed from. */
  #parsed = new Map<string, { readonly text: string; readonly module: Module }>();

  constructor(options: RebuilderOptions) {
    this.#options = options;
  }

  /** @throws AuthorFault with the faults of the first step that has any, though all of them run at once */
  async rebuild(): Promise<Rebuilt> {
    const { directory, compiler } = this.#options;
    const sources = await readSources(directory);
    const [compileFaults, testFaults, built] = await Promise.all([
      uncompiled(sources, compiler),
      untested(sources, compiler),
      this.#lintedAndCompiled(sources).catch((cause: unknown) => {
        if (cause instanceof AuthorFault) return cause;
        throw cause;
      }),
    ]);
    // Where a file does not parse, or a rule does not compile, every step says so, the earliest of them best.
    if (built instanceof NotParsed) throw built;
    const lintFaults = built instanceof NotSound ? built.faults : [];
    for (const faults of [[...compileFaults, ...lintFaults], testFaults]) {
      if (faults.length > 0) throw new AuthorFault(faults);
    }
    if (built instanceof AuthorFault) throw built;
    return built;
  }

  /** @returns a line for each file that `postern build` would not take as it is written */
  async unformatted(): Promise<readonly string[]> {
    return unformatted(await readSources(this.#options.directory), this.#options.compiler);
  }

  async #lintedAndCompiled(sources: Sources): Promise<Rebuilt> {
    const { name, compiler, temporaryDirectory } = this.#options;
    const linted = lint(await this.#modules(sources));
    if (linted.findings.length > 0) throw new NotSound(linted.findings);
    return { ...linted, ...(await compileBundle(sources, linted, name, compiler, temporaryDirectory)) };
  }

  async #modules({ directory, modules: names }: Sources): Promise<readonly Module[]> {
    const { opa, env } = this.#options.compiler;
    const before = this.#parsed;
    const parsed = new Map<string, { readonly text: string; readonly module: Module }>();
    const faults: string[] = [];
    const waiting = names.map((name) => join(directory, name));
    const parseNext = async (): Promise<void> => {
      for (let file = waiting.shift(); file !== undefined; file = waiting.shift()) {
        const text = await readFile(file, 'utf8');
        const known = before.get(file);
        try {
          parsed.set(file, known?.text === text ? known : { text, module: await parseModule(opa, file, env) });
        } catch (cause) {
          if (!(cause instanceof AuthorFault)) throw cause;
          faults.push(...cause.faults);
        }
      }
    };
    await Promise.all(Array.from({ length: parsersMax }, parseNext));
    this.#parsed = parsed;
    if (faults.length > 0) throw new NotParsed(faults.sort());
    return [...parsed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, { module }]) => module);
  }
}
