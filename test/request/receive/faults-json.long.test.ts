import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type JsonObject, member } from '../../../src/domain/json-value.ts';
import { scanJson } from '../../../src/text/scan-json.ts';
import { BothGates, permits, post, ways } from '../../support/both-gates.ts';
import { opaCommand } from '../../support/compile-policy.ts';
import { agent, asked, Testbed } from '../../support/testbed.ts';
import type { ScanCosts } from './scan-costs.ts';
import { unkindBodies } from './unkind-bodies.ts';

let gates: BothGates;
/** Says back what the policy was shown. */
let echo: Testbed;

beforeAll(async () => {
  gates = await BothGates.stand({ limits: { bodyBytes: 1_048_576 } });
  echo = await Testbed.open({ policy: 'echo', entrypoints: ['authz/decision', 'echo/shown', 'echo/said'] });
}, 60_000);

afterAll(async () => {
  await gates.close();
  await echo.close();
});

/** Refused on every way in, on its own or as OPA's input, with one code and one status. */
async function refusedEverywhere(body: string | Uint8Array, code: string, wraps = true): Promise<void> {
  for (const way of ways) {
    const sent = typeof body === 'string' && wraps ? way.wrapped(body) : body;
    await gates.refuses(async (port) => [await post(port, way.path, sent)], { status: 400, code });
  }
}

/** What the policy sees for a query, as text. */
async function shown(context: string): Promise<string> {
  const body = `{"input":{"subject":{"type":"agent","id":${JSON.stringify(agent)}},"context":${context}}}`;
  const answer = await echo.ask(body, { surface: 'opa', entrypoint: 'echo/said' });
  expect(answer.status).toBe(200);
  return answer.body;
}

describe('J01 a body that is no JSON document', () => {
  it.each([
    ['blanks', ' \n\t ', 'body_not_json'],
    ['NaN', asked().replace('"read"', 'NaN'), 'body_not_json'],
    ['Infinity', asked().replace('"read"', '-Infinity'), 'body_not_json'],
    ['a comment', `${asked()}// CANARY`, 'body_not_json'],
    ['a comment inside', asked().replace('{"type"', '{/*CANARY*/"type"'), 'body_not_json'],
    ['a trailing comma', asked().replace('"}}', '"},}'), 'body_not_json'],
    ['two documents', `${asked()}${asked()}`, 'body_not_json'],
    ['two documents on two lines', `${asked()}\n${asked()}`, 'body_not_json'],
    ['single quotes', asked().replaceAll('"', "'"), 'body_not_json'],
    ['a word', 'CANARY', 'body_not_json'],
    ['a cut document', asked().slice(0, -1), 'body_not_json'],
    ['a raw line break in a string', asked().replace('read', 're\nad'), 'body_not_json'],
    ['a NUL behind it', `${asked()}\u0000`, 'body_not_json'],
  ])('J01 is refused: %s', async (_what, body, code) => {
    await refusedEverywhere(body, code, false);
  });

  it.each([
    ['an array', `[${asked()}]`],
    ['a string', '"CANARY"'],
    ['a number', '1'],
    ['null', 'null'],
    ['true', 'true'],
  ])('J01 is refused where an object is due: %s', async (_what, body) => {
    await refusedEverywhere(body, 'body_not_object', false);
  });

  it('J01 is refused when it is empty, except by OPA’s API, where it is no input', async () => {
    for (const path of ['/access/v1/evaluation', '/http/v1/evaluation']) {
      await gates.refuses(async (port) => [await post(port, path, '')], { status: 400, code: 'body_not_json' });
    }
    const answer = await post(gates.ports.shut, '/v1/data/authz/decision', '');
    expect(JSON.parse(answer.body)).toMatchObject({ result: { effect: 'deny' } });
  });
});

describe('J02 a member that stands twice', () => {
  it.each([
    ['at the top', asked().replace('{', `{"subject":{"type":"agent","id":"CANARY"},`)],
    [
      'in the subject',
      asked({ subject: { type: 'agent', id: agent } }).replace('"type":"agent"', '"type":"agent","id":"CANARY"'),
    ],
    ['in properties', asked({ context: {} }).replace('{}', '{"p":{"a":1,"a":2}}')],
    ['deep down', asked({ context: {} }).replace('{}', '{"a":{"b":[{"c":{"d":{"e":1,"e":1}}}]}}')],
    ['once escaped', asked({ context: {} }).replace('{}', '{"a":1,"\\u0061":2}')],
    ['as __proto__', asked({ context: {} }).replace('{}', '{"__proto__":1,"__proto__":2}')],
  ])('J02 is refused: %s', async (_what, body) => {
    await refusedEverywhere(body, 'member_repeated');
  });
});

describe('J03 a member with a name that objects inherit', () => {
  const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', 'valueOf', '__defineGetter__'];

  it('J03 is plain data wherever it stands, and reaches the policy as that', async () => {
    const value = fc.oneof(fc.constant({ isAdmin: true }), fc.jsonValue({ maxDepth: 1 }));
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), value, async (name, inner) => {
        const place = `{${JSON.stringify(name)}:${JSON.stringify(inner)}}`;
        const body = `{"subject":{"type":"agent","id":${JSON.stringify(agent)},"properties":${place},${JSON.stringify(name)}:1},"action":{"name":"read","properties":${place}},"resource":{"type":"t","id":"i","properties":${place}},"context":${place},${JSON.stringify(name)}:${place}}`;
        const answer = await echo.ask(body);
        expect(JSON.parse(answer.body)).toMatchObject({ decision: true, context: { effect: 'constrain' } });
        const said = await echo.ask(`{"input":{"context":${place},${JSON.stringify(name)}:${place}}}`, {
          surface: 'opa',
          entrypoint: 'echo/shown',
        });
        const result = (JSON.parse(said.body) as { result: JsonObject }).result;
        const sent = JSON.parse(place) as JsonObject;
        expect(member(result, 'context')).toEqual(sent);
        expect(member(result, name)).toEqual(sent);
      }),
      { numRuns: 50 },
    );
    expect(Object.prototype).toEqual({});
    expect(({} as { isAdmin?: boolean }).isAdmin).toBeUndefined();
  });

  it('J03 is no required member that was sent', async () => {
    for (const name of names) {
      const body = asked({ subject: undefined }).replace(
        '{',
        `{"${name}":{"subject":{"type":"agent","id":"${agent}"}},`,
      );
      await gates.refuses(async (port) => [await post(port, '/access/v1/evaluation', body)], {
        status: 400,
        code: 'member_missing',
      });
    }
  });
});

describe('J04 nesting', () => {
  const nested = (levels: number): string =>
    asked({ context: {} }).replace('{}', `{"a":${'['.repeat(levels)}${']'.repeat(levels)}}`);

  it('J04 of 64 levels is served, and of 65 refused, the outermost counted', async () => {
    for (const way of ways) {
      const wrapper = way.path.startsWith('/v1/data') ? 1 : 0;
      const answer = await post(gates.ports.open, way.path, way.wrapped(nested(62 - wrapper)));
      expect(answer.status).toBe(200);
      await gates.refuses(async (port) => [await post(port, way.path, way.wrapped(nested(63 - wrapper)))], {
        status: 400,
        code: 'body_too_deep',
      });
    }
  });

  it.each([5_000, 500_000])('J04 of %d levels is refused at the 65th', async (levels) => {
    await refusedEverywhere(nested(levels), 'body_too_deep');
  });

  it('J04 of 5 million levels is refused by its size', async () => {
    await gates.refuses(async (port) => [await post(port, '/access/v1/evaluation', '['.repeat(5_000_000))], {
      status: 413,
      code: 'body_too_large',
    });
  });

  it('J04 a tower of brackets is refused before it is parsed', () => {
    expect(() => scanJson('['.repeat(1_000_000), { depthMax: 64 })).toThrow('body_too_deep at character 65');
  });
});

describe('J05 numbers', () => {
  it('J05 1e400 is refused', async () => {
    for (const number of ['1e400', '-1e400', '1e-400', `1${'0'.repeat(400)}`]) {
      await refusedEverywhere(asked({ context: {} }).replace('{}', `{"n":${number}}`), 'number_out_of_range');
    }
  });

  const digits = fc.stringMatching(/^-?(0|[1-9]\d{0,40})(\.\d{1,40})?([eE][+-]?\d{1,2})?$/);

  it('J05 the record holds the digits that were sent', async () => {
    await fc.assert(
      fc.asyncProperty(digits, async (number) => {
        const body = asked({ context: {} }).replace('{}', `{"n":${number}}`);
        const answer = await echo.ask(body);
        expect(answer.status).toBe(200);
        const line = (await echo.recordText()).trimEnd().split('\n').at(-1) ?? '';
        expect(line).toContain(`"context":{"n":${number}}`);
      }),
      { numRuns: 100 },
    );
  });

  it('J05 the policy sees the number that was sent, and OPA sees the same', async () => {
    const numbers = [
      ...[
        '-0',
        '0.1',
        '1.0',
        '1E2',
        '9007199254740993',
        '-9007199254740993',
        '0.10000000000000000555',
        '123456789012345678901234567890',
        '1e22',
        '4.35',
        '1e-7',
      ],
      ...fc.sample(digits, { numRuns: 100, seed: 5 }),
    ];
    const ours = await shown(`{"n":[${numbers.join()}]}`);
    const directory = await mkdtemp(join(tmpdir(), 'j05-'));
    try {
      const input = join(directory, 'input.json');
      await writeFile(input, `{"n":[${numbers.join()}]}`);
      const { stdout } = await promisify(execFile)(await opaCommand(), [
        'eval',
        '--format',
        'raw',
        '--input',
        input,
        'input.n',
      ]);
      const result = (text: string): readonly string[] =>
        text.replace(/^\{"result":/, '').match(/-?\d[\d.eE+-]*/g) ?? [];
      expect(result(ours).map(decimal)).toEqual(numbers.map(decimal));
      expect(result(stdout).map(decimal)).toEqual(numbers.map(decimal));
    } finally {
      await rm(directory, { recursive: true });
    }
  });
});

/** A number's value as text: sign, digits without zeros at either end, power of ten. */
function decimal(number: string): string {
  const [, sign = '', whole = '', fraction = '', exponent = '0'] =
    /^(-?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(number) ?? [];
  const all = (whole + fraction).replace(/^0+/, '');
  const bare = all.replace(/0+$/, '');
  return bare === '' ? '0' : `${sign}${bare}e${Number(exponent) - fraction.length + all.length - bare.length}`;
}

describe('J06 half a surrogate pair', () => {
  it('J06 is refused in an id, a name and deep in the context', async () => {
    for (const half of ['\\ud800', '\\udc00', '\\udfff\\ud800']) {
      await refusedEverywhere(asked().replace('payroll', `payroll${half}`), 'text_not_unicode');
      await refusedEverywhere(asked({ context: {} }).replace('{}', `{"a":["${half}"]}`), 'text_not_unicode');
      await refusedEverywhere(asked({ context: {} }).replace('{}', `{"${half}":1}`), 'text_not_unicode');
    }
  });

  it('J06 a whole pair is one character, however it is written, to policy and record alike', async () => {
    for (const whole of ['\\ud83d\\ude00', '\ud83d\ude00']) {
      expect(await shown(`{"n":"${whole}"}`)).toBe('{"result":"\ud83d\ude00"}');
    }
  });
});

describe('J07 bytes that are no UTF-8', () => {
  const good = Buffer.from(asked({ context: { n: 'x' } }));
  const withBytes = (bytes: readonly number[]): Buffer => {
    const at = good.indexOf('"x"') + 1;
    return Buffer.concat([good.subarray(0, at), Buffer.from(bytes), good.subarray(at + 1)]);
  };

  it.each([
    ['a byte that no sequence begins with', withBytes([0xff])],
    ['a cut sequence', withBytes([0xe2, 0x82])],
    ['an overlong slash', withBytes([0xc0, 0xaf])],
    ['an overlong NUL', withBytes([0xc0, 0x80])],
    ['a surrogate in three bytes', withBytes([0xed, 0xa0, 0x80])],
    ['a code point past the last one', withBytes([0xf4, 0x90, 0x80, 0x80])],
    ['Latin-1', withBytes([0xe9])],
    ['a byte order mark', Buffer.concat([Buffer.from([0xef, 0xbb, 0xbf]), good])],
    ['UTF-16, big end first', Buffer.concat([Buffer.from([0xfe, 0xff]), Buffer.from(asked(), 'utf16le').swap16()])],
    ['UTF-16, little end first', Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(asked(), 'utf16le')])],
    ['gzip without saying so', Buffer.from([0x1f, 0x8b, 0x08, 0x00])],
  ])('J07 are refused on every way in: %s', async (_what, bytes) => {
    await refusedEverywhere(bytes, 'body_not_utf8');
  });

  it('J07 UTF-16 without a mark is refused as what it is, no JSON', async () => {
    await refusedEverywhere(Buffer.from(asked(), 'utf16le'), 'body_not_json');
    await refusedEverywhere(Buffer.from(asked(), 'utf16le').swap16(), 'body_not_json');
  });
});

describe('J08 names that look alike', () => {
  const alike = [
    ['case', agent.toUpperCase()],
    ['a NUL', `${agent}\u0000`],
    ['a line break', `${agent}\r\n`],
    ['a blank', `${agent} `],
    ['a line separator', `${agent}\u2028`],
    ['a mark that turns the text around', `${agent}\u202e`],
    ['nothing visible', `${agent}\u200b`],
    ['another alphabet', agent.replace('a', '\u0430')],
    ['a composed letter', agent.replace('e', 'e\u0301')],
    ['an encoded letter', agent.replace('a', '%61')],
  ] as const;

  it.each(alike)('J08 are two subjects: by %s', async (_what, id) => {
    await gates.closes((way) => way.wrapped(asked({ subject: { type: 'agent', id } })), 'subject_not_caller');
  });

  it('J08 are never folded or normalised, whichever way they differ', async () => {
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }), async (id) => {
        fc.pre(id !== agent && !/[\ud800-\udfff]/.test(id.replace(/[\ud800-\udbff][\udc00-\udfff]/g, '')));
        const answer = await gates.open.ask(asked({ subject: { type: 'agent', id } }));
        expect(JSON.parse(answer.body)).toMatchObject({
          decision: false,
          context: { reasons: [{ code: 'subject_not_caller' }] },
        });
      }),
    );
  });

  it('J08 reach the policy byte for byte', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', maxLength: 20 }),
        fc.constantFrom('', '\u0000', '\r\n', '\u2028', 'e\u0301'),
        async (text, odd) => {
          const value = `${text}${odd}${text}`;
          expect(JSON.parse(await shown(JSON.stringify({ n: value })))).toEqual({ result: value });
        },
      ),
    );
  });

  it('J08 leave one line each in the record, with nothing a terminal would obey', async () => {
    for (const [, id] of alike) await gates.open.ask(asked({ resource: { type: 't', id: `${id}\u001b[2J\u0085` } }));
    const text = await gates.open.recordText();
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u2028\u2029\u202e\u200b]/);
    for (const line of text.trimEnd().split('\n')) expect(JSON.parse(line)).toHaveProperty('decision_id');
  });
});

describe('J09 bodies that are large in an unkind way', () => {
  const unkindNames = Object.keys(unkindBodies);
  /** Measured in a process of its own, where neither the test runner nor its counting of lines has a share in it. */
  let costs: ScanCosts;
  beforeAll(async () => {
    const program = new URL('./scan-costs.ts', import.meta.url).pathname;
    const { stdout } = await promisify(execFile)(process.execPath, [program], { env: {} });
    costs = JSON.parse(stdout);
  }, 120_000);

  it.each(unkindNames)('J09 cost at most five times a plain one of the same size: %s', (name) => {
    expect(costs.besidePlain[name]).toBeLessThan(5);
  });

  it('J09 cost in proportion to their size, whatever names their members have', () => {
    // Per character; a table whose members collide would take twice as long for each.
    expect(Object.values(costs.wholeBesideHalf).filter((ratio) => !(ratio < 1.7))).toEqual([]);
    expect(Object.keys(costs.wholeBesideHalf)).toHaveLength(3);
  });

  it.each(unkindNames)('J09 are served or refused, and the next caller is served: %s', async (what) => {
    const body = asked({ context: {} }).replace('{}', `{"a":${unkindBodies[what]}}`);
    for (const { name, port } of gates.each()) {
      const answer = await post(port, '/access/v1/evaluation', body);
      expect([200, 413]).toContain(answer.status);
      if (answer.status !== 200) continue;
      // More than the policy may hold in its memory closes, and says so.
      if (answer.body.includes('policy_failed') || answer.body.includes('policy_budget_spent'))
        expect(permits(answer)).toBe(false);
      else expect(permits(answer)).toBe(name === 'open');
    }
    await gates.expectAlive();
  });
});

describe('J10 a member in other letters', () => {
  it.each(['Subject', 'SUBJECT', 'subject ', ' subject', 'subject\u0000'])(
    'J10 is unknown, and the right one is missing: %j',
    async (name) => {
      const body = asked({ subject: undefined, [name]: { type: 'agent', id: agent } });
      for (const path of ['/access/v1/evaluation', '/http/v1/evaluation']) {
        await gates.refuses(async (port) => [await post(port, path, body)], { status: 400, code: 'member_missing' });
      }
    },
  );

  it.each(['Subject', 'SUBJECT', 'subject '])('J10 is ignored beside the right one: %j', async (name) => {
    const answer = await post(
      gates.ports.open,
      '/access/v1/evaluation',
      asked({ [name]: { type: 'agent', id: 'somebody else' } }),
    );
    expect(JSON.parse(answer.body)).toMatchObject({ decision: true });
    expect((await gates.open.recorded()).at(-1)?.input).not.toHaveProperty(name);
  });
});
