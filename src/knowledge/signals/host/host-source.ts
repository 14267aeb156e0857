// Tested by test/knowledge/signals/host/host.test.ts.
import type { JsonValue } from '../../../domain/json-value.ts';
import type { Log, SignalKeeper } from '../../../domain/ports.ts';
import type { Signal } from '../../../domain/signal.ts';
import { type Clock, epochMs, every, type Timers } from '../../../domain/time.ts';
import { type HostFacts, readHost } from './read-host.ts';

/** The name its reports carry; one of `ownSources`. */
const hostSourceName = 'host';

export interface HostSourceOptions {
  /** The device that this machine is. */
  readonly deviceId: string;
  /** `/`, or where a container mounts the machine's file system. */
  readonly root: string;
  readonly intervalMs: number;
  /** Attributes and the values they must have for the machine to be compliant; empty: nothing is said of that. */
  readonly baseline: Readonly<Record<string, boolean | number | string>>;
  /** Attributes that only the configuration knows, e.g. `image_digest`, `node_name`. */
  readonly given: HostFacts;
  readonly signals: Pick<SignalKeeper, 'put'>;
  readonly clock: Clock;
  readonly timers: Timers;
  readonly log: Log;
}

/** A report lasts this many intervals: what a machine no longer says is forgotten, and two missed readings are not. */
const lastsIntervals = 3;

/** Device state on real input: reads this machine now and on an interval, never on a request's way. */
export class HostSource {
  readonly #options: HostSourceOptions;
  #endTimer: () => void = () => undefined;
  #reading: Promise<void> = Promise.resolve();
  #sequence = 0;
  #failing = false;

  constructor(options: HostSourceOptions) {
    this.#options = options;
  }

  /** Resolves with the first report. A machine that cannot be read is told of, and tried again. */
  async start(): Promise<void> {
    await this.refresh();
    this.#endTimer = every(this.#options.timers, this.#options.intervalMs, () => void this.refresh());
  }

  async stop(): Promise<void> {
    this.#endTimer();
    await this.#reading;
  }

  /** Reads and reports once; one at a time, however slow the disk is. */
  refresh(): Promise<void> {
    this.#reading = this.#reading.then(() => this.#report());
    return this.#reading;
  }

  async #report(): Promise<void> {
    const { deviceId, root, intervalMs, baseline, given, signals, clock, log } = this.#options;
    try {
      // Before the reading, so that an age is never smaller than it is.
      const observedAt = clock.now();
      const facts = { ...(await readHost(root)), ...given };
      const compliant = meets(facts, baseline);
      this.#sequence += 1;
      const signal: Signal = {
        about: { kind: 'device', id: deviceId },
        attributes: compliant === undefined ? facts : { ...facts, compliant },
        observedAt,
        expiresAt: epochMs(observedAt + lastsIntervals * intervalMs),
        source: hostSourceName,
        sequence: this.#sequence,
      };
      if (Object.keys(signal.attributes).length === 0) throw new Error('nothing could be read about this machine');
      await signals.put([signal]);
      if (this.#failing) log.info('the host source reports again');
      this.#failing = false;
    } catch (cause) {
      if (!this.#failing) log.warn('the host source could not report; its last report ages', { cause });
      this.#failing = true;
    }
  }
}

/**
 * One attribute that is wrong is enough to be not compliant; to be compliant, all must be known and right.
 *
 * @returns undefined if that cannot be said
 */
export function meets(facts: HostFacts, baseline: Readonly<Record<string, JsonValue>>): boolean | undefined {
  const wanted = Object.entries(baseline);
  if (wanted.length === 0) return undefined;
  const known = wanted.filter(([name]) => Object.hasOwn(facts, name));
  if (known.some(([name, value]) => facts[name] !== value)) return false;
  return known.length === wanted.length ? true : undefined;
}
