import { describe, expect, it } from '@jest/globals';
import type { BundleFacts } from '../../../src/bundle/reading/read-bundle.ts';
import { remember, requireNewer, type Served } from '../../../src/bundle/serving/history.ts';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import { epochMs } from '../../../src/domain/time.ts';

interface Short {
  readonly revision?: string;
  readonly sequence?: number;
  readonly content?: string | undefined;
}

function served(...list: readonly Short[]): readonly Served[] {
  return list.map(({ revision = '', sequence, content }, index) => ({
    revision,
    sequence,
    contentDigest: content,
    at: epochMs(index),
  }));
}

function next({ revision = '', sequence, content }: Short): BundleFacts {
  return {
    revision: bundleRevision(revision),
    roots: [''],
    modules: [],
    sequence,
    contentDigest: content,
    expiresAt: undefined,
  };
}

describe('B11 what may follow what served', () => {
  const two = served({ revision: 'r1', content: 'a' }, { revision: 'r2', content: 'b' });

  it.each<[string, readonly Served[], Short]>([
    ['anything, the first time', [], { revision: 'r1', content: 'a' }],
    ['what is new', two, { revision: 'r3', content: 'c' }],
    ['what serves already, signed anew', two, { revision: 'r2', content: 'b' }],
    ['a higher sequence', served({ sequence: 4, content: 'a' }), { sequence: 5, content: 'b' }],
    ['a sequence where there was none', two, { revision: 'r3', sequence: 1, content: 'c' }],
    [
      'the whole bundle of what deltas led to',
      served({ revision: 'r2', content: undefined }),
      { revision: 'r2', content: 'x' },
    ],
    [
      'the whole bundle of what deltas led to, at the same sequence',
      served({ revision: 'r1', sequence: 1, content: 'a' }, { revision: 'r2', sequence: 2 }),
      { revision: 'r2', sequence: 2, content: 'x' },
    ],
    [
      'a delta after one that a whole bundle replaced',
      served({ revision: 'r1', content: 'a' }, { revision: 'r2' }, { revision: 'r3', content: 'c' }),
      { revision: 'r4' },
    ],
    [
      'a delta after a delta, with a higher sequence',
      served({ revision: 'r1', sequence: 1, content: 'a' }, { revision: 'r2', sequence: 2 }),
      { revision: 'r3', sequence: 3 },
    ],
    ['a bundle without a revision after another', served({ content: 'a' }), { content: 'b' }],
  ])('%s', (_what, before, candidate) => {
    expect(() => requireNewer(next(candidate), before)).not.toThrow();
  });

  it.each<[string, readonly Served[], Short, string]>([
    ['what was replaced', served({ content: 'a' }, { content: 'b' }), { content: 'a' }, 'was replaced since'],
    [
      'the same revision with other bytes',
      two,
      { revision: 'r2', content: 'c' },
      'revision r2 served with other content',
    ],
    [
      'an earlier revision with other bytes',
      two,
      { revision: 'r1', content: 'c' },
      'revision r1 served with other content',
    ],
    ['an earlier revision with its own bytes', two, { revision: 'r1', content: 'a' }, 'was replaced since'],
    [
      'a delta that another replaced',
      served({ revision: 'r1', content: 'a' }, { revision: 'r2' }, { revision: 'r3' }),
      { revision: 'r2' },
      'revision r2 served at 1970-01-01T00:00:00.001Z and was replaced since',
    ],
    [
      'a delta with a lower sequence',
      served({ revision: 'r1', sequence: 1, content: 'a' }, { revision: 'r3', sequence: 3 }),
      { revision: 'r2', sequence: 2 },
      'its sequence is 2, and 3',
    ],
    [
      'the whole bundle of what a delta led to that another replaced',
      served({ revision: 'r1', content: 'a' }, { revision: 'r2' }, { revision: 'r3' }),
      { revision: 'r2', content: 'x' },
      'was replaced since',
    ],
    [
      'a delta without a sequence after one',
      served({ revision: 'r1', sequence: 1, content: 'a' }),
      { revision: 'r2' },
      'no sequence, and 1 served',
    ],
    [
      'a lower sequence',
      served({ sequence: 4, content: 'a' }),
      { sequence: 3, content: 'b' },
      'its sequence is 3, and 4',
    ],
    ['the same sequence', served({ sequence: 4, content: 'a' }), { sequence: 4, content: 'b' }, 'it is older'],
    [
      'a sequence below one that served before a delta without',
      served({ sequence: 9, content: 'a' }, { content: undefined }),
      { sequence: 8, content: 'b' },
      'it is older',
    ],
    ['no sequence after one', served({ sequence: 4, content: 'a' }), { content: 'b' }, 'no sequence, and 4 served'],
  ])('never %s', (_what, before, candidate, why) => {
    expect(() => requireNewer(next(candidate), before)).toThrow(why);
  });

  it('is remembered for long, and not for ever', () => {
    let history: readonly Served[] = [];
    for (let index = 0; index < 5_000; index += 1)
      history = remember(history, served({ content: `c${index}` })[0] as Served);
    expect(history).toHaveLength(4_096);
    expect(history.at(-1)?.contentDigest).toBe('c4999');
    expect(remember(history, served({ content: 'c4999' })[0] as Served)).toBe(history);
  });
});
