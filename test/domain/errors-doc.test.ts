import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { publicMessages, remedies } from '../../src/domain/errors.ts';

const root = new URL('../..', import.meta.url).pathname;
const page = readFileSync(`${root}docs/errors.md`, 'utf8');

/** A row of one of the page's tables, by the names of its columns. */
type Row = ReadonlyMap<string, string>;

const rows: readonly Row[] = page.split(/^## /m).flatMap((section) => {
  const lines = section.split('\n').filter((line) => line.startsWith('| '));
  const cells = (line: string): readonly string[] => line.slice(2, -2).split(' | ');
  const [head = '', ...body] = lines.filter((line) => !line.startsWith('| --- '));
  return body.map((line) => {
    expect(cells(line)).toHaveLength(cells(head).length);
    return new Map(cells(head).map((name, index) => [name, cells(line)[index] ?? '']));
  });
});

function rowOf(code: string): Row | undefined {
  return rows.find((row) => row.get('code') === `\`${code}\``);
}

/** Statuses that the sources answer a code with. */
function statusesInSources(): ReadonlyMap<string, ReadonlySet<string>> {
  const found = new Map<string, Set<string>>();
  for (const file of readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts')) continue;
    const text = readFileSync(`${root}src/${file}`, 'utf8');
    for (const [, code = '', status = ''] of text.matchAll(
      /(?:RequestRefused|ControlRefused|super)\(\s*'(\w+)',\s*(\d{3})\b/g,
    )) {
      found.set(code, (found.get(code) ?? new Set()).add(status));
    }
  }
  return found;
}

describe('docs/errors.md', () => {
  it('has every code once, and no other', () => {
    const documented = rows.map((row) => row.get('code')?.slice(1, -1));
    expect(documented.toSorted()).toEqual(Object.keys(publicMessages).sort());
  });

  it('has each code’s text as callers read it', () => {
    for (const [code, text] of Object.entries(publicMessages))
      expect([code, rowOf(code)?.get('text')]).toEqual([code, text]);
  });

  it('says what to do about each, in the words of the answer where it has any', () => {
    for (const code of Object.keys(publicMessages)) expect(rowOf(code)?.get('what to do')).toMatch(/\w{3}/);
    for (const [code, remedy] of Object.entries(remedies))
      expect([code, rowOf(code)?.get('what to do')]).toEqual([code, remedy]);
  });

  it('has every status that a code is answered with', () => {
    for (const [code, statuses] of statusesInSources()) {
      expect([code, rowOf(code)?.get('HTTP status')?.split(', ')]).toEqual([code, [...statuses].sort()]);
    }
  });
});
