import { join } from 'node:path';
import { findOpa, type Opa } from '../../src/author/find-opa.ts';

/** Installing the compiler takes minutes where there is none; what comes after it finds it. */
export const opaMs = 20 * 60_000;

const root = join(import.meta.dirname, '../..');

/** The compiler, found as `postern build` finds it. */
export function realOpa(): Promise<Opa> {
  return findOpa({ env: process.env, toolsDirectory: join(root, '.tools'), say: () => {} });
}
