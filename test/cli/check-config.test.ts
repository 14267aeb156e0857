import { describe, expect, it } from '@jest/globals';
import { checkConfig } from '../../src/cli/check-config.ts';
import { dispatch } from '../../src/cli/dispatch.ts';
import { loadConfig } from '../../src/cli/load-config.ts';
import { ConfigRefused } from '../../src/domain/errors.ts';
import { fakeEffects, soundYaml } from './fake-effects.ts';

const never = async () => 9;

/** As a user runs it: through the dispatcher, which is where faults become messages. */
async function check(files: Record<string, string | Uint8Array>, args: readonly string[], env = {}) {
  const { effects, said } = fakeEffects(files, { env });
  const runs = {
    serve: never,
    explain: never,
    build: never,
    dev: never,
    health: never,
    version: never,
    'check-config': checkConfig,
  };
  return { code: await dispatch(['check-config', ...args], effects, runs), ...said };
}

describe('postern check-config', () => {
  it('gives a short account of a sound configuration', async () => {
    expect(await check({ 'a.yaml': soundYaml }, ['--config', 'a.yaml'])).toEqual({
      code: 0,
      err: '',
      out: `a.yaml: no errors
  decides on    127.0.0.1:8181 for spiffe://acme.example/agent/report-bot
  decides on    run/ci.sock for spiffe://acme.example/ci/payments-deploy
  relay         spiffe://acme.example/ci/payments-deploy
  control on    127.0.0.1:8282 for ops
  control on    control/c.sock for ops
  probes on     0.0.0.0:8383
  bundle        starter from bundles/starter.tar.gz
  store         state/store
  record        state/decisions.jsonl
  device        node-7, host source on
  attestations  none
`,
    });
  });

  it('says of what is off that it is off', async () => {
    const yaml = `${soundYaml.replace('device: {id: node-7}', 'device: {id: node-7, host: null}').replace('{listen: "0.0.0.0:8383"}', '{}')}attestations: {keys: [{id: k, file: k.pem, builders: [b], build_types: [t]}]}\n`;
    const { out } = await check({ 'a.yaml': yaml }, ['--config', 'a.yaml'], {
      POSTERN_DECISION__LISTEN: 'null',
      POSTERN_CONTROL__LISTEN: '[::1]:1',
      POSTERN_CONTROL__SOCKET: 'null',
    });
    expect(out).not.toMatch(/probes on|8181|c\.sock/);
    expect(out).toMatch(/control on {4}\[::1\]:1 for ops\n/);
    expect(out).toMatch(/node-7, host source off\n {2}attestations {2}k\n/);
  });

  it('tells every fault and fails', async () => {
    expect(await check({ 'a.yaml': `${soundYaml}log: {level: loud}\ntypo: 1\n` }, ['--config', 'a.yaml'])).toEqual({
      code: 1,
      out: '',
      err: expect.stringMatching(
        /^postern check-config: the configuration has 2 errors:\n {2}- typo: .*\n {2}- log\.level: .*\n$/,
      ),
    });
  });

  it('prints a JSON Schema', async () => {
    const { code, out } = await check({}, ['--schema']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      type: 'object',
      additionalProperties: false,
      properties: { log: { properties: { level: { enum: ['error', 'warn', 'info', 'debug'] } } } },
    });
  });

  it('finds the file by option, else by POSTERN_CONFIG, else by its name', async () => {
    const files = { 'a.yaml': soundYaml, 'b.yaml': soundYaml, 'postern.yaml': soundYaml };
    expect((await check(files, ['--config', 'a.yaml'], { POSTERN_CONFIG: 'b.yaml' })).out).toMatch(/^a\.yaml/);
    expect((await check(files, [], { POSTERN_CONFIG: 'b.yaml' })).out).toMatch(/^b\.yaml/);
    expect((await check(files, [])).out).toMatch(/^postern\.yaml/);
  });
});

describe('X08 a configuration file', () => {
  it('that is missing is one clear fault', async () => {
    expect(await check({}, [])).toEqual({
      code: 1,
      out: '',
      err: 'postern check-config: the configuration has 1 error:\n  - postern.yaml: cannot be read (ENOENT); name the file by --config or POSTERN_CONFIG\n',
    });
  });

  it('that is not UTF-8 is refused, not mended', async () => {
    const { effects } = fakeEffects({
      'postern.yaml': Buffer.from(`${soundYaml}sidecar: {id: "caf\xe9"}\n`, 'latin1'),
    });
    await expect(loadConfig(undefined, effects)).rejects.toThrow(ConfigRefused);
  });
});
