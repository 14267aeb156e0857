import { describe, expect, it } from '@jest/globals';
import type { Attestation } from '../../../src/domain/attestation.ts';
import { bundleRevision } from '../../../src/domain/bundle.ts';
import type { Facts } from '../../../src/domain/facts.ts';
import type { JsonObject } from '../../../src/domain/json-value.ts';
import type { AuthzRequest, Caller } from '../../../src/domain/request.ts';
import { epochMs } from '../../../src/domain/time.ts';
import { enricher } from '../../../src/request/enrich/enrich.ts';
import { HeldGrants } from '../../fakes/held-grants.ts';
import { KnownSignals } from '../../fakes/known-signals.ts';
import { TestClock } from '../../fakes/test-clock.ts';

const bot = 'spiffe://acme.example/agent/bot';
const digest = `sha256:${'ab'.repeat(32)}`;

/** An enricher on known state that the test writes. */
class Known {
  readonly clock = new TestClock();
  readonly signals = new KnownSignals();
  readonly grants = new HeldGrants();
  readonly attestations: Attestation[] = [];
  readonly #enrich = enricher({
    signals: this.signals,
    grants: this.grants,
    attestations: { of: (one) => this.attestations.filter((attestation) => attestation.digest === one) },
    sidecar: { id: 'sidecar-1', labels: { region: 'local' } },
  });

  facts(request: Partial<AuthzRequest> = {}, caller: Partial<Caller> = {}): Facts {
    return this.#enrich(
      {
        surface: 'authzen',
        entrypoint: 'authz/decision',
        asked: {},
        askedText: '"a":1',
        digests: [],
        via: { method: 'configured', id: bot },
        remote: 'unix',
        ...request,
      },
      { id: bot, method: 'configured', claims: {}, ageS: 0, relay: false, deviceId: 'node-7', ...caller },
      { revision: bundleRevision('r1'), currentAt: epochMs(Date.parse('2026-11-02T09:59:51.000Z')) },
      this.clock.now(),
    );
  }

  /** One member of the known half, parsed. */
  input(member: string, request: Partial<AuthzRequest> = {}, caller: Partial<Caller> = {}): JsonObject {
    return (JSON.parse(this.facts(request, caller).input) as Record<string, JsonObject>)[member] ?? {};
  }

  /** A report of this moment, or of some milliseconds ago. */
  report(
    kind: 'device' | 'subject' | 'workload',
    id: string,
    attributes: JsonObject,
    change: { readonly agoMs?: number; readonly source?: string; readonly forMs?: number } = {},
  ): void {
    const observedAt = epochMs(this.clock.now() - (change.agoMs ?? 0));
    this.signals.report({
      about: { kind, id },
      attributes,
      observedAt,
      ...(change.source !== undefined && { source: change.source }),
      ...(change.forMs !== undefined && { expiresAt: epochMs(observedAt + change.forMs) }),
    });
  }
}

describe('the input of a request about which nothing is known', () => {
  it('has the caller’s half as it was sent, and says of each thing that it is unknown', () => {
    expect(new Known().facts().input).toBe(
      `{"a":1,"caller":{"id":"${bot}","method":"configured","claims":{},"age_s":0,"relay":false}` +
        `,"device":{"id":"node-7","known":false},"trust":{"session":{"revoked":false},"sources":[]}` +
        `,"workload":{"id":"${bot}","known":false},"grants":[],"attestations":[]` +
        `,"environment":{"now":"2026-11-02T10:00:00.000Z","now_ns":1793613600000000000` +
        `,"bundle":{"revision":"r1","age_s":9},"sidecar":{"id":"sidecar-1","labels":{"region":"local"}}}}`,
    );
  });

  it('begins with the known half where nothing was asked', () => {
    expect(new Known().facts({ askedText: '' }).input).toMatch(/^\{"caller":\{/);
  });

  it('has no id of a caller or device that nobody knows', () => {
    const known = new Known();
    expect(known.input('caller', {}, { id: undefined, method: 'none' })).toEqual({
      method: 'none',
      claims: {},
      age_s: 0,
      relay: false,
    });
    expect(known.input('device', {}, { deviceId: undefined })).toEqual({ known: false });
    expect(known.input('workload', {}, { id: undefined })).toEqual({ known: false });
    expect(known.facts().signalAgesS).toEqual({});
  });
});

describe('a device', () => {
  it('is as compliant as its worst source says, and as old as the report that this rests on', () => {
    const known = new Known();
    known.report('device', 'node-7', { compliant: true, os: 'linux' }, { agoMs: 12_000, source: 'mdm' });
    known.report('device', 'node-7', { compliant: true }, { agoMs: 30_000, source: 'edr' });
    expect(known.input('device')).toEqual({
      id: 'node-7',
      known: true,
      compliant: true,
      attributes: { compliant: true, os: 'linux' },
      observed_at: '2026-11-02T09:59:30.000Z',
      age_s: 30,
      source: 'edr',
      sources: {
        edr: { attributes: { compliant: true }, observed_at: '2026-11-02T09:59:30.000Z', age_s: 30 },
        mdm: { attributes: { compliant: true, os: 'linux' }, observed_at: '2026-11-02T09:59:48.000Z', age_s: 12 },
      },
    });
    known.report('device', 'node-7', { compliant: false }, { source: 'edr' });
    expect(known.input('device')).toMatchObject({ compliant: false, age_s: 0, source: 'edr' });
  });

  it('S06 is not made compliant by a source that says nothing of it', () => {
    const known = new Known();
    known.report('device', 'node-7', { compliant: false }, { agoMs: 90_000, source: 'mdm' });
    known.report('device', 'node-7', { os: 'linux' }, { source: 'host' });
    expect(known.input('device')).toMatchObject({ compliant: false, age_s: 90, source: 'mdm' });
  });

  it('of which nobody says whether it is compliant has its newest report’s age', () => {
    const known = new Known();
    known.report('device', 'node-7', { os: 'linux' }, { agoMs: 5_000, source: 'a' });
    known.report('device', 'node-7', { kernel: '6.1' }, { agoMs: 2_000, source: 'b' });
    const device = known.input('device');
    expect(device).not.toHaveProperty('compliant');
    expect(device).toMatchObject({ known: true, age_s: 2, source: 'b' });
  });

  it('ages with the clock, to the millisecond, and S01 has a negative age when its report is from the future', () => {
    const known = new Known();
    known.report('device', 'node-7', { compliant: true });
    expect(known.input('device')['age_s']).toBe(0);
    known.clock.advance(1);
    expect(known.input('device')['age_s']).toBe(0.001);
    expect(known.facts().signalAgesS).toEqual({ device: 0.001 });
    known.clock.advance(3_599_999);
    expect(known.input('device')['age_s']).toBe(3_600);
    known.report('device', 'node-7', { compliant: true }, { agoMs: -1_000 });
    expect(known.input('device')['age_s']).toBe(-1);
  });

  it('is unknown again from the moment on that its last report is over', () => {
    const known = new Known();
    known.report('device', 'node-7', { compliant: true }, { forMs: 1_000 });
    known.clock.advance(999);
    expect(known.input('device')).toMatchObject({ known: true, compliant: true });
    known.clock.advance(1);
    expect(known.input('device')).toEqual({ id: 'node-7', known: false });
    known.report('device', 'node-7', { compliant: false });
    expect(known.input('device')).toMatchObject({ known: true, compliant: false });
  });

  it('whose one report is over rests on the others', () => {
    const known = new Known();
    known.report('device', 'node-7', { compliant: false }, { source: 'edr', forMs: 1_000 });
    known.report('device', 'node-7', { compliant: true }, { source: 'mdm' });
    expect(known.input('device')['compliant']).toBe(false);
    known.clock.advance(1_000);
    expect(known.input('device')).toMatchObject({ compliant: true, source: 'mdm', sources: { mdm: {} } });
  });

  it('is the one that the caller stands on', () => {
    const known = new Known();
    known.report('device', 'node-7', { compliant: true });
    expect(known.input('device', {}, { deviceId: 'node-9' })).toEqual({ id: 'node-9', known: false });
  });

  it('P10 is never another’s: what is kept for one id is not given for the next', () => {
    const known = new Known();
    known.report('device', 'node-7', { compliant: true });
    known.report('device', 'node-8', { compliant: false });
    for (const [deviceId, compliant] of [
      ['node-7', true],
      ['node-8', false],
      ['node-7', true],
    ] as const) {
      expect(known.input('device', {}, { deviceId })).toMatchObject({ id: deviceId, compliant });
    }
  });
});

describe('trust', () => {
  it('is what is said of the subject, with the members that policies use beside the rest', () => {
    const known = new Known();
    known.report('subject', bot, {
      risk_level: 'low',
      risk_score: 12,
      revoked: false,
      credential_changed_at: '2026-11-01T00:00:00Z',
      credential_compromised: false,
      identity_disabled: false,
      assurance: { acr: 'phr' },
      team: 'data',
    });
    known.clock.advance(40_000);
    expect(known.input('trust')).toEqual({
      risk_level: 'low',
      risk_score: 12,
      credential_changed_at: '2026-11-01T00:00:00Z',
      credential_compromised: false,
      identity_disabled: false,
      session: { revoked: false },
      assurance: { acr: 'phr' },
      attributes: {
        risk_level: 'low',
        risk_score: 12,
        revoked: false,
        credential_changed_at: '2026-11-01T00:00:00Z',
        credential_compromised: false,
        identity_disabled: false,
        assurance: { acr: 'phr' },
        team: 'data',
      },
      observed_at: '2026-11-02T10:00:00.000Z',
      age_s: 40,
      sources: ['test'],
    });
  });

  it('is revoked by anything but an explicit false', () => {
    for (const [value, revoked] of [
      [true, true],
      [false, false],
      [null, true],
      ['no', true],
      [0, true],
    ] as const) {
      const known = new Known();
      known.report('subject', bot, { revoked: value });
      expect(known.input('trust')['session']).toEqual({ revoked });
    }
    const silent = new Known();
    silent.report('subject', bot, { risk_level: 'low' });
    expect(silent.input('trust')['session']).toEqual({ revoked: false });
  });

  it('is as old as the report of the risk level, whatever else is newer', () => {
    const known = new Known();
    known.report('subject', bot, { risk_level: 'low' }, { agoMs: 60_000 });
    known.report('subject', bot, { team: 'data' }, { source: 'hr' });
    expect(known.input('trust')).toMatchObject({ age_s: 60 });
    expect(known.facts().signalAgesS).toEqual({ trust: 60 });
  });

  it('in a subject that a relay speaks for is the worse of trust in both', () => {
    const known = new Known();
    const relay = { id: 'spiffe://acme.example/gateway', relay: true };
    const asked = { asked: { subject: { type: 'agent', id: bot } } };
    known.report('subject', bot, { risk_level: 'low', revoked: false });
    expect(known.input('trust', asked, relay)).toMatchObject({ risk_level: 'low' });
    known.report('subject', relay.id, { risk_level: 'high' });
    expect(known.input('trust', asked, relay)).toMatchObject({ risk_level: 'high', session: { revoked: false } });
    // The pair is kept beside both lists; a new report about either makes it anew.
    expect(known.input('trust', asked, relay)).toMatchObject({ risk_level: 'high' });
    known.clock.advance(1);
    known.report('subject', relay.id, { risk_level: 'low', revoked: true });
    expect(known.input('trust', asked, relay)).toMatchObject({ risk_level: 'low', session: { revoked: true } });
    known.clock.advance(1);
    known.report('subject', bot, { risk_level: 'medium' });
    expect(known.input('trust', asked, relay)).toMatchObject({ risk_level: 'medium', session: { revoked: true } });
    expect(known.input('trust', { asked: { subject: { type: 'agent', id: 'somebody' } } }, relay)).toMatchObject({
      session: { revoked: true },
    });
  });

  it('in a pair is unknown once all that was said of both is over', () => {
    const known = new Known();
    const relay = { id: 'spiffe://acme.example/gateway', relay: true };
    const asked = { asked: { subject: { type: 'agent', id: bot } } };
    known.report('subject', bot, { risk_level: 'low' }, { forMs: 1_000 });
    known.report('subject', relay.id, { risk_level: 'low' }, { forMs: 2_000 });
    expect(known.input('trust', asked, relay)).toMatchObject({ risk_level: 'low' });
    known.clock.advance(2_000);
    expect(known.input('trust', asked, relay)).toEqual({ session: { revoked: false }, sources: [] });
    expect(known.input('trust')).toEqual({ session: { revoked: false }, sources: [] });
  });
});

describe('a workload', () => {
  it('is what is said of the caller, who it is', () => {
    const known = new Known();
    known.report(
      'workload',
      bot,
      { transactions: { 'tx-91': { secrets: ['db'] } } },
      { agoMs: 3_000, source: 'orchestrator' },
    );
    expect(known.input('workload')).toEqual({
      id: bot,
      known: true,
      attributes: { transactions: { 'tx-91': { secrets: ['db'] } } },
      observed_at: '2026-11-02T09:59:57.000Z',
      age_s: 3,
      sources: {
        orchestrator: {
          attributes: { transactions: { 'tx-91': { secrets: ['db'] } } },
          observed_at: '2026-11-02T09:59:57.000Z',
          age_s: 3,
        },
      },
    });
    expect(known.facts().signalAgesS).toEqual({ workload: 3 });
  });
});

describe('grants', () => {
  it('are the subject’s, with what is left of each', () => {
    const known = new Known();
    known.grants.give({
      id: 'g-1',
      subject: bot,
      maxUses: 3,
      uses: 1,
      resourceType: 'environment',
      approver: 'ann',
      expiresAt: epochMs(Date.parse('2026-11-02T10:05:00Z')),
    });
    known.grants.give({ id: 'g-2', subject: bot });
    known.grants.give({ id: 'g-3', subject: 'somebody else' });
    const { grants, input } = known.facts();
    expect(grants.map(({ id }) => id)).toEqual(['g-1', 'g-2']);
    const shown = (JSON.parse(input) as { grants: readonly JsonObject[] }).grants;
    expect(shown[0]).toMatchObject({
      id: 'g-1',
      actions: ['deploy'],
      resources: ['prod/payments'],
      resource_type: 'environment',
      reason: 'test',
      approver: 'ann',
      expires_at: '2026-11-02T10:05:00.000Z',
      uses_left: 2,
    });
    expect(shown[1]).not.toHaveProperty('uses_left');
    expect(shown).toHaveLength(2);
  });

  it('are those of the subject where a relay asks, and none where nobody is named', () => {
    const known = new Known();
    known.grants.give({ id: 'g-1', subject: bot });
    const relay = { id: 'spiffe://acme.example/gateway', relay: true };
    expect(known.facts({ asked: { subject: { type: 'agent', id: bot } } }, relay).grants).toHaveLength(1);
    expect(known.facts({}, relay).grants).toHaveLength(0);
    expect(known.facts({}, { id: undefined }).grants).toHaveLength(0);
  });
});

describe('attestations', () => {
  const attestation: Attestation = {
    type: 'https://slsa.dev/provenance/v1',
    builder: 'https://builder.example/1',
    buildType: 'https://build.example/type',
    digest,
    keyId: 'key-1',
    sourceRepository: 'https://git.example/repo',
    finishedAt: epochMs(Date.parse('2026-11-02T09:00:00Z')),
    receivedAt: epochMs(0),
  };

  it('are those of the artifacts that the request names', () => {
    const known = new Known();
    known.attestations.push(attestation);
    expect(JSON.parse(known.facts({ digests: [digest] }).input)).toMatchObject({
      attestations: [
        {
          type: 'https://slsa.dev/provenance/v1',
          verified: true,
          builder: 'https://builder.example/1',
          build_type: 'https://build.example/type',
          digest,
          key_id: 'key-1',
          source_repository: 'https://git.example/repo',
          finished_at: '2026-11-02T09:00:00.000Z',
          age_s: 3_600,
        },
      ],
    });
    expect(JSON.parse(known.facts({ digests: [`${digest.slice(0, -1)}0`] }).input)).toMatchObject({ attestations: [] });
    expect(JSON.parse(known.facts().input)).toMatchObject({ attestations: [] });
  });

  it('have no age where nobody says when the build ended', () => {
    const known = new Known();
    const { finishedAt: _f, sourceRepository: _s, ...bare } = attestation;
    known.attestations.push(bare);
    const [shown] = (JSON.parse(known.facts({ digests: [digest] }).input) as { attestations: readonly JsonObject[] })
      .attestations;
    expect(shown).not.toHaveProperty('age_s');
    expect(shown).not.toHaveProperty('source_repository');
  });
});
