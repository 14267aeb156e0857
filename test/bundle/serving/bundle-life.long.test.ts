import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { SigningRule } from '../../../src/bundle/reading/verify-signature.ts';
import type { BundleOptions } from '../../../src/bundle/serving/bundle-slot.ts';
import { BundleSlot, type BundleSlotOptions } from '../../../src/bundle/serving/bundle-slot.ts';
import { BundleKeep } from '../../../src/bundle/serving/kept-bundle.ts';
import { realDisk } from '../../../src/bundle/serving/real-disk.ts';
import { Undecided } from '../../../src/domain/errors.ts';
import { FakeSource } from '../../fakes/fake-source.ts';
import { HeldTimers } from '../../fakes/held-timers.ts';
import { KeptLog } from '../../fakes/kept-log.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { eventually } from '../../support/eventually.ts';
import { archiveLimits, policyLimits } from '../../support/testbed.ts';
import { archiveOf, dataBundle, deltaBundle, filesOf, listed, listedFiles, signed, signingPair } from '../archives.ts';

const unsigned: SigningRule = { required: false, keys: [], scope: undefined };
const entrypoint = 'authz/decision';
const manifest = { revision: 'd1', roots: ['listed'] };

let directory: string;
let clock: TestClock;
let log: KeptLog;
let timers: HeldTimers;
let source: FakeSource;
let dataSource: FakeSource;
let refusals: string[];
let slot: BundleSlot;

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'life-'));
  clock = new TestClock();
  log = new KeptLog();
  timers = new HeldTimers();
  source = new FakeSource(clock);
  dataSource = new FakeSource(clock);
  refusals = [];
  slot = slotWith();
});

afterEach(async () => {
  await slot.close();
  await rm(directory, { recursive: true });
});

function slotWith(change: Partial<BundleSlotOptions> = {}): BundleSlot {
  return new BundleSlot({
    name: 'authz',
    source,
    rollback: false,
    maxAgeMs: undefined,
    entrypoint,
    fileBytesMax: 10_000_000,
    archiveLimits,
    policyLimits,
    clock,
    timers,
    log,
    activated: () => undefined,
    refused: (bundle) => refusals.push(bundle),
    ...change,
  });
}

function dataFeed(change: Partial<BundleOptions> = {}): BundleOptions {
  return {
    name: 'listing',
    source: dataSource,
    signing: unsigned,
    rollback: false,
    deltas: false,
    maxAgeMs: undefined,
    keep: undefined,
    ...change,
  };
}

function keepOf(name: string): BundleKeep {
  return new BundleKeep(join(directory, name), realDisk, 10_000_000);
}

async function reopened(change: Partial<BundleSlotOptions> = {}): Promise<void> {
  await slot.close();
  slot = slotWith(change);
}

/** What an agent is told now: the effect and its tier, or the code of why nothing is. */
function answer(agent = 'a'): string {
  try {
    const { policy } = slot.serving(clock.now());
    const text = policy.evaluate(entrypoint, JSON.stringify({ subject: { id: agent } }));
    const { effect, labels } = JSON.parse(text ?? '{}') as { effect: string; labels?: { tier: string } };
    return labels === undefined ? effect : `${effect} ${labels.tier}`;
  } catch (cause) {
    if (cause instanceof Undecided) return cause.code;
    throw cause;
  }
}

const message = (name = 'authz'): string | undefined => slot.statuses(clock.now()).get(name)?.message;

describe('B11 an older bundle', () => {
  it('is refused once a newer one served, and what serves goes on', async () => {
    const first = await listed({ revision: 'r1', agents: { a: { tier: 'one' } } });
    source.give(first);
    await slot.reload();
    source.give(await listed({ revision: 'r2', agents: { a: { tier: 'two' } } }));
    await slot.reload();
    expect(answer()).toBe('allow two');
    source.give(first);
    await slot.reload();
    // Another of the server's machines, not yet up to date: it is told that what it has was replaced.
    expect(source.asked.at(-1)?.etags).toHaveLength(2);
    expect(message()).toBeUndefined();
    clock.advance(300_000);
    await slot.reload();
    expect(answer()).toBe('allow two');
    expect(message()).toMatch(/revision r1 served at .* and was replaced since/);
    expect(refusals).toEqual(['authz']);
    expect(log.of('error')).toEqual(['a bundle was refused; revision r2 serves on']);
  });

  it('is refused with the revision that serves and other bytes, too, and with a lower sequence', async () => {
    source.give(await listed({ revision: 'r7', postern: { sequence: 7 }, agents: { a: { tier: 'one' } } }));
    await slot.reload();
    source.give(await listed({ revision: 'r7', postern: { sequence: 8 }, agents: { a: { tier: 'forged' } } }));
    await slot.reload();
    expect(message()).toContain('revision r7 served with other content');
    source.give(await listed({ revision: 'r6', postern: { sequence: 6 }, agents: { a: { tier: 'old' } } }));
    await slot.reload();
    expect(message()).toContain('its sequence is 6, and 7 served before');
    expect(answer()).toBe('allow one');
  });

  it('is taken where that is allowed by name', async () => {
    await reopened({ rollback: true });
    const first = await listed({ revision: 'r1', agents: { a: { tier: 'one' } } });
    for (const bytes of [first, await listed({ revision: 'r2' }), first]) {
      source.give(bytes);
      await slot.reload();
    }
    expect(answer()).toBe('allow one');
    expect(slot.status(clock.now()).active_revision).toBe('r1');
  });

  it('is refused after a restart as well: what served is remembered', async () => {
    await reopened({ keep: keepOf('authz') });
    const first = await listed({ revision: 'r1' });
    source.give(first);
    await slot.reload();
    source.give(await listed({ revision: 'r2', agents: { a: { tier: 'two' } } }));
    await slot.reload();
    await reopened({ keep: keepOf('authz') });
    await slot.restore();
    source.give(first);
    await slot.reload();
    expect(answer()).toBe('allow two');
    expect(message()).toContain('revision r1 served');
  });
});

describe('B11 the age of a bundle', () => {
  it('grows while a server says that nothing changed, and the bundle is fetched whole before its time is over', async () => {
    await reopened({ maxAgeMs: 100_000 });
    source.give(await listed({ agents: { a: { tier: 'one' } } }), '"e"');
    await slot.reload();
    clock.advance(50_000);
    await slot.reload();
    expect(source.asked.at(-1)?.etags).toEqual(['"e"']);
    expect(slot.status(clock.now()).age_s).toBe(50);
    clock.advance(1);
    await slot.reload();
    expect(source.asked.at(-1)?.etags).toEqual([]);
    expect(slot.status(clock.now()).age_s).toBe(0);
    expect(slot.serving(clock.now()).currentAt).toBe(clock.now());
  });

  it('closes the gate where a server says for ever that nothing changed', async () => {
    await reopened({ maxAgeMs: 100_000 });
    source.give(await listed({ agents: { a: { tier: 'one' } } }), '"e"');
    await slot.reload();
    source.isStuck = true;
    for (let minute = 0; minute < 2; minute += 1) {
      clock.advance(50_000);
      await slot.reload();
    }
    expect(answer()).toBe('allow one');
    expect(slot.isReady(clock.now())).toBe(true);
    clock.advance(1);
    await slot.reload();
    expect(answer()).toBe('bundle_too_old');
    expect(slot.isReady(clock.now())).toBe(false);
    source.isStuck = false;
    await slot.reload();
    expect(answer()).toBe('allow one');
  });

  it('ends with its signature, whoever goes on delivering it', async () => {
    const pair = signingPair();
    const exp = clock.now() / 1_000 + 60;
    source.give(archiveOf(await signed(await unslashed({ agents: { a: { tier: 'one' } } }), pair, { exp })));
    const keys = [{ id: 'k', algorithm: pair.algorithm, key: pair.publicKey }];
    await reopened({ signing: { required: true, keys, scope: undefined } });
    await slot.reload();
    clock.advance(60_000);
    expect(answer()).toBe('allow one');
    clock.advance(1);
    await slot.reload();
    expect(answer()).toBe('bundle_too_old');
    expect(() => slot.serving(clock.now())).toThrow('the signature of bundle authz has ended');
    await reopened({ signing: { required: true, keys, scope: undefined } });
    await slot.reload();
    expect(message()).toContain('its signature has ended');
  });
});

/** As `opa sign` is shown them: names without a slash before them. */
async function unslashed(options: Parameters<typeof listedFiles>[0]): Promise<Record<string, string | Uint8Array>> {
  return Object.fromEntries(Object.entries(await listedFiles(options)).map(([name, bytes]) => [name.slice(1), bytes]));
}

describe('a source that fails', () => {
  it('is told once, asked again with a pause, and forgiven when it is back', async () => {
    source.give(await listed({ agents: { a: { tier: 'one' } } }));
    await slot.reload();
    slot.watch(undefined);
    source.isDown = true;
    await eventually(() => timers.pending.length > 0);
    for (let attempt = 0; attempt < 3; attempt += 1) {
      const before = source.asked.length;
      timers.advance(60_000);
      await eventually(() => source.asked.length > before && timers.pending.some((ms) => ms === 60_000));
    }
    expect(source.fetches.map(({ failures }) => failures)).toEqual(expect.arrayContaining([1, 2, 3]));
    expect(refusals).toEqual(['authz']);
    expect(message()).toBe('the server cannot be reached: ECONNREFUSED');
    expect(answer()).toBe('allow one');
    source.isDown = false;
    const before = source.asked.length;
    timers.advance(60_000);
    await eventually(() => source.asked.length > before && message() === undefined);
  });

  it('says its HTTP status', async () => {
    await slot.reload();
    expect(slot.status(clock.now())).toMatchObject({ code: 'bundle_invalid', http_code: 404 });
  });
});

describe('a restart', () => {
  const keep = (): Partial<BundleSlotOptions> => ({ keep: keepOf('authz') });

  beforeEach(async () => {
    await reopened(keep());
    source.give(await listed({ agents: { a: { tier: 'one' } } }), '"e"');
    await slot.reload();
  });

  it('serves the last good one while the server is away, as old as it is', async () => {
    await slot.close();
    clock.advance(3_600_000);
    source.isDown = true;
    slot = slotWith(keep());
    await slot.restore();
    expect(answer()).toBe('allow one');
    expect(slot.status(clock.now())).toMatchObject({ active_revision: 'r1', age_s: 3_600 });
    source.isDown = false;
    await slot.reload();
    expect(source.asked.at(-1)?.etags).toEqual(['"e"']);
    expect(slot.status(clock.now())).not.toHaveProperty('code');
  });

  it('B16 serves nothing from a copy that is damaged, says so, and is mended by the server', async () => {
    await slot.close();
    const folder = join(directory, 'authz');
    for (const name of await readdir(folder)) {
      if (name.endsWith('.tar.gz')) await writeFile(join(folder, name), 'damaged');
    }
    slot = slotWith(keep());
    await slot.restore();
    expect(answer()).toBe('no_bundle');
    expect(log.of('error')).toEqual(['the kept copy of a bundle cannot be used']);
    await slot.reload();
    expect(answer()).toBe('allow one');
    await reopened(keep());
    await slot.restore();
    expect(answer()).toBe('allow one');
  });

  it('B16 remembers what served by a copy that is damaged: an older bundle does not come back for it', async () => {
    const folder = join(directory, 'authz');
    const old = await listed({ agents: { a: { tier: 'one' } } });
    source.give(await listed({ revision: 'r9', agents: { a: { tier: 'nine' } } }), '"nine"');
    await slot.reload();
    await slot.close();
    for (const name of await readdir(folder)) {
      if (name.endsWith('.tar.gz')) await writeFile(join(folder, name), 'damaged');
    }
    slot = slotWith(keep());
    await slot.restore();
    source.give(old);
    await slot.reload();
    expect(answer()).toBe('no_bundle');
    expect(message()).toContain('was replaced since');
  });

  it('verifies the copy again: one that is not signed by today’s keys does not serve', async () => {
    const pair = signingPair();
    await reopened({
      ...keep(),
      signing: {
        required: true,
        keys: [{ id: 'k', algorithm: pair.algorithm, key: pair.publicKey }],
        scope: undefined,
      },
    });
    await slot.restore();
    expect(answer()).toBe('no_bundle');
    expect(log.text()).toContain('is not signed');
  });

  it('B16 goes on serving when nothing can be kept, and says so', async () => {
    let failures = 0;
    await slot.close();
    await rm(join(directory, 'authz'), { recursive: true });
    await writeFile(join(directory, 'authz'), 'a file in the way');
    slot = slotWith({
      ...keep(),
      keepFailed: () => {
        failures += 1;
      },
    });
    await slot.restore();
    await slot.reload();
    expect(answer()).toBe('allow one');
    await eventually(() => failures === 1);
    expect(log.of('error')).toContain('the bundle that serves could not be kept for a restart');
  });
});

describe('B13 a bundle’s own samples', () => {
  const sample = (expect_: unknown, id = 'a'): unknown => ({
    name: 'a may',
    input: { subject: { id } },
    expect: expect_,
  });
  const agents = { a: { tier: 'one' } };

  it('are answered as it says, or it does not serve', async () => {
    source.give(await listed({ agents, samples: [sample({ effect: 'allow' }), sample({ effect: 'deny' }, 'b')] }));
    await slot.reload();
    expect(answer()).toBe('allow one');
    source.give(await listed({ revision: 'r2', agents: {}, samples: [sample({ effect: 'allow' })] }));
    await slot.reload();
    expect(answer()).toBe('allow one');
    expect(message()).toMatch(
      /^the sample "a may" is answered \{.*"effect":"deny"\}, and \{"effect":"allow"\} is expected$/,
    );
  });

  it('stand in the manifest where other files do not come along', async () => {
    source.give(await listed({ agents, postern: { samples: [sample({ labels: { tier: 'two' } })] } }));
    await slot.reload();
    expect(message()).toContain('the sample "a may" is answered');
  });

  it.each([
    ['no list', {}],
    ['an unknown member', [{ inptu: {} }]],
    ['a time that is none', [{ input: {}, now: 'today' }]],
  ])('are refused when malformed: %s', async (_what, samples) => {
    source.give(await listed({ samples: samples as unknown[] }));
    await slot.reload();
    expect(answer()).toBe('no_bundle');
    expect(message()).toContain('samples.json');
  });

  it('are about an entrypoint that there is, or expect nothing', async () => {
    const elsewhere = { entrypoint: 'no/such', input: {} };
    source.give(await listed({ samples: [elsewhere] }));
    await slot.reload();
    expect(answer()).toBe('deny');
    source.give(await listed({ revision: 'r2', samples: [{ ...elsewhere, expect: { effect: 'allow' } }] }));
    await slot.reload();
    expect(message()).toContain('is answered nothing');
  });
});

describe('a slot that is closed while a bundle is prepared', () => {
  it('waits for none of it, and calls nothing refused', async () => {
    const files = await filesOf(await compilePolicy('budget', ['budget/quiet', 'budget/loops']));
    // Some ten seconds of work, in little memory.
    const samples = Array.from({ length: 200 }, () => ({ entrypoint: 'budget/loops', input: { n: 18 }, expect: 0 }));
    await reopened({ entrypoint: 'budget/quiet' });
    source.give(archiveOf({ ...files, 'samples.json': JSON.stringify(samples) }));
    const reload = slot.reload();
    await eventually(() => timers.pending.includes(60_000));
    const before = performance.now();
    await slot.close();
    await reload;
    expect(performance.now() - before).toBeLessThan(5_000);
    expect(refusals).toEqual([]);
    expect(log.of('error')).toEqual([]);
    // Nor is anything begun again.
    expect(timers.pending).toEqual([]);
  }, 30_000);
});

describe('samples of a policy that asks outside', () => {
  const url = 'http://192.0.2.1/list';
  const operands = JSON.stringify([{ url, method: 'get' }]);
  const reply = { status: '200 OK', status_code: 200, headers: {}, raw_body: '{"blocked":false}' };
  const headers = { 'content-type': ['application/json'] };
  const sampleWith = (cache?: object, effect = 'allow'): object => ({
    name: 'asks',
    entrypoint: 'blocked/decision',
    input: { context: { request: { method: 'get', url } } },
    expect: { effect },
    ...(cache && { nd_builtin_cache: cache }),
  });

  async function given(...samples: readonly object[]): Promise<string | undefined> {
    await reopened({ policyLimits: { ...policyLimits, outside: ['http.send', 'net.lookup_ip_addr'] } });
    const files = await filesOf(await compilePolicy('outside', ['authz/decision', 'blocked/decision']));
    source.give(archiveOf({ ...files, 'samples.json': JSON.stringify(samples) }));
    await slot.reload();
    return message();
  }

  it('are answered by the replies in them, and nobody is asked', async () => {
    expect(await given(sampleWith({ 'http.send': { [operands]: { ...reply, headers } } }))).toBeUndefined();
    const blocked = { ...reply, headers, raw_body: '{"blocked":true}' };
    expect(await given(sampleWith({ 'http.send': { [operands]: blocked } }, 'deny'))).toBeUndefined();
    expect(await given(sampleWith({ 'http.send': { [operands]: blocked } }))).toContain(
      'the sample "asks" is answered',
    );
  });

  it('are refused where a reply is missing, or cannot be read', async () => {
    expect(await given(sampleWith())).toBe(
      `the sample "asks" asks http.send GET ${url}, for which its nd_builtin_cache holds no reply`,
    );
    expect(await given(sampleWith({ 'http.send': { 'no JSON': reply } }))).toContain('operands that are no JSON');
  });
});

describe('B05 an entrypoint that was there before', () => {
  it('is missed, unless the bundle says that it is gone on purpose', async () => {
    const files = await listedFiles();
    const manifestText = JSON.parse(String(files['/.manifest'])) as { wasm: object[] };
    await slot.reload();
    // A policy whose module has fewer entrypoints than the one before.
    source.give(await compilePolicy('echo', ['authz/decision', 'echo/shown']));
    await slot.reload();
    expect(slot.serving(clock.now()).policy.entrypoints.has('echo/shown')).toBe(true);
    source.give(archiveOf(files));
    await slot.reload();
    expect(message()).toContain('the entrypoint echo/shown is gone');
    const retired = JSON.stringify({ ...manifestText, metadata: { postern: { retired: ['echo/shown'] } } });
    source.give(archiveOf({ ...files, '/.manifest': retired }));
    await slot.reload();
    expect(answer()).toBe('deny');
    expect(message()).toBeUndefined();
  });
});

/** Roots and entrypoints of its own, so that nothing overlaps. */
async function otherPolicy(): Promise<Buffer> {
  const files = await filesOf(await compilePolicy('echo', ['echo/shown']));
  const said = JSON.parse(String(files['.manifest'])) as object;
  return archiveOf({
    'policy.wasm': files['policy.wasm'] ?? '',
    '.manifest': JSON.stringify({ ...said, roots: ['echo'] }),
  });
}

describe('several bundles', () => {
  const policyOnly = { revision: 'r1', roots: ['authz'] };

  beforeEach(() => reopened({ data: [dataFeed()] }));

  it('serve when all of them are there, in whatever order they come', async () => {
    source.give(await listed(policyOnly));
    await slot.reload();
    expect(answer()).toBe('no_bundle');
    expect(log.of('info')).toEqual(['a bundle waits for others']);
    dataSource.give(dataBundle({ listed: { agents: { a: { tier: 'data' } } } }, manifest));
    await slot.reload();
    expect(answer()).toBe('allow data');
    expect(slot.serving(clock.now()).dataBundlesText).toBe(',"listing":{"revision":"d1"}');
    expect([...slot.serving(clock.now()).bundles]).toEqual([
      ['authz', { revision: 'r1', currentAt: clock.now() }],
      ['listing', { revision: 'd1', currentAt: clock.now() }],
    ]);
  });

  it('change one by one, and are as old as the oldest', async () => {
    source.give(await listed(policyOnly));
    dataSource.give(dataBundle({ listed: { agents: { a: { tier: 'data' } } } }, manifest));
    await slot.reload();
    const began = clock.now();
    clock.advance(5_000);
    dataSource.give(dataBundle({ listed: { agents: { b: { tier: 'new' } } } }, { ...manifest, revision: 'd2' }));
    await slot.reload();
    expect([answer('a'), answer('b')]).toEqual(['deny', 'allow new']);
    expect(slot.serving(clock.now()).revision).toBe('r1');
    expect(slot.serving(clock.now()).bundles.get('listing')?.revision).toBe('d2');
    expect(slot.serving(clock.now()).currentAt).toBe(began);
  });

  it('B05 may not overlap: both are named', async () => {
    source.give(await listed({ roots: ['authz', 'listed'] }));
    dataSource.give(dataBundle({ listed: {} }, manifest));
    await slot.reload();
    expect(answer()).toBe('no_bundle');
    expect(message('listing')).toBe('it overlaps with authz: it gives data.listed, authz data.listed');
    source.give(await listed({ revision: 'r2', roots: [''] }));
    await slot.reload();
    expect(message('listing')).toContain('it overlaps with authz: it gives data.listed, authz all of data');
  });

  it.each([
    ['a policy in both', () => otherPolicy(), 'it holds a policy, and so does authz'],
    ['data outside of its roots', async () => dataBundle({ stray: 1 }, manifest), 'data.stray stands outside'],
    ['no data at all', async () => archiveOf({ '.manifest': '{"roots":["listed"]}' }), 'holds no policy.wasm'],
    ['a policy that is not compiled', async () => archiveOf({ 'p.rego': 'package p' }), 'opa build -t wasm'],
  ])('refuse %s', async (_what, bytes, why) => {
    source.give(await listed(policyOnly));
    dataSource.give(dataBundle({ listed: { agents: { a: { tier: 'data' } } } }, manifest));
    await slot.reload();
    dataSource.give(await bytes());
    await slot.reload();
    expect(message('listing')).toContain(why);
    expect(answer()).toBe('allow data');
    expect(refusals).toEqual(['listing']);
  });

  it('fit together or not: what did not fit is tried again when the other has changed', async () => {
    source.give(await listed(policyOnly));
    dataSource.give(dataBundle({ listed: { agents: { a: { tier: 'data' } } } }, manifest));
    await slot.reload();
    const sample = { name: 'b may', input: { subject: { id: 'b' } }, expect: { effect: 'allow' } };
    source.give(await listed({ ...policyOnly, revision: 'r2', samples: [sample] }));
    await slot.reload();
    expect(message()).toContain('the sample "b may"');
    dataSource.give(dataBundle({ listed: { agents: { b: { tier: 'new' } } } }, { ...manifest, revision: 'd2' }));
    await slot.reload();
    await eventually(() => slot.serving(clock.now()).revision === 'r2');
    expect(answer('b')).toBe('allow new');
    expect(message()).toBeUndefined();
  });

  it('come back together after a restart', async () => {
    const kept = (): Partial<BundleSlotOptions> => ({
      keep: keepOf('authz'),
      data: [dataFeed({ keep: keepOf('listing') })],
    });
    await reopened(kept());
    source.give(await listed(policyOnly));
    dataSource.give(dataBundle({ listed: { agents: { a: { tier: 'data' } } } }, manifest));
    await slot.reload();
    await reopened(kept());
    await slot.restore();
    expect(answer()).toBe('allow data');
    await rm(join(directory, 'listing'), { recursive: true });
    await reopened(kept());
    await slot.restore();
    expect(answer()).toBe('no_bundle');
    await slot.reload();
    expect(answer()).toBe('allow data');
  });
});

describe('B10 a delta', () => {
  const roots = ['authz', 'listed'];
  const patch = (op: string, path: string, value?: unknown): unknown => ({
    op,
    path,
    ...(value !== undefined && { value }),
  });
  const whole = (revision: string, agents: Readonly<Record<string, { tier: string }>>) => listed({ revision, agents });

  beforeEach(async () => {
    await reopened({ deltas: true, keep: keepOf('authz') });
    source.give(await whole('r1', { a: { tier: 'one' }, b: { tier: 'one' } }), '"e1"');
    await slot.reload();
  });

  it('changes the data and nothing else, and is there after a restart', async () => {
    const delta = deltaBundle(
      [
        patch('upsert', '/listed/agents/c~1d', { tier: 'added' }),
        patch('replace', 'listed/agents/a/tier', 'changed'),
        patch('remove', '/listed/agents/b'),
      ],
      { revision: 'r2', roots },
    );
    source.giveDelta(delta, await whole('r2', {}), '"e2"');
    await slot.reload();
    expect([answer('a'), answer('b'), answer('c/d')]).toEqual(['allow changed', 'deny', 'allow added']);
    expect(slot.status(clock.now())).toMatchObject({ active_revision: 'r2', type: 'delta' });
    expect(source.asked.at(-1)).toMatchObject({ etags: ['"e1"'], deltas: true });
    await reopened({ deltas: true, keep: keepOf('authz') });
    await slot.restore();
    expect([answer('a'), answer('b'), answer('c/d')]).toEqual(['allow changed', 'deny', 'allow added']);
    expect(slot.serving(clock.now()).revision).toBe('r2');
    await slot.reload();
    expect(source.asked.at(-1)?.etags).toEqual(['"e2"']);
  });

  it.each<[string, () => Buffer, string]>([
    ['with an empty list', () => deltaBundle([], { revision: 'r2', roots }), 'holds no patch'],
    [
      'for other roots',
      () => deltaBundle([patch('upsert', '/listed/x', 1)], { revision: 'r2', roots: ['listed'] }),
      'for other roots',
    ],
    [
      'outside of its roots',
      () => deltaBundle([patch('upsert', '/x', 1)], { revision: 'r2', roots }),
      'outside of the bundle',
    ],
    ['of all data', () => deltaBundle([patch('upsert', '/', {})], { revision: 'r2', roots }), 'is all of data'],
    [
      'of something that is not there',
      () => deltaBundle([patch('upsert', '/listed/x', 1), patch('replace', '/listed/y', 1)], { revision: 'r2', roots }),
      'there is no data.listed.y to replace',
    ],
    [
      'through something that is no object',
      () => deltaBundle([patch('upsert', '/listed/agents/a/tier/x', 1)], { revision: 'r2', roots }),
      'leads through a value that is not an object',
    ],
    [
      'with an unknown op',
      () => deltaBundle([patch('move', '/listed/x', 1)], { revision: 'r2', roots }),
      'has to have an op',
    ],
    [
      'with a path of a page and more',
      () => deltaBundle([patch('upsert', `/listed/${'x'.repeat(65_529)}`, 1)], { revision: 'r2', roots }),
      'its path has 65537 characters',
    ],
    ['without a value', () => deltaBundle([patch('upsert', '/listed/x')], { revision: 'r2', roots }), 'has no value'],
    [
      'that calls itself what serves already',
      () => deltaBundle([patch('upsert', '/listed/x', 1)], { revision: 'r1', roots }),
      'does not call it another',
    ],
    ['without a revision', () => deltaBundle([patch('upsert', '/listed/x', 1)], { roots }), 'has no revision'],
    [
      'for another policy',
      () =>
        deltaBundle([patch('upsert', '/listed/x', 1)], {
          revision: 'r2',
          roots,
          wasm: [{ entrypoint: 'authz/other', module: '/policy.wasm' }],
        }),
      'for other modules or entrypoints',
    ],
    [
      'with more than its patches',
      () =>
        archiveOf({
          '.manifest': JSON.stringify({ revision: 'r2', roots }),
          'patch.json': '{"data":[{"op":"upsert","path":"/listed/x","value":1}]}',
          'data.json': '{}',
        }),
      'holds patches and nothing else',
    ],
  ])('%s is refused, the data stays, and the bundle is asked for whole', async (_what, delta, why) => {
    source.giveDelta(delta(), await whole('r3', { a: { tier: 'whole' } }), '"e3"');
    await slot.reload();
    expect(message()).toContain(why);
    expect([answer('a'), answer('b')]).toEqual(['allow one', 'allow one']);
    await slot.reload();
    expect(source.asked.at(-1)).toMatchObject({ etags: [], deltas: false });
    expect(answer('a')).toBe('allow whole');
    expect(message()).toBeUndefined();
  });

  it('V01 is refused where a signature is required', async () => {
    const pair = signingPair();
    const keys = [{ id: 'k', algorithm: pair.algorithm, key: pair.publicKey }];
    await reopened({ deltas: true, signing: { required: true, keys, scope: undefined } });
    source.give(archiveOf(await signed(await unslashed({ agents: { a: { tier: 'signed' } } }), pair)), '"s1"');
    await slot.reload();
    expect(answer()).toBe('allow signed');
    const delta = deltaBundle([patch('upsert', '/listed/agents/a/tier', 'forged')], { revision: 'r2', roots });
    source.giveDelta(delta, Buffer.from('whole'), '"s2"');
    await slot.reload();
    expect(message()).toBe('the bundle is a delta, which cannot be signed, and it has to be');
    expect(answer()).toBe('allow signed');
  });

  it('by itself is no bundle', async () => {
    await reopened();
    source.give(deltaBundle([patch('upsert', '/listed/x', 1)], { revision: 'r2', roots }));
    await slot.reload();
    expect(message()).toBe('a delta bundle cannot be activated by itself');
  });

  it('follows a delta for as long as they are few; then the bundle is asked for whole', async () => {
    for (let index = 2; index <= 66; index += 1) {
      const delta = deltaBundle([patch('upsert', '/listed/agents/a/tier', `t${index}`)], {
        revision: `r${index}`,
        roots,
      });
      source.giveDelta(delta, await whole(`r${index}`, { a: { tier: `w${index}` } }), `"e${index}"`);
      await slot.reload();
      expect(answer()).toBe(index === 66 ? 'allow w66' : `allow t${index}`);
    }
    await slot.close(); // what serves is kept behind it
    expect(await readdir(join(directory, 'authz'))).toHaveLength(2);
  }, 60_000);
});
