import { describe, expect, it } from '@jest/globals';
import { Undecided } from '../../../src/domain/errors.ts';
import { opaMs } from '../../support/opa.ts';
import { againstOpa } from './against-opa.ts';

/** Each catches what is wrong with its operands, and none may take the end of its budget for that. */
const endless = [
  'yaml.marshal(numbers.range(1, 1000001))',
  'yaml.is_valid(concat("", ["- [a,a,a,a,a,a,a,a]\\n" | some _ in numbers.range(1, 100000)]))',
  'graphql.is_valid(concat(" ", [x | some i in numbers.range(1, 20000); x := "a"]), "")',
  'graphql.schema_is_valid(concat(" ", [x | some i in numbers.range(1, 20000); x := "a"]))',
  'strings.render_template("{{range 2000000}}x{{end}}", {})',
  'sprintf("%999999d%999999d%999999d", [1, 1, 1])',
  'net.cidr_expand("10.0.0.0/8")',
  'numbers.range_step(1, 3000000, 1)',
];

describe('a builtin that is asked for too much', () => {
  it.each(endless)(
    'makes no decision: %s',
    async (expression) => {
      await expect(againstOpa([expression])).rejects.toThrow(Undecided);
    },
    opaMs,
  );
});
