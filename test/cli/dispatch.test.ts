import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { CommandFailed, readArguments, UsageFault } from '../../src/cli/arguments.ts';
import { dispatch, type Run } from '../../src/cli/dispatch.ts';
import { type Command, commands, helpText } from '../../src/cli/help.ts';
import { printVersion, version } from '../../src/cli/version.ts';
import { BundleRefused } from '../../src/domain/errors.ts';
import { fakeEffects, repository } from './fake-effects.ts';

async function run(argv: readonly string[], one: Run = async () => 0) {
  const { effects, said } = fakeEffects();
  const calls: string[] = [];
  const runs = Object.fromEntries(
    commands.map((name): [Command, Run] => [
      name,
      (args, handed) => {
        calls.push([name, ...args].join(' '));
        return one(args, handed);
      },
    ]),
  ) as Record<Command, Run>;
  const code = await dispatch(argv, effects, runs);
  return { code, calls, ...said };
}

describe('postern', () => {
  it('called with a command runs it, with what follows', async () => {
    expect(await run(['serve', '--config', 'x.yaml'], async () => 7)).toEqual({
      code: 7,
      calls: ['serve --config x.yaml'],
      out: '',
      err: '',
    });
  });

  it.each([[['--help']], [['-h']], [['help']], [['help', 'me']]])('%j prints what there is', async (argv) => {
    const { code, calls, out, err } = await run(argv);
    expect({ code, calls, out, err }).toEqual({ code: 0, calls: [], out: helpText(), err: '' });
    for (const command of commands) expect(out).toContain(`\n  ${command} `);
  });

  it('called with nothing says how it is called, and fails', async () => {
    expect(await run([])).toEqual({ code: 2, calls: [], out: '', err: helpText() });
  });

  it.each(commands)('%s --help prints its own usage and runs nothing', async (command) => {
    for (const argv of [
      [command, '--help'],
      [command, 'x', '-h'],
      ['help', command],
    ]) {
      const { code, calls, out } = await run(argv);
      expect({ code, calls, out }).toEqual({ code: 0, calls: [], out: helpText(command) });
    }
    expect(helpText(command)).toMatch(new RegExp(`\nUsage: postern ${command}[ \n]`));
    expect(helpText(command)).toMatch(/--help {2,}show this text/);
    for (const line of helpText(command).split('\n')) expect(line.length).toBeLessThanOrEqual(120);
  });

  it('leaves a --help behind -- to the command', async () => {
    expect((await run(['explain', '--', '--help'])).calls).toEqual(['explain -- --help']);
  });

  it.each([
    ['srve', 'postern: unknown command "srve"; did you mean serve?\npostern --help lists the commands.\n'],
    ['conquer', 'postern: unknown command "conquer"\npostern --help lists the commands.\n'],
  ])('%s is no command', async (name, err) => {
    expect(await run([name])).toEqual({ code: 2, calls: [], out: '', err });
  });
});

describe('a command that fails', () => {
  const failing = (cause: unknown) => run(['build'], async () => Promise.reject(cause));

  it('by a wrong call ends with 2 and points to its help', async () => {
    const { code, err } = await failing(new UsageFault('no such option'));
    expect([code, err]).toEqual([2, 'postern build: no such option\npostern build --help shows the usage.\n']);
  });

  it('by what it was given ends with 1 and says so, without a stack', async () => {
    expect(await failing(new CommandFailed('x.json: cannot be read (ENOENT)'))).toMatchObject({
      code: 1,
      err: 'postern build: x.json: cannot be read (ENOENT)\n',
    });
    expect(await failing(new BundleRefused('no policy.wasm'))).toMatchObject({
      code: 1,
      err: 'postern build: no policy.wasm\n',
    });
  });

  it('by a bug of ours ends with 1 and shows where', async () => {
    const { code, err } = await failing(new TypeError('x is undefined'));
    expect(code).toBe(1);
    expect(err).toMatch(/^postern build: TypeError: x is undefined\n {4}at /);
    expect((await failing('text')).err).toMatch(/^postern build: unnamed failure\n$/);
  });
});

describe('arguments', () => {
  it('that a command does not know are refused', () => {
    const options = { config: { type: 'string' }, live: { type: 'boolean' } } as const;
    expect(readArguments(['--config', 'a', '--live'], options).values).toMatchObject({ config: 'a', live: true });
    for (const args of [['--confg', 'a'], ['--config'], ['--live=yes'], ['a']]) {
      expect(() => readArguments(args, options)).toThrow(UsageFault);
    }
    for (const [args, told] of [
      [['--confg', 'a'], 'unknown option "--confg"; did you mean --config?'],
      [['--live', '--confgi=secret'], 'unknown option "--confgi"; did you mean --config?'],
      [['--wholly-else'], 'unknown option "--wholly-else"'],
      [['-x'], 'unknown option "-x"'],
      [['--__proto__'], 'unknown option "--__proto__"'],
    ] as const) {
      expect(() => readArguments(args, options)).toThrow(expect.objectContaining({ message: told }));
    }
    expect(readArguments(['a'], options, 1).positionals).toEqual(['a']);
    expect(() => readArguments(['a', 'b'], options, 1)).toThrow('unexpected argument "b"');
  });
});

describe('postern version', () => {
  it('prints the version of package.json', async () => {
    const { effects, said } = fakeEffects();
    expect(await printVersion([], effects)).toBe(0);
    expect(said.out).toBe(`postern ${version}\n`);
    expect(JSON.parse(readFileSync(`${repository}package.json`, 'utf8'))).toMatchObject({ version });
  });

  it('is what --version means', async () => {
    expect((await run(['--version'])).calls).toEqual(['version']);
    expect((await run(['-v'])).calls).toEqual(['version']);
  });
});
