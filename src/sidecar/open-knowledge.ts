// Tested by test/sidecar/sidecar.long.test.ts.
import type { Config } from '../config/schema.ts';
import { readAttestationKeys } from '../knowledge/attestations/attestation-keys.ts';
import { openStores, type Stores } from '../knowledge/open-stores.ts';
import { HostSource } from '../knowledge/signals/host/host-source.ts';
import type { Metrics } from '../telemetry/metrics.ts';
import { parseJsonRounding } from '../text/parse-json.ts';
import type { CloseStack } from './close-stack.ts';
import type { Effects } from './effects.ts';

/** For statements inside attestations. */
const jsonLimits = { depthMax: 64 };

/** Device state from the first minute: the machine is read before anybody may ask. */
export async function startHostSource(
  config: Config,
  effects: Effects,
  stores: Stores,
  opened: CloseStack,
): Promise<void> {
  if (config.device === undefined || config.device.host === null) return;
  const { id, host } = config.device;
  const source = new HostSource({
    deviceId: id,
    root: host.root,
    intervalMs: host.interval_s * 1_000,
    baseline: host.baseline,
    given: {
      ...(host.image_digest !== undefined && { image_digest: host.image_digest }),
      ...(host.node_name !== undefined && { node_name: host.node_name }),
    },
    signals: stores.signals,
    clock: effects.clock,
    timers: effects.timers,
    log: effects.log,
  });
  opened.push(() => source.stop());
  await source.start();
}

export async function openKnowledge(
  { store, attestations }: Config,
  effects: Effects,
  metrics: Metrics,
): Promise<Stores> {
  const { clock, timers, log, newId } = effects;
  return openStores({
    directory: store.directory,
    caps: store.caps,
    attestations: {
      keys: await readAttestationKeys(
        attestations.keys.map(({ build_types: buildTypes, ...key }) => ({ ...key, buildTypes })),
      ),
      parseJson: (text) => parseJsonRounding(text, jsonLimits),
    },
    clock,
    timers,
    log,
    newId,
    onSignal: (source, kind, result) => metrics.signalReceived(source, kind, result),
    onAttestation: (result) => metrics.attestationReceived(result),
  });
}
