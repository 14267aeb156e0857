import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse, parseAllDocuments } from 'yaml';
import { parseConfig } from '../../src/config/config.ts';
import type { Config } from '../../src/config/schema.ts';

const root = join(import.meta.dirname, '../..');
const text = (path: string) => readFileSync(join(root, path), 'utf8');
const surroundings = { hostname: 'pod-1', directory: '/app' };

interface Probe {
  readonly httpGet: { readonly path: string; readonly port: string };
}

interface Container {
  readonly name: string;
  readonly restartPolicy?: string;
  readonly env?: readonly { readonly name: string; readonly value?: string }[];
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[];
  readonly securityContext: Readonly<Record<string, unknown>>;
  readonly volumeMounts?: readonly { readonly name: string; readonly mountPath: string }[];
  readonly startupProbe?: Probe;
  readonly readinessProbe?: Probe;
}

interface Manifest {
  readonly kind: string;
  readonly data: Readonly<Record<string, string>>;
  readonly spec: {
    readonly template: {
      readonly spec: {
        readonly initContainers: readonly Container[];
        readonly containers: readonly Container[];
        readonly volumes: readonly { readonly name: string; readonly emptyDir?: object }[];
        readonly terminationGracePeriodSeconds: number;
        readonly securityContext: Readonly<Record<string, unknown>>;
      };
    };
  };
}

interface Service {
  readonly image: string;
  readonly read_only?: boolean;
  readonly cap_drop?: readonly string[];
  readonly security_opt?: readonly string[];
  readonly user?: string;
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly network_mode?: string;
  readonly stop_grace_period?: string;
}

const manifests: readonly Manifest[] = parseAllDocuments(text('deploy/kubernetes/report-bot.yaml')).map((document) =>
  document.toJS(),
);
const ofKind = (kind: string): Manifest => {
  const [found] = manifests.filter((manifest) => manifest.kind === kind);
  if (found === undefined) throw new Error(`no ${kind} in the manifest`);
  return found;
};
const pod = ofKind('Deployment').spec.template.spec;
const [sidecar] = pod.initContainers;
const [agent] = pod.containers;

/** What the sidecar may take to end, in seconds; what it drains is its log, and standard error if nobody reads that. */
const graceS =
  ['graceMs', 'closingMs', 'drainMs', 'drainMs']
    .map((name) =>
      Number(new RegExp(`^const ${name} = ([\\d_]+);$`, 'm').exec(text('src/main.ts'))?.[1]?.replaceAll('_', '')),
    )
    .reduce((sum, ms) => sum + ms) / 1_000;

/** Where a path of the configuration lies, by the mounts of a container. */
const mountOf = (container: Container | undefined, path: string | undefined) =>
  container?.volumeMounts?.find(({ mountPath }) => path?.startsWith(`${mountPath}/`))?.name;

describe('the Kubernetes example', () => {
  const env = Object.fromEntries((sidecar?.env ?? []).map(({ name, value }) => [name, value ?? 'from-a-field']));
  const config: Config = parseConfig(ofKind('ConfigMap').data['postern.yaml'] ?? '', env, surroundings);

  it('is a configuration that Postern takes, with the node for its device', () => {
    expect(config.device).toMatchObject({ id: 'from-a-field', host: { node_name: 'from-a-field' } });
    expect(config.sidecar.id).toBe('from-a-field');
  });

  it('runs Postern as a native sidecar, which starts before the agent and ends after it', () => {
    expect(sidecar?.restartPolicy).toBe('Always');
  });

  it('keeps control, token and state in volumes that the agent does not mount', () => {
    const ours = [
      mountOf(sidecar, config.control.socket?.path),
      mountOf(sidecar, config.control.tokens[0]?.file),
      mountOf(sidecar, config.store.directory),
      mountOf(sidecar, config.record.file),
    ];
    expect(ours).toEqual(['control', 'control-token', 'state', 'record']);
    expect((agent?.volumeMounts ?? []).filter(({ name }) => ours.includes(name))).toEqual([]);
    expect(config.control.listen).toBeNull();
  });

  it('lets who feeds signals reach the control socket by its group', () => {
    expect(config.control.socket?.mode).toBe(0o660);
    expect(pod.securityContext).toMatchObject({ fsGroup: sidecar?.securityContext['runAsGroup'] });
  });

  it('has the record grow where it cannot have the pod evicted', () => {
    const volume = pod.volumes.find(({ name }) => name === mountOf(sidecar, config.record.file));
    expect(volume).toBeDefined();
    expect(volume).not.toHaveProperty('emptyDir');
  });

  it('leaves a sidecar up that is not ready, and gives it the time that it takes to end', () => {
    expect(sidecar?.startupProbe?.httpGet).toEqual({ path: '/health/live', port: 'probes' });
    expect(pod.terminationGracePeriodSeconds).toBeGreaterThan(graceS);
  });

  it('probes the port that the probes listener has', () => {
    expect(sidecar?.ports).toEqual([{ name: 'probes', containerPort: config.probes.listen?.port }]);
    expect(sidecar?.readinessProbe?.httpGet).toEqual({ path: '/health/ready', port: 'probes' });
  });

  it.each([sidecar, agent].map((container) => [container?.name, container] as const))(
    'confines the container %s as the restricted standard asks',
    (_name, container) => {
      expect(container?.securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ['ALL'] },
      });
      expect(pod.securityContext).toMatchObject({ runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } });
    },
  );

  it('mounts only volumes that it declares', () => {
    const declared = pod.volumes.map(({ name }) => name);
    const mounted = [...pod.initContainers, ...pod.containers].flatMap(({ volumeMounts }) => volumeMounts ?? []);
    expect(mounted.filter(({ name }) => !declared.includes(name))).toEqual([]);
  });
});

describe('docker-compose.yml', () => {
  const compose: { readonly services: Readonly<Record<string, Service>> } = parse(text('docker-compose.yml'), {
    merge: true,
  });
  const config = parseConfig(text('deploy/compose/postern.yaml'), {}, surroundings);
  const services = Object.entries(compose.services);

  it.each(services)('gives the service %s no more rights than it needs', (_name, service) => {
    expect(service).toMatchObject({
      read_only: true,
      cap_drop: ['ALL'],
      security_opt: ['no-new-privileges:true'],
    });
    // Postern's image names its own user; the others' do not, or not by a number.
    if (!service.image.startsWith('${POSTERN_IMAGE')) expect(service.user).toMatch(/^[1-9]\d*:[1-9]\d*$/);
    for (const port of service.ports ?? []) expect(port).toMatch(/^127\.0\.0\.1:/);
  });

  it('mounts the control socket nowhere but where something is told or kept', () => {
    const directory = `${config.control.socket?.path.replace(/\/[^/]*$/, '')}`;
    const holders = services.filter(([, { volumes }]) => volumes?.some((volume) => volume.includes(directory)));
    expect(holders.map(([name]) => name).sort()).toEqual(['postern', 'tell', 'token']);
  });

  it('gives the sidecar the time that it takes to end', () => {
    expect(Number(/^(\d+)s$/.exec(compose.services['postern']?.stop_grace_period ?? '')?.[1])).toBeGreaterThan(graceS);
  });

  it('has the agent share the network of Postern, and nothing else', () => {
    expect(compose.services['ask']).toMatchObject({ network_mode: 'service:postern' });
    expect(config.decision.listen).toEqual({ host: '127.0.0.1', port: 8181 });
  });
});

describe('the configuration inside the image', () => {
  it('is taken, and is closed: unknown callers, and nothing to write through', () => {
    const config = parseConfig(text('deploy/container.yaml'), {}, surroundings);
    expect(config.decision.identity).toBeUndefined();
    expect(config.control).toMatchObject({ listen: null, socket: null });
  });

  it('lets the environment say who the agent is', () => {
    const env = { POSTERN_DECISION__IDENTITY__ID: 'spiffe://acme.example/agent/a' };
    expect(parseConfig(text('deploy/container.yaml'), env, surroundings).decision.identity?.id).toBe(
      'spiffe://acme.example/agent/a',
    );
  });
});

describe('what `make run` serves', () => {
  it('is taken', () => {
    expect(parseConfig(text('deploy/starter.yaml'), {}, surroundings).bundle.file).toBe('bundles/starter.tar.gz');
  });
});
