// Tested by test/bundle/shadow/shadow.test.ts.
/**
 * The address of a module beside the one that asks, for what starts modules by address and not by import: a thread, a
 * child process. The compiler rewrites imports from `.ts` to `.js` and leaves addresses alone, so this does it.
 *
 * @param asking the asking module's `import.meta.url`
 * @param name e.g. `./prepare-thread.ts`
 */
export function siblingModule(asking: string, name: `./${string}.ts`): URL {
  return new URL(asking.endsWith('.ts') ? name : name.replace(/\.ts$/, '.js'), asking);
}
