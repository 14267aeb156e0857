/** Claim (docs/policy-author.md, rego/authz/router.rego): what the database decision costs, and what of it finding it is. */
import { readFileSync } from 'node:fs';
import { readBundle } from '../src/bundle/reading/read-bundle.ts';
import { PolicyModule } from '../src/request/evaluate/policy-module.ts';
import { requests } from '../test/author/requests.ts';
import { patientLimits } from '../test/support/patient-limits.ts';
import { compare } from './support/measure.ts';

const file = readFileSync(new URL('../bundles/starter.tar.gz', import.meta.url));
const bundle = await readBundle(file, { inflatedBytes: 100_000_000, members: 1000 });
const limits = { ...patientLimits, memoryPages: 4096, resultBytes: 1_048_576 };
const policy = await PolicyModule.load(bundle, limits);
const query = JSON.stringify(requests['query']);
const elsewhere = query.replace('"type":"database"', '"type":"nothing"');

compare(`a database query, ${query.length} bytes of input`, {
  'through the router': () => policy.evaluate('authz/decision', query),
  'asked by name': () => policy.evaluate('policies/database_access/decision', query),
  'no policy applies: input read, answer written': () => policy.evaluate('authz/decision', elsewhere),
});
