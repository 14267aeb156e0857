import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from '@jest/globals';
import type { BundleFacts } from '../../../src/bundle/reading/read-bundle.ts';
import { BundleState, type Candidate } from '../../../src/bundle/serving/bundle-state.ts';
import { SourceFailed } from '../../../src/bundle/sources/source.ts';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import { BundleRefused } from '../../../src/domain/errors.ts';
import { epochMs } from '../../../src/domain/time.ts';

const now = epochMs(1_793_613_600_000);
const page = readFileSync(join(import.meta.dirname, '../../../docs/architecture.md'), 'utf8');
const candidate: Candidate = { bytes: new Uint8Array(1), digest: 'a'.repeat(64), etag: '"1"', currentAt: now };
const facts = { revision: bundleRevision('r1'), sequence: undefined, contentDigest: 'c', expiresAt: undefined };

let state: BundleState;
beforeEach(() => {
  state = new BundleState({ name: 'b', rollback: true, deltas: false, maxAgeMs: undefined });
});

/** What happens to a bundle, by the name that the picture gives it. */
const events: Readonly<Record<string, (state: BundleState) => unknown>> = {
  offer: (one) => one.offer(candidate),
  withdraw: (one) => one.withdraw(),
  activate: (one) => one.activate(candidate, 'snapshot', facts as unknown as BundleFacts, now),
  'reject: BundleRefused': (one) => one.reject(candidate, new BundleRefused('unfit')),
  'reject: PreparationFailed': (one) => one.reject(candidate, new Error('no thread')),
  'fetchFailed: BundleRefused': (one) => one.fetchFailed(new BundleRefused('too large'), now),
  'fetchFailed: SourceFailed': (one) => one.fetchFailed(new SourceFailed('no route'), now),
  confirm: (one) => one.confirm(now),
};
/** Reached from a new state by these events. */
const ways: Readonly<Record<string, readonly string[]>> = {
  none: [],
  offered: ['offer'],
  rejected: ['offer', 'reject: BundleRefused'],
  untried: ['offer', 'reject: PreparationFailed'],
};
/** Which events can come in a state: only what was offered is withdrawn, activated or rejected. */
const possible = (name: string, event: string): boolean =>
  /^(withdraw|activate|reject)/.test(event) ? name === 'offered' : true;

describe('the states of what came last', () => {
  it('lead from one to another as docs/architecture.md draws them', () => {
    const edges = new Set<string>();
    for (const [name, way] of Object.entries(ways)) {
      for (const [event, happen] of Object.entries(events)) {
        if (!possible(name, event)) continue;
        const one = new BundleState({ name: 'b', rollback: true, deltas: false, maxAgeMs: undefined });
        for (const before of way) events[before]?.(one);
        expect(one.candidate.name).toBe(name);
        happen(one);
        if (one.candidate.name !== name) edges.add(`${name} --> ${one.candidate.name}: ${event.split(':')[0]}`);
      }
    }
    const [, picture = ''] = page.split('stateDiagram-v2').at(1)?.split('state candidate {') ?? [];
    const drawn = [...(picture.split('}')[0] ?? '').matchAll(/(\w+) --> (\w+): (\w+)/g)].map(
      ([, from, to, event]) => `${from} --> ${to}: ${event}`,
    );
    expect(new Set(drawn)).toEqual(edges);
  });

  it('let nothing that waits be called fit to serve once it is rejected', () => {
    state.offer(candidate);
    expect(state.canServe).toBe(true);
    state.reject(candidate, new BundleRefused('unfit'));
    expect([state.canServe, state.isRejected(candidate.digest)]).toEqual([false, true]);
    state.fetchFailed(new SourceFailed('no route'), now);
    expect(state.isRejected(candidate.digest)).toBe(false);
  });

  it('let what was not judged serve with others, and be asked for though it has not changed', () => {
    state.offer(candidate);
    expect(state.wanted(now, false).asked).toBe(false);
    expect(state.reject(candidate, new Error('no thread'))).toBe(false);
    expect([state.canServe, state.wanted(now, false).asked]).toEqual([true, true]);
    expect(state.reject(candidate, new Error('no thread'))).toBe(true);
  });

  it('leave what is active as it is, whatever comes after it', () => {
    state.offer(candidate);
    events['activate']?.(state);
    const active = state.active;
    const next = { ...candidate, digest: 'b'.repeat(64) };
    state.offer(next);
    state.reject(next, new BundleRefused('unfit'));
    state.fetchFailed(new SourceFailed('no route'), now);
    expect(state.active).toBe(active);
    expect(state.isActive(candidate.digest)).toBe(true);
  });
});
