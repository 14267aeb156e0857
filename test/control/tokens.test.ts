import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Tokens } from '../../src/control/tokens.ts';

let directory: string;
let logged: string[];
const line = (message: string, fields?: object): void => {
  logged.push(`${message} ${JSON.stringify(fields)}`);
};
const log = { debug: line, info: line, warn: line, error: line };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'postern-tokens-'));
  logged = [];
});

afterEach(() => rmSync(directory, { recursive: true, force: true }));

const file = (name: string): string => join(directory, name);
const [first, second] = ['CANARY-first-0123456789', 'CANARY-second-0123456789'];

function held(...names: string[]) {
  return Tokens.open(
    names.map((name) => ({ name, file: file(name) })),
    log,
  );
}

describe('tokens', () => {
  it('name their principal', async () => {
    writeFileSync(file('ann'), `${first}\n`);
    writeFileSync(file('bob'), `  ${second}`);
    const tokens = await held('ann', 'bob');
    await expect(tokens.principalOf(`Bearer ${first}`)).resolves.toBe('ann');
    await expect(tokens.principalOf(`Bearer   ${second} `)).resolves.toBe('bob');
  });

  it.each([
    undefined,
    '',
    'Bearer',
    'Bearer ',
    'Bearer x',
    `Basic ${first}`,
    first,
    `Bearer ${first} ${first}`,
    `Bearer "${first}"`,
    `Bearer ${first}\u0000`,
  ])('are not read from %j', async (authorization) => {
    writeFileSync(file('ann'), first);
    await expect((await held('ann')).principalOf(authorization)).resolves.toBeUndefined();
  });

  it('that change count at once, and the one before no more', async () => {
    writeFileSync(file('ann'), first);
    const tokens = await held('ann');
    writeFileSync(file('new'), second);
    renameSync(file('new'), file('ann'));
    await expect(tokens.principalOf(`Bearer ${first}`)).resolves.toBeUndefined();
    await expect(tokens.principalOf(`Bearer ${second}`)).resolves.toBe('ann');
  });

  it.each([
    ['is deleted', () => rmSync(file('ann'))],
    ['is emptied', () => writeFileSync(file('ann'), '')],
    ['holds what is no token', () => writeFileSync(file('ann'), 'two words are no token')],
    ['holds a short one', () => writeFileSync(file('ann'), 'short')],
  ])('count no more when their file %s; that is told once', async (_name, change) => {
    writeFileSync(file('ann'), first);
    const tokens = await held('ann');
    change();
    for (let i = 0; i < 3; i += 1) await expect(tokens.principalOf(`Bearer ${first}`)).resolves.toBeUndefined();
    expect(logged).toHaveLength(1);
    writeFileSync(file('ann'), `${first}  `);
    await expect(tokens.principalOf(`Bearer ${first}`)).resolves.toBe('ann');
    expect(logged).toHaveLength(2);
    expect(logged.join()).not.toMatch(/CANARY|postern-tokens/);
  });

  it('that two hold are nobody’s', async () => {
    writeFileSync(file('ann'), first);
    writeFileSync(file('bob'), second);
    const tokens = await held('ann', 'bob');
    writeFileSync(file('bob'), first);
    await expect(tokens.principalOf(`Bearer ${first}`)).resolves.toBeUndefined();
  });

  it('that cannot be used are all named at the start, without what they hold', async () => {
    writeFileSync(file('ann'), first);
    writeFileSync(file('bob'), `${first}\n`);
    writeFileSync(file('cid'), 'short');
    const refused = held('ann', 'bob', 'cid', 'dan');
    await expect(refused).rejects.toMatchObject({
      code: 'config_invalid',
      faults: [
        expect.stringContaining('bob cannot be used: ann has the same token'),
        expect.stringContaining('cid cannot be used: it has 5 characters'),
        expect.stringContaining('dan cannot be used: ENOENT'),
      ],
    });
    await expect(refused).rejects.not.toThrow(/CANARY|postern-tokens/);
  });
});
