import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { epochMs } from '../../../src/domain/time.ts';
import { maskAndDrop } from '../../../src/request/record/mask-and-drop.ts';
import { OpaServer } from '../../differential/opa-server.ts';
import { eventually } from '../../support/eventually.ts';
import { opaMs, realOpa } from '../../support/opa.ts';

const rounds = 1_000;
let opa: OpaServer;

beforeAll(async () => {
  const { path } = await realOpa();
  const directory = join(import.meta.dirname, '../../differential/masking');
  opa = await OpaServer.start(path, [directory], 4, ['--set', 'decision_logs.console=true', '--log-format', 'json']);
}, opaMs);

afterAll(() => opa.stop());

/** What a mask may change, and what is said of it. */
interface Kept {
  readonly input?: unknown;
  readonly result?: unknown;
  readonly erased?: readonly string[];
  readonly masked?: readonly string[];
}

const name = fc.constantFrom('a', 'b', 'c', 'secret', '0');
const leaf = fc.constantFrom<unknown>(null, true, 'text', 1, 2.5, '');
const { document } = fc.letrec<{ value: unknown; document: Record<string, unknown> }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, depthSize: 'medium' },
    leaf,
    tie('document'),
    fc.array(tie('value'), { maxLength: 3 }),
  ),
  document: fc.dictionary(name, tie('value'), { maxKeys: 4 }),
}));
const path = fc
  .tuple(
    fc.constantFrom('/input/document', '/result', '/input'),
    fc.array(fc.constantFrom('a', 'b', 'c', 'secret', '0', '1', '7'), { maxLength: 4 }),
  )
  .map(([start, rest]) => [start, ...rest].join('/'));
/** One removal: with several, OPA takes later ones in a list for what stands there by then. */
const mask = fc
  .tuple(
    fc.option(
      fc.oneof(
        path,
        path.map((where) => ({ op: 'remove', path: where })),
      ),
      { nil: undefined },
    ),
    fc.array(fc.record({ op: fc.constant('upsert'), path, value: leaf }), { maxLength: 3 }),
  )
  .map(([removal, upserts]) => (removal === undefined ? upserts : [removal, ...upserts]));

function ours(said: object): Kept {
  const { mask: rules, document } = said as { mask: readonly unknown[]; document: unknown };
  // As a set of Rego has them: texts, then objects by their members' values.
  const sorted = [...new Map(rules.map((rule) => [JSON.stringify(rule), rule])).values()].sort(inRegosOrder);
  const line = `${JSON.stringify({ decision_id: 'd', input: said, result: document })}\n`;
  const { line: kept } = maskAndDrop(line, { mask: () => JSON.stringify(sorted), drop: undefined }, epochMs(0), 'd');
  return keptOf(JSON.parse(kept ?? '{}'));
}

const ranks = ['null', 'boolean', 'number', 'string'];

function inRegosOrder(a: unknown, b: unknown): number {
  if (typeof a === 'string' || typeof b === 'string')
    return Number(typeof a !== 'string') - Number(typeof b !== 'string');
  const [x, y] = [a, b] as readonly { op: string; path: string; value?: unknown }[];
  if (x === undefined || y === undefined) return 0;
  if (x.op !== y.op) return x.op < y.op ? -1 : 1;
  if (x.path !== y.path) return Buffer.compare(Buffer.from(x.path), Buffer.from(y.path));
  const rank = (value: unknown): number => ranks.indexOf(value === null ? 'null' : typeof value);
  return rank(x.value) - rank(y.value) || (String(x.value) < String(y.value) ? -1 : 1);
}

function keptOf({ input, result, erased, masked }: Kept): Kept {
  return { input, result, erased: erased ?? [], masked: masked ?? [] };
}

describe('P12 a mask', () => {
  it(`P12 leaves of an event what OPA leaves of it, ${rounds} times`, async () => {
    const asked = fc.sample(fc.record({ document, mask }), { numRuns: rounds, seed: 12 });
    const ids: string[] = [];
    for (const said of asked) {
      const { body } = await opa.document('masking/said', JSON.stringify(said));
      ids.push((JSON.parse(body) as { decision_id: string }).decision_id);
    }
    const last = ids.at(-1) ?? '';
    await eventually(() => opa.said.includes(last) && opa.said.endsWith('\n'));
    const events = new Map<string, Kept>();
    for (const line of opa.said.trim().split('\n')) {
      if (!line.startsWith('{')) continue;
      const event = JSON.parse(line) as Kept & { readonly decision_id?: string };
      if (event.decision_id !== undefined) events.set(event.decision_id, keptOf(event));
    }
    let changed = 0;
    for (const [index, said] of asked.entries()) {
      const theirs = events.get(ids[index] ?? '');
      expect({ said, kept: ours(said) }).toEqual({ said, kept: theirs });
      if ((theirs?.erased?.length ?? 0) + (theirs?.masked?.length ?? 0) > 0) changed += 1;
    }
    // The comparison is of masks that do something.
    expect(changed).toBeGreaterThan(rounds / 4);
  }, 120_000);
});
