import { Worker } from 'node:worker_threads';
import type { AnsweredDecision, Outcome } from '../../domain/answered-decision.ts';
import type { BundleRevision } from '../../domain/bundle.ts';
import type { OutboundReply } from '../../domain/outbound.ts';
import type { Log } from '../../domain/ports.ts';
import type { Timers } from '../../domain/time.ts';
import type { PolicyImage } from '../../request/evaluate/policy-image.ts';
import { siblingModule } from '../../system/sibling-module.ts';
import type { ThreadLimits } from '../serving/prepare-messages.ts';
import type { ShadowAnswer, ShadowMessage, ShadowQuestion } from './shadow-messages.ts';

/** What an outcome amounts to, as the caller would be told it. */
export interface Judged {
  readonly effect: string;
  readonly explanation: unknown;
}

/** The shadow would have answered otherwise. */
export interface Flip {
  readonly decisionId: string;
  readonly entrypoint: string;
  readonly from: Judged & { readonly revision: BundleRevision };
  readonly to: Judged & { readonly revision: BundleRevision };
}

export interface ShadowOptions {
  /** Of the decisions, from 0 to 1. */
  readonly share: number;
  readonly limits: ThreadLimits['policy'];
  readonly judge: (outcome: Outcome, answered: AnsweredDecision, revision: BundleRevision) => Judged;
  readonly flipped: (flip: Flip) => void;
  /**
   * `same`: it would answer the same; `dropped`: it could not keep up, or calls a server that the answer did not need;
   * `failed`: its thread ended meanwhile, or what it answered could not be judged.
   */
  readonly compared: (result: 'same' | 'flip' | 'dropped' | 'failed') => void;
  readonly timers: Timers;
  /** From 0 to 1. */
  readonly random: () => number;
  readonly log: Log;
  /** The thread that evaluates; a test's may end whenever it likes. */
  readonly thread?: () => Worker;
}

/** Questions that wait, and the text in them: what comes beyond is not compared. */
const waitingMax = 1_000;
const waitingUnitsMax = 8_388_608;
const firstRestartMs = 1_000;
const lastRestartMs = 60_000;
/** JavaScript's own share of the thread's memory; the policy's has its own limit. */
const heapMebibytes = 256;

/**
 * Asks another bundle what it would have answered, after the answer has gone: on a thread of its own, behind a queue that
 * drops what it cannot hold. Nothing that happens here reaches an answer.
 */
export class Shadow {
  readonly #options: ShadowOptions;
  #worker: Worker | undefined;
  #image: PolicyImage | undefined;
  #revision: BundleRevision | undefined;
  #batch: ShadowQuestion[] = [];
  readonly #waiting = new Map<
    number,
    { readonly answered: AnsweredDecision; readonly revision: BundleRevision; readonly units: number }
  >();
  #waitingUnits = 0;
  #id = 0;
  #deaths = 0;
  #cancelRestart: () => void = () => undefined;
  #isClosed = false;

  constructor(options: ShadowOptions) {
    this.#options = options;
  }

  /** The bundle that is asked from now on. @param image the shadow's alone: this thread's instances live on it */
  use(image: PolicyImage, revision: BundleRevision): void {
    this.#image = image;
    this.#revision = revision;
    this.#deaths = 0;
    this.#cancelRestart();
    this.#start();
  }

  /** Notes a decision. The caller never waits for the comparison and never sees it. Never throws. */
  onAnswered(answered: AnsweredDecision): void {
    const { share, random, compared } = this.#options;
    const revision = this.#revision;
    if (revision === undefined || this.#isClosed || random() >= share) return;
    const units = unitsIn(answered);
    if (
      this.#worker === undefined ||
      this.#waiting.size >= waitingMax ||
      this.#waitingUnits + units > waitingUnitsMax
    ) {
      compared('dropped');
      return;
    }
    this.#id += 1;
    this.#waiting.set(this.#id, { answered, revision, units });
    this.#waitingUnits += units;
    const { entrypoint, input, now, seed, replies } = answered;
    // Those of one turn of the event loop go together, in one message.
    if (this.#batch.push({ id: this.#id, entrypoint, input, now, seed, replies }) === 1)
      setImmediate(() => this.#ask());
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelRestart();
    const worker = this.#worker;
    this.#forget();
    await worker?.terminate();
  }

  #ask(): void {
    const questions = this.#batch;
    this.#batch = [];
    if (questions.length > 0) this.#worker?.postMessage({ kind: 'ask', questions } satisfies ShadowMessage);
  }

  #start(): void {
    const image = this.#image;
    if (image === undefined || this.#isClosed) return;
    // A thread for each bundle: what the one before still has to answer goes with it.
    this.#worker?.removeAllListeners('exit');
    void this.#worker?.terminate();
    this.#failWaiting();
    this.#worker = undefined;
    let worker: Worker;
    try {
      worker = (this.#options.thread ?? shadowThread)();
    } catch (cause) {
      this.#options.log.warn('the shadow bundle’s thread did not start', { cause });
      this.#startLater();
      return;
    }
    worker.unref();
    worker.on('message', (answers: readonly ShadowAnswer[]) => {
      for (const { id, outcome } of answers) this.#compare(id, outcome);
    });
    worker.on('error', (cause) => this.#options.log.warn('the shadow bundle’s thread failed', { cause }));
    worker.on('exit', () => this.#died(worker));
    worker.postMessage({ kind: 'policy', image, limits: this.#options.limits } satisfies ShadowMessage);
    this.#worker = worker;
  }

  #died(worker: Worker): void {
    if (worker !== this.#worker || this.#isClosed) return;
    this.#forget();
    this.#startLater();
  }

  #startLater(): void {
    this.#deaths += 1;
    const waitMs = Math.min(lastRestartMs, firstRestartMs * 2 ** (this.#deaths - 1));
    this.#cancelRestart = this.#options.timers.after(waitMs, () => this.#start());
  }

  #forget(): void {
    this.#worker = undefined;
    this.#failWaiting();
  }

  #failWaiting(): void {
    for (let left = this.#waiting.size; left > 0; left -= 1) this.#options.compared('failed');
    this.#batch = [];
    this.#waiting.clear();
    this.#waitingUnits = 0;
  }

  #compare(id: number, outcome: Outcome | undefined): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    const { answered, revision, units } = waiting;
    this.#waitingUnits -= units;
    const { judge, compared, flipped, log } = this.#options;
    if (outcome === undefined) {
      compared('dropped');
      return;
    }
    try {
      const isSameText = 'text' in outcome && 'text' in answered.outcome && outcome.text === answered.outcome.text;
      const from = isSameText ? undefined : judge(answered.outcome, answered, answered.revision);
      const to = isSameText ? undefined : judge(outcome, answered, revision);
      if (from === undefined || to === undefined || from.effect === to.effect) {
        compared('same');
        return;
      }
      const { decisionId, entrypoint } = answered;
      flipped({ decisionId, entrypoint, from: { ...from, revision: answered.revision }, to: { ...to, revision } });
      compared('flip');
    } catch (cause) {
      // A fault in the comparison is a fault of ours, and no reason to stop answering.
      compared('failed');
      log.error('a decision could not be compared with the shadow bundle’s', { cause });
    }
  }
}

/** What a decision that waits keeps in memory, about. */
function unitsIn({ input, outcome, replies = new Map<string, OutboundReply>() }: AnsweredDecision): number {
  let units = input.length;
  if ('text' in outcome) units += outcome.text?.length ?? 0;
  for (const [key, reply] of replies) units += key.length + (reply.kind === 'response' ? reply.body.length : 0) + 1_024;
  return units;
}

function shadowThread(): Worker {
  return new Worker(siblingModule(import.meta.url, './shadow-thread.ts'), {
    resourceLimits: { maxOldGenerationSizeMb: heapMebibytes },
  });
}
