/**
 * `node --import …/meter-switch.ts?meter=off dist/main.js serve`: the same sidecar, but no instruction is put into the
 * policy module. There is no such switch in the product; the compiled source is changed as it is loaded, and must still
 * hold what is changed here. With `meter=on` it is loaded in the same way and left as it is: what a sidecar is compared
 * with that has none.
 */
import { registerHooks } from 'node:module';

const on = 'if (put.length === 0)';
const off = 'if (true)';
const wanted = new URL(import.meta.url).searchParams.get('meter');

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.endsWith('/dist/evaluate/meter.js')) return loaded;
    const source = String(loaded.source);
    if (source.split(on).length !== 2) throw new Error(`the meter has no single "${on}" any more`);
    return { ...loaded, source: source.replace(on, wanted === 'off' ? off : on) };
  },
});
