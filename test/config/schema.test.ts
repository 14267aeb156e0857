import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import Value from 'typebox/value';
import type { Fault } from '../../src/config/fault.ts';
import { read } from '../../src/config/read.ts';
import { everyPath, fileSchema, memberShape, type Shape } from '../../src/config/shape.ts';

/** Formats are ours, and typebox need not know them; derived members are put in before `read`. */
function withoutFormats(shape: unknown): Shape {
  return JSON.parse(JSON.stringify(shape), (name, value) => (name === 'format' ? undefined : value)) as Shape;
}

const anything = fc.oneof(
  fc.constantFrom<unknown>(
    null,
    true,
    0,
    1,
    -1,
    64,
    1.5,
    5000,
    '',
    'a',
    'x y',
    'info',
    '0660',
    'decision',
    [],
    {},
    ['a'],
    { a: 'b' },
  ),
  fc.jsonValue(),
);

describe('the JSON Schema that is printed', () => {
  it('takes exactly the values that the sidecar’s own reading takes', () => {
    const inFile = new Map(everyPath(fileSchema()));
    // What stands in for a member that is derived is put there before `read`: those two sections differ on purpose.
    const paths = [...everyPath()].filter(([path]) => path !== 'sidecar' && path !== 'bundle');
    let taken = 0;
    fc.assert(
      fc.property(fc.constantFrom(...paths), anything, ([path, shape], value) => {
        const faults: Fault[] = [];
        read(withoutFormats(shape), value, path, faults);
        expect(Value.Check(withoutFormats(inFile.get(path)), value)).toBe(faults.length === 0);
        taken += faults.length === 0 ? 1 : 0;
      }),
      { numRuns: 2000 },
    );
    expect(taken).toBeGreaterThan(60);
  }, 30_000);

  it('asks for no more than a file must name', () => {
    const schema = fileSchema();
    expect(schema.required).toEqual(['bundle', 'store', 'record']);
    expect(memberShape(schema, 'bundle')?.required).toEqual([]);
    expect(memberShape(schema, 'sidecar')?.required).toEqual([]);
  });

  it('describes every key', () => {
    const silent = [...everyPath()].filter(([, shape]) => (shape.description ?? '') === '').map(([path]) => path);
    expect(silent).toEqual([]);
  });

  it('has both ends for every number, and an end for every text and list', () => {
    const open: string[] = [];
    for (const [path, shape] of everyPath()) {
      if (shape.type === 'integer' && (shape.minimum === undefined || shape.maximum === undefined)) open.push(path);
      if (shape.type === 'array' && shape.maxItems === undefined) open.push(path);
      if (shape.patternProperties !== undefined && shape.maxProperties === undefined) open.push(path);
      const bounded = shape.maxLength !== undefined || /\{0,\d+\}\$$|\{3\}\$$|\{64\}\$$/.test(shape.pattern ?? '');
      if (shape.type === 'string' && shape.enum === undefined && !bounded) open.push(path);
    }
    expect(open).toEqual([]);
  });
});
