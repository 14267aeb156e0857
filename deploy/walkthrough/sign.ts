/**
 * Writes what the README's walk-through needs of a builder: provenance for `payments-1.4.2.txt`, signed with a key made
 * here, and the key's public half. The private half is never written anywhere and ends with this process, so nobody can
 * sign anything else that `builder.pub` verifies.
 *
 * usage: node deploy/walkthrough/sign.ts
 */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { builderKey, provenance } from '../demo/provenance.ts';

const here = (name: string) => new URL(name, import.meta.url);
const { publicPem, privateKey } = builderKey();
const envelope = provenance(
  {
    name: 'payments-1.4.2.txt',
    sha256: createHash('sha256')
      .update(readFileSync(here('payments-1.4.2.txt')))
      .digest('hex'),
    repository: 'https://github.com/acme/payments',
    finishedOn: '2026-11-02T09:12:44Z',
  },
  privateKey,
);
writeFileSync(here('builder.pub'), publicPem);
writeFileSync(here('payments-1.4.2.provenance.json'), `${JSON.stringify(envelope, undefined, 2)}\n`);
