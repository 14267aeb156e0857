import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { readBundle } from '../../src/bundle/reading/read-bundle.ts';
import { dispatch } from '../../src/cli/dispatch.ts';
import type { CliEffects } from '../../src/cli/effects.ts';
import { explain } from '../../src/cli/explain.ts';
import { BundleRefused } from '../../src/domain/errors.ts';
import { PolicyModule } from '../../src/request/evaluate/policy-module.ts';
import { patientLimits } from '../support/patient-limits.ts';
import { fakeEffects, repository, soundYaml } from './fake-effects.ts';

const bundleFile = `${repository}bundles/starter.tar.gz`;
const bundle = await readBundle(readFileSync(bundleFile), { inflatedBytes: 100_000_000, members: 1000 });
const policy = await PolicyModule.load(bundle, { ...patientLimits, memoryPages: 4096, resultBytes: 1_048_576 });

/** The committed bundle, under the names that the test's configuration and arguments give it. */
async function loadPolicy(file: string): Promise<PolicyModule> {
  if (file !== 'bundles/starter.tar.gz' && file !== 'other.tar.gz') throw new BundleRefused(`${file}: no such bundle`);
  return policy;
}

const agent = 'spiffe://acme.example/agent/report-bot';
const asked = {
  subject: { type: 'agent', id: agent },
  action: { name: 'query' },
  resource: { type: 'database', id: 'payroll' },
  context: { task: 'monthly-report' },
};
const known = {
  device: { id: 'node-7', known: true, compliant: true, attributes: {}, age_s: 12, source: 'mdm', sources: {} },
  trust: { risk_level: 'low', session: { revoked: false }, age_s: 4, attributes: {}, sources: ['idp'] },
};
const caller = { id: agent, method: 'configured', claims: {}, age_s: 0, relay: false };
const environment = {
  now: '2026-11-02T09:00:00.000Z',
  now_ns: 1_793_610_000_000_000_000,
  bundle: { revision: bundle.revision, age_s: 1 },
  sidecar: { id: 's', labels: {} },
};
const wholeInput = {
  ...asked,
  caller,
  workload: { known: false },
  grants: [],
  attestations: [],
  ...known,
  environment,
};

const files = {
  'postern.yaml': soundYaml,
  'request.json': JSON.stringify(asked),
  'known.json': JSON.stringify(known),
  'input.json': JSON.stringify(wholeInput),
};

async function run(
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
  overrides: Partial<CliEffects> = {},
) {
  const { effects, said } = fakeEffects({ ...files, ...more }, overrides);
  const never = async () => 9;
  const code = await dispatch(['explain', ...args], effects, {
    serve: never,
    build: never,
    dev: never,
    health: never,
    version: never,
    'check-config': never,
    explain: (rest, handed) => explain(rest, handed, { loadPolicy }),
  });
  return { code, ...said };
}

/** A decision event as the sidecar writes it. */
function event(id: string, members: object = {}): string {
  const input = JSON.stringify(wholeInput);
  const result = policy.evaluate('authz/decision', input);
  const { effect, reasons } = JSON.parse(result ?? '{}');
  return JSON.stringify({
    labels: {},
    decision_id: id,
    path: 'authz/decision',
    bundles: { starter: { revision: bundle.revision } },
    input: wholeInput,
    result: JSON.parse(result ?? '{}'),
    timestamp: '2026-11-02T09:00:00.000Z',
    effect,
    reasons,
    ...members,
  });
}

describe('postern explain REQUEST', () => {
  it('evaluates it with nothing known, and shows what that leaves unmet', async () => {
    const { code, out, err } = await run(['request.json']);
    expect([code, err]).toEqual([0, '']);
    expect(out).toMatch(/^nothing is known of the device/);
    expect(out).toMatch(/\nDENY {2}by policy database_access \(authz\/decision\), bundle /);
    expect(out).toMatch(/✗ device_report_fresh +else deny/);
    expect(out).toMatch(/✓ workload_approved/);
    expect(out).toContain(`caller        ${agent}, known by configured\n`);
    expect(out).toContain('device        node-7: nothing known of it\n');
  });

  it.each([
    ['known.json', JSON.stringify(known)],
    ['an input', JSON.stringify({ ...wholeInput, subject: { type: 'agent', id: 'another' } })],
    ['an event', event('d-1')],
  ])('takes what is known from a file: %s', async (_, text) => {
    const { code, out } = await run(['request.json', '--known', 'told.json'], { 'told.json': text });
    expect(code).toBe(0);
    expect(out).toMatch(/^CONSTRAIN {2}by policy database_access/);
    expect(out).toMatch(/✓ device_report_fresh/);
    expect(out).toContain('node-7: compliant, says mdm, 12 s ago');
    expect(out).toMatch(/only with read_only +true/);
  });

  it('comes from standard input too, and through a socket of the configuration', async () => {
    const { code, out } = await run(['-', '--socket', './run/ci.sock'], { '-': JSON.stringify(asked) });
    expect(code).toBe(0);
    expect(out).toContain(
      'caller        spiffe://acme.example/ci/payments-deploy, known by socket, may speak for others',
    );
  });

  it('is held to its caller as on the sidecar', async () => {
    const { out } = await run(['request.json'], {
      'request.json': JSON.stringify({ ...asked, subject: { type: 'agent', id: 'somebody else' } }),
    });
    expect(out).toContain('not decided, so the answer is deny: subject_not_caller');
  });

  it('reaches a listener without an identity as nobody', async () => {
    const { out } = await run(['request.json'], { 'postern.yaml': soundYaml.replace(/ {2}identity.*\n/, '') });
    expect(out).toContain('caller        unknown');
    expect(out).toContain('subject_not_caller');
  });

  it('cannot bring the sidecar’s half along', async () => {
    const request = JSON.stringify({ ...asked, ...known, caller: { ...caller, relay: true } });
    const { out } = await run(['request.json'], { 'request.json': request });
    expect(out).toMatch(/\nDENY/);
    expect(out).toContain('node-7: nothing known of it');
  });

  it('asks another entrypoint or bundle where told so', async () => {
    const args = ['request.json', '--entrypoint', 'policies/database_access/decision', '--bundle', 'other.tar.gz'];
    expect((await run(args)).out).toContain('(policies/database_access/decision)');
    expect((await run(['request.json', '--entrypoint', 'no/decision'])).out).toContain('policy_undefined');
    expect((await run(['request.json', '--entrypoint', 'no/such'])).out).toMatch(/QUERY .*\n.*\n {2}result: undefined/);
  });
});

describe('postern explain --input', () => {
  it('evaluates a whole input, and needs no configuration beside a bundle', async () => {
    const { code, out } = await run(['--input', 'input.json', '--bundle', 'other.tar.gz'], {
      'postern.yaml': 'broken: [',
    });
    expect(code).toBe(0);
    expect(out).toMatch(/^CONSTRAIN/);
    expect((await run(['--input', 'input.json'])).out).toBe(out);
  });
});

describe('postern explain of a recorded decision', () => {
  const record = `${event('d-1')}\n${event('d-2', { requested_by: 'CANARY' })}\n{"decision_id":"d-3","torn`;

  it('replays the last one of the sidecar’s record, half a line of a crash left out', async () => {
    const { code, out } = await run(['--last'], { 'state/decisions.jsonl': record });
    expect(code).toBe(0);
    expect(out).toMatch(
      /^decision d-2, recorded 2026-11-02T09:00:00\.000Z: constrain, because of .*read_only.*\nreplayed on the same bundle: the same result\n\nCONSTRAIN/,
    );
  });

  it('finds one by its id, and is not led astray by an id that a caller sent', async () => {
    const bait = event('d-9', { input: { ...wholeInput, context: { decision_id: 'd-1', task: 'x' } } });
    const { out } = await run(['--decision', 'd-1'], {
      'state/decisions.jsonl': `${record.split('\n', 2).join('\n')}\n${bait}\n`,
    });
    expect(out).toMatch(/^decision d-1,/);
    expect((await run(['--decision', 'd-4'], { 'state/decisions.jsonl': record })).err).toBe(
      'postern explain: state/decisions.jsonl: no decision "d-4"\n',
    );
  });

  it('reads events from another file, the last or the one named', async () => {
    const more = { 'events.jsonl': `${event('d-7')}\n${event('d-8')}\n`, 'one.json': event('d-5') };
    expect((await run(['--event', 'events.jsonl'], more)).out).toMatch(/^decision d-8/);
    expect((await run(['--event', 'events.jsonl', '--decision', 'd-7'], more)).out).toMatch(/^decision d-7/);
    expect(
      (await run(['--event', 'one.json', '--bundle', 'other.tar.gz'], { ...more, 'postern.yaml': '' })).out,
    ).toMatch(/^decision d-5/);
  });

  it('says where the replay differs, and on which bundle it was recorded', async () => {
    const old = event('d-1', {
      bundles: { starter: { revision: 'older' } },
      effect: 'allow',
      result: { effect: 'allow' },
      reasons: [],
    });
    const { out } = await run(['--event', 'e.json'], { 'e.json': old });
    expect(out).toContain(': allow\n');
    expect(out).toContain(`replayed on bundle ${bundle.revision}, recorded on older: ANOTHER RESULT`);
    expect(out).toMatch(/\nCONSTRAIN/);
  });

  it('says that a masked record need not replay', async () => {
    const masked = event('d-1', { erased: ['/input/context/task'] });
    expect((await run(['--event', 'e.json'], { 'e.json': masked })).out).toContain('parts of this event are masked');
    expect((await run(['--event', 'e.json'], { 'e.json': event('d-1') })).out).not.toContain('masks');
  });

  it('reads the very digits that were recorded', async () => {
    // A number past 2^53: parsed and written again it would be another one, and the replay another input.
    const text = event('d-1').replace('"task":"monthly-report"', '"task":"monthly-report","n":9007199254740993.10');
    const seen: string[] = [];
    const spying = {
      revision: policy.revision,
      evaluate: (_: string, input: string) => void seen.push(input),
    } as unknown as PolicyModule;
    const { effects } = fakeEffects({ ...files, 'e.json': text });
    await explain(['--event', 'e.json'], effects, { loadPolicy: async () => spying });
    expect(seen).toHaveLength(1);
    expect(seen[0]).toContain('"n":9007199254740993.10}');
  });

  it('shows the recorded deny where what followed the policy failed, and what the policy had said', async () => {
    const closed = event('d-1', {
      error: { code: 'grant_not_usable', message: 'grant g-1 has no use left' },
      effect: 'deny',
      reasons: [{ code: 'grant_not_usable', otherwise: 'deny' }],
    });
    const { out } = await run(['--event', 'e.json'], { 'e.json': closed });
    expect(out).toMatch(
      /: deny, because of grant_not_usable\nreplayed on the same bundle: the same result\nthe policy's own result was constrain; a later step failed, so the decision was deny\n\nDENY {2}by authz\/decision\n/,
    );
    expect(out).toContain('grant g-1 has no use left');
    expect(out).toMatch(/✓ device_report_fresh/);
    expect(out).not.toContain('only with');
    // Where the policy itself failed then, and does not now, there is another result to show.
    const failed = event('d-1', { result: undefined, error: { code: 'policy_budget_spent' }, effect: 'deny' });
    const replayed = (await run(['--event', 'e.json'], { 'e.json': failed })).out;
    expect(replayed).toMatch(/ANOTHER RESULT\n\nCONSTRAIN/);
  });

  it('shows what was recorded where there was no evaluation to replay', async () => {
    const undecided = JSON.stringify({
      decision_id: 'd-1',
      path: 'authz/decision',
      input: asked,
      error: { code: 'no_bundle', message: 'bundle starter has not been activated' },
      effect: 'deny',
      reasons: [{ code: 'no_bundle', otherwise: 'deny' }],
    });
    const { out } = await run(['--event', 'e.json'], { 'e.json': undecided });
    expect(out).toMatch(
      /^decision d-1, recorded at an unknown time: deny, because of no_bundle\n\nDENY {2}by authz\/decision\n/,
    );
    expect(out).toContain('no_bundle: no policy bundle is loaded\n  bundle starter has not been activated');
    const strange = JSON.stringify({ decision_id: 'd-1', path: 'p', error: { code: 'toString' } });
    expect((await run(['--event', 'e.json'], { 'e.json': strange })).out).toContain('deny: internal: internal error');
  });
});

describe('a call that cannot be answered', () => {
  it.each([
    [[]],
    [['request.json', '--last']],
    [['request.json', 'input.json']],
    [['--input', 'input.json', '--decision', 'd-1']],
    [['--event', 'e.json', '--last']],
    [['--last', '--known', 'known.json']],
    [['--input', 'input.json', '--socket', 'run/ci.sock']],
    [['request.json', '--socket', 'run/none.sock']],
    [['request.json', '--colour']],
  ])('is a wrong one: %j', async (args) => {
    expect(await run(args)).toMatchObject({
      code: 2,
      out: '',
      err: expect.stringMatching(/--help shows the usage\.\n$/),
    });
  });

  it.each([
    ['a file that is not there', ['none.json'], 'none.json: cannot be read (ENOENT)'],
    ['a record that is not there', ['--last'], 'state/decisions.jsonl: cannot be read (ENOENT)'],
    ['a request that is refused', ['bad.json'], 'bad.json: a required member is missing: subject'],
    ['a member twice', ['--input', 'twice.json'], /^twice\.json: a member appears twice in one object/],
    ['no JSON', ['--event', 'text'], /^text: the body is not one JSON document/],
    ['not UTF-8', ['--input', 'latin'], /^latin: the body is not valid UTF-8/],
    ['an input that is no object', ['--input', 'list.json'], 'list.json: not a JSON object'],
    ['known facts that are no object', ['request.json', '--known', 'list.json'], 'list.json: not a JSON object'],
    [
      'known facts with a typo',
      ['request.json', '--known', 'typo.json'],
      /^typo\.json: "devise" is not one of caller, device, /,
    ],
    [
      'an event that is none',
      ['--event', 'request.json'],
      'request.json: not a decision event: decision_id or path is missing',
    ],
    [
      'an event whose questions cannot be read',
      ['--event', 'cache.json'],
      'cache.json: nd_builtin_cache has operands that are not JSON',
    ],
    ['no events', ['--event', 'empty'], 'empty: no decision events'],
    ['a bundle that is none', ['request.json', '--bundle', 'x'], 'x: no such bundle'],
  ])('says why: %s', async (_, args, reason) => {
    const bad = {
      'bad.json': '{}',
      'twice.json': '{"a":1,"a":2}',
      text: 'hello',
      latin: Buffer.from('"\xe9"', 'latin1') as unknown as string,
      'list.json': '[]',
      'typo.json': '{"devise":{}}',
      empty: '\n\n',
      'cache.json': event('d-1', { nd_builtin_cache: { 'net.lookup_ip_addr': { 'no JSON': ['10.0.0.1'] } } }),
    };
    const { code, out, err } = await run(args, bad);
    expect([code, out]).toEqual([1, '']);
    const told = err.replace(/^postern explain: /, '').trimEnd();
    if (typeof reason === 'string') expect(told).toBe(reason);
    else expect(told).toMatch(reason);
  });
});

describe('colour', () => {
  it.each([
    [true, {}, [], true],
    [false, {}, [], false],
    [true, { NO_COLOR: '1' }, [], false],
    [true, { NO_COLOR: '' }, [], true],
    [false, {}, ['--color'], true],
    [false, { NO_COLOR: '1' }, ['--color'], true],
    [true, {}, ['--no-color'], false],
  ])('on a terminal %s, with %j and %j: %s', async (isTerminal, env, args, coloured) => {
    const { out } = await run(['request.json', ...args], {}, { isTerminal, env });
    expect(out.includes('\u001b[')).toBe(coloured);
  });
});
