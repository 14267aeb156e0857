import { describe, expect, it } from '@jest/globals';
import { Undecided } from '../../../src/domain/errors.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { type MaskedOrDropped, maskAndDrop } from '../../../src/request/record/mask-and-drop.ts';

const now = epochMs(0);

function masked(event: string, mask: readonly unknown[] | undefined): MaskedOrDropped {
  const text = mask === undefined ? undefined : JSON.stringify(mask);
  return maskAndDrop(`${event}\n`, { mask: () => text, drop: undefined }, now, 'd');
}

describe('an event that is masked', () => {
  it('keeps every digit, and every member in its place', () => {
    const event =
      '{"decision_id":"d","input":{"n":9007199254740993,"secret":"s","m":1.50,"big":1e300},"result": {"x": 0.10, "y": 1}}';
    expect(masked(event, ['/input/secret', '/result/y']).line).toBe(
      '{"decision_id":"d","input":{"n":9007199254740993,"m":1.50,"big":1e300},"result":{"x":0.10},"erased":["/input/secret","/result/y"]}\n',
    );
  });

  it('loses of a list what stood there, however many are named', () => {
    const { line } = masked('{"input":{"list":["a","b","c","d"]}}', [
      '/input/list/0',
      '/input/list/1',
      '/input/list/3',
    ]);
    expect(JSON.parse(line ?? '')).toMatchObject({ input: { list: ['c'] } });
  });

  it('loses of a list of lists what stood there, too', () => {
    const { line } = masked('{"result":[["a","b"],["c"]]}', ['/result/0', '/result/1/0']);
    expect(JSON.parse(line ?? '')).toMatchObject({ result: [[]], erased: ['/result/0', '/result/1/0'] });
  });

  it.each([
    ['a/b', '/input/a~1b'],
    ['a~b', '/input/a~0b'],
    ['a~1b', '/input/a~1b'],
    ['a b%20"', '/input/a b%20"'],
    ['', '/input/'],
    ['__proto__', '/input/__proto__'],
    ['\u202e', '/input/\u202e'],
  ])('loses a member of any name: %j', (name, path) => {
    const event = JSON.stringify({ input: { kept: 1, ['x']: 2 } }).replace('"x"', JSON.stringify(name));
    const { line } = masked(event, [path]);
    expect(JSON.parse(line ?? '')).toEqual({ input: { kept: 1 }, erased: [path] });
    expect(line).not.toContain('\u202e');
  });

  it('is one line without what a terminal would read, whatever a mask puts in', () => {
    const { line } = masked('{"input":{"a":1}}', [{ op: 'upsert', path: '/input/a', value: '\u2028\u202e\u001b\n' }]);
    expect(line).toMatch(/^[ -~]*\n$/);
    expect(JSON.parse(line ?? '')).toMatchObject({ input: { a: '\u2028\u202e\u001b\n' } });
  });

  it('P12 says nothing of a mask that says nothing, or is not defined', () => {
    const event = '{"input":{"a":1}}';
    for (const mask of [undefined, [], ['/input/b', '/result', '/input/a/b']])
      expect(masked(event, mask)).toEqual({ line: `${event}\n`, steps: [], failures: [] });
  });

  it('P12 tells of a part by its code where the mask reached into the result', () => {
    const event =
      '{"input":{},"result":{"a":1},"reasons":[{"code":"c","otherwise":"deny","message":"m","remedy":"r"}],"effect":"deny"}';
    expect(JSON.parse(masked(event, ['/result']).line ?? '')).toEqual({
      input: {},
      reasons: [{ code: 'c', otherwise: 'deny' }],
      effect: 'deny',
      erased: ['/result'],
    });
    expect(JSON.parse(masked(event, [{ op: 'upsert', path: '/input/x', value: 1 }]).line ?? '')).toMatchObject({
      reasons: [{ message: 'm' }],
    });
  });

  it('P12 holds nothing but its codes if the mask cannot be asked', () => {
    const fails = (): never => {
      throw new Undecided('policy_failed', 'CANARY');
    };
    const line =
      '{"decision_id":"d","input":{"a":1},"error":{"code":"policy_failed","message":"CANARY"},"effect":"deny"}\n';
    expect(maskAndDrop(line, { mask: fails, drop: fails }, now, 'd')).toEqual({
      line: '{"decision_id":"d","error":{"code":"policy_failed"},"effect":"deny","erased":["/input"],"mask_error":{"code":"policy_failed"}}\n',
      steps: ['drop_failed', 'mask_failed'],
      failures: [
        { rule: 'drop', code: 'policy_failed' },
        { rule: 'mask', code: 'policy_failed' },
      ],
    });
  });

  it('P12 asks for both by the event as it was, and not for a mask of what is dropped', () => {
    const seen: string[] = [];
    const rule = (name: string, text: string) => (event: string) => {
      seen.push(`${name} ${event.trim()}`);
      return text;
    };
    const event = '{"input":{"a":1}}';
    maskAndDrop(`${event}\n`, { drop: rule('drop', 'false'), mask: rule('mask', '["/input/a"]') }, now, 'd');
    maskAndDrop(`${event}\n`, { drop: rule('drop', 'true'), mask: rule('mask', '["/input/a"]') }, now, 'd');
    expect(seen).toEqual([`drop ${event}`, `mask ${event}`, `drop ${event}`]);
  });
});
