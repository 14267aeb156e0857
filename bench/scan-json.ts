/**
 * Claim (src/text/scan-json.ts): one strict pass over the text costs less than parsing it to values and checking
 * those, which cannot see repeated members or lost digits at all.
 */

import { decodeUtf8 } from '../src/text/decode-utf8.ts';
import { scanJson } from '../src/text/scan-json.ts';
import { compare, requestBody } from './support/measure.ts';

const big = Buffer.from(
  JSON.stringify({
    context: Object.fromEntries(
      Array.from({ length: 500 }, (_, index) => [`member${index}`, { index, text: 'some text' }]),
    ),
  }),
);

/** What a parse has to be followed by to refuse at least depth; members that repeat are gone by then. */
function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  return 1 + Math.max(0, ...Object.values(value).map(depthOf));
}

for (const [title, body] of [
  ['a request of 250 bytes', requestBody],
  ['a body of 25 kB', big],
] as const) {
  compare(title, {
    'scan: every check, no values': () => scanJson(decodeUtf8(body), { depthMax: 64 }),
    'JSON.parse: no check': () => JSON.parse(body.toString()),
    'JSON.parse, depth, JSON.stringify for the policy': () => {
      const value: unknown = JSON.parse(body.toString());
      return depthOf(value) > 64 ? undefined : JSON.stringify(value);
    },
  });
}
