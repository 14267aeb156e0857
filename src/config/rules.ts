// Tested by test/config/bundle-rules.test.ts.
import { BlockList, isIPv6 } from 'node:net';
import { posix } from 'node:path';
import { bundlePaths, bundleRules } from './bundle-rules.ts';
import type { ConfigDraft } from './draft.ts';
import type { Fault } from './fault.ts';
import type { Address } from './schema.ts';

/** Bodies that are being read or decided, or were answered to policies, are all in memory at once: limits multiply to that. */
const bodiesBytesMax = 2 * 1024 ** 3;

/** Rules about several members: how they fit together, and which of them would permit too much. */
export function rules(config: ConfigDraft, directory: string): Fault[] {
  return [
    ...listeners(config),
    ...ports(config),
    ...paths(config, directory),
    ...names(config),
    ...relays(config),
    ...memory(config),
    ...builtins(config),
    ...recordOnLog(config),
    ...bundleRules(config),
  ];
}

function listeners({ decision, control }: ConfigDraft): Fault[] {
  const faults: Fault[] = [];
  if (decision?.listen && !isLoopback(decision.listen)) {
    faults.push({
      at: 'decision.listen',
      text: 'not a loopback address: this version does not authenticate callers on TCP, so only loopback or a socket is safe',
    });
  }
  if (decision?.listen === null && decision.sockets?.length === 0) {
    faults.push({ at: 'decision', text: 'neither listen nor sockets is set: callers could not reach the sidecar' });
  }
  if (control?.listen && !isLoopback(control.listen)) {
    faults.push({
      at: 'control.listen',
      text: 'not a loopback address: tokens would cross the network in the clear, since this version has no TLS; use loopback or `control.socket`, and `probes.listen` for probes and metrics',
    });
  }
  const controlIsOn = control?.listen != null || control?.socket != null;
  if (controlIsOn && control?.tokens?.length === 0) {
    faults.push({
      at: 'control.tokens',
      text: 'at least one token is needed: without one every process could write signals and grants; switch the listener off with `listen: null`',
    });
  }
  return faults;
}

const loopback = new BlockList();
loopback.addSubnet('127.0.0.0', 8, 'ipv4');
loopback.addAddress('::1', 'ipv6');

function isLoopback(address: Address): boolean {
  return loopback.check(address.host, isIPv6(address.host) ? 'ipv6' : 'ipv4');
}

function ports({ decision, control, probes }: ConfigDraft): Fault[] {
  const bound: (readonly [at: string, address: Address])[] = [];
  if (decision?.listen) bound.push(['decision.listen', decision.listen]);
  if (control?.listen) bound.push(['control.listen', control.listen]);
  if (probes?.listen) bound.push(['probes.listen', probes.listen]);
  return bound.flatMap(([at, address], index) =>
    bound
      .slice(0, index)
      .filter(([, other]) => meets(address, other))
      .map(([otherAt]) => ({ at, text: `uses the same port as ${otherAt}` })),
  );
}

function meets(a: Address, b: Address): boolean {
  if (a.port !== b.port || a.port === 0) return false;
  const hosts = [canonicalHost(a), canonicalHost(b)];
  return hosts[0] === hosts[1] || hosts.includes('0.0.0.0') || hosts.includes('[::]');
}

/** One text for one IP address, as WHATWG URL writes it. */
function canonicalHost({ host }: Address): string {
  return new URL(`http://${isIPv6(host) ? `[${host}]` : host}`).hostname;
}

function paths(config: ConfigDraft, directory: string): Fault[] {
  const sockets = located(
    config.decision?.sockets?.map((socket, index) => [`decision.sockets[${index}].path`, socket?.path]),
    directory,
  );
  const ours = located(
    [
      ['control.socket.path', config.control?.socket?.path],
      ...(config.control?.tokens?.map((token, index) => [`control.tokens[${index}].file`, token?.file] as const) ?? []),
      ['bundle.file', config.bundle?.file],
      ['store.directory', config.store?.directory],
      ['record.file', config.record?.file],
      ...(config.attestations?.keys?.map((key, index) => [`attestations.keys[${index}].file`, key?.file] as const) ??
        []),
    ],
    directory,
  );
  const all = [...sockets, ...ours];
  const twice = all.flatMap(([at, path], index) =>
    all
      .slice(0, index)
      .filter(([, other]) => other === path)
      .map(([otherAt]) => ({ at, text: `the same path as ${otherAt}` })),
  );
  // An agent that mounts the directory of its socket would have our tokens, policies or state in its hands.
  const exposed = [...ours, ...located(bundlePaths(config), directory)].flatMap(([at, path]) =>
    sockets
      .filter(([, socket]) => path !== socket && isInside(path, posix.dirname(socket)))
      .map(([socketAt]) => ({
        at,
        text: `is in the directory of ${socketAt}, which an agent mounts: give the socket a directory of its own`,
      })),
  );
  return [...twice, ...exposed];
}

type Located = readonly (readonly [at: string, path: string])[];

function located(
  entries: readonly (readonly [at: string, path: string | undefined])[] | undefined,
  directory: string,
): Located {
  return (entries ?? []).flatMap(([at, path]) =>
    path === undefined ? [] : [[at, posix.resolve(directory, path)] as const],
  );
}

function isInside(path: string, directory: string): boolean {
  return path.startsWith(directory.endsWith('/') ? directory : `${directory}/`);
}

function names({ control, attestations }: ConfigDraft): Fault[] {
  return [
    ...repeated(
      'control.tokens',
      'name',
      control?.tokens?.map((token) => token?.name),
    ),
    ...repeated(
      'attestations.keys',
      'id',
      attestations?.keys?.map((key) => key?.id),
    ),
  ];
}

function repeated(list: string, member: string, values: readonly (string | undefined)[] | undefined): Fault[] {
  return (values ?? []).flatMap((value, index) =>
    value !== undefined && values?.indexOf(value) !== index
      ? [{ at: `${list}[${index}].${member}`, text: 'an earlier entry has the same name' }]
      : [],
  );
}

function relays({ decision }: ConfigDraft): Fault[] {
  const identities = [decision?.identity?.id, ...(decision?.sockets?.map((socket) => socket?.identity?.id) ?? [])];
  return (decision?.relays ?? []).flatMap((relay, index) =>
    relay === undefined || identities.includes(relay)
      ? []
      : [
          {
            at: `decision.relays[${index}]`,
            text: 'no listener has this identity, so no caller could act as this relay',
          },
        ],
  );
}

function memory({ decision }: ConfigDraft): Fault[] {
  const { body_bytes: bodyBytes, in_flight: inFlight } = decision?.limits ?? {};
  return bodyBytes !== undefined && inFlight !== undefined && bodyBytes * inFlight > bodiesBytesMax
    ? [
        {
          at: 'decision.limits',
          text: `body_bytes times in_flight is ${bodyBytes * inFlight} bytes of memory; the maximum is ${bodiesBytesMax}`,
        },
      ]
    : [];
}

function builtins({ decision }: ConfigDraft): Fault[] {
  const { http_send: http, lookup_ip_addr: lookup, calls, in_flight: waiting } = decision?.builtins ?? {};
  const faults: Fault[] = [];
  if (http?.origins?.length === 0)
    faults.push({
      at: 'decision.builtins.http_send.origins',
      text: 'at least one is needed: only listed servers are called',
    });
  if (lookup?.names?.length === 0)
    faults.push({
      at: 'decision.builtins.lookup_ip_addr.names',
      text: 'at least one is needed: only listed names are looked up',
    });
  if (http === undefined && lookup === undefined) return faults;
  const { in_flight: inFlight } = decision?.limits ?? {};
  if (waiting !== undefined && inFlight !== undefined && waiting >= inFlight)
    faults.push({
      at: 'decision.builtins.in_flight',
      text: `not less than decision.limits.in_flight, which is ${inFlight}: one slow server could leave no room for any other request`,
    });
  const bytes = (http?.response_bytes ?? 0) * (calls ?? 0) * (waiting ?? 0);
  if (bytes > bodiesBytesMax)
    faults.push({
      at: 'decision.builtins',
      text: `response_bytes times calls times in_flight is ${bytes} bytes of memory; the maximum is ${bodiesBytesMax}`,
    });
  return faults;
}

function recordOnLog({ record, log }: ConfigDraft): Fault[] {
  const level = log?.level;
  return record?.console === true && (level === 'error' || level === 'warn')
    ? [{ at: 'record.console', text: `log.level ${level} would drop every event: events are logged at info` }]
    : [];
}
