import Type, { type Static, type TSchema } from 'typebox';

/** The address of a listener. `host` is an IP address; port 0 takes any free port. */
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

/** An object of the file: an unknown key is a fault; left out, the object has its defaults. */
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

/** As `oneOf`, without a default. */
const choice = <const V extends readonly string[]>(values: V, description: string) =>
  Type.Unsafe<V[number]>(Type.String({ enum: [...values], description }));

// Patterns that messages and documentation have words for: see `expectation`.
/** For the system a path ends at a zero character. */
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
  header_bytes: integer(1024, mebibyte, 16_384, 'Largest header block including the request line, in bytes.'),
  headers_count: integer(8, 2000, 100, 'Most header fields in one request.'),
  connections: integer(
    1,
    65_536,
    connections,
    'Most connections open at one time on each address and socket; further ones are closed at once.',
  ),
  // Looked at every half second: a caller that dawdles is gone within ten.
  header_timeout_ms: integer(100, 600_000, 9_000, 'Time for the whole request header to arrive.'),
  body_timeout_ms: integer(100, 600_000, 10_000, 'Time for the whole request body to arrive.'),
  keep_alive_ms: integer(1000, 3_600_000, 65_000, 'How long an idle connection stays open.'),
});

const bundleName = Type.String({
  pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$',
  description: 'Name of the bundle in records, metrics and status.',
});

const httpUrl = (description: string) => Type.String({ format: httpUrlFormat, maxLength: 2048, description });

/** How a server is spoken to. */
const httpAccess = {
  bearer_file: Type.Optional(path('File that contains only a bearer token; read for each request.')),
  ca_file: Type.Optional(path('CA certificates to trust instead of the system’s, PEM.')),
  certificate_file: Type.Optional(path('Client certificate, PEM, with its chain.')),
  key_file: Type.Optional(path('Key of the client certificate, PEM.')),
  timeout_s: integer(1, 3600, 60, 'Time for a response to begin, and again for it to end.'),
};

/** Where a bundle comes from (one of three), and what it has to prove. */
const bundleOrigin = {
  file: Type.Optional(path('The bundle, as `postern build` or `opa build -t wasm` writes it.')),
  directory: Type.Optional(path('The bundle unpacked, as a Kubernetes volume delivers one.')),
  http: Type.Optional(
    entry('A server that provides the bundle by OPA’s bundle protocol.', {
      url: httpUrl('Where the bundle is.'),
      ...httpAccess,
      min_delay_s: integer(1, 86_400, 60, 'Least time between two requests.'),
      max_delay_s: integer(1, 86_400, 120, 'Most time between two requests, and between two attempts after failures.'),
      long_poll_s: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 3600,
          description: 'How long the server may hold a request open until the bundle changes. Left out: plain polling.',
        }),
      ),
      deltas: Type.Boolean({
        default: true,
        description:
          'Accept deltas, which change data, besides whole bundles. Deltas cannot be signed: with `signing.required` they are not accepted.',
      }),
    }),
  ),
  signing: Type.Optional(
    entry(
      'What the bundle’s signature must prove. Left out: bundles are not verified, and a signed bundle is refused.',
      {
        required: Type.Boolean({ default: true, description: 'Refuse a bundle that is not signed.' }),
        scope: Type.Optional(
          Type.String({ minLength: 1, maxLength: 256, description: 'The `scope` that the signature must have.' }),
        ),
        keys: list(
          entry('A key that bundles are signed with.', {
            id: Type.String({
              minLength: 1,
              maxLength: 256,
              pattern: visible,
              description:
                'Name of the key, as signatures give it in `kid` or `keyid`; a signature without a name is checked with each key.',
            }),
            file: path('Public key or certificate, PEM; read at start.'),
            algorithm: choice(
              ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA'],
              'The only algorithm accepted for this key.',
            ),
          }),
          16,
          'Accepted keys; list two while you replace one with the other.',
        ),
      },
    ),
  ),
  rollback: Type.Optional(
    Type.Boolean({
      description:
        'Whether a bundle that was active before and was replaced may become active again. Left out: yes from a file or directory, no from a server.',
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
        'Past this age every decision is deny `bundle_too_old`. For a server the age counts from the last time it had no newer bundle; for a file or directory, from the (newest) modification time. Left out: policies judge the age, which is in every input.',
    }),
  ),
};

/** The sources of defaults that are not constants. */
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
          path: socketPath('Path of the socket. The agent mounts its directory, so nothing else may be in it.'),
          identity: identity('Identity of every caller on this socket.'),
          mode: fileMode({ default: '0660', description: 'File mode of the socket, octal, in quotes.' }),
        }),
        64,
        'Unix sockets, each with its own identity and guarded by file mode and mounts.',
      ),
      entrypoint: Type.String({
        pattern: '^(?:[A-Za-z_][A-Za-z0-9_]*/)*decision$',
        maxLength: 256,
        default: 'authz/decision',
        description: 'Policy entrypoint for AuthZEN requests; its last segment is `decision`.',
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
        'How much of each reason a caller sees. `codes`: the code and its effect; `remedies`: also what to do, and the text of the sidecar’s own codes; `full`: also the policies’ messages, which may contain values that only the sidecar knows.',
      ),
      builtins: section(
        'Servers that policies may call during a decision. A builtin that is left out is not allowed, and a bundle that needs it is refused.',
        {
          http_send: Type.Optional(
            entry('Allows `http.send`, only to the servers listed here.', {
              origins: list(
                Type.String({ format: 'origin', maxLength: 2048, description: 'An origin.' }),
                64,
                'Servers, each with its scheme and port, e.g. `https://cmdb.acme.example:8443`; redirects to other servers are not followed.',
              ),
              timeout_ms: integer(1, 60_000, 1_000, 'Most time for one complete response; a policy may set less.'),
              response_bytes: integer(1, 4 * mebibyte, 65_536, 'Largest response body, in bytes.'),
            }),
          ),
          lookup_ip_addr: Type.Optional(
            entry('Allows `net.lookup_ip_addr`, only for the names listed here.', {
              names: list(
                Type.String({
                  pattern: '^[a-z0-9_][a-z0-9_.-]{0,252}$',
                  maxLength: 253,
                  description: 'A name, in lower case.',
                }),
                64,
                'Names, e.g. `db.acme.example`; resolved by this machine’s resolver.',
              ),
              timeout_ms: integer(1, 60_000, 1_000, 'Most time for one lookup.'),
            }),
          ),
          calls: integer(1, 16, 4, 'Most calls in one decision; past it the decision is deny `policy_budget_spent`.'),
          wait_ms: integer(
            1,
            60_000,
            2_000,
            'Most time that one decision waits for all its calls; past it the decision is deny `outside_unavailable`.',
          ),
          in_flight: integer(
            1,
            4096,
            32,
            'Most decisions of `decision.limits.in_flight` that wait for calls at one time; further ones are deny `outside_unavailable` at once.',
          ),
        },
      ),
      limits: section('Limits of the decision listeners, together.', {
        ...listenerLimits(1024),
        policy_ms: integer(
          1,
          60_000,
          25,
          'Most CPU time for one evaluation of a policy; past it the decision is deny `policy_budget_spent`.',
        ),
        policy_memory_bytes: integer(
          mebibyte,
          2048 * mebibyte,
          256 * mebibyte,
          'Most memory for one evaluation, besides the data; past it the decision is deny `policy_budget_spent`.',
        ),
        in_flight: integer(
          1,
          65_536,
          512,
          'Most requests being read or decided at one time; further ones are answered 503. Requests whose bodies are still arriving use at most their listener’s equal share.',
        ),
        requests_per_socket: integer(1, 1_000_000_000, 100_000, 'Requests on one connection before it is closed.'),
      }),
    }),
    control: section(
      'The listener for signals, grants, attestations and status; agents must not reach it. It requires a token, or is switched off.',
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
            name: name('Who holds the token; written to records and shown as the approver of grants.'),
            file: path('File that contains only the token. Secrets do not belong in the configuration itself.'),
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
    bundle: entry('The policy bundle. Exactly one of `file`, `directory` and `http` says where it is.', {
      ...bundleOrigin,
      ...bundleAge,
      name: bundleName,
      watch: Type.Boolean({
        default: true,
        description: 'Reload the bundle when its file or directory changes; SIGHUP always reloads it.',
      }),
      keep: Type.Optional(
        path(
          'Directory for a copy of the last good bundle and a list of earlier ones, so that a restart does not need the server. Required with `http`.',
        ),
      ),
      prepare_s: integer(1, 3600, 60, 'Time to read, verify, compile and test a bundle, once it is fetched.'),
      data: list(
        entry('A bundle of data besides the policy. Its roots must not overlap with another bundle’s.', {
          name: bundleName,
          ...bundleOrigin,
          ...bundleAge,
        }),
        16,
        'Bundles of data that the policy needs. No bundle becomes active until all of them are fetched.',
      ),
      shadow: Type.Optional(
        entry(
          'A bundle that is evaluated on the same inputs and decides nothing: differing effects are counted and logged.',
          {
            name: bundleName,
            ...bundleOrigin,
            share: Type.Number({
              minimum: 0,
              maximum: 1,
              default: 1,
              description: 'Share of the decisions that are evaluated with it too.',
            }),
          },
        ),
      ),
      status: Type.Optional(
        entry('A server that receives reports on the active bundles, by OPA’s status API.', {
          url: httpUrl('The service; `/status` is appended.'),
          ...httpAccess,
          interval_s: integer(1, 86_400, 60, 'Time between two reports; a change is reported at once.'),
        }),
      ),
    }),
    store: entry('Signals, grants and attestations, on disk.', {
      directory: path('Directory of the embedded store; one sidecar, one directory.'),
      caps: section('Most entries of each kind; past it writes are refused and stored entries are kept.', {
        devices: integer(1, 10_000_000, 100_000, 'Devices with signals.'),
        subjects: integer(1, 10_000_000, 100_000, 'Subjects with signals.'),
        sessions: integer(1, 10_000_000, 100_000, 'Sessions with signals.'),
        workloads: integer(1, 10_000_000, 100_000, 'Workloads with signals.'),
        grants: integer(1, 10_000_000, 100_000, 'Grants in any state.'),
        attestations: integer(1, 1_000_000, 10_000, 'Attestations; at the cap a new one replaces the oldest.'),
      }),
    }),
    record: entry('The decision record.', {
      file: path('File that decision events are appended to, one JSON object per line.'),
      buffer_bytes: integer(
        65_536,
        256 * mebibyte,
        8 * mebibyte,
        'Most bytes of events that wait to be written; past it decisions are deny `audit_unavailable`.',
      ),
      console: Type.Boolean({
        default: false,
        description: 'Also write each decision event to the operational log, shortened like its other lines.',
      }),
    }),
    device: Type.Optional(
      entry('The device that this sidecar runs on. Left out: no caller has a known device.', {
        id: identityId('Id of the device, as in signals about it.'),
        host: nullable(
          Type.Object(
            {
              root: Type.String({
                minLength: 1,
                maxLength: 4096,
                pattern: unterminated,
                default: '/',
                description:
                  'Where to read the machine’s file system: in a container, the directory where parts of it are mounted, e.g. `/host`.',
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
                    'Attributes and the values they must have for the host source to report `compliant: true`. Empty: it does not report compliance.',
                },
              ),
              image_digest: Type.Optional(
                Type.String({ pattern: '^sha256:[0-9a-f]{64}$', description: 'Digest of the image that runs here.' }),
              ),
              node_name: Type.Optional(
                Type.String({ minLength: 1, maxLength: 253, pattern: visible, description: 'Name of the node.' }),
              ),
            },
            { additionalProperties: false, description: 'Reads the state of the machine that the sidecar runs on.' },
          ),
          { default: {}, description: 'The host source; `null` switches it off.' },
        ),
      }),
    ),
    attestations: section('Which attestations are accepted.', {
      keys: list(
        entry('A key that signs attestations.', {
          id: name('Name of the key in records.'),
          file: path('Public key, PEM.'),
          builders: Type.Array(identityId('A `builder.id`.'), {
            minItems: 1,
            maxItems: 64,
            uniqueItems: true,
            description: 'Builders that this key may sign for.',
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
            'Allowed members of `externalParameters`; a statement with any other member does not verify (SLSA provenance v1).',
          ),
          signature: oneOf(['der', 'ieee-p1363'], 'der', 'Encoding of ECDSA signatures; not used for Ed25519.'),
        }),
        64,
        'Keys and what each may sign. Empty: no attestation verifies.',
      ),
    }),
    log: section('The operational log, on standard output.', {
      level: oneOf(['error', 'warn', 'info', 'debug'], 'info', 'Lowest level that is written.'),
      format: oneOf(['json', 'text'], 'json', '`json`: one object per line; `text`: lines for people.'),
    }),
  },
  { additionalProperties: false, title: 'Postern configuration', description: 'Configuration of one Postern sidecar.' },
);

/** The configuration as the sidecar uses it: checked whole, defaults in place, named as in the file. */
export type Config = Static<typeof configSchema>;
export type ListenerLimits = Config['control']['limits'];
