import type { AnsweredDecision } from '../domain/answered-decision.ts';
import { type Decision, isDecisionEntrypoint, type SettledDecision, undecided } from '../domain/decision.ts';
import { asSidecarError, RequestRefused } from '../domain/errors.ts';
import type { Facts } from '../domain/facts.ts';
import type { Outbound } from '../domain/outbound.ts';
import type { DecisionLogRules, GrantSpender } from '../domain/ports.ts';
import type { Answer, AuthzRequest, RawRequest } from '../domain/request.ts';
import type { Clock, EpochMs } from '../domain/time.ts';
import type { JsonLimits } from '../text/scan-json.ts';
import { decide } from './decide/decide.ts';
import { settleGrants } from './decide/settle-grants.ts';
import type { ActiveBundle, Enrich } from './enrich/enrich.ts';
import { type Draws, ndBuiltinCacheText } from './evaluate/draws.ts';
import { evaluate } from './evaluate/evaluate.ts';
import type { PolicyModule } from './evaluate/policy-module.ts';
import { type Identify, requireOwnSubject } from './identify/identify.ts';
import { receive } from './receive/receive.ts';
import type { Recorder, Stopwatch } from './record/recorder.ts';
import { type RespondOptions, respond, respondRefusal } from './respond/respond.ts';

export interface ServingBundle extends ActiveBundle {
  readonly policy: PolicyModule;
  /** Of the bundles of data beside it, as a record has them. */
  readonly dataBundlesText?: string;
  /** The bundle's mask and drop rules; absent: events are recorded unchanged. */
  readonly decisionLogRules?: DecisionLogRules | undefined;
}

export interface Parts {
  readonly clock: Clock;
  readonly newDecisionId: () => string;
  readonly limits: JsonLimits;
  readonly identify: Identify;
  readonly enrich: Enrich;
  /**
   * The bundle that serves at this moment; a request asks once, and sees that one to its end.
   *
   * @throws Undecided `no_bundle`, `bundle_too_old`
   */
  readonly servingBundle: (now: EpochMs) => ServingBundle;
  /** The servers that policies may call; absent: calls are not allowed. */
  readonly outbound?: Outbound;
  /** Of the bundle that serves or did last: for an event of a request that did not come as far as a bundle. */
  readonly decisionLogRules?: () => DecisionLogRules | undefined;
  readonly grants: GrantSpender;
  readonly recorder: Recorder;
  readonly respond: RespondOptions;
  /** Told of each decision once its answer is made; it never throws, and takes no time worth the name. */
  readonly onAnswered?: (answered: AnsweredDecision) => void;
}

/** How far a request has come: what is known of it when it is recorded, decided or not. */
interface Trail {
  readonly decisionId: string;
  readonly raw: RawRequest;
  readonly receivedAt: EpochMs;
  request?: AuthzRequest;
  bundle?: ServingBundle;
  facts?: Facts;
  resultText?: string | undefined;
  /** The time, random values and server replies that the evaluation used, however it ended. */
  draws?: Draws;
}

/**
 * The whole way of one request. One that is refused was not judged, and is counted; every other is decided, recorded
 * and answered, whatever failed on the way.
 */
export async function authorize(raw: RawRequest, parts: Parts): Promise<Answer> {
  const stopwatch = parts.recorder.stopwatch();
  const trail: Trail = { decisionId: parts.newDecisionId(), raw, receivedAt: parts.clock.now() };
  let settled: SettledDecision;
  try {
    settled = await reach(trail, parts, stopwatch);
  } catch (cause) {
    const error = asSidecarError(cause);
    if (error instanceof RequestRefused) {
      parts.recorder.refused(error);
      return respondRefusal(error, raw.surface);
    }
    settled = undecided(error, trail.bundle?.revision);
  }
  const decision = parts.recorder.decided(
    {
      decisionId: trail.decisionId,
      decision: settled,
      raw,
      receivedAt: trail.receivedAt,
      request: trail.request,
      facts: trail.facts,
      dataBundlesText: trail.bundle?.dataBundlesText,
      resultText: trail.resultText,
      drawsText: trail.draws && ndBuiltinCacheText(trail.draws),
    },
    stopwatch,
    trail.bundle === undefined ? parts.decisionLogRules?.() : trail.bundle.decisionLogRules,
  );
  stopwatch.enter('respond');
  const answer = respond(decision, trail.request ?? raw, trail.decisionId, parts.respond);
  stopwatch.stop();
  if (parts.onAnswered !== undefined) {
    try {
      notifyObserver(trail, decision, parts.onAnswered);
    } catch (cause) {
      // An observer has no say in an answer that is recorded.
      parts.recorder.bug(trail.decisionId, cause);
    }
  }
  return answer;
}

/** A request that came as far as a policy, and what that made of it. */
function notifyObserver(trail: Trail, decision: Decision, notify: (answered: AnsweredDecision) => void): void {
  const { decisionId, bundle, facts, draws, resultText: text } = trail;
  if (bundle === undefined || facts === undefined || !isDecisionEntrypoint(facts.entrypoint)) return;
  // Without a result there may still have been an evaluation, which failed.
  const outcome = text === undefined && decision.kind === 'undecided' ? { code: decision.error.code } : { text };
  const { entrypoint, input, now } = facts;
  const replies = draws?.replies;
  const isMasked = bundle.decisionLogRules?.mask !== undefined;
  const revision = bundle.revision;
  const answered: AnsweredDecision = {
    decisionId,
    entrypoint,
    input,
    now,
    seed: decisionId,
    revision,
    outcome,
    isMasked,
  };
  notify(replies === undefined ? answered : { ...answered, replies });
}

async function reach(trail: Trail, parts: Parts, stopwatch: Stopwatch): Promise<SettledDecision> {
  const request = receive(trail.raw, parts.limits);
  trail.request = request;
  stopwatch.enter('identify');

  const caller = parts.identify(request);
  requireOwnSubject(request, caller);
  stopwatch.enter('enrich');

  const bundle = parts.servingBundle(trail.receivedAt);
  trail.bundle = bundle;
  const facts = parts.enrich(request, caller, bundle, trail.receivedAt);
  trail.facts = facts;
  stopwatch.enter('evaluate');

  const { outbound } = parts;
  trail.draws = { now: facts.now, seed: trail.decisionId, isAsking: outbound !== undefined };
  const evaluated = evaluate(bundle.policy, facts, trail.draws, outbound);
  const result = evaluated instanceof Promise ? await evaluated : evaluated;
  trail.resultText = result.text;
  stopwatch.enter('decide');

  return settleGrants(decide(result, request.entrypoint), facts, request.asked, parts.grants);
}
