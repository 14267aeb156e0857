import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from '@jest/globals';

export const root = join(import.meta.dirname, '../..');

/** How the real servers are to be started; `.ci/parts` finds out and writes it. */
export type Parts =
  | {
      readonly mode: 'engine';
      readonly images: { readonly postern: string; readonly prometheus: string; readonly nginx: string };
    }
  | {
      readonly mode: 'packages';
      readonly trees: { readonly prometheus: string; readonly nginx: string };
      /** What the image is made of: the runtime and the packages. */
      readonly image: string;
    }
  | { readonly mode: 'none'; readonly why: string };

export const parts: Parts = readParts();

function readParts(): Parts {
  const path = join(root, '.tools/parts.json');
  if (!existsSync(path)) throw new Error('run .ci/parts first: it finds the servers that these tests talk to');
  return JSON.parse(readFileSync(path, 'utf8'));
}

/** Every container and volume carries it, so that `.ci/test` can remove what a killed run left behind. */
export const labels = { 'postern.test': process.env['TEST_RUN_ID'] ?? String(process.pid) };

/** Tests that run as containers or as plain programs. Without either they are skipped by name, which CI takes for a failure. */
export const describeReal = parts.mode === 'none' ? describe.skip : describe;

/** What is about containers themselves. Elsewhere skipped by name, as above. */
export const itInContainers = parts.mode === 'engine' ? it : it.skip;
