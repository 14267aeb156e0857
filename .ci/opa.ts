/**
 * Prints the path of the OPA that `postern build` uses, found or built; its progress goes to standard error.
 *
 * usage: node .ci/opa.ts
 */
import { join, resolve } from 'node:path';
import { findOpa } from '../src/author/find-opa.ts';

const opa = await findOpa({
  env: process.env,
  toolsDirectory: join(import.meta.dirname, '../.tools'),
  say: (line) => process.stderr.write(`${line}\n`),
});
process.stderr.write(`OPA ${opa.version} at ${opa.path}\n`);
process.stdout.write(`${resolve(opa.path)}\n`);
