import { describe, expect, it } from '@jest/globals';
import { opaMs } from '../../support/opa.ts';
import { againstOpa, call } from './against-opa.ts';

const amounts = ['0', '1', '-1', '+1', '1.5', '.5', '1.', '1e3', '1E-3', '1e', 'e3', '', ' 1', '1 ', '1e+2', '0x10'];
const units = ['', 'm', 'k', 'K', 'M', 'g', 'T', 'Pi', 'ei', 'Ki', 'kb', 'KiB', 'b', 'x', 'mi', '"', 'E', 'e'];

describe('units.parse and units.parse_bytes', () => {
  it(
    'mean what they mean in OPA, for every amount in every unit',
    async () => {
      const texts = amounts.flatMap((amount) => units.map((unit) => amount + unit));
      const { differences, defined, ...rest } = await againstOpa(
        texts.flatMap((text) => [call('units.parse', text), call('units.parse_bytes', text)]),
      );
      expect(differences).toEqual([]);
      expect(defined).toBeGreaterThan(200);
      expect(rest.undefined).toBeGreaterThan(100);
    },
    opaMs,
  );
});
