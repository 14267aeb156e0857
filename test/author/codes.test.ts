import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from '@jest/globals';
import type { Opa } from '../../src/author/find-opa.ts';
import { callOf, isTerm, membersOf, parseModule, stringOf, within } from '../../src/author/rego-ast.ts';
import { publicMessages, remedies } from '../../src/domain/errors.ts';
import { opaMs, realOpa } from '../support/opa.ts';
import { repository } from './policy-files.ts';

let opa: Opa;
beforeAll(async () => {
  opa = await realOpa();
}, opaMs);

/** Codes of the library's own and their remedies: `_refused("code", "remedy")` and `{"code": {"otherwise": …}}`. */
async function said(): Promise<ReadonlyMap<string, string | undefined>> {
  const codes = new Map<string, string | undefined>();
  for (const folder of ['rego/postern', 'rego/authz']) {
    for (const name of readdirSync(join(repository, folder)).filter((file) => !file.endsWith('_test.rego'))) {
      const module = await parseModule(opa, join(repository, folder, name), process.env);
      for (const node of module.rules.flatMap((rule) => [...within(rule)])) {
        const call = callOf(node);
        if (call?.name === '_refused' || call?.name === '_denied') {
          const [code, remedy] = call.operands.map(stringOf);
          if (code !== undefined) codes.set(code, remedy);
        }
        for (const [key, value] of (isTerm(node) ? membersOf(node) : undefined) ?? []) {
          const inner = new Map((membersOf(value) ?? []).map(([member, text]) => [stringOf(member), stringOf(text)]));
          if (inner.has('otherwise')) codes.set(stringOf(key) ?? '', inner.get('remedy'));
        }
      }
    }
  }
  return codes;
}

describe('codes that the policies’ library says', () => {
  it('stand in the one list of codes, each with a remedy, which is the sidecar’s where that has one', async () => {
    const codes = await said();
    expect([...codes.keys()].sort()).toEqual([
      'constraints_missing',
      'no_policy_applies',
      'policy_ambiguous',
      'policy_malformed',
      'policy_undefined',
      'requirements_missing',
      'step_up_missing',
      'subject_not_caller',
    ]);
    for (const [code, remedy] of codes) {
      expect(Object.keys(publicMessages)).toContain(code);
      const own = Object.entries(remedies).find(([name]) => name === code)?.[1];
      expect(own ?? remedy).toBe(remedy);
      expect(remedy).toMatch(/^[a-z]/);
    }
  });
});
