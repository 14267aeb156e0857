import type { JsonObject, JsonValue } from '../../src/domain/json-value.ts';

export type Path = readonly (string | number)[];

const digest = 'sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08';

/** What rego/testing/request_test.rego calls a request: an identity in good standing on a compliant machine. */
function request(id: string, action: string, resource: JsonObject, rest: JsonObject = {}): JsonObject {
  return {
    subject: { type: 'workload', id, properties: {} },
    action: { name: action, properties: {} },
    resource: { properties: {}, ...resource },
    context: {},
    caller: { id, method: 'configured', claims: {}, age_s: 0, relay: false },
    device: {
      id: 'node-7',
      known: true,
      compliant: true,
      attributes: { compliant: true },
      observed_at: '2026-11-02T09:59:48.000Z',
      age_s: 12,
      source: 'mdm',
      sources: { mdm: { attributes: { compliant: true }, observed_at: '2026-11-02T09:59:48.000Z', age_s: 12 } },
    },
    trust: {
      risk_level: 'low',
      session: { revoked: false },
      assurance: { namespace: 'NIST-AAL', current_level: 'nist-aal3' },
      attributes: { risk_level: 'low' },
      age_s: 40,
      sources: ['idp'],
    },
    workload: { id, known: false },
    grants: [],
    attestations: [],
    environment: {
      now: '2026-11-02T10:00:00.000Z',
      now_ns: 1_793_613_600_000_000_000,
      bundle: { revision: 'starter-0123456789ab', age_s: 9 },
      sidecar: { id: 'starter', labels: {} },
    },
    ...rest,
  };
}

function grant(action: string, resource: string): JsonObject {
  return {
    id: 'g-1',
    actions: [action],
    resources: [resource],
    reason: 'release 41',
    approver: 'ann',
    age_s: 120,
    expires_at: '2026-11-02T10:30:00.000Z',
    uses_left: 1,
  };
}

const bot = 'spiffe://acme.example/agent/report-bot';
const orchestrated = { transactions: { 'tx-91': { secrets: ['billing/stripe-key', 'billing/ca-bundle'] } } };

function secret(id: string): JsonObject {
  return request(
    'spiffe://acme.example/sa/billing',
    'read',
    { type: 'secret', id },
    {
      context: { transaction: 'tx-91' },
      workload: {
        id: 'spiffe://acme.example/sa/billing',
        known: true,
        attributes: orchestrated,
        age_s: 5,
        sources: { orchestrator: { attributes: orchestrated, observed_at: '2026-11-02T09:59:55.000Z', age_s: 5 } },
      },
    },
  );
}

/** The five cases, each as open as it gets. */
export const requests: Readonly<Record<string, JsonObject>> = {
  query: request(bot, 'query', { type: 'database', id: 'payroll' }, { context: { task: 'monthly-report' } }),
  'query of a replica': request(
    bot,
    'query',
    { type: 'database', id: 'holidays' },
    { context: { task: 'monthly-report' } },
  ),
  deploy: request(
    'spiffe://acme.example/ci/payments-deploy',
    'deploy',
    { type: 'environment', id: 'prod/payments', properties: { digest } },
    {
      grants: [grant('deploy', 'prod/*')],
      attestations: [
        {
          type: 'https://slsa.dev/provenance/v1',
          verified: true,
          builder: 'https://github.com/acme/builders/.github/workflows/release.yml@refs/heads/main',
          build_type: 'https://actions.github.io/buildtypes/workflow/v1',
          digest,
          key_id: 'release',
          source_repository: 'https://github.com/acme/payments',
        },
      ],
    },
  ),
  secret: secret('billing/stripe-key'),
  'plain secret': secret('billing/ca-bundle'),
  review: request('spiffe://acme.example/operator/ann', 'review', { type: 'entitlements', id: 'all' }),
  narrow: request(
    'spiffe://acme.example/operator/ann',
    'narrow',
    { type: 'entitlements', id: bot },
    { grants: [grant('narrow', bot)] },
  ),
  audit: request(
    'spiffe://acme.example/auditor/zoe',
    'read',
    { type: 'decision_log', id: 'starter' },
    { grants: [grant('read', 'starter')] },
  ),
};

/** What the caller asks; another question is another answer, and nothing to hold a policy to. */
const question: ReadonlySet<string> = new Set(['subject', 'action', 'resource', 'environment']);

/** Every member and element at every depth, of the half that the sidecar writes and of the context. */
export function pathsIn(value: JsonValue): readonly Path[] {
  return everyPathIn(value).filter(([name]) => !question.has(String(name)));
}

/** Every member and element at every depth. */
export function everyPathIn(value: JsonValue, at: Path = []): readonly Path[] {
  const inner: readonly (readonly [string | number, JsonValue])[] = Array.isArray(value)
    ? [...(value as readonly JsonValue[]).entries()]
    : typeof value === 'object' && value !== null
      ? Object.entries(value)
      : [];
  return inner.flatMap(([name, below]) => [[...at, name], ...everyPathIn(below, [...at, name])]);
}

export function valueAt(value: JsonValue, path: Path): JsonValue | undefined {
  return path.reduce<JsonValue | undefined>(
    (at, name) =>
      typeof at === 'object' && at !== null ? (at as Readonly<Record<string, JsonValue>>)[name] : undefined,
    value,
  );
}

/** A copy with one place left out (`undefined`) or holding something else; unchanged where there is no such place. */
export function changed(value: JsonValue, path: Path, to: JsonValue | undefined): JsonValue {
  const [name, ...rest] = path;
  if (name === undefined) return to ?? null;
  if (Array.isArray(value)) {
    const list = [...(value as readonly JsonValue[])];
    const index = Number(name);
    if (!(index in list)) return list;
    if (rest.length === 0 && to === undefined) list.splice(index, 1);
    else list[index] = changed(list[index] ?? null, rest, to);
    return list;
  }
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return value;
  const { [name]: inner = null, ...others } = value as JsonObject;
  return rest.length === 0 && to === undefined ? others : { ...others, [name]: changed(inner, rest, to) };
}

/** Where one stands inside the other, or both are one. */
export function overlap(a: Path, b: Path): boolean {
  const depth = Math.min(a.length, b.length);
  return a.slice(0, depth).every((name, index) => name === b[index]);
}
