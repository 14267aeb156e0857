// Tested by test/request/record/masking.test.ts.
import { type RecordedDecision, type SettledDecision, undecided } from '../../domain/decision.ts';
import { type ErrorCode, type RequestRefused, SidecarError, Undecided } from '../../domain/errors.ts';
import type { DecisionLogRules, Log } from '../../domain/ports.ts';
import type { Clock, EpochMs } from '../../domain/time.ts';
import type { Metrics, Stage } from '../../telemetry/metrics.ts';
import type { Overruns } from '../../telemetry/overruns.ts';
import type { EventContext } from './decision-event.ts';
import type { DecisionLog } from './decision-log.ts';
import { maskAndDrop } from './mask-and-drop.ts';

export interface RecorderOptions {
  readonly clock: Clock;
  readonly metrics: Metrics;
  readonly decisionLog: DecisionLog;
  readonly overruns: Overruns;
  /** Hears the causes that are our own bugs; the record and the caller get only their code. */
  readonly log: Log;
  readonly writeEvent: (context: EventContext) => string;
  /** The event's other form, on the operational log; absent unless configured. */
  readonly console?: (line: string) => void;
}

/** What a record needs to know about a request, once its decision is settled. */
export interface Settled extends Omit<EventContext, 'durationNs'> {
  readonly decision: SettledDecision;
}

/** One decision, one line, one step of `postern_decisions_total`; one refusal, one step of `postern_rejected_total`. */
export class Recorder {
  readonly #options: RecorderOptions;

  constructor(options: RecorderOptions) {
    this.#options = options;
  }

  /** Starts measuring a request. */
  stopwatch(): Stopwatch {
    return new Stopwatch(this.#options.clock, this.#options.metrics);
  }

  /**
   * @param rules what the bundle lets be kept of the event
   * @returns the decision that holds: one that cannot be recorded becomes undecided, and is counted as that
   */
  decided(context: Settled, stopwatch: Stopwatch, rules: DecisionLogRules | undefined): RecordedDecision {
    stopwatch.enter('record');
    const seconds = stopwatch.secondsSinceStart();
    const decision = this.#keep({ ...context, durationNs: Math.round(seconds * 1e9) }, rules);
    if (decision.kind === 'undecided' && decision.error.code === 'internal')
      this.bug(context.decisionId, decision.error);
    this.#options.metrics.decided(decision, context.facts, seconds);
    if (context.decision.kind === 'undecided') this.#note(context.decision.error.code, context.raw.entrypoint);
    return decision as typeof decision & RecordedDecision;
  }

  #keep(context: Settled & EventContext, rules: DecisionLogRules | undefined): SettledDecision {
    let line: string;
    try {
      line = this.#options.writeEvent(context);
      this.#append(line, context, rules);
    } catch (cause) {
      if (!(cause instanceof SidecarError)) this.bug(context.decisionId, cause);
      const error = new Undecided('audit_unavailable', 'the decision could not be recorded', { cause });
      return undecided(error, context.decision.revision);
    }
    if (rules === undefined) this.#options.console?.(line);
    return context.decision;
  }

  #append(line: string, { decisionId, receivedAt }: EventContext, rules: DecisionLogRules | undefined): void {
    const { decisionLog } = this.#options;
    if (rules === undefined) decisionLog.append(line);
    else decisionLog.append(line, (text) => this.#maskAndDrop(text, rules, receivedAt, decisionId));
  }

  #maskAndDrop(text: string, rules: DecisionLogRules, now: EpochMs, decisionId: string): string | undefined {
    const { metrics, log, console } = this.#options;
    const { line, steps, failures } = maskAndDrop(text, rules, now, decisionId);
    for (const step of steps) metrics.journalScreened(step);
    for (const { rule, code } of failures) {
      const entrypoint = `system/log/${rule}`;
      this.#note(code, entrypoint);
      // No cause: what a rule met may be just what it should have masked.
      log.error(
        rule === 'mask'
          ? 'the mask rule failed; input and result were withheld'
          : 'the drop rule failed; the event was kept',
        { decision_id: decisionId, entrypoint, code },
      );
    }
    if (line !== undefined) console?.(line);
    return line;
  }

  #note(code: ErrorCode, entrypoint: string): void {
    if (code !== 'policy_budget_spent') return;
    this.#options.overruns.note(entrypoint);
    this.#options.metrics.overrun(entrypoint);
  }

  /** An internal error in or beside a decision; the recorded decision does not change. */
  bug(decisionId: string, cause: unknown): void {
    this.#options.log.error('internal error in a decision', { decision_id: decisionId, cause });
  }

  refused(error: RequestRefused): void {
    this.#options.metrics.rejected(error.code);
  }
}

/** Where a request's time goes, stage by stage; one that fails in a stage has spent its time in that one. */
export class Stopwatch {
  readonly #clock: Clock;
  readonly #metrics: Metrics;
  readonly #startedMs: number;
  #stage: Stage = 'receive';
  #enteredMs: number;

  constructor(clock: Clock, metrics: Metrics) {
    this.#clock = clock;
    this.#metrics = metrics;
    this.#startedMs = clock.monotonicMs();
    this.#enteredMs = this.#startedMs;
  }

  /** The stage before it is over. */
  enter(stage: Stage): void {
    this.stop();
    this.#stage = stage;
  }

  /** The stage that was entered last is over. */
  stop(): void {
    const nowMs = this.#clock.monotonicMs();
    this.#metrics.stage(this.#stage, (nowMs - this.#enteredMs) / 1_000);
    this.#enteredMs = nowMs;
  }

  secondsSinceStart(): number {
    return (this.#clock.monotonicMs() - this.#startedMs) / 1_000;
  }
}
