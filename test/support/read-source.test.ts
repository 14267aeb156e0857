import { describe, expect, it } from '@jest/globals';
import { readSource } from './read-source.ts';

const reached = (code: string): readonly string[] => readSource(code).reaches.map(({ what }) => what);

describe('the reader of a source', () => {
  it('sees every way in which one file needs another, and nothing that a comment says', () => {
    const source = readSource(`// import './comment.ts';
      import { a } from '../receive/a.ts';
      import type { B } from './b.ts';
      export { c } from './c.ts';
      export * from './d.ts';
      const e = await import('./e.ts');
      new Worker(new URL('./f.ts', import.meta.url));`);
    expect(source.imports).toEqual(['../receive/a.ts', './b.ts', './c.ts', './d.ts', './e.ts']);
    expect(source.starts).toEqual(['./f.ts']);
  });

  it.each([
    // The process.
    ['process.env["A"]', 'process'],
    ['const { argv } = process;', 'process'],
    ['const p = process; p.exit();', 'process'],
    ['globalThis.process.exit()', 'globalThis'],
    ['const { process: p } = globalThis;', 'globalThis'],
    ["globalThis['process']", 'globalThis'],
    ["import 'node:process';", 'node:process'],
    ["import { argv } from 'node:process';", 'node:process'],
    ["import process from 'process';", 'process'],
    ["export { env } from 'node:process';", 'node:process'],
    ["const { env } = await import('node:process');", 'node:process'],
    ["import { hostname } from 'node:os';", 'node:os hostname'],
    // Chance.
    ["import { randomBytes } from 'node:crypto';", 'node:crypto randomBytes'],
    ["import { randomUUID as id } from 'node:crypto';", 'node:crypto randomUUID'],
    ["import * as crypto from 'node:crypto';", 'node:crypto *'],
    ["import crypto from 'node:crypto';", 'node:crypto default'],
    ['crypto.getRandomValues(bytes)', 'crypto'],
    ['Math.random()', 'Math.random'],
    ['const { random } = Math;', 'Math'],
    ['const roll = Math["random"];', 'Math'],
    // Clocks.
    ['Date.now()', 'Date.now'],
    ['const { now } = Date;', 'Date'],
    ['const D = Date;', 'Date'],
    ['new Date()', 'Date'],
    ['performance.now()', 'performance'],
    ["import { performance } from 'node:perf_hooks';", 'node:perf_hooks'],
    // Timers.
    ['setTimeout(run, 1)', 'setTimeout'],
    ['const later = setTimeout;', 'setTimeout'],
    ['function f() { setInterval(run, 1); }', 'setInterval'],
    ['setImmediate(run)', 'setImmediate'],
    ["import { setTimeout as delay } from 'node:timers/promises';", 'node:timers/promises'],
    // State in a module.
    ['let count = 0;', 'a variable of the module'],
    ['export let count = 0;', 'a variable of the module'],
    ['const seen = new Map(); export const note = (k) => seen.set(k, 1);', "a module's own seen, written to"],
    ['const seen = new Set(); function f(k) { seen.add(k); }', "a module's own seen, written to"],
    ['const seen = []; function f(k) { seen.push(k); }', "a module's own seen, written to"],
    ['const box = { n: 0 }; function f() { box.n += 1; }', "a module's own box, written to"],
    ['const box = { in: {} }; function f() { box.in.n = 1; }', "a module's own box, written to"],
    ['const box = {}; function f(k) { delete box[k]; }', "a module's own box, written to"],
    ['const box = {}; function f(k) { Object.assign(box, k); }', "a module's own box, written to"],
    ['const cache = new LruCache(9);', 'an instance in the module: cache'],
    ['class A { static count = 0; }', 'a static member'],
    // The network, and code that is made at run time.
    ["fetch('http://a')", 'fetch'],
    ["eval('1')", 'eval'],
    ["new Function('1')", 'Function'],
  ])('sees the reach in %s', (code, what) => {
    expect(reached(code)).toEqual([what]);
  });

  it.each([
    'new Date(0).toISOString()',
    'Date.parse(text)',
    'value instanceof Date',
    'Math.max(1, 2)',
    'const limits: { readonly process: Date } = read();',
    'options.process.now()',
    'const { process: mine } = options;',
    "import type { Process } from 'node:process';",
    "import { createHash, timingSafeEqual } from 'node:crypto';",
    'const names = new Set(["a"]); export const has = (name) => names.has(name);',
    'class A { static readonly none = new A(); }',
    'function f() { const seen = new Map(); seen.set(1, 2); }',
  ])('lets be what reaches for nothing: %s', (code) => {
    expect(reached(code)).toEqual([]);
  });

  it('says of each what to take instead', () => {
    for (const { instead } of readSource('const { argv } = process; setTimeout(f, 1); Math.random();').reaches) {
      expect(instead).toMatch(/main\.ts|src\//);
    }
  });
});
