import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { readBundle } from '../../../src/bundle/reading/read-bundle.ts';
import { BundleSlot } from '../../../src/bundle/serving/bundle-slot.ts';
import { type Builtin, BuiltinError } from '../../../src/opa/values/builtin.ts';
import { RegoNumber, type Value } from '../../../src/opa/values/value.ts';
import { PolicyModule } from '../../../src/request/evaluate/policy-module.ts';
import { realTimers } from '../../../src/system/real-timers.ts';
import { archiveOf, filesOf } from '../../bundle/archives.ts';
import { KeptLog } from '../../fakes/kept-log.ts';
import { TestClock } from '../../fakes/test-clock.ts';
import { compilePolicy } from '../../support/compile-policy.ts';
import { realOpa } from '../../support/opa.ts';
import { archiveLimits, asked, policyLimits, type RecordedEvent, Testbed } from '../../support/testbed.ts';

const run = promisify(execFile);
const policies = join(import.meta.dirname, '../../policies/builtins');
const entrypoints = ['authz/decision', 'numbers/product', 'numbers/within', 'numbers/least'];

let bundle: Buffer;
let testbeds: Testbed[] = [];

beforeAll(async () => {
  bundle = await compilePolicy('builtins', entrypoints);
}, 60_000);

afterEach(async () => {
  await Promise.all(testbeds.map((bed) => bed.close()));
  testbeds = [];
});

async function policyWith(builtin?: Builtin): Promise<PolicyModule> {
  return PolicyModule.load(
    await readBundle(bundle, archiveLimits),
    { ...policyLimits, budgetMs: 50 },
    { builtins: new Map(builtin === undefined ? [] : [['units.parse', builtin]]) },
  );
}

async function bedWith(builtin?: Builtin): Promise<Testbed> {
  const bed = await Testbed.open({ policyModule: await policyWith(builtin) });
  testbeds.push(bed);
  return bed;
}

async function decided(bed: Testbed, action: string, context: object = {}): Promise<RecordedEvent | undefined> {
  const answer = await bed.ask(asked({ action: { name: action }, context: { text: '7', ...context } }));
  const event = (await bed.recorded()).at(-1);
  expect((JSON.parse(answer.body) as { decision: boolean }).decision).toBe(
    event?.effect === 'allow' || event?.effect === 'constrain',
  );
  return event;
}

const seven: Builtin = () => new RegoNumber('7');
/** What a builtin gives that is no value of Rego's. */
const noValue =
  (value: unknown): Builtin =>
  () =>
    value as Value;

describe('P09 a builtin that the host answers', () => {
  it('P09 permits by what it says, and by what OPA leaves undefined', async () => {
    const bed = await bedWith(seven);
    expect((await decided(bed, 'parsed'))?.effect).toBe('allow');
    const own = await bedWith();
    expect((await decided(own, 'parsed'))?.effect).toBe('allow');
    // A text that is no number is an error of OPA's own, and undefined there as here.
    expect((await decided(own, 'not_parsed', { text: 'seven' }))?.effect).toBe('allow');
    const undefinedAsOpas = await bedWith(() => {
      throw new BuiltinError('no number');
    });
    expect((await decided(undefinedAsOpas, 'not_parsed'))?.effect).toBe('allow');
    expect((await decided(undefinedAsOpas, 'parsed'))?.effect).toBe('deny');
  });

  const faults: readonly (readonly [says: string, builtin: Builtin, code: string])[] = [
    [
      'throws',
      () => {
        throw new TypeError('CANARY');
      },
      'policy_failed',
    ],
    [
      'throws what is no error',
      () => {
        throw 'CANARY';
      },
      'policy_failed',
    ],
    ['returns a promise', noValue(Promise.resolve(7)), 'policy_failed'],
    ['returns a promise that fails', () => Promise.reject(new Error('CANARY')) as unknown as Value, 'policy_failed'],
    [
      'loops',
      (context) => {
        for (;;) context.charge(1);
      },
      'policy_budget_spent',
    ],
    ['returns a number of JavaScript’s', noValue(7), 'policy_failed'],
    ['returns Infinity', noValue(Number.POSITIVE_INFINITY), 'policy_failed'],
    ['returns NaN', noValue(Number.NaN), 'policy_failed'],
    ['returns a number that is none', () => new RegoNumber('Infinity'), 'policy_failed'],
    ['returns an object of JavaScript’s', noValue({}), 'policy_failed'],
    ['returns a function', noValue(() => 7), 'policy_failed'],
  ];

  it.each(faults)('P09 that %s closes, asked either way, and the next caller is answered', async (_, builtin, code) => {
    const bed = await bedWith(builtin);
    for (const action of ['parsed', 'not_parsed']) {
      expect(await decided(bed, action)).toMatchObject({ effect: 'deny', reasons: [{ code }] });
      expect((await decided(bed, 'canary'))?.effect).toBe('allow');
    }
    expect(await bed.counted('postern_undecided_total', { code })).toBe(2);
    // A promise that fails and is nobody's would end the process.
    await delay(0);
  });
});

describe('P09 a builtin that is missing', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'builtins-'));
  });
  afterEach(() => rm(directory, { recursive: true }));

  it('P09 is refused when the bundle is activated, and the one before serves on', async () => {
    const file = join(directory, 'bundle.tar.gz');
    const log = new KeptLog();
    let refusals = 0;
    const clock = new TestClock();
    const slot = new BundleSlot({
      name: 'starter',
      file,
      entrypoint: 'authz/decision',
      maxAgeMs: undefined,
      fileBytesMax: 10_000_000,
      archiveLimits,
      policyLimits,
      clock,
      timers: realTimers,
      log,
      activated: () => undefined,
      refused: () => {
        refusals += 1;
      },
    });
    try {
      await writeFile(file, bundle);
      await slot.reload();
      const before = slot.serving(clock.now());
      const files = await filesOf(bundle);
      const wasm = (files['policy.wasm'] ?? Buffer.alloc(0)).toString('latin1');
      expect(wasm).toContain('units.parse');
      files['policy.wasm'] = Buffer.from(wasm.replaceAll('units.parse', 'units.pares'), 'latin1');
      await writeFile(file, archiveOf(files));
      await slot.reload();
      expect(slot.serving(clock.now())).toMatchObject({ policy: before.policy });
      expect(slot.status(clock.now())).toMatchObject({
        code: 'bundle_invalid',
        message:
          'the policy calls units.pares in data.authz.decision, data.authz.eight: a builtin that is not known here',
      });
      expect(refusals).toBe(1);
    } finally {
      await slot.close();
    }
  });
});

describe('P09 a number that no double holds', () => {
  const input = { action: { name: 'read' }, n: 1e300 };

  it('P09 is the number that OPA comes to, and orders as one', async () => {
    const policy = await policyWith();
    const { path } = await realOpa();
    const queries = ['product', 'within', 'least'].map((name) => `[${JSON.stringify(name)}, data.numbers.${name}]`);
    for (const [index, name] of ['product', 'within', 'least'].entries()) {
      const ours = policy.evaluate(`numbers/${name}`, JSON.stringify(input));
      const child = run(path, ['eval', '--stdin-input', '--format', 'json', '--data', policies, queries[index] ?? '']);
      child.child.stdin?.end(JSON.stringify(input));
      const { stdout } = await child;
      const [, theirs] = /"value": \[\s*"\w+",\s*([^\s\]]+)/.exec(stdout) ?? [];
      // 1 and 600 noughts, as the one writes it and as the other does.
      const digits = (text: string | undefined) =>
        text?.replace(/^1e\+600$/, `1${'0'.repeat(600)}`).replace(/^10*$/, (number) => `1e${number.length - 1}`);
      expect([name, digits(ours)]).toEqual([name, digits(theirs)]);
    }
    expect(policy.evaluate('numbers/product', JSON.stringify(input))).toBe('1e+600');
    expect(policy.evaluate('numbers/least', JSON.stringify(input))).toBeUndefined();
  });

  it('P09 is no constraint: the answer would say null, which limits nothing', async () => {
    const policyModule = await policyWith();
    const bed = await Testbed.open({ policyModule });
    testbeds.push(bed);
    for (const [n, effect] of [
      [10, 'constrain'],
      [1e300, 'deny'],
    ] as const) {
      const evaluate = policyModule.evaluate.bind(policyModule);
      const policy = {
        evaluate: (entrypoint: string, text: string) =>
          evaluate(entrypoint, JSON.stringify({ ...(JSON.parse(text) as object), n })),
      };
      bed.bundle = { revision: policyModule.revision, currentAt: bed.clock.now(), policy: policy as never };
      expect((await decided(bed, 'multiplied'))?.effect).toBe(effect);
    }
    expect((await bed.recorded()).at(-1)?.reasons).toMatchObject([{ code: 'policy_result_invalid' }]);
  });
});
