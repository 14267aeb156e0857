import { describe, expect, it } from '@jest/globals';
import { parseConfig } from '../../src/config/config.ts';
import { overridable, variableOf } from '../../src/config/environment.ts';
import type { Config } from '../../src/config/schema.ts';
import { ConfigRefused } from '../../src/domain/errors.ts';

const file = `
control: {tokens: [{name: ops, file: control.token}]}
bundle: {file: bundles/starter.tar.gz}
store: {directory: state/store}
record: {file: state/decisions.jsonl}
`;

function parse(env: Record<string, string | undefined>, text = file): Config {
  return parseConfig(text, env, { hostname: 'box-1', directory: '/srv' });
}

function faultsOf(env: Record<string, string>, text = file): readonly string[] {
  try {
    parse(env, text);
  } catch (cause) {
    if (cause instanceof ConfigRefused) return cause.faults;
    throw cause;
  }
  return [];
}

describe('a variable of the environment', () => {
  it('lies over the file, text as it is, the rest as YAML', () => {
    const config = parse({
      POSTERN_SIDECAR__ID: '0017',
      POSTERN_SIDECAR__LABELS: '{region: eu}',
      POSTERN_DECISION__LISTEN: '[::1]:9000',
      POSTERN_DECISION__IDENTITY__ID: 'true',
      POSTERN_DECISION__SOCKETS: '[{path: run/a.sock, identity: {id: a}}]',
      POSTERN_DECISION__LIMITS__BODY_BYTES: ' 2048 ',
      POSTERN_CONTROL__LISTEN: 'null',
      POSTERN_CONTROL__SOCKET__PATH: 'control/c.sock',
      POSTERN_BUNDLE__WATCH: 'false',
      POSTERN_DEVICE: '{id: node-7}',
      POSTERN_DEVICE__HOST: 'null',
      POSTERN_LOG__LEVEL: 'debug',
    });
    expect(config).toMatchObject({
      sidecar: { id: '0017', labels: { region: 'eu' } },
      decision: {
        listen: { host: '::1', port: 9000 },
        identity: { id: 'true' },
        sockets: [{ path: 'run/a.sock', identity: { id: 'a' }, mode: 0o660 }],
        limits: { body_bytes: 2048, depth: 64 },
      },
      control: { listen: null, socket: { path: 'control/c.sock', mode: 0o600 } },
      bundle: { file: 'bundles/starter.tar.gz', watch: false },
      device: { id: 'node-7', host: null },
      log: { level: 'debug' },
    });
  });

  it('refines a section that another one sets, in whichever order they come', () => {
    for (const env of [
      { POSTERN_LOG: '{level: warn, format: text}', POSTERN_LOG__LEVEL: 'error' },
      { POSTERN_LOG__LEVEL: 'error', POSTERN_LOG: '{level: warn, format: text}' },
    ]) {
      expect(parse(env).log).toEqual({ level: 'error', format: 'text' });
    }
  });

  it('sets what the file switches off, but does not heal what the file has wrong', () => {
    expect(parse({ POSTERN_DEVICE__HOST__INTERVAL_S: '5' }, `${file}device: {id: n, host: null}`).device?.host).toEqual(
      {
        root: '/',
        interval_s: 5,
        baseline: {},
      },
    );
    expect(faultsOf({ POSTERN_LOG__LEVEL: 'warn' }, `${file}log: null`)).toEqual([
      'log: expected keys and values, found null (leave the key out for its default)',
    ]);
    expect(faultsOf({ POSTERN_LOG__LEVEL: 'warn' }, `${file}log: [debug]`)).toEqual([
      'log: expected keys and values, found a list',
    ]);
  });

  it('does not make a configuration of an empty file', () => {
    expect(faultsOf({ POSTERN_LOG__LEVEL: 'warn' }, '')).toEqual(['the file is empty']);
  });

  it('that names no setting is a fault, and the nearest setting is named', () => {
    expect(
      faultsOf({
        POSTERN_LOG__LEVLE: 'warn',
        POSTERN_LISTEN: 'x',
        POSTERN_: 'x',
        POSTERN_CONTROL__TOKENS__0__FILE: 'x',
      }),
    ).toEqual([
      expect.stringMatching(/^POSTERN_: unknown setting/),
      expect.stringMatching(/^POSTERN_LISTEN: unknown setting/),
      'POSTERN_LOG__LEVLE: unknown setting; did you mean POSTERN_LOG__LEVEL?',
      expect.stringMatching(/^POSTERN_CONTROL__TOKENS__0__FILE: unknown setting/),
    ]);
  });

  it('that is no good is a fault which names it', () => {
    expect(
      faultsOf({
        POSTERN_LOG__LEVEL: 'loud',
        POSTERN_DECISION__SOCKETS: '[{path: run/a.sock}]',
        POSTERN_SIDECAR__LABELS: '{a: 1, a: 2}',
        POSTERN_CONTROL__LIMITS: '{depth: [',
      }),
    ).toEqual([
      expect.stringMatching(/^control\.limits \(from POSTERN_CONTROL__LIMITS\): line 1: /),
      expect.stringMatching(/^control\.limits \(from POSTERN_CONTROL__LIMITS\): line 1: /),
      'sidecar.labels (from POSTERN_SIDECAR__LABELS): line 1: duplicate key',
      'sidecar.labels.a (from POSTERN_SIDECAR__LABELS): expected a text of at most 256 characters, without control characters, found the number 2',
      'decision.sockets[0].identity (from POSTERN_DECISION__SOCKETS): missing; expected keys and values',
      'log.level (from POSTERN_LOG__LEVEL): expected one of error, warn, info, debug, found the text "loud"',
    ]);
  });

  it('is told from what the kubelet sets for a Service called postern', () => {
    expect(
      faultsOf({
        POSTERN_SERVICE_HOST: '10.0.0.1',
        POSTERN_SERVICE_PORT: '8181',
        POSTERN_SERVICE_PORT_METRICS: '8383',
        POSTERN_PORT: 'tcp://10.0.0.1:8181',
        POSTERN_PORT_8181_TCP: 'tcp://10.0.0.1:8181',
        POSTERN_PORT_8181_TCP_PROTO: 'tcp',
        POSTERN_PORT_8181_TCP_PORT: '8181',
        POSTERN_PORT_8181_TCP_ADDR: '10.0.0.1',
        POSTERN_CONTROL_SERVICE_HOST: '10.0.0.2',
      }),
    ).toEqual([]);
  });

  it('is never mistaken for one of those, whatever its name', () => {
    for (const path of overridable()) expect(faultsOf({ [variableOf(path)]: '\u0000' })).not.toEqual([]);
  });

  it('that is not ours, is unset, or says where the file is, is left alone', () => {
    expect(
      parse({ PATH: '/bin', POSTERNS: 'x', POSTERN_LOG__LEVEL: undefined, POSTERN_CONFIG: 'x.yaml' }).log.level,
    ).toBe('info');
  });
});
