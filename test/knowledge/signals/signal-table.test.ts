import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { JsonObject, JsonValue } from '../../../src/domain/json-value.ts';
import { type AboutKind, aboutKinds, type Signal } from '../../../src/domain/signal.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { FakeClock } from '../../fakes/clock.ts';
import { later, report, type TestStores, testStores } from '../stores.ts';

const hour = 60 * 60 * 1000;
const day = 24 * hour;

describe('a report about a device', () => {
  it('is held by source and attribute, as it was sent', async () => {
    const { signals, clock } = await testStores();
    await signals.put([report(clock.now(), { compliant: true, kernel_version: '6.8.0-47' })]);
    expect(signals.held('device', 'node-7')).toEqual([
      {
        attribute: 'compliant',
        value: true,
        source: 'mdm',
        observedAt: clock.now(),
        expiresAt: undefined,
        sequence: 0,
      },
      {
        ...{ attribute: 'kernel_version', value: '6.8.0-47', source: 'mdm' },
        ...{ observedAt: clock.now(), expiresAt: undefined, sequence: 0 },
      },
    ]);
    expect(signals.held('device', 'node-8')).toBeUndefined();
    expect(signals.held('workload', 'node-7')).toBeUndefined();
  });

  it('keeps the same list until a newer one changes something', async () => {
    const { signals, clock } = await testStores();
    await signals.put([report(clock.now(), { compliant: true })]);
    const before = signals.held('device', 'node-7');
    await expect(signals.put([report(later(clock.now(), -1), { compliant: false })])).resolves.toEqual(['unchanged']);
    expect(signals.held('device', 'node-7')).toBe(before);
    await expect(signals.put([report(later(clock.now(), 1), { compliant: true })])).resolves.toEqual(['changed']);
    expect(signals.held('device', 'node-7')).not.toBe(before);
  });

  it('S06 leaves what another source said beside it', async () => {
    const { signals, clock } = await testStores();
    await signals.put([report(clock.now(), { compliant: true })]);
    await signals.put([report(clock.now(), { compliant: false }, { source: 'edr' })]);
    expect(signals.held('device', 'node-7')?.map(({ source, value }) => [source, value])).toEqual([
      ['edr', false],
      ['mdm', true],
    ]);
  });

  it('S01 from the future is kept as it was sent; its age is for the policy to judge', async () => {
    const { signals, clock } = await testStores();
    const year = later(clock.now(), 365 * day);
    await signals.put([report(year, { compliant: true })]);
    expect(signals.held('device', 'node-7')?.[0]?.observedAt).toBe(year);
  });
});

describe('S02 late and equal reports', () => {
  it('a source whose clock ran ahead is believed again as soon as it is right', async () => {
    const { signals, clock, restart } = await testStores();
    const about = { kind: 'subject', id: 'bot' } as const;
    await signals.put([report(later(clock.now(), hour), { revoked: false, color: 'red' }, about)]);
    await expect(signals.put([report(clock.now(), { revoked: true, color: 'blue' }, about)])).resolves.toEqual([
      'changed',
    ]);
    const held = (await restart()).signals.held('subject', 'bot');
    expect(held?.map(({ attribute, value }) => [attribute, value])).toEqual([
      ['color', 'blue'],
      ['revoked', true],
    ]);
  });

  it('an older "established" after a revocation changes nothing', async () => {
    const { signals, clock } = await testStores();
    const about = { kind: 'session', id: 's-1' } as const;
    await signals.put([report(clock.now(), { revoked: true }, about)]);
    await expect(signals.put([report(later(clock.now(), -1), { revoked: false }, about)])).resolves.toEqual([
      'unchanged',
    ]);
    expect(signals.held('session', 's-1')?.[0]?.value).toBe(true);
  });

  it('any order of the same reports, in any batches, ends in one state', async () => {
    const value = fc.oneof(fc.boolean(), fc.constantFrom('low', 'medium', 'high'), fc.integer({ min: 0, max: 3 }));
    const signal = fc.record({
      attribute: fc.constantFrom('compliant', 'risk_level', 'color', '__proto__'),
      value,
      source: fc.constantFrom('a', 'b'),
      at: fc.integer({ min: 0, max: 3 }),
      lasts: fc.option(fc.integer({ min: 1, max: 3 }), { nil: undefined }),
      sequence: fc.integer({ min: 0, max: 1 }),
    });
    const typed = { compliant: 'boolean', risk_level: 'string', color: undefined, ['__proto__']: undefined };
    await fc.assert(
      fc.asyncProperty(
        fc.array(signal, { maxLength: 10 }),
        fc.infiniteStream(fc.nat()),
        fc.integer({ min: 1, max: 4 }),
        async (drawn, chance, inBatch) => {
          const reports = drawn
            .filter((one) => typed[one.attribute] === undefined || typeof one.value === typed[one.attribute])
            .map((one) =>
              report(epochMs(one.at), JSON.parse(`{${JSON.stringify(one.attribute)}:${JSON.stringify(one.value)}}`), {
                source: one.source,
                sequence: one.sequence,
                ...(one.lasts !== undefined && { expiresAt: epochMs(one.at + one.lasts) }),
              }),
            );
          const shuffled = [...reports];
          for (let i = shuffled.length - 1; i > 0; i -= 1) {
            const j = (chance.next().value ?? 0) % (i + 1);
            const [a, b] = [shuffled[i], shuffled[j]];
            if (a !== undefined && b !== undefined) [shuffled[i], shuffled[j]] = [b, a];
          }
          const first = await testStores();
          const second = await testStores();
          for (const one of reports) await first.signals.put([one]);
          for (let i = 0; i < shuffled.length; i += inBatch) await second.signals.put(shuffled.slice(i, i + inBatch));
          expect(second.signals.held('device', 'node-7')).toEqual(first.signals.held('device', 'node-7'));
          expect([...second.disk.records.entries()].sort()).toEqual([...first.disk.records.entries()].sort());
        },
      ),
      { numRuns: 200 },
    );
  });
});

describe('S05 a value of the wrong type', () => {
  const wrong: readonly (readonly [attribute: string, value: JsonValue, named: string])[] = [
    ...['compliant', 'secure_boot', 'disk_encrypted', 'managed', 'jailbroken', 'revoked', 'credential_compromised']
      .concat('identity_disabled', 'reboot_required')
      .flatMap((name) =>
        ['true', 1, 0, 'yes', {}, [], ''].map((value) => [name, value, 'must be true or false'] as const),
      ),
    ...['LOW', 'unknown', 1, true, ['low']].map((value) => ['risk_level', value, 'must be "low"'] as const),
    ...[-1, 101, '12', true, {}].map((value) => ['risk_score', value, 'from 0 to 100'] as const),
    ...[-1, 1.5, '3', 2 ** 53].map((value) => ['pending_security_updates', value, 'whole number'] as const),
    ...['yesterday', 1700000000, '2026-02-30T00:00:00Z', '2026-11-02T10:00:60Z', '2026-11-02'].map(
      (value) => ['credential_changed_at', value, 'RFC 3339'] as const,
    ),
    ['assurance', 'NIST-AAL:2', 'must be an object'],
    ['anything', null, 'is null'],
    ['compliant', null, 'is null'],
    ['notes', 'x'.repeat(16 * 1024), 'larger than'],
    ['n'.repeat(129), 1, 'attributes'],
    ['', 1, 'attributes'],
    ['half \ud800', 1, 'attributes'],
  ];

  it.each(wrong)('%s, row %#, is refused, named, and nothing is kept', async (attribute, value, named) => {
    const { signals, clock, disk } = await testStores();
    const refused = signals.put([report(clock.now(), { fine: 1, [attribute]: value })]);
    await expect(refused).rejects.toMatchObject({ code: 'signal_invalid', status: 400 });
    await expect(refused).rejects.toThrow(named);
    expect(signals.held('device', 'node-7')).toBeUndefined();
    expect(disk.commits).toBe(0);
  });

  it('nothing is turned into a boolean, whatever was sent', async () => {
    const { signals, clock } = await testStores();
    await fc.assert(
      fc.asyncProperty(fc.jsonValue(), async (value) => {
        const put = signals.put([report(clock.now(), { compliant: value as JsonValue })]);
        if (typeof value === 'boolean') await put;
        else await expect(put).rejects.toMatchObject({ code: 'signal_invalid' });
        const held = signals.held('device', 'node-7')?.[0]?.value;
        expect([undefined, true, false]).toContain(held);
      }),
    );
  });

  const members: readonly (readonly [string, Partial<Signal> & { id?: string }])[] = [
    ['about.id', { id: '' }],
    ['about.id', { id: 'x'.repeat(2049) }],
    ['about.id', { id: '\ud800' }],
    ['source', { source: '' }],
    ['source', { source: 'two words' }],
    ['source', { source: 'x'.repeat(129) }],
    ['sequence', { sequence: -1 }],
    ['sequence', { sequence: 1.5 }],
    ['expires_at', { expiresAt: epochMs(0) }],
    ['attributes', { attributes: {} }],
    ['attributes', { attributes: Object.fromEntries(Array.from({ length: 257 }, (_, i) => [`a${i}`, i])) }],
  ];
  it.each(members)('a faulty %s is named', async (named, changes) => {
    const { signals, clock } = await testStores();
    const { attributes = { compliant: true }, ...rest } = changes;
    await expect(signals.put([report(clock.now(), attributes, rest)])).rejects.toThrow(named);
  });
});

describe('several reports at once', () => {
  it('are kept all or none, and the faulty one is named by its place', async () => {
    const { signals, clock, disk, counted } = await testStores();
    const good = report(clock.now(), { compliant: true });
    const bad = report(clock.now(), { compliant: 'yes' }, { id: 'node-8' });
    await expect(signals.put([good, bad])).rejects.toThrow('[1].attributes.compliant');
    expect(signals.held('device', 'node-7')).toBeUndefined();
    expect(disk.commits).toBe(0);
    expect(counted).toEqual(['other device refused', 'other device refused']);
  });

  it('that arrive while the disk is busy share one commit', async () => {
    const { signals, clock, disk } = await testStores();
    const about = (id: string): Signal => report(clock.now(), { compliant: true }, { id });
    await Promise.all(Array.from({ length: 100 }, (_, i) => signals.put([about(`n${i}`)])));
    expect(disk.commits).toBeLessThanOrEqual(2);
    expect(signals.count('device')).toBe(100);
  });
});

describe('S04 the caps', () => {
  it.each(aboutKinds)('refuse one %s too many and go on taking reports about known ones', async (kind: AboutKind) => {
    const { signals, clock } = await testStores({
      caps: { devices: 2, subjects: 2, sessions: 2, workloads: 2, grants: 1, attestations: 1 },
    });
    const about = (id: string, attributes: JsonObject = { note: 1 }): Signal =>
      report(clock.now(), attributes, { kind, id });
    await signals.put([about('a'), about('b')]);
    await expect(signals.put([about('c')])).rejects.toMatchObject({ code: 'store_full', status: 429 });
    await expect(signals.put([about('a', { more: 1 })])).resolves.toEqual(['changed']);
    await expect(signals.forget(kind, 'a')).resolves.toBe(true);
    await expect(signals.put([about('c')])).resolves.toEqual(['changed']);
  });

  it('count within one batch and across batches under way', async () => {
    const caps = { devices: 50, subjects: 1, sessions: 1, workloads: 1, grants: 1, attestations: 1 };
    const { signals, clock } = await testStores({ caps });
    const many = (from: number, count: number): Signal[] =>
      Array.from({ length: count }, (_, i) => report(clock.now(), { note: 1 }, { id: `n${from + i}` }));
    await expect(signals.put(many(0, 51))).rejects.toMatchObject({ code: 'store_full' });
    expect(signals.count('device')).toBe(0);
    const results = await Promise.allSettled([
      signals.put(many(0, 30)),
      signals.put(many(30, 30)),
      signals.put(many(60, 20)),
    ]);
    expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    expect(signals.count('device')).toBe(50);
  });

  it('bound the attributes of all sources about one thing', async () => {
    const { signals, clock } = await testStores();
    const attributes = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`a${i}`, i]));
    await signals.put([report(clock.now(), attributes)]);
    const more = signals.put([report(clock.now(), attributes, { source: 'edr' })]);
    await expect(more).rejects.toMatchObject({ code: 'store_full', status: 429 });
    expect(signals.held('device', 'node-7')).toHaveLength(200);
  });

  it('give at most 32 sources a label of their own', async () => {
    const { signals, clock, counted } = await testStores();
    for (let i = 0; i < 100; i += 1) await signals.put([report(clock.now(), { note: i }, { source: `s${i}` })]);
    expect(new Set(counted).size).toBe(33);
    expect(counted.at(-1)).toBe('other device changed');
  });
});

describe('what is over', () => {
  it('is dropped a day after its end, and keeps older reports away until then', async () => {
    const { signals, clock } = await testStores();
    const start = clock.now();
    await signals.put([report(start, { revoked: true }, { kind: 'session', id: 's', expiresAt: later(start, hour) })]);
    await signals.put([report(start, { note: 1 })]);
    clock.advance(hour + day - 1);
    await signals.prune(clock.now());
    const late = report(later(start, -1), { revoked: false }, { kind: 'session', id: 's' });
    await expect(signals.put([late])).resolves.toEqual(['unchanged']);
    clock.advance(1);
    await signals.prune(clock.now());
    expect(signals.held('session', 's')).toBeUndefined();
    expect(signals.held('device', 'node-7')).toHaveLength(1);
  });

  it('is dropped by itself where other attributes last', async () => {
    const { signals, clock } = await testStores();
    const start = clock.now();
    await signals.put([report(start, { short: 1 }, { expiresAt: later(start, 1) }), report(start, { long: 1 })]);
    clock.advance(day + 1);
    await signals.prune(clock.now());
    expect(signals.held('device', 'node-7')?.map(({ attribute }) => attribute)).toEqual(['long']);
  });
});

describe('names that mean something to JavaScript', () => {
  it('J03 are plain names of attributes and things, over a restart too', async () => {
    const first = await testStores();
    const names = ['__proto__', 'constructor', 'toString', 'hasOwnProperty'];
    const attributes = JSON.parse(`{${names.map((name) => `"${name}":1`).join(',')}}`);
    for (const id of names) await first.signals.put([report(first.clock.now(), attributes, { id })]);
    const { signals } = await first.restart();
    for (const id of names) {
      expect(
        signals
          .held('device', id)
          ?.map(({ attribute }) => attribute)
          .sort(),
      ).toEqual([...names].sort());
    }
    expect(signals.held('device', 'valueOf')).toBeUndefined();
    expect(Object.prototype).not.toHaveProperty('1');
  });

  it('J08 are compared byte for byte', async () => {
    const { signals, clock } = await testStores();
    const ids = ['Admin', 'admin', 'e\u0301', '\u00e9', 'a\u0000', 'a', 'a\u200b', 'x\r\ny', 'a\u2028'];
    for (const [index, id] of ids.entries()) await signals.put([report(clock.now(), { index }, { id })]);
    expect(ids.map((id) => signals.held('device', id)?.[0]?.value)).toEqual(ids.map((_, index) => index));
  });
});

describe('a store that was damaged', () => {
  const session = { kind: 'session', id: 's-1' } as const;
  const revoked = [expect.objectContaining({ attribute: 'revoked', value: true, source: 'store' })];

  it('L04 with an unreadable record: the session counts as revoked until somebody says otherwise', async () => {
    const first = await testStores();
    await first.signals.put([report(first.clock.now(), { revoked: true }, session)]);
    const [key] = [...first.disk.records.keys()];
    if (key === undefined) throw new Error('no record');
    first.disk.records.delete(key);
    first.disk.unreadable = [key];
    const second = await first.restart();
    expect(second.signals.held('session', 's-1')).toEqual(revoked);
    expect(second.signals.held('session', 's-2')).toBeUndefined();
    expect(second.status()).toMatchObject({ unreadable: 1 });
    expect(second.status()).not.toHaveProperty('lost_since');
    expect(second.isReady()).toBe(false);

    // Another attribute does not answer the question; a word on it does.
    await second.signals.put([report(second.clock.now(), { risk_level: 'low' }, session)]);
    expect(second.signals.held('session', 's-1')?.map(({ attribute }) => attribute)).toEqual(['risk_level', 'revoked']);
    const list = second.signals.held('session', 's-1');
    expect(second.signals.held('session', 's-1')).toBe(list);
    const third = await second.restart();
    expect(third.signals.held('session', 's-1')).toHaveLength(2);
    await third.acknowledgeLoss();
    expect(third.signals.held('session', 's-1')?.map(({ attribute }) => attribute)).toEqual(['risk_level']);
    expect(third.isReady()).toBe(true);
    const fourth = await third.restart();
    expect(fourth.isReady()).toBe(true);
    expect(fourth.signals.held('session', 's-1')).toHaveLength(1);
  });

  it('L03 that was put away: every session and subject counts as revoked, over restarts, until it is acknowledged', async () => {
    const first = await testStores();
    first.disk.damaged = true;
    const second = await (await first.restart()).restart();
    expect(second.signals.held('session', 'any')).toEqual(revoked);
    expect(second.signals.held('subject', 'any')).toEqual(revoked);
    expect(second.signals.held('device', 'any')).toBeUndefined();
    expect(second.isReady()).toBe(false);
    expect(second.status().lost_since).toBe('2026-11-02T10:00:00.000Z');
    await second.signals.put([report(second.clock.now(), { revoked: false }, session)]);
    expect(second.signals.held('session', 's-1')?.map(({ value }) => value)).toEqual([false]);
    await second.acknowledgeLoss();
    const third = await second.restart();
    expect(third.signals.held('session', 'any')).toBeUndefined();
    expect(third.isReady()).toBe(true);
  });

  it('L04 with a key that is damaged itself: nobody knows whose record it was', async () => {
    const first = await testStores();
    first.disk.unreadable = ['signal/garbage.0'];
    const second = await first.restart();
    expect(second.signals.held('subject', 'any')).toEqual(revoked);
    await second.acknowledgeLoss();
    expect(first.disk.unreadable).toEqual([]);
  });
});

describe('time', () => {
  it('is not asked of the real clock', async () => {
    const clock = new FakeClock(0);
    const { signals } = await testStores({}, clock);
    await signals.put([report(epochMs(-1), { note: 1 })]);
    expect(signals.held('device', 'node-7')?.[0]?.observedAt).toBe(-1);
  });
});

describe('L02 a revocation that the disk does not answer', () => {
  const agent = 'spiffe://acme.example/agent/report-bot';
  const held = (stores: TestStores): JsonObject =>
    Object.fromEntries((stores.signals.held('subject', agent) ?? []).map(({ attribute, value }) => [attribute, value]));

  it('holds from when it is reported; what could open does not', async () => {
    const stores = await testStores();
    const now = stores.clock.now();
    const say = (attributes: Signal['attributes'], at = now) =>
      stores.signals.put([report(at, attributes, { kind: 'subject', id: agent })]);
    await say({ risk_level: 'medium', identity_disabled: false });
    const before = { identity_disabled: false, risk_level: 'medium' };
    stores.disk.next = ['hangs', 'hangs', 'refuses'];
    const late = stores.signals.put([
      report(now, { compliant: true }),
      report(later(now, -1), { identity_disabled: true }, { kind: 'subject', id: agent }),
    ]);
    await new Promise((resolve) => setImmediate(resolve));
    // An older report that arrives late changes nothing, on its way to the disk or there.
    expect(held(stores)).toEqual(before);
    const revoked = say({ revoked: true, risk_level: 'low', identity_disabled: false }, later(now, 1));
    expect(held(stores)).toEqual({ ...before, revoked: true });
    expect(stores.signals.held('session', agent)).toBeUndefined();
    // The same list, so that what is derived from it can be kept beside it.
    expect(stores.signals.held('subject', agent)).toBe(stores.signals.held('subject', agent));
    stores.disk.release();
    await late;
    await new Promise((resolve) => setImmediate(resolve));
    expect(held(stores)).toEqual({ ...before, revoked: true });
    stores.disk.release();
    await revoked;
    expect(held(stores)).toEqual({ identity_disabled: false, risk_level: 'low', revoked: true });
    // What the disk refuses is told to the reporter, and is not kept.
    const refused = say({ credential_compromised: true });
    expect(held(stores)).toHaveProperty('credential_compromised', true);
    await expect(refused).rejects.toMatchObject({ code: 'store_failed' });
    expect(held(stores)).not.toHaveProperty('credential_compromised');
  });
});
