import { describe, expect, it } from '@jest/globals';
import { anchorsOf, blocksOf, linksOf, shows } from './markdown.ts';

describe('the blocks of a page', () => {
  it('are its fences, with what stands behind them and where', () => {
    const page = 'a\n```sh\nmake run\n```\n\n````text answer\n```\nx\n````\n';
    expect(blocksOf(page)).toEqual([
      { info: 'sh', text: 'make run', line: 2 },
      { info: 'text answer', text: '```\nx', line: 6 },
    ]);
  });

  it('are refused where one is never closed', () => {
    expect(() => blocksOf('```sh\nmake run\n')).toThrow('line 1');
  });
});

describe('an answer as a page shows it', () => {
  it.each([
    ['the same value, written otherwise', 'json', '{"b": [1, "x"], "a": null}', '{"a":null,"b":[1,"x"]}', true],
    ['another number', 'json', '{"a": 1}', '{"a": 2}', false],
    ['a member more', 'json', '{"a": 1}', '{"a": 1, "b": 2}', false],
    ['a member less', 'json', '{"a": 1, "b": 2}', '{"a": 1}', false],
    ['a member that only every object has', 'json', '{"toString": "…"}', '{"x": "y"}', false],
    ['a list in another order', 'json', '[1, 2]', '[2, 1]', false],
    ['anything for a whole value', 'json', '{"a": "…"}', '{"a": {"b": 1}}', true],
    ['anything for a part', 'json', '{"a": "sha256:…"}', '{"a": "sha256:12"}', true],
    ['a part that differs', 'json', '{"a": "sha256:…"}', '{"a": "md5:12"}', false],
    ['a part of something that is no text', 'json', '{"a": "1…"}', '{"a": 12}', false],
    ['the same lines', 'text', 'a\nb', 'a  \nb\n', true],
    ['a line that differs', 'text', 'a\nb', 'a\nc', false],
    ['a line more', 'text', 'a', 'a\nb', false],
    ['a dot that is no wildcard', 'text', 'a.c', 'abc', false],
    [
      'characters that mean something in a pattern',
      'text',
      'a (b) [c] {d} | e-f/g \\ $1',
      'a (b) [c] {d} | e-f/g \\ $1',
      true,
    ],
    ['any number of lines', 'text', 'a\n…\nd', 'a\nb\nc\nd', true],
    ['no line where any number may stand', 'text', 'a\n…\nd', 'a\nd', true],
    ['a line that is missing behind any number', 'text', 'a\n…\nd', 'a\nb', false],
    ['a wildcard within a line', 'text', 'a … c', 'a b c', true],
  ])('is held against the real one: %s', (_name, kind, shown, real, same) => {
    expect(shows(kind, shown, real)).toBe(same);
  });
});

describe('the links of a page', () => {
  it('are those into the repository, outside of code', () => {
    const page = '[a](docs/a.md#b) [w](https://example.org) [c](#here)\n```text\n[no](x)\n```\n';
    expect(linksOf(page)).toEqual(['docs/a.md#b', '#here']);
  });

  it('find headings as GitHub names them', () => {
    expect(anchorsOf('# A b\n## What works, and `what` does not\n')).toEqual(['a-b', 'what-works-and-what-does-not']);
  });
});
