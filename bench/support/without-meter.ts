/**
 * `node --import …/without-meter.ts dist/main.js serve`: the same sidecar, but no instruction is put into the policy
 * module. There is no such switch in the product; the compiled source is changed as it is loaded, and must still hold
 * what is changed here.
 */
import { registerHooks } from 'node:module';

const changes = [
  ['if (ticked)', 'if (false)'],
  ['for (const { at, end, code } of put)', 'for (const { at, end, code } of [])'],
] as const;

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('/dist/evaluate/meter.js')) return loaded;
    let source = String(loaded.source);
    for (const [text, other] of changes) {
      if (source.split(text).length !== 2) throw new Error(`the meter has no single ${JSON.stringify(text)} any more`);
      source = source.replace(text, other);
    }
    return { ...loaded, source };
  },
});
