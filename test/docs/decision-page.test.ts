import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { Attestation } from '../../src/domain/attestation.ts';
import { bundleRevision } from '../../src/domain/bundle.ts';
import type { Decision } from '../../src/domain/decision.ts';
import { asSidecarError, Undecided } from '../../src/domain/errors.ts';
import { type Answer, knownMembers, type RawRequest, type Surface } from '../../src/domain/request.ts';
import { type EpochMs, epochMs } from '../../src/domain/time.ts';
import { decide } from '../../src/request/decide/decide.ts';
import { enricher } from '../../src/request/enrich/enrich.ts';
import { identifier } from '../../src/request/identify/identify.ts';
import { receive } from '../../src/request/receive/receive.ts';
import { respond } from '../../src/request/respond/respond.ts';
import { HeldGrants } from '../fakes/held-grants.ts';
import { KnownSignals } from '../fakes/known-signals.ts';
import { TestClock } from '../fakes/test-clock.ts';
import { asRecorded } from '../support/as-recorded.ts';
import { blocksOf, matches } from './markdown.ts';
import { root } from './terminal.ts';

const page = readFileSync(join(root, 'docs/decision.md'), 'utf8');

function block(info: string): unknown {
  const found = blocksOf(page).filter((one) => one.info === info);
  expect(found).toHaveLength(1);
  return JSON.parse(found[0]?.text ?? '');
}

/** Rows of the tables below a heading, to the next heading of its level. */
function rowsBelow(heading: string): readonly (readonly string[])[] {
  const level = heading.indexOf(' ');
  const from = page.indexOf(`\n${heading}\n`) + heading.length + 1;
  expect(from).toBeGreaterThan(heading.length);
  const ends = new RegExp(`\n#{1,${level}} `).exec(page.slice(from));
  return page
    .slice(from, ends === null ? undefined : from + ends.index)
    .split('\n')
    .filter((line) => line.startsWith('| ') && !line.startsWith('| ---'))
    .map((line) => line.slice(2, -2).split(' | '));
}

const codesIn = (cell: string | undefined) => [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, code = '']) => code);

const agent = 'spiffe://acme.example/agent/report-bot';
const digest = `sha256:${'ab'.repeat(32)}`;

/** The input of a request when there is something to say in every member. */
function fullInput(): Record<string, unknown> {
  const clock = new TestClock();
  const now = clock.now();
  const ago = (ms: number): EpochMs => epochMs(now - ms);
  const signals = new KnownSignals();
  const report = (
    kind: 'device' | 'subject' | 'workload',
    id: string,
    source: string,
    ms: number,
    attributes: object,
  ) => signals.report({ about: { kind, id }, attributes: { ...attributes }, observedAt: ago(ms), source });
  report('device', 'node-7', 'mdm', 12_000, { compliant: true });
  report('subject', agent, 'risk-engine', 40_000, {
    risk_level: 'low',
    risk_score: 12,
    credential_changed_at: '2026-10-01T08:00:00Z',
    credential_compromised: false,
    identity_disabled: false,
    revoked: false,
    assurance: { namespace: 'NIST-AAL', current_level: 'nist-aal2' },
  });
  report('workload', agent, 'orchestrator', 500, { namespace: 'finance' });
  const grants = new HeldGrants();
  grants.give({
    id: 'g-1',
    subject: agent,
    actions: ['query'],
    resources: ['payroll'],
    resourceType: 'database',
    reason: 'CHG-1042',
    approver: 'ops',
    approvedAt: ago(60_000),
    expiresAt: ago(-840_000),
    maxUses: 1,
  });
  const attestation: Attestation = {
    type: 'https://slsa.dev/provenance/v1',
    builder: 'https://builder.acme.example/release',
    buildType: 'https://builder.acme.example/v1',
    digest,
    keyId: 'release',
    sourceRepository: 'https://git.acme.example/payroll',
    finishedAt: ago(3_600_000),
    receivedAt: now,
  };
  const raw: RawRequest = {
    surface: 'authzen',
    entrypoint: 'authz/decision',
    body: Buffer.from(
      JSON.stringify({
        subject: { type: 'agent', id: agent, properties: {} },
        action: { name: 'query', properties: {} },
        resource: { type: 'database', id: 'payroll', properties: { digest } },
        context: { task: 'monthly-report' },
        device: { compliant: true },
        other: 'of the caller',
      }),
    ),
    via: { method: 'socket', id: agent },
    remote: 'unix',
  };
  const request = receive(raw, { depthMax: 64 });
  const enrich = enricher({
    signals,
    grants,
    attestations: { of: (one) => (one === digest ? [attestation] : []) },
    sidecar: { id: 'test', labels: { region: 'local' } },
  });
  const caller = identifier({ relays: new Set(), deviceId: 'node-7' })(request);
  const facts = enrich(request, caller, { revision: bundleRevision('r1'), currentAt: ago(9_000) }, now);
  return JSON.parse(facts.input) as Record<string, unknown>;
}

/** Objects whose members callers, sources or configuration name. */
const open = /^(?:.*\.(?:properties|attributes|labels|assurance|claims)|context|\w+\.sources\.<name>)$/;

/** `device.sources.<name>`, `grants[].id`: the members of an input, down to values and objects that are open. */
function pathsOf(value: unknown, path: string): readonly string[] {
  if (open.test(path) || typeof value !== 'object' || value === null) return [path];
  if (Array.isArray(value)) {
    const [first] = value as readonly unknown[];
    return typeof first === 'object'
      ? [`${path}[]`, ...pathsOf(first, `${path}[]`).filter((one) => one !== path)]
      : [path];
  }
  return Object.entries(value).flatMap(([name, inner]) =>
    pathsOf(inner, path === '' ? name : `${path}.${path.endsWith('.sources') ? '<name>' : name}`),
  );
}

describe('the input on the page', () => {
  it('is what a request is given when everything is known', () => {
    expect(matches(block('json input'), fullInput())).toBe(true);
  });

  it('has a row for each of its members, and no row for another', () => {
    const known = rowsBelow("### As known: the sidecar's half").flatMap(([members]) => codesIn(members));
    const asked = rowsBelow("### As asked: the caller's half").flatMap(([members]) => codesIn(members));
    expect([...asked, ...known].toSorted()).toEqual([...pathsOf(fullInput(), '')].toSorted());
    expect([...new Set(known.map((member) => /^\w+/.exec(member)?.[0]))]).toEqual([...knownMembers]);
  });
});

const revision = bundleRevision('r1');
const decided = (document: unknown): Decision => decide({ revision, text: JSON.stringify(document) }, 'authz/decision');

describe('the document on the page', () => {
  it('has every member that a document may have, and a row for each', () => {
    const document = block('json document') as Record<string, unknown>;
    expect(decided(document).kind).toBe('constrain');
    const rows = rowsBelow('## The decision document').flatMap(([member]) => codesIn(member));
    expect(rows.slice(0, Object.keys(document).length)).toEqual(Object.keys(document));
    const { reasons, obligations } = document as { reasons: object[]; obligations: object[] };
    expect([Object.keys(reasons[0] ?? {}), Object.keys(obligations[0] ?? {})]).toEqual([
      ['code', 'otherwise', 'message', 'remedy'],
      ['id', 'type', 'properties'],
    ]);
  });

  it('is malformed where the page says so', () => {
    for (const document of block('json malformed') as readonly unknown[]) {
      expect(() => decided(document)).toThrow(expect.objectContaining({ code: 'policy_result_invalid' }));
    }
  });
});

const surfaces: readonly Surface[] = ['authzen', 'http', 'opa'];
const answered = (decision: Decision, surface: Surface): Answer =>
  respond(asRecorded(decision), { surface, entrypoint: 'authz/decision' }, 'd-1', { reasons: 'remedies', realm: 'r' });

describe('the answers on the page', () => {
  it('are those to its document', () => {
    const decision = decided(block('json document'));
    const [authzen, http, opa] = surfaces.map((surface) => JSON.parse(answered(decision, surface).body));
    expect(matches(block('json authzen'), authzen)).toBe(true);
    expect(http).toEqual((authzen as { context: unknown }).context);
    expect(matches(block('json opa'), opa)).toBe(true);
  });

  it('have the statuses of its table', () => {
    const rows = rowsBelow('## The answer');
    const decisions: Readonly<Record<string, readonly Decision[]>> = {
      allow: [decided({ effect: 'allow' })],
      constrain: [decided({ effect: 'constrain', constraints: { read_only: true } })],
      step_up: [decided({ effect: 'step_up', step_up: { acr_values: ['a'] } })],
      deny: [
        decided({ effect: 'deny' }),
        { kind: 'undecided', revision, error: asSidecarError(new Undecided('no_bundle', 'none')) },
      ],
    };
    for (const [effect, kinds] of Object.entries(decisions)) {
      const [row] = rows.filter(([name]) => codesIn(name)[0] === effect);
      for (const decision of kinds) {
        expect([effect, ...surfaces.map((surface) => String(answered(decision, surface).status))]).toEqual([
          effect,
          ...(row?.slice(1) ?? []),
        ]);
      }
    }
  });
});
