import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { stringify } from 'yaml';
import { parseConfig } from '../../src/config/config.ts';
import type { Config } from '../../src/config/schema.ts';
import { ConfigRefused } from '../../src/domain/errors.ts';

const surroundings = { hostname: 'box-1', directory: '/srv/postern' };

const least = {
  control: { tokens: [{ name: 'ops', file: 'control.token' }] },
  bundle: { file: 'bundles/starter.tar.gz' },
  store: { directory: 'state/store' },
  record: { file: 'state/decisions.jsonl' },
};
type Tree = Record<string, unknown>;

/** The least configuration with some members put in or, by undefined, taken out: `{ 'decision.listen': null }`. */
function having(members: Tree): Tree {
  const tree: Tree = structuredClone(least);
  for (const [path, value] of Object.entries(members)) {
    const names = path.split('.');
    const last = names.pop() ?? '';
    const holder = names.reduce<Tree>((at, name) => {
      at[name] ??= {};
      return at[name] as Tree;
    }, tree);
    if (value === undefined) delete holder[last];
    else holder[last] = value;
  }
  return tree;
}

function parse(text: string | Tree, env: Record<string, string> = {}): Config {
  return parseConfig(
    typeof text === 'string' ? text : stringify(text, { aliasDuplicateObjects: false }),
    env,
    surroundings,
  );
}

function faultsOf(text: string | Tree, env: Record<string, string> = {}): readonly string[] {
  try {
    parse(text, env);
  } catch (cause) {
    if (cause instanceof ConfigRefused) return cause.faults;
    throw cause;
  }
  return [];
}

describe('a configuration that names only what it must', () => {
  it('is filled with documented defaults', () => {
    expect(parse(least)).toEqual({
      sidecar: { id: 'box-1', labels: {} },
      decision: {
        listen: { host: '127.0.0.1', port: 8181 },
        sockets: [],
        entrypoint: 'authz/decision',
        relays: [],
        reasons: 'remedies',
        builtins: { calls: 4, wait_ms: 2_000, in_flight: 32 },
        limits: {
          body_bytes: 1_048_576,
          depth: 64,
          header_bytes: 16_384,
          headers_count: 100,
          connections: 1024,
          header_timeout_ms: 9_000,
          body_timeout_ms: 10_000,
          keep_alive_ms: 65_000,
          policy_ms: 25,
          policy_memory_bytes: 268_435_456,
          in_flight: 512,
          requests_per_socket: 100_000,
        },
      },
      control: {
        listen: { host: '127.0.0.1', port: 8282 },
        socket: null,
        tokens: [{ name: 'ops', file: 'control.token' }],
        limits: {
          body_bytes: 1_048_576,
          depth: 64,
          header_bytes: 16_384,
          headers_count: 100,
          connections: 128,
          header_timeout_ms: 9_000,
          body_timeout_ms: 10_000,
          keep_alive_ms: 65_000,
        },
      },
      probes: { listen: null },
      bundle: { file: 'bundles/starter.tar.gz', name: 'starter', watch: true, prepare_s: 60, data: [] },
      store: {
        directory: 'state/store',
        caps: { devices: 1e5, subjects: 1e5, sessions: 1e5, workloads: 1e5, grants: 1e5, attestations: 1e4 },
      },
      record: { file: 'state/decisions.jsonl', buffer_bytes: 8_388_608, console: false },
      attestations: { keys: [] },
      log: { level: 'info', format: 'json' },
    });
  });

  it('gives defaults to what stands in lists and optional sections too', () => {
    const config = parse(
      having({
        'decision.sockets': [{ path: 'run/ci.sock', identity: { id: 'spiffe://acme.example/ci' } }],
        device: { id: 'node-7' },
        'attestations.keys': [{ id: 'k', file: 'k.pem', builders: ['b'], build_types: ['t'] }],
      }),
    );
    expect(config.decision.sockets).toEqual([
      { path: 'run/ci.sock', identity: { id: 'spiffe://acme.example/ci' }, mode: 0o660 },
    ]);
    expect(config.device).toEqual({ id: 'node-7', host: { root: '/', interval_s: 30, baseline: {} } });
    expect(config.attestations.keys[0]).toMatchObject({ signature: 'der', parameters: [] });
  });
});

describe('the starter configuration', () => {
  it('is sound', () => {
    const file = fileURLToPath(new URL('../../deploy/starter.yaml', import.meta.url));
    const config = parse(readFileSync(file, 'utf8'));
    expect(config.decision.identity?.id).toBe('spiffe://acme.example/agent/report-bot');
    expect(config.decision.sockets.map(({ path }) => path)).toEqual([
      '.postern/run/ci.sock',
      '.postern/run/billing.sock',
      '.postern/run/operator.sock',
      '.postern/run/auditor.sock',
    ]);
    expect(config.device).toMatchObject({ id: 'node-7', host: { interval_s: 30 } });
  });
});

describe('X08 a configuration with faults', () => {
  it('is refused with all of them in one message, each with its place', () => {
    const text = `
decision:
  listen: 0.0.0.0:8181
  entrypiont: authz/decision
  body_bytes: 5
  reasons: some
  limits: {body_bytes: "1mb ", depth: .nan, header_bytes: -1, connections: 1e9999, in_flight: null, keep_alive_ms: 2.5e3}
  sockets: [{path: run/a.sock, mode: 0660, identity: {id: a}}]
control: {tokens: []}
probes: {listen: "127.0.0.1:8282"}
bundle: {}
store: [state]
record: {file: d.jsonl, buffer_bytes: 12}
log: {level: verbose}
log: {level: info}
`;
    expect(faultsOf(text)).toEqual([
      'line 15: duplicate key',
      'decision.entrypiont: unknown key; did you mean decision.entrypoint?',
      'decision.body_bytes: unknown key here; it belongs at decision.limits.body_bytes, control.limits.body_bytes',
      'decision.sockets[0].mode: expected a file mode such as "0660", found the number 660; put it in quotes',
      'decision.reasons: expected one of codes, remedies, full, found the text "some"',
      'decision.limits.body_bytes: expected an integer from 1 to 67108864, found the text "1mb "',
      'decision.limits.depth: expected an integer from 1 to 512, found a number out of range: NaN',
      'decision.limits.header_bytes: expected an integer from 1024 to 1048576, found the number -1',
      'decision.limits.connections: expected an integer from 1 to 65536, found a number out of range: Infinity',
      'decision.limits.in_flight: expected an integer from 1 to 65536, found null (leave the key out for its default)',
      'store: expected keys and values, found a list',
      'record.buffer_bytes: expected an integer from 65536 to 268435456, found the number 12',
      'decision.listen: not a loopback address: this version does not authenticate callers on TCP, so only loopback or a socket is safe',
      'control.tokens: at least one token is needed: without one every process could write signals and grants; switch the listener off with `listen: null`',
      'probes.listen: uses the same port as control.listen',
      'bundle: exactly one of file, directory and http is needed; none is set',
    ]);
    expect(() => parse(text)).toThrow(/^the configuration has 16 errors:\n {2}- line 15/);
  });

  it('is told what each value must be, where a rule is more than a type', () => {
    const text = `
sidecar: {id: "a b", labels: {region: "e\\tu"}}
decision: {public_url: "https://a/b", identity: {id: ""}}
control: {listen: null}
bundle: {file: b.tar.gz, keep: kept, shadow: {name: next, http: {url: "https://h/b#c"}, share: 2}}
store: {directory: ""}
record: {file: d.jsonl}
device: {id: node-7, host: {baseline: {free_bytes: 1e16}}}
`;
    expect(faultsOf(text)).toEqual([
      'sidecar.id: expected a text of 1 to 253 visible ASCII characters, without blanks, found the text',
      'sidecar.labels.region: expected a text of at most 256 characters, without control characters, found the text',
      'decision.identity.id: expected a text of 1 to 2048 visible ASCII characters, without blanks, found the text',
      'decision.public_url: expected an origin such as https://pdp.acme.example, without a path, found the text',
      expect.stringMatching(
        /^bundle\.shadow\.http\.url: expected a URL .* without credentials or fragment, found the text$/,
      ),
      'bundle.shadow.share: expected a number from 0 to 1, found the number 2',
      'store.directory: expected a text of 1 to 4096 characters, found the text',
      'device.host.baseline.free_bytes: expected true or false or a number from -1000000000000000 to 1000000000000000 or a text of at most 256 characters, found the number 10000000000000000',
    ]);
  });

  it.each([
    ['an empty file', '', ['the file is empty']],
    ['a file of comments', '# later\n', ['the file is empty']],
    ['a list', '- a', ['expected keys and values, found a list']],
    ['a text', 'hello', ['expected keys and values, found the text']],
    ['two documents', 'a: 1\n---\nb: 2', [expect.stringMatching(/^line 2: Source contains multiple documents/)]],
    ['an alias', 'a: &a 1\nb: *a', ['line 2: aliases are not supported: write the value out']],
    ['a tag', 'a: !!binary aGk=', [expect.stringMatching(/^line 1: tags are not supported/)]],
    [
      'a key that is no text',
      '{true: 1, null: 2, 3: 4, [5]: 6}',
      ['true', 'null', '3']
        .map((key) => `line 1: the key ${key} is not text: put it in quotes`)
        .concat('line 1: a key is not text: put it in quotes'),
    ],
    ['a merge key', '<<: {log: {level: debug}}', expect.arrayContaining([expect.stringMatching(/^"<<": unknown key/)])],
    ['an unclosed bracket', 'a: [', [expect.stringMatching(/^line 1: /)]],
    ['a tab for indentation', 'log:\n\tlevel: debug', [expect.stringMatching(/^line 2: Tabs are not allowed/)]],
    ['more text than anybody writes', `# ${'x'.repeat(1024 * 1024)}`, ['longer than 1048576 characters']],
    ['nesting without end', `a: ${'['.repeat(50_000)}`, [expect.stringMatching(/^nested too deeply|^line 1/)]],
  ])('is refused: %s', (_, text, faults) => {
    const found = faultsOf(text);
    expect(Array.isArray(faults) ? found.slice(0, Math.max(1, faults.length)) : found).toEqual(faults);
  });

  it('does not take a prototype’s member for a key', () => {
    expect(faultsOf({ ...least, constructor: 1 }).join()).toMatch(/^constructor: unknown key/);
    expect(faultsOf(`${stringify(least)}__proto__: {log: {level: debug}}\n`).join()).toMatch(/^__proto__: unknown key/);
    expect(faultsOf(having({ 'sidecar.labels': { toString: 'x' } })).join()).toMatch(/labels.toString: this name/);
  });

  it('never shows a secret that was written into the wrong place', () => {
    for (const tokens of [
      [{ name: 'ops', token: 'CANARY-1' }],
      ['CANARY-1'],
      'CANARY-1',
      [{ name: 'CANARY-1 ', file: 'x' }],
      { password: 'CANARY-1' },
    ]) {
      const faults = faultsOf(having({ 'control.tokens': tokens, 'decision.public_url': 'https://u:CANARY-1@h' })).join(
        '\n',
      );
      expect(faults).not.toBe('');
      expect(faults).not.toContain('CANARY-1');
    }
    expect(faultsOf(having({ 'control.tokens': [{ name: 'ops', file: 'f', token: 'CANARY-1' }] }))).toEqual([
      'control.tokens[0].token: unknown key; secrets do not belong in the configuration: put the secret in a file and name the file in `file`',
    ]);
  });

  it('is one message on plain lines, whatever it quotes', () => {
    const faults = faultsOf(having({ 'log.level': 'x\u001b[31m\n- all is well\u2028', ['\u001b[2J\nkey']: 1 }));
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
    for (const fault of faults) expect(fault).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028]/);
    expect(faults).toHaveLength(2);
  });
});

/** Every integer of the configuration: where a limit is, and what it may be. */
const limits = [
  ...[
    'body_bytes',
    'depth',
    'header_bytes',
    'headers_count',
    'connections',
    'header_timeout_ms',
    'body_timeout_ms',
    'keep_alive_ms',
  ].flatMap((name) => [`decision.limits.${name}`, `control.limits.${name}`]),
  'decision.limits.in_flight',
  'decision.limits.requests_per_socket',
  'bundle.max_age_s',
  ...['devices', 'subjects', 'sessions', 'workloads', 'grants', 'attestations'].map((name) => `store.caps.${name}`),
  'record.buffer_bytes',
];

function at(config: Config, path: string): unknown {
  return path.split('.').reduce<unknown>((value, name) => (value as Tree)[name], config);
}

describe('X08, V11 an unreadable limit', () => {
  const unreadable = fc.oneof(
    fc.constantFrom<unknown>(
      '1mb ',
      '1 megabyte',
      '1MiB',
      '',
      ' ',
      'unlimited',
      'none',
      'NaN',
      '-1',
      '1e9999',
      '1_000',
      '12,5',
    ),
    fc.constantFrom<unknown>(
      null,
      true,
      false,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      -1,
      -0.5,
      0,
      0.5,
    ),
    fc.constantFrom<unknown>([], [5], {}, { value: 5 }, 2 ** 53, 1e300),
    fc.string(),
  );

  it('in the file is a fault that names it, and never no limit', () => {
    fc.assert(
      fc.property(fc.constantFrom(...limits), unreadable, (path, value) => {
        const faults = faultsOf(having({ [path]: value }));
        expect(faults.some((fault) => fault.startsWith(`${path}: expected an integer from`))).toBe(true);
      }),
      { numRuns: 250 },
    );
  }, 30_000);

  it('in the environment is a fault that names variable and limit', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...limits),
        fc.oneof(
          fc.constantFrom(
            '1mb ',
            '1 megabyte',
            '',
            'null',
            '~',
            '.nan',
            '.inf',
            '-1',
            '1e9999',
            '[5]',
            '{a: 5}',
            '"5"',
            '0.5',
          ),
          fc.string().filter((text) => Number.isNaN(Number(text)) && !/[:#&*!|>'"%@`{}[\],]/.test(text)),
        ),
        (path, text) => {
          const variable = `POSTERN_${path.toUpperCase().replaceAll('.', '__')}`;
          const faults = faultsOf(least, { [variable]: text });
          expect(faults.join('\n')).toContain(`${path} (from ${variable})`);
        },
      ),
      { numRuns: 250 },
    );
  }, 30_000);

  it('is caught whatever is put wherever: what is accepted has every limit, as an integer within its range', () => {
    const anything = fc.oneof(
      { weight: 3, arbitrary: fc.integer({ min: -2, max: 100_000 }) },
      { weight: 1, arbitrary: unreadable },
    );
    let accepted = 0;
    fc.assert(
      fc.property(fc.dictionary(fc.constantFrom(...limits), anything, { maxKeys: 3 }), (members) => {
        let config: Config;
        try {
          config = parse(having(members));
        } catch (cause) {
          expect(cause).toBeInstanceOf(ConfigRefused);
          return;
        }
        accepted += 1;
        for (const path of limits) {
          const value = at(config, path);
          if (path === 'bundle.max_age_s' && value === undefined && !(path in members)) continue;
          expect(Number.isSafeInteger(value) && Number(value) > 0).toBe(true);
          if (path in members) expect(value).toBe(members[path]);
        }
      }),
      { numRuns: 400 },
    );
    expect(accepted).toBeGreaterThan(10);
  }, 30_000);

  it.each(limits)('%s is taken at both ends of its range and at neither side beyond', (path) => {
    const range = /from (\d+) to (\d+)/.exec(faultsOf(having({ [path]: 'x' })).join());
    const [low, high] = [Number(range?.[1]), Number(range?.[2])];
    const others: Tree =
      path === 'decision.limits.body_bytes' ? { 'decision.limits.in_flight': 1 } : { 'decision.limits.body_bytes': 1 };
    for (const value of [low, high]) expect(at(parse(having({ ...others, [path]: value })), path)).toBe(value);
    for (const value of [low - 1, high + 1]) expect(faultsOf(having({ ...others, [path]: value }))).toHaveLength(1);
  });
});

describe('addresses', () => {
  it.each([
    ['127.0.0.1:9000', { host: '127.0.0.1', port: 9000 }],
    ['localhost:9000', { host: '127.0.0.1', port: 9000 }],
    ['[::1]:9000', { host: '::1', port: 9000 }],
    ['[::FFFF:127.0.0.1]:9000', { host: '::ffff:127.0.0.1', port: 9000 }],
    ['127.255.0.3:0', { host: '127.255.0.3', port: 0 }],
  ])('%s is taken for a decision listener', (text, address) => {
    expect(parse(having({ 'decision.listen': text })).decision.listen).toEqual(address);
  });

  it.each([
    ':8181',
    '8181',
    '127.0.0.1',
    '127.0.0.1:',
    '127.0.0.1:65536',
    '127.0.0.1:08181',
    '127.0.0.1:-1',
    ' 127.0.0.1:8181',
    '127.1:8181',
    '0177.0.0.1:8181',
    '127.0.0.1 :8181',
    '::1:8181',
    '[::1%lo]:8181',
    '[127.0.0.1]:8181',
    'postern.acme.example:8181',
    'http://127.0.0.1:8181',
    'localhost.:8181',
    8181,
  ])('%s is none', (text) => {
    expect(faultsOf(having({ 'decision.listen': text }))).toEqual([
      expect.stringMatching(/^decision\.listen: expected an IP address and port such as/),
    ]);
  });

  it.each(['0.0.0.0:8181', '[::]:8181', '10.0.0.5:8181', '[fe80::1]:8181', '[::ffff:10.0.0.5]:8181', '128.0.0.1:8181'])(
    '%s is beyond loopback: a fault for decision and control, not for probes',
    (text) => {
      expect(faultsOf(having({ 'decision.listen': text }))).toEqual([
        expect.stringMatching(/^decision\.listen: not a loopback address/),
      ]);
      expect(faultsOf(having({ 'control.listen': text.replace(/\d+$/, '8282') }))).toEqual([
        expect.stringMatching(/^control\.listen: not a loopback address: tokens .* no TLS/),
      ]);
      expect(faultsOf(having({ 'probes.listen': text.replace(/\d+$/, '8383') }))).toEqual([]);
    },
  );

  it.each([
    ['127.0.0.1:8282', true],
    ['localhost:8282', true],
    ['0.0.0.0:8282', true],
    ['[::]:8282', true],
    ['127.0.0.2:8282', false],
    ['[::1]:8282', false],
    ['127.0.0.1:8283', false],
  ])('probes on %s collide with control on 127.0.0.1:8282: %s', (listen, collides) => {
    expect(faultsOf(having({ 'probes.listen': listen }))).toEqual(
      collides ? ['probes.listen: uses the same port as control.listen'] : [],
    );
  });

  it('of free ports never collide', () => {
    expect(faultsOf(having({ 'decision.listen': '127.0.0.1:0', 'control.listen': '127.0.0.1:0' }))).toEqual([]);
  });

  it('spelt in two ways are one', () => {
    expect(faultsOf(having({ 'decision.listen': '[::1]:9', 'probes.listen': '[0:0:0:0:0:0:0:1]:9' }))).toHaveLength(1);
  });
});

describe('rules across members', () => {
  it('want somebody to be able to ask', () => {
    expect(faultsOf(having({ 'decision.listen': null }))).toEqual([
      'decision: neither listen nor sockets is set: callers could not reach the sidecar',
    ]);
    expect(
      faultsOf(
        having({ 'decision.listen': null, 'decision.sockets': [{ path: 'run/a.sock', identity: { id: 'a' } }] }),
      ),
    ).toEqual([]);
  });

  it.each([
    [{ 'control.tokens': undefined }, 1],
    [{ 'control.tokens': [], 'control.listen': null, 'control.socket': { path: 'control/c.sock' } }, 1],
    [{ 'control.tokens': [], 'control.listen': null }, 0],
  ])('want a token wherever the control listener is on: %j', (members, count) => {
    const faults = faultsOf(having(members));
    expect(faults).toHaveLength(count);
    for (const fault of faults) expect(fault).toMatch(/^control\.tokens: at least one token/);
  });

  it('let no two things be on one path', () => {
    const sockets = [
      { path: 'run/a.sock', identity: { id: 'a' } },
      { path: './run/x/../a.sock', identity: { id: 'b' } },
    ];
    expect(faultsOf(having({ 'decision.sockets': sockets }))).toEqual([
      'decision.sockets[1].path: the same path as decision.sockets[0].path',
    ]);
    expect(
      faultsOf(
        having({ 'decision.sockets': sockets.slice(0, 1), 'control.socket': { path: '/srv/postern/run/a.sock' } }),
      ),
    ).toEqual(['control.socket.path: the same path as decision.sockets[0].path']);
    expect(faultsOf(having({ 'record.file': 'state/store' }))).toEqual([
      'record.file: the same path as store.directory',
    ]);
  });

  it.each([
    ['control.socket', { path: 'run/control.sock' }, 'control.socket.path'],
    ['control.tokens', [{ name: 'ops', file: 'run/deeper/token' }], 'control.tokens[0].file'],
    ['bundle', { file: '/srv/postern/run/b.tar.gz' }, 'bundle.file'],
    ['store', { directory: 'run/store' }, 'store.directory'],
    ['record', { file: './run/d.jsonl' }, 'record.file'],
    [
      'attestations.keys',
      [{ id: 'k', file: 'run/k.pem', builders: ['b'], build_types: ['t'] }],
      'attestations.keys[0].file',
    ],
  ])('keep %s out of the directory that an agent mounts', (path, value, place) => {
    const sockets = [{ path: 'run/agent.sock', identity: { id: 'a' } }];
    expect(faultsOf(having({ 'decision.sockets': sockets, [path]: value }))).toEqual([
      `${place}: is in the directory of decision.sockets[0].path, which an agent mounts: give the socket a directory of its own`,
    ]);
    expect(faultsOf(having({ 'decision.sockets': [{ ...sockets[0], path: 'ru/agent.sock' }], [path]: value }))).toEqual(
      [],
    );
  });

  it('let a name stand for one token and one key', () => {
    const key = { id: 'k', builders: ['b'], build_types: ['t'] };
    expect(
      faultsOf(
        having({
          'control.tokens': [
            { name: 'ops', file: 'a' },
            { name: 'ops', file: 'b' },
          ],
          'attestations.keys': [
            { ...key, file: 'c' },
            { ...key, file: 'd' },
          ],
        }),
      ),
    ).toEqual([
      'control.tokens[1].name: an earlier entry has the same name',
      'attestations.keys[1].id: an earlier entry has the same name',
    ]);
  });

  it('do not let the record go to a log that leaves it out', () => {
    const at = (level: string): readonly string[] => faultsOf(having({ 'record.console': true, 'log.level': level }));
    for (const level of ['warn', 'error'])
      expect(at(level)).toEqual([
        `record.console: log.level ${level} would drop every event: events are logged at info`,
      ]);
    for (const level of ['info', 'debug']) expect(at(level)).toEqual([]);
    expect(faultsOf(having({ 'log.level': 'error' }))).toEqual([]);
  });

  it('let only a caller that there is be a relay', () => {
    const members = { 'decision.identity': { id: 'gateway' }, 'decision.relays': ['gateway', 'gatewy'] };
    expect(faultsOf(having(members))).toEqual([
      'decision.relays[1]: no listener has this identity, so no caller could act as this relay',
    ]);
  });

  it('bound what bodies in flight can take of memory together', () => {
    const limitsOf = (bodyBytes: number, inFlight: number) =>
      having({ 'decision.limits.body_bytes': bodyBytes, 'decision.limits.in_flight': inFlight });
    expect(faultsOf(limitsOf(32 * 1024 * 1024, 64))).toEqual([]);
    expect(faultsOf(limitsOf(32 * 1024 * 1024, 65))).toEqual([
      expect.stringMatching(/^decision\.limits: body_bytes times in_flight/),
    ]);
  });

  it.each([
    [{ http_send: {} }, 'decision.builtins.http_send.origins: at least one is needed'],
    [{ lookup_ip_addr: { names: [] } }, 'decision.builtins.lookup_ip_addr.names: at least one is needed'],
    [{ http_send: { origins: ['https://a.example/path'] } }, 'decision.builtins.http_send.origins[0]: '],
    [{ http_send: { origins: ['https://a.example:443'] } }, 'decision.builtins.http_send.origins[0]: '],
    [{ http_send: { origins: ['https://*.a.example', 'a.example'] } }, 'decision.builtins.http_send.origins[1]: '],
    [{ http_send: { origins: ['http://a.example'], hosts: [] } }, 'decision.builtins.http_send.hosts: '],
    [{ lookup_ip_addr: { names: ['A.example'] } }, 'decision.builtins.lookup_ip_addr.names[0]: '],
    [
      { lookup_ip_addr: { names: ['a'] }, in_flight: 512 },
      'decision.builtins.in_flight: not less than decision.limits',
    ],
  ])('say whom policies may ask: %j', (builtins, fault) => {
    expect(faultsOf(having({ 'decision.builtins': builtins }))).toEqual([expect.stringContaining(fault)]);
  });

  it('take any server that is named whole, and bound what all answers take of memory together', () => {
    const origins = ['https://a.example:8443', 'http://[::1]:8080', 'http://169.254.169.254'];
    const largest = { http_send: { origins, response_bytes: 4_194_304 }, calls: 16 };
    expect(faultsOf(having({ 'decision.builtins': { ...largest, in_flight: 32 } }))).toEqual([]);
    expect(faultsOf(having({ 'decision.builtins': { ...largest, in_flight: 33 } }))).toEqual([
      expect.stringMatching(/^decision\.builtins: response_bytes times calls times in_flight/),
    ]);
  });

  it('are told beside faults of single members', () => {
    expect(faultsOf(having({ 'log.level': 'loud', 'decision.listen': '0.0.0.0:1' }))).toHaveLength(2);
  });
});

describe('single members', () => {
  it.each([
    [
      'decision.entrypoint',
      ['authz/decision', 'decision', 'policies/deploy/decision'],
      ['authz/allow', '/authz/decision', 'a"]/decision', 'decisions', ''],
    ],
    [
      'decision.public_url',
      ['https://pdp.acme.example', 'http://10.0.0.1:8181'],
      ['pdp.acme.example', 'https://pdp.acme.example/', 'https://pdp/x', 'ftp://a', 'https://u@h', 'HTTPS://H'],
    ],
    ['sidecar.id', ['a', 'pod-7.prod'], ['', 'a b', 'a\n', 'é', 'x'.repeat(254)]],
    ['bundle.name', ['starter'], ['', '../x', 'a b', '-a', 7]],
    [
      'sidecar.labels',
      [{}, { region: 'eu' }],
      [
        { Region: 'eu' },
        { region: 'a\nb' },
        { region: 7 },
        null,
        [],
        Object.fromEntries(Array.from({ length: 17 }, (_, index) => [`l${index}`, 'x'])),
      ],
    ],
    [
      'device',
      [
        { id: 'n', host: null },
        { id: 'n', host: { baseline: { secure_boot: true, os: '12', n: 1 } } },
        { id: 'n', host: { image_digest: `sha256:${'a'.repeat(64)}`, node_name: 'n' } },
      ],
      [
        null,
        {},
        { id: '' },
        { id: 'n', host: { baseline: { x: null } } },
        { id: 'n', host: { image_digest: 'latest' } },
        { id: 'n', host: { interval_s: 0 } },
      ],
    ],
    [
      'attestations.keys',
      [[]],
      [
        [{ id: 'k', file: 'f', build_types: ['t'] }],
        [{ id: 'k', file: 'f', builders: [], build_types: ['t'] }],
        [{ id: 'k', file: 'f', builders: ['b'] }],
        [{ id: 'k', file: 'f', builders: ['b'], build_types: ['t'], signature: 'raw' }],
      ],
    ],
    [
      'decision.sockets',
      [[]],
      [
        [{ path: `/${'x'.repeat(107)}`, identity: { id: 'a' } }],
        [{ path: 'a/s' }],
        [{ path: 'a/s', identity: { id: 'a' }, mode: '660' }],
        [{ path: 'a/s', identity: { id: 'a' }, mode: '0888' }],
        [null],
        {},
      ],
    ],
    ['decision.relays', [[]], [['a b'], [1], Array.from({ length: 65 }, (_, index) => `r${index}`)]],
    ['bundle.watch', [true, false], ['yes', 'true', 1, null]],
  ] as readonly (readonly [string, readonly unknown[], readonly unknown[]])[])('%s', (path, good, bad) => {
    for (const value of good) expect(faultsOf(having({ [path]: value }))).toEqual([]);
    for (const value of bad) {
      const faults = faultsOf(having({ [path]: value }));
      expect(faults).not.toEqual([]);
      expect(faults[0]).toContain(path);
    }
  });

  it('that stand twice in a list are a fault', () => {
    const faults = faultsOf(having({ 'decision.identity': { id: 'a' }, 'decision.relays': ['a', 'a'] }));
    expect(faults).toEqual(['decision.relays[1]: duplicate of decision.relays[0]']);
  });
});

describe('V11 what is left out is never taken for "any"', () => {
  it('an attestation key names its builders and build types, and expects no parameter that it does not name', () => {
    const key = { id: 'k', file: 'k.pem' };
    expect(faultsOf(having({ 'attestations.keys': [key] }))).toEqual([
      'attestations.keys[0].builders: missing; expected a list',
      'attestations.keys[0].build_types: missing; expected a list',
    ]);
    const config = parse(having({ 'attestations.keys': [{ ...key, builders: ['b'], build_types: ['t'] }] }));
    expect(config.attestations.keys[0]?.parameters).toEqual([]);
  });

  it('a listener without an identity has callers that nobody knows, not callers that may be anybody', () => {
    expect(parse(least).decision.identity).toBeUndefined();
    expect(faultsOf(having({ 'decision.identity': null }))).not.toEqual([]);
    expect(faultsOf(having({ 'decision.identity': {} }))).not.toEqual([]);
  });
});
