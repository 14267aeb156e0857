import type { Log } from '../../domain/ports.ts';
import type { Timers } from '../../domain/time.ts';
import { Exchange, type HttpAccess } from '../sources/bundle-exchange.ts';
import type { BundleStatus } from './bundle-state.ts';

export interface StatusReportOptions {
  /** The service; `/status` is put behind it. */
  readonly url: URL;
  readonly access: HttpAccess;
  readonly intervalMs: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly statuses: () => ReadonlyMap<string, BundleStatus>;
  readonly isReady: () => boolean;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
}

/** Several changes in a row are one report. */
const settleMs = 1_000;

/**
 * Tells a server what serves, by OPA's status API: at each change and at an interval. Only the present counts, so what
 * could not be delivered is not kept: the next report says what is so then.
 *
 * @see OPA documentation, "Status", status service API
 */
export class StatusReport {
  readonly #options: StatusReportOptions;
  readonly #url: URL;
  readonly #abort = new AbortController();
  #cancel: () => void = () => undefined;
  #dueInMs = Number.POSITIVE_INFINITY;
  #sending: Promise<void> | undefined;
  #changedMeanwhile = false;
  #isFailing = false;

  constructor(options: StatusReportOptions) {
    this.#options = options;
    this.#url = new URL(options.url);
    this.#url.pathname = `${options.url.pathname.replace(/\/+$/, '')}/status`;
    this.#wait(settleMs);
  }

  /** Something that it tells of is not what it was. */
  changed(): void {
    if (this.#sending !== undefined) this.#changedMeanwhile = true;
    else if (this.#dueInMs > settleMs) this.#wait(settleMs);
  }

  async close(): Promise<void> {
    this.#cancel();
    this.#abort.abort();
    await this.#sending;
  }

  #wait(ms: number): void {
    this.#cancel();
    this.#dueInMs = ms;
    this.#cancel = this.#options.timers.after(ms, () => {
      this.#sending = this.#report().finally(() => {
        this.#sending = undefined;
        if (this.#abort.signal.aborted) return;
        const { intervalMs, random } = this.#options;
        // Jittered, so that a fleet does not report at one moment.
        this.#wait(this.#changedMeanwhile ? settleMs : intervalMs * (0.9 + random() / 5));
        this.#changedMeanwhile = false;
      });
    });
  }

  async #report(): Promise<void> {
    const { access, timers, log } = this.#options;
    const exchange = new Exchange(access, timers, this.#abort.signal);
    try {
      const response = await exchange.post(this.#url, { 'Content-Type': 'application/json' }, this.#text());
      const { statusCode: status = 0 } = response;
      if (status < 200 || status > 299) throw new Error(`the server answered ${status}`);
      if (this.#isFailing) log.info('the status is reported again', { to: this.#url.origin });
      this.#isFailing = false;
    } catch (cause) {
      if (this.#abort.signal.aborted) return;
      // Told once, not at every interval of an outage.
      if (!this.#isFailing) log.warn('the status could not be reported', { to: this.#url.origin, cause });
      this.#isFailing = true;
    } finally {
      exchange.end();
    }
  }

  #text(): string {
    const { labels, statuses, isReady } = this.#options;
    return JSON.stringify({
      labels,
      bundles: Object.fromEntries(statuses()),
      plugins: { bundle: { state: isReady() ? 'OK' : 'NOT_READY' } },
    });
  }
}
