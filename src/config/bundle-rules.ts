import { BlockList, isIP } from 'node:net';
import type { ConfigDraft } from './draft.ts';
import type { Fault } from './fault.ts';

type BundleDraft = NonNullable<ConfigDraft['bundle']>;
type OriginDraft = Pick<BundleDraft, 'file' | 'directory' | 'http' | 'signing' | 'rollback'>;
type AccessDraft = Pick<
  NonNullable<OriginDraft['http']>,
  'url' | 'bearer_file' | 'ca_file' | 'certificate_file' | 'key_file'
>;

/** Rules about several members of `bundle`. */
export function bundleRules({ bundle }: ConfigDraft): Fault[] {
  if (bundle === undefined) return [];
  const origins = originsOf(bundle);
  return [
    ...origins.flatMap(([at, origin]) => originFaults(at, origin)),
    ...(bundle.status === undefined ? [] : accessFaults('bundle.status', bundle.status)),
    ...repeatedNames(bundle),
    ...keepFaults(bundle, origins),
  ];
}

/** Every path in `bundle` that holds what an agent must not reach. */
export function bundlePaths({ bundle }: ConfigDraft): readonly (readonly [at: string, path: string | undefined])[] {
  if (bundle === undefined) return [];
  const access = (at: string, server: AccessDraft | undefined): [string, string | undefined][] =>
    (['bearer_file', 'ca_file', 'certificate_file', 'key_file'] as const).map((name) => [
      `${at}.${name}`,
      server?.[name],
    ]);
  return [
    ['bundle.keep', bundle.keep],
    ...access('bundle.status', bundle.status),
    ...originsOf(bundle).flatMap(([at, origin]): (readonly [string, string | undefined])[] => [
      [`${at}.directory`, origin.directory],
      ...(at === 'bundle' ? [] : [[`${at}.file`, origin.file] as const]),
      ...access(`${at}.http`, origin.http),
      ...(origin.signing?.keys ?? []).map((key, index) => [`${at}.signing.keys[${index}].file`, key?.file] as const),
    ]),
  ];
}

function originsOf(bundle: BundleDraft): readonly (readonly [at: string, origin: OriginDraft])[] {
  const data = (bundle.data ?? []).map((origin, index) => [`bundle.data[${index}]`, origin] as const);
  const shadow = bundle.shadow === undefined ? [] : [['bundle.shadow', bundle.shadow] as const];
  return [['bundle', bundle] as const, ...data, ...shadow].flatMap(([at, origin]) =>
    origin === undefined ? [] : [[at, origin] as const],
  );
}

function originFaults(at: string, origin: OriginDraft): Fault[] {
  const { file, directory, http, signing } = origin;
  const given = Object.entries({ file, directory, http }).filter(([, value]) => value !== undefined);
  const faults: Fault[] = [];
  if (given.length !== 1) {
    const found = given.length === 0 ? 'none is' : `${given.map(([name]) => name).join(' and ')} are`;
    faults.push({ at, text: `exactly one of file, directory and http is needed; ${found} set` });
  }
  if (signing !== undefined && signing.keys?.length === 0)
    faults.push({ at: `${at}.signing.keys`, text: 'at least one key is needed to verify signatures' });
  faults.push(...repeatedKeys(`${at}.signing.keys`, signing));
  if (http === undefined) return faults;
  faults.push(...accessFaults(`${at}.http`, http));
  if (isPlain(http.url) && signing?.required !== true) {
    faults.push({
      at: `${at}.http.url`,
      text: 'a server beyond loopback without TLS and without a required signature: others on the network could replace the policy',
    });
  }
  if (http.min_delay_s !== undefined && http.max_delay_s !== undefined && http.min_delay_s > http.max_delay_s)
    faults.push({ at: `${at}.http.min_delay_s`, text: `more than max_delay_s, which is ${http.max_delay_s}` });
  return faults;
}

function accessFaults(at: string, server: AccessDraft): Fault[] {
  const { url, bearer_file: bearer, certificate_file: certificate, key_file: key } = server;
  const faults: Fault[] = [];
  if (bearer !== undefined && isPlain(url))
    faults.push({ at: `${at}.bearer_file`, text: 'the token would cross the network in the clear: use https' });
  if ((certificate === undefined) !== (key === undefined))
    faults.push({ at, text: 'certificate_file and key_file belong together; only one is set' });
  return faults;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

/** Whether what is sent there can be read on its way. */
function isPlain(text: string | undefined): boolean {
  const url = URL.parse(text ?? '');
  if (url === null || url.protocol !== 'http:') return false;
  const host = url.hostname.replace(/^\[|\]$/g, '');
  if (host === 'localhost') return false;
  const family = isIP(host);
  return family === 0 || !loopback.check(host, family === 6 ? 'ipv6' : 'ipv4');
}

function repeatedNames(bundle: BundleDraft): Fault[] {
  const names = [
    ['bundle.name', bundle.name] as const,
    ...(bundle.data ?? []).map((data, index) => [`bundle.data[${index}].name`, data?.name] as const),
    ['bundle.shadow.name', bundle.shadow?.name] as const,
  ];
  return names.flatMap(([at, name], index) =>
    name !== undefined && names.slice(0, index).some(([, other]) => other === name)
      ? [{ at, text: 'another bundle has the same name' }]
      : [],
  );
}

function repeatedKeys(at: string, signing: OriginDraft['signing']): Fault[] {
  const ids = (signing?.keys ?? []).map((key) => key?.id);
  return ids.flatMap((id, index) =>
    id !== undefined && ids.indexOf(id) !== index
      ? [{ at: `${at}[${index}].id`, text: 'an earlier entry has the same name' }]
      : [],
  );
}

/** Without memory of what served, a server could give an older bundle after each restart. */
function keepFaults(bundle: BundleDraft, origins: readonly (readonly [string, OriginDraft])[]): Fault[] {
  const remote = origins.find(([, origin]) => origin.http !== undefined);
  return remote !== undefined && bundle.keep === undefined
    ? [
        {
          at: 'bundle.keep',
          text: `required with ${remote[0]}.http: a restart must know which bundle was active before`,
        },
      ]
    : [];
}
