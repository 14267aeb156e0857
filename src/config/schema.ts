import Type, { type Static, type TSchema } from 'typebox';

/** Where a listener stands. `host` is an IP address; port 0 takes any free one. */
export interface Address {
  readonly host: string;
  readonly port: number;
}

// Formats are our own: the schema keeps what the file holds (text), the type what the sidecar gets. `read.ts` turns the
// one into the other, and refuses what it cannot turn.
export const addressFormat = 'address';
/** `http:` or `https:`, without credentials or fragment. */
export const httpUrlFormat = 'http-url';
export const fileModeFormat = 'file-mode';

const address = (options: { readonly description: string; readonly default?: string }) =>
  Type.Unsafe<Address>(Type.String({ format: addressFormat, maxLength: 64, ...options }));

const fileMode = (options: { readonly description: string; readonly default: string }) =>
  Type.Unsafe<number>(Type.String({ format: fileModeFormat, pattern: '^0[0-7]{3}$', ...options }));

/** An object of the file: every key named, each other one a fault; left out, it stands for its defaults. */
const section = <P extends Record<string, TSchema>>(description: string, properties: P) =>
  Type.Object(properties, { additionalProperties: false, description, default: {} });

/** As `section`, with something in it that has no default. */
const entry = <P extends Record<string, TSchema>>(description: string, properties: P) =>
  Type.Object(properties, { additionalProperties: false, description });

const nullable = <T extends TSchema>(schema: T, options: { readonly default: unknown; readonly description: string }) =>
  Type.Union([schema, Type.Null()], options);

const integer = (minimum: number, maximum: number, standard: number, description: string) =>
  Type.Integer({ minimum, maximum, default: standard, description });

const list = <T extends TSchema>(items: T, maxItems: number, description: string) =>
  Type.Array(items, { maxItems, uniqueItems: true, default: [], description });

const oneOf = <const V extends readonly string[]>(values: V, standard: V[number], description: string) =>
  Type.Unsafe<V[number]>(Type.String({ enum: [...values], default: standard, description }));

/** As `oneOf`, where there is no choice that is right for most. */
const choice = <const V extends readonly string[]>(values: V, description: string) =>
  Type.Unsafe<V[number]>(Type.String({ enum: [...values], description }));

// Patterns that messages and documentation have words for: see `expectation`.
/** A path ends for the system where a zero character stands in it. */
export const unterminated = '^[^\\u0000]+$';
export const visible = '^[\\u0021-\\u007e]+$';
export const uncontrolled = '^[^\\u0000-\\u001f\\u007f]*$';

/** A path relative to the working directory or absolute. */
const path = (description: string) =>
  Type.String({ minLength: 1, maxLength: 4096, pattern: unterminated, description });

// sockaddr_un holds 108 bytes on Linux, its terminating zero among them.
const socketPath = (description: string) =>
  Type.String({ minLength: 1, maxLength: 107, pattern: unterminated, description });

const identityId = (description: string) =>
  Type.String({ minLength: 1, maxLength: 2048, pattern: visible, description });
const name = (description: string) => Type.String({ pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$', description });

const identity = (description: string) =>
  entry(description, {
    id: identityId('Who the callers of this listener are, e.g. a SPIFFE id. Compared byte for byte.'),
  });

const mebibyte = 1024 * 1024;

const listenerLimits = (connections: number) => ({
  body_bytes: integer(1, 64 * mebibyte, mebibyte, 'Largest request body, in bytes.'),
  depth: integer(1, 512, 64, 'Deepest nesting of JSON objects and arrays in a body.'),
  header_bytes: integer(1024, mebibyte, 16_384, 'Largest header block with the request line, in bytes.'),
  headers_count: integer(8, 2000, 100, 'Most header fields in one request.'),
  connections: integer(
    1,
    65_536,
    connections,
    'Most connections open at one time on each address and socket; more are closed as they come.',
  ),
  // Looked at every half second: a caller that dawdles is gone within ten.
  header_timeout_ms: integer(100, 600_000, 9_000, 'Time for a request header to arrive whole.'),
  body_timeout_ms: integer(100, 600_000, 10_000, 'Time for a request body to arrive whole.'),
  keep_alive_ms: integer(1000, 3_600_000, 65_000, 'How long an idle connection stays open.'),
});

const bundleName = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
  description: 'Name of the bundle in records, metrics and status.',
});

const httpUrl = (description: string) => Type.String({ format: httpUrlFormat, maxLength: 2048, description });

/** How a server is spoken to. */
const httpAccess = {
  bearer_file: Type.Optional(path('File with a bearer token, and nothing else; read for each request.')),
  ca_file: Type.Optional(path('Certificates that are trusted in place of the system’s, PEM.')),
  certificate_file: Type.Optional(path('Client certificate, PEM, with its chain.')),
  key_file: Type.Optional(path('Key of the client certificate, PEM.')),
  timeout_s: integer(1, 3600, 60, 'Time for an answer to begin, and again for it to be whole.'),
};

/** Where a bundle comes from (one of three), and what it has to prove. */
const bundleOrigin = {
  file: Type.Optional(path('The bundle, as `postern build` or `opa build -t wasm` writes it.')),
  directory: Type.Optional(path('The bundle unpacked, as a Kubernetes volume delivers one.')),
  http: Type.Optional(
    entry('A server that has the bundle, by OPA’s bundle protocol.', {
      url: httpUrl('Where the bundle is.'),
      ...httpAccess,
      min_delay_s: integer(1, 86_400, 60, 'Least time between two requests.'),
      max_delay_s: integer(1, 86_400, 120, 'Most time between two requests, and between two attempts after failures.'),
      long_poll_s: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 3600,
          description:
            'How long the server may hold a request open until there is news. Left out: it is asked again and again.',
        }),
      ),
      deltas: Type.Boolean({
        default: true,
        description:
          'Take changes to the data in place of whole bundles. They cannot be signed: where `signing.required` is set, none are taken.',
      }),
    }),
  ),
  signing: Type.Optional(
    entry('What the bundle’s signature has to prove. Left out: none is asked for, and a signed bundle is refused.', {
      required: Type.Boolean({ default: true, description: 'Refuse a bundle that is not signed.' }),
      scope: Type.Optional(
        Type.String({ minLength: 1, maxLength: 256, description: 'What the signature’s `scope` has to say.' }),
      ),
      keys: list(
        entry('A key that bundles are signed with.', {
          id: Type.String({
            minLength: 1,
            maxLength: 256,
            pattern: visible,
            description:
              'Name of the key, as signatures give it in `kid` or `keyid`; one that gives none is checked with each key.',
          }),
          file: path('Public key or certificate, PEM; read at start.'),
          algorithm: choice(
            ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
            'The algorithm of the key’s signatures; no other is taken.',
          ),
        }),
        16,
        'Keys, any of which may have signed: two while one takes the other’s place.',
      ),
    }),
  ),
  rollback: Type.Optional(
    Type.Boolean({
      description:
        'Whether a bundle that served before and was replaced may serve again. Left out: from a file or directory yes, from a server no.',
    }),
  ),
};

/** Of bundles that decide: one that is only asked beside them may be of any age. */
const bundleAge = {
  max_age_s: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 31_536_000,
      description:
        'Past this age every decision is deny `bundle_too_old`. It counts from when a server last had nothing newer; of a file or directory, from its (newest file’s) modification time. Left out: policies judge the age, which is in every input.',
    }),
  ),
};

/** What a member left out is taken from, where that is no constant. */
export const derived = {
  'sidecar.id': 'the host name',
  'bundle.name': 'the last part of the path, without `.tar.gz`',
} as const;

/** The one definition: the type `Config`, the check and the JSON Schema all come from it. */
export const configSchema = Type.Object(
  {
    sidecar: section('Who this sidecar is, in its records and in `environment.sidecar` of every input.', {
      id: Type.String({
        minLength: 1,
        maxLength: 253,
        pattern: visible,
        description: 'Name of this sidecar, unique in the fleet.',
      }),
      labels: Type.Record(
        Type.String({ pattern: '^[a-z][a-z0-9_]{0,62}$' }),
        Type.String({ maxLength: 256, pattern: uncontrolled }),
        {
          additionalProperties: false,
          maxProperties: 16,
          default: {},
          description: 'Labels such as region or cluster; policies may read them.',
        },
      ),
    }),
    decision: section('The listener that agents reach. It decides and changes nothing.', {
      listen: nullable(address({ description: 'Loopback address' }), {
        default: '127.0.0.1:8181',
        description: 'TCP address, loopback only; `null`: no TCP listener. Port 0 takes any free port.',
      }),
      identity: Type.Optional(
        identity(
          'Identity of every caller on the TCP listener. Left out: callers are unknown there, and policies deny.',
        ),
      ),
      sockets: list(
        entry('A Unix socket, one for each identity.', {
          path: socketPath('Path of the socket. Its directory is what the agent mounts: nothing else may stand in it.'),
          identity: identity('Identity of every caller on this socket.'),
          mode: fileMode({ default: '0660', description: 'File mode of the socket, octal, in quotes.' }),
        }),
        64,
        'Unix sockets, each guarded by file mode and mounts, each its own identity.',
      ),
      entrypoint: Type.String({
        pattern: '^(?:[A-Za-z_][A-Za-z0-9_]*/)*decision$',
        maxLength: 256,
        default: 'authz/decision',
        description: 'Policy entrypoint that AuthZEN requests ask; its last segment is `decision`.',
      }),
      public_url: Type.Optional(
        Type.String({
          format: 'origin',
          maxLength: 2048,
          description:
            'Origin in the AuthZEN metadata document, e.g. `https://pdp.acme.example`. Left out: `http://` and the bound address.',
        }),
      ),
      relays: list(
        identityId('Identity of a listener.'),
        64,
        'Identities that may speak for other subjects and name their devices, e.g. an API gateway.',
      ),
      reasons: oneOf(
        ['codes', 'remedies', 'full'],
        'remedies',
        'What an answer tells its caller of each reason: `codes`: its code and what it leads to; `remedies`: also what can be done, and of the sidecar’s own reasons what happened; `full`: policies’ messages too, which may hold values the sidecar knows.',
      ),
      builtins: section(
        'Whom policies may ask while they decide. What is left out here is not allowed, and a bundle that needs it is refused.',
        {
          http_send: Type.Optional(
            entry('Allows `http.send`, to the servers named here and no other.', {
              origins: list(
                Type.String({ format: 'origin', maxLength: 2048, description: 'An origin.' }),
                64,
                'Servers, each with its scheme and port, e.g. `https://cmdb.acme.example:8443`; redirects lead nowhere else.',
              ),
              timeout_ms: integer(1, 60_000, 1_000, 'Most time for one answer to be whole; a policy may ask for less.'),
              response_bytes: integer(1, 4 * mebibyte, 65_536, 'Largest body of an answer, in bytes.'),
            }),
          ),
          lookup_ip_addr: Type.Optional(
            entry('Allows `net.lookup_ip_addr`, for the names given here and no other.', {
              names: list(
                Type.String({
                  pattern: '^[a-z0-9_][a-z0-9_.-]{0,252}$',
                  maxLength: 253,
                  description: 'A name, in lower case.',
                }),
                64,
                'Names, e.g. `db.acme.example`; looked up as this machine does it.',
              ),
              timeout_ms: integer(1, 60_000, 1_000, 'Most time for one name.'),
            }),
          ),
          calls: integer(
            1,
            16,
            4,
            'Most questions of one decision; past it the decision is deny `policy_budget_spent`.',
          ),
          wait_ms: integer(
            1,
            60_000,
            2_000,
            'Most time that one decision waits for all of them; past it the decision is deny `outside_unavailable`.',
          ),
          in_flight: integer(
            1,
            4096,
            32,
            'Most decisions that wait at one time, of `decision.limits.in_flight`; more are deny `outside_unavailable` at once.',
          ),
        },
      ),
      limits: section('Limits of the decision listeners, together.', {
        ...listenerLimits(1024),
        policy_ms: integer(
          1,
          60_000,
          25,
          'Most processor time one evaluation of a policy may take; past it the decision is deny `policy_budget_spent`.',
        ),
        policy_memory_bytes: integer(
          mebibyte,
          2048 * mebibyte,
          256 * mebibyte,
          'Most memory one evaluation may take beyond the data, past which the decision is deny `policy_budget_spent`.',
        ),
        in_flight: integer(
          1,
          65_536,
          512,
          'Most requests being read or decided at one time. Those whose bodies are still coming fill no more than their listener’s even part of it. More are answered 503.',
        ),
        requests_per_socket: integer(1, 1_000_000_000, 100_000, 'Requests on one connection before it is closed.'),
      }),
    }),
    control: section(
      'The listener for signals, grants, attestations and status, out of reach of agents. It takes a token, or is switched off.',
      {
        listen: nullable(address({ description: 'Loopback address' }), {
          default: '127.0.0.1:8282',
          description: 'TCP address, loopback only; `null`: no TCP listener. Port 0 takes any free port.',
        }),
        socket: nullable(
          entry('A Unix socket outside of every directory that agents mount.', {
            path: socketPath('Path of the socket.'),
            mode: fileMode({ default: '0600', description: 'File mode of the socket, octal, in quotes.' }),
          }),
          { default: null, description: 'Unix socket beside or instead of the TCP listener.' },
        ),
        tokens: list(
          entry('A bearer token.', {
            name: name('Who holds the token: stands in records, and as approver of grants.'),
            file: path('File with the token, and nothing else. Secrets never stand in the configuration itself.'),
          }),
          64,
          'Bearer tokens; at least one unless neither `listen` nor `socket` is set.',
        ),
        limits: section('Limits of the control listener.', listenerLimits(128)),
      },
    ),
    probes: section(
      'A third address for `/health/live`, `/health/ready` and `/metrics` alone, without authentication.',
      {
        listen: nullable(address({ description: 'Address' }), {
          default: null,
          description: 'TCP address; may bind wider than loopback, e.g. `0.0.0.0:8383` for the kubelet and Prometheus.',
        }),
      },
    ),
    bundle: entry('The policy bundle that is served: one of `file`, `directory` and `http` says where it is.', {
      ...bundleOrigin,
      ...bundleAge,
      name: bundleName,
      watch: Type.Boolean({
        default: true,
        description: 'Swap the bundle when its file or directory changes; SIGHUP swaps always.',
      }),
      keep: Type.Optional(
        path(
          'Directory for a copy of the last good bundle, and for what served before. With it a restart needs no server. Must be given with `http`.',
        ),
      ),
      prepare_s: integer(1, 3600, 60, 'Time for a bundle to be read, verified, built and tried, once it is here.'),
      data: list(
        entry('A bundle of data beside the policy: its roots overlap with no other’s.', {
          name: bundleName,
          ...bundleOrigin,
          ...bundleAge,
        }),
        16,
        'Bundles of data that the policy rests on. Nothing serves until all of them are there.',
      ),
      shadow: Type.Optional(
        entry(
          'A bundle that sees the same inputs and decides nothing: where it would answer otherwise is counted and logged.',
          {
            name: bundleName,
            ...bundleOrigin,
            share: Type.Number({
              minimum: 0,
              maximum: 1,
              default: 1,
              description: 'Share of the decisions that it is asked too.',
            }),
          },
        ),
      ),
      status: Type.Optional(
        entry('A server that is told what serves, by OPA’s status API.', {
          url: httpUrl('The service; `/status` is put behind it.'),
          ...httpAccess,
          interval_s: integer(1, 86_400, 60, 'Time between two reports; a change is told at once.'),
        }),
      ),
    }),
    store: entry('Signals, grants and attestations, on disk.', {
      directory: path('Directory of the embedded store; one sidecar, one directory.'),
      caps: section('Most entries of each kind; past it writes are refused, and nothing known is dropped for them.', {
        devices: integer(1, 10_000_000, 100_000, 'Devices with signals.'),
        subjects: integer(1, 10_000_000, 100_000, 'Subjects with signals.'),
        sessions: integer(1, 10_000_000, 100_000, 'Sessions with signals.'),
        workloads: integer(1, 10_000_000, 100_000, 'Workloads with signals.'),
        grants: integer(1, 10_000_000, 100_000, 'Grants in any state.'),
        attestations: integer(1, 1_000_000, 10_000, 'Attestations; here the oldest makes room.'),
      }),
    }),
    record: entry('The decision record.', {
      file: path('File that decision events are appended to, one JSON object a line.'),
      buffer_bytes: integer(
        65_536,
        256 * mebibyte,
        8 * mebibyte,
        'Most bytes of events that wait for the disk; past it decisions are deny `audit_unavailable`.',
      ),
      console: Type.Boolean({
        default: false,
        description: 'Write each decision event to the operational log too, shortened as its lines are.',
      }),
    }),
    device: Type.Optional(
      entry('The device this sidecar stands on. Left out: no caller has a known device.', {
        id: identityId('Id of the device, as signals about it name it.'),
        host: nullable(
          Type.Object(
            {
              root: Type.String({
                minLength: 1,
                maxLength: 4096,
                pattern: unterminated,
                default: '/',
                description:
                  'Where the machine’s file system is seen: in a container, a place where parts of it are mounted, e.g. `/host`.',
              }),
              interval_s: integer(1, 86_400, 30, 'Time between two readings of this machine.'),
              baseline: Type.Record(
                Type.String({ pattern: '^[a-z][a-z0-9_]{0,62}$' }),
                Type.Union([
                  Type.Boolean(),
                  Type.Number({ minimum: -1e15, maximum: 1e15 }),
                  Type.String({ maxLength: 256 }),
                ]),
                {
                  additionalProperties: false,
                  maxProperties: 64,
                  default: {},
                  description:
                    'Attributes and the values they must have for the host source to report `compliant: true`. Empty: it reports no compliance at all.',
                },
              ),
              image_digest: Type.Optional(
                Type.String({ pattern: '^sha256:[0-9a-f]{64}$', description: 'Digest of the image that runs here.' }),
              ),
              node_name: Type.Optional(
                Type.String({ minLength: 1, maxLength: 253, pattern: visible, description: 'Name of the node.' }),
              ),
            },
            { additionalProperties: false, description: 'Reads the machine that the sidecar stands on.' },
          ),
          { default: {}, description: 'The host source; `null` switches it off.' },
        ),
      }),
    ),
    attestations: section('Whose attestations are believed.', {
      keys: list(
        entry('A key that signs attestations.', {
          id: name('Name of the key in records.'),
          file: path('Public key, PEM.'),
          builders: Type.Array(identityId('A `builder.id`.'), {
            minItems: 1,
            maxItems: 64,
            uniqueItems: true,
            description: 'Builders that this key may speak for.',
          }),
          build_types: Type.Array(identityId('A `buildType`.'), {
            minItems: 1,
            maxItems: 64,
            uniqueItems: true,
            description: 'Build types that are accepted.',
          }),
          parameters: list(
            Type.String({ minLength: 1, maxLength: 256 }),
            64,
            'Members of `externalParameters` that are expected; one with any other does not verify (SLSA provenance v1).',
          ),
          signature: oneOf(['der', 'ieee-p1363'], 'der', 'Encoding of ECDSA signatures; Ed25519 has only one.'),
        }),
        64,
        'Keys, and what each of them may say. None: no attestation verifies.',
      ),
    }),
    log: section('The operational log, on standard output.', {
      level: oneOf(['error', 'warn', 'info', 'debug'], 'info', 'Least important level that is written.'),
      format: oneOf(['json', 'text'], 'json', 'One JSON object a line, or text for people.'),
    }),
  },
  { additionalProperties: false, title: 'Postern configuration', description: 'Configuration of one Postern sidecar.' },
);

/** The configuration as the sidecar uses it: checked whole, defaults in place, named as in the file. */
export type Config = Static<typeof configSchema>;
export type ListenerLimits = Config['control']['limits'];
