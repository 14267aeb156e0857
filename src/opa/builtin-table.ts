// Tested by test/opa/values/value.test.ts.
import { BundleRefused } from '../domain/errors.ts';
import type { Builtin, BuiltinFamily, HostedBuiltin } from './values/builtin.ts';

/** Builtins that are not deterministic: their results are recorded, so that a replay gives the same result. */
const recorded: ReadonlySet<string> = new Set(['opa.runtime', 'rand.intn', 'time.now_ns', 'uuid.rfc4122']);

/** Each family is loaded when the first bundle needs one of its builtins: most policies need few, and some are large. */
const families: readonly { readonly names: readonly string[]; readonly load: () => Promise<BuiltinFamily> }[] = [
  {
    names: ['providers.aws.sign_req'],
    load: async () => (await import('./builtins/aws.ts')).builtins,
  },
  {
    names: ['cast_array', 'cast_boolean', 'cast_null', 'cast_object', 'cast_set', 'cast_string'],
    load: async () => (await import('./builtins/casts.ts')).builtins,
  },
  {
    names: ['internal.print', 'internal.test_case', 'trace'],
    load: async () => (await import('./builtins/debug.ts')).builtins,
  },
  {
    names: [
      'base64url.encode_no_pad',
      'hex.decode',
      'hex.encode',
      'urlquery.decode',
      'urlquery.decode_object',
      'urlquery.encode',
      'urlquery.encode_object',
    ],
    load: async () => (await import('./builtins/encoding.ts')).builtins,
  },
  {
    names: ['graph.reachable_paths'],
    load: async () => (await import('./builtins/graph.ts')).builtins,
  },
  {
    names: [
      'graphql.is_valid',
      'graphql.parse',
      'graphql.parse_and_verify',
      'graphql.parse_query',
      'graphql.parse_schema',
      'graphql.schema_is_valid',
    ],
    load: async () => (await import('./builtins/graphql.ts')).builtins,
  },
  {
    names: [
      'crypto.hmac.equal',
      'crypto.hmac.md5',
      'crypto.hmac.sha1',
      'crypto.hmac.sha256',
      'crypto.hmac.sha512',
      'crypto.md5',
      'crypto.sha1',
      'crypto.sha256',
    ],
    load: async () => (await import('./builtins/hashes.ts')).builtins,
  },
  {
    names: ['json.marshal_with_options', 'json.patch', 'object.subset'],
    load: async () => (await import('./builtins/json.ts')).builtins,
  },
  {
    names: ['json.match_schema', 'json.verify_schema'],
    load: async () => (await import('./builtins/json-schema.ts')).builtins,
  },
  {
    names: [
      'io.jwt.decode',
      'io.jwt.decode_verify',
      'io.jwt.encode_sign',
      'io.jwt.encode_sign_raw',
      'io.jwt.verify_eddsa',
      'io.jwt.verify_es256',
      'io.jwt.verify_es384',
      'io.jwt.verify_es512',
      'io.jwt.verify_hs256',
      'io.jwt.verify_hs384',
      'io.jwt.verify_hs512',
      'io.jwt.verify_ps256',
      'io.jwt.verify_ps384',
      'io.jwt.verify_ps512',
      'io.jwt.verify_rs256',
      'io.jwt.verify_rs384',
      'io.jwt.verify_rs512',
    ],
    load: async () => (await import('./builtins/jwt.ts')).builtins,
  },
  {
    names: ['net.cidr_contains_matches', 'net.cidr_expand', 'net.cidr_is_valid', 'net.cidr_merge'],
    load: async () => (await import('./builtins/net.ts')).builtins,
  },
  {
    names: ['numbers.range_step', 'rand.intn'],
    load: async () => (await import('./builtins/numbers.ts')).builtins,
  },
  {
    names: ['http.send', 'net.lookup_ip_addr'],
    load: async () => (await import('./builtins/outbound.ts')).builtins,
  },
  {
    names: [
      'glob.quote_meta',
      'regex.find_n',
      'regex.globs_match',
      'regex.replace',
      'regex.split',
      'regex.template_match',
    ],
    load: async () => (await import('./builtins/regex.ts')).builtins,
  },
  {
    names: ['rego.parse_module'],
    load: async () => (await import('./builtins/rego.ts')).builtins,
  },
  {
    names: ['semver.compare', 'semver.is_valid'],
    load: async () => (await import('./builtins/semver.ts')).builtins,
  },
  {
    names: [
      'indexof_n',
      'sprintf',
      'strings.any_prefix_match',
      'strings.any_suffix_match',
      'strings.count',
      'strings.split_n',
    ],
    load: async () => (await import('./builtins/strings.ts')).builtins,
  },
  {
    names: ['strings.render_template'],
    load: async () => (await import('./builtins/template.ts')).builtins,
  },
  {
    names: [
      'time.add_date',
      'time.clock',
      'time.date',
      'time.diff',
      'time.format',
      'time.now_ns',
      'time.parse_duration_ns',
      'time.parse_ns',
      'time.parse_rfc3339_ns',
      'time.weekday',
    ],
    load: async () => (await import('./builtins/time.ts')).builtins,
  },
  {
    names: ['units.parse', 'units.parse_bytes'],
    load: async () => (await import('./builtins/units.ts')).builtins,
  },
  {
    names: ['uri.is_valid', 'uri.parse'],
    load: async () => (await import('./builtins/uri.ts')).builtins,
  },
  {
    names: ['uuid.parse', 'uuid.rfc4122'],
    load: async () => (await import('./builtins/uuid.ts')).builtins,
  },
  {
    names: [
      'crypto.parse_private_keys',
      'crypto.x509.parse_and_verify_certificates',
      'crypto.x509.parse_and_verify_certificates_with_options',
      'crypto.x509.parse_certificate_request',
      'crypto.x509.parse_certificates',
      'crypto.x509.parse_keypair',
      'crypto.x509.parse_rsa_private_key',
    ],
    load: async () => (await import('./builtins/x509.ts')).builtins,
  },
  {
    names: ['yaml.is_valid', 'yaml.marshal', 'yaml.unmarshal'],
    load: async () => (await import('./builtins/yaml.ts')).builtins,
  },
];

/** Builtins that would make a decision wait for a server, or differ from one machine to the next. */
const refused: Readonly<Record<string, string>> = {
  'http.send':
    'it would wait for a server; send what it fetches as a signal, or put it into the bundle as data, or allow it with decision.builtins.http_send',
  'net.lookup_ip_addr':
    'it would wait for a name server; compare names, or put the addresses into the bundle as data, or allow it with decision.builtins.lookup_ip_addr',
  'opa.runtime': 'there is no OPA around the policy; the sidecar says what it is in input.environment.sidecar',
};

/** A policy calls a builtin that is refused or unknown here. */
export class BuiltinRefused extends BundleRefused {
  readonly builtin: string;
  readonly id: number;
  readonly why: string;

  constructor(builtin: string, id: number, why: string, rules: readonly string[] = []) {
    super(`the policy calls ${builtin}${rules.length === 0 ? '' : ` in ${rules.join(', ')}`}: ${why}`);
    this.builtin = builtin;
    this.id = id;
    this.why = why;
  }
}

/**
 * The functions behind a module's calls, by the number it gives them.
 *
 * @param handedIn builtins that the operator allows beside OPA's own, by name; they come first
 * @param outside allowed builtins that call servers
 * @throws BuiltinRefused for a refused or unknown builtin: when a bundle is activated, never at a request
 */
export async function builtinTable(
  needed: ReadonlyMap<string, number>,
  handedIn: ReadonlyMap<string, Builtin>,
  outside: readonly string[],
): Promise<ReadonlyMap<number, HostedBuiltin>> {
  const table = new Map<number, HostedBuiltin>();
  for (const [name, id] of needed) {
    const builtin = handedIn.get(name) ?? (await find(name, id, outside));
    // Those of ours note by themselves what was asked and what came back.
    const isRecorded = recorded.has(name) || (handedIn.has(name) && Object.hasOwn(refused, name));
    table.set(id, { name, builtin, recorded: isRecorded });
  }
  return table;
}

async function find(name: string, id: number, outside: readonly string[]): Promise<Builtin> {
  const why = Object.hasOwn(refused, name) && !outside.includes(name) ? refused[name] : undefined;
  if (why !== undefined) throw new BuiltinRefused(name, id, why);
  const family = families.find(({ names }) => names.includes(name));
  const builtin = family === undefined ? undefined : (await family.load())[name];
  if (builtin === undefined) throw new BuiltinRefused(name, id, 'a builtin that is not known here');
  return builtin;
}
